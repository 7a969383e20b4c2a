//! How many round trips a first value and a click cost.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::time::sleep;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::{
    Lesson, Server, Target,
    client::{Client, WebSocket, connect, limited, reach},
    relay::{Network, Relay},
    report::network::{Trips, Way},
};

/// Two delays, each way. What is the same at both is no round trip.
const DELAYS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(200)];

/// How often each is tried at least; the shortest counts, for nothing makes it too short.
const TRIES: usize = 3;

/// How often each is tried at most, while the figures are no integers: the machine is busy.
const MOST: usize = 15;

/// Counts the round trips of all transports.
///
/// # Errors
/// When a server does not answer, or the machine was busy all the time.
pub async fn trips() -> Result<Vec<Trips>> {
    let ways = Lesson::ALL.map(|lesson| (lesson, Way::Own));
    let mut counted = Vec::new();
    for (lesson, way) in ways.into_iter().chain([(Lesson::SocketIo, Way::Upgraded)]) {
        let server = Server::start(lesson)?;
        let [mut short, mut long] = [None, None];
        for tried in 1..=MOST {
            for (best, delay) in [&mut short, &mut long].into_iter().zip(DELAYS) {
                let Some(now) = timed(&server, way, delay).await? else { continue };
                *best = Some(best.map_or(now, |best: Timed| best.min(now)));
            }
            let both = short.zip(long).context("no try was in order");
            match both.and_then(|(short, long)| figures(lesson, way, short, long)) {
                Ok(trips) if tried >= TRIES => {
                    counted.push(trips);
                    break;
                }
                Err(error) if tried == MOST => return Err(error.context("disturbed")),
                _ => {}
            }
        }
    }
    Ok(counted)
}

fn figures(lesson: Lesson, way: Way, short: Timed, long: Timed) -> Result<Trips> {
    let upgrade = short.upgrade.zip(long.upgrade);
    Ok(Trips {
        lesson: lesson.to_string(),
        way,
        connections: short.connections,
        first: count(short.first, long.first)?,
        click: count(short.click, long.click)?,
        upgrade: upgrade.map(|(short, long)| count(short, long)).transpose()?,
    })
}

/// How long something takes that goes to and fro `k` times, at both delays: `k` times the
/// round trip, and a rest that does not depend on it.
fn count(short: Duration, long: Duration) -> Result<u32> {
    let [near, far] = DELAYS.map(|delay| 2.0 * delay.as_secs_f64());
    let (short, long) = (short.as_secs_f64(), long.as_secs_f64());
    let trips = (long - short) / (far - near);
    let rest = short - trips.round() * near;
    ensure!(
        trips > 0.5 && (trips - trips.round()).abs() < 0.25 && rest.abs() < near / 2.0,
        "{trips:.2} round trips: {short:.3} s at {near} s each, {long:.3} s at {far} s",
    );
    Ok(trips.round() as u32)
}

/// How long things take at one delay.
#[derive(Clone, Copy, Debug)]
struct Timed {
    first: Duration,
    click: Duration,
    upgrade: Option<Duration>,
    connections: u64,
}

impl Timed {
    /// The shorter of each.
    fn min(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            click: self.click.min(other.click),
            upgrade: self.upgrade.min(other.upgrade),
            connections: self.connections.min(other.connections),
        }
    }
}

/// Nothing where something overtook another, so that it took another number of round trips.
async fn timed(server: &Server, way: Way, delay: Duration) -> Result<Option<Timed>> {
    let relay = Relay::start(server.target().address, None).await?;
    relay.set(Network::Slow(delay));
    let target = relay.before(server.target());
    let timed = match way {
        Way::Own => Some(own(target).await?),
        Way::Upgraded => upgraded(target).await?,
    };
    let connections = relay.traffic().connections.load(Relaxed);
    Ok(timed.map(|timed| Timed { connections, ..timed }))
}

/// By the transport of the lesson; with Socket.IO, by WebSocket from the start.
async fn own(target: Target) -> Result<Timed> {
    let began = Instant::now();
    let mut client = connect(target).await?;
    let version = client.next().await?.version;
    let first = began.elapsed();
    // Otherwise the answer would come with what is still under way.
    sleep(Duration::from_millis(50)).await;
    let click = click(&mut *client, target.lesson, version).await?;
    Ok(Timed { first, click, upgrade: None, connections: 0 })
}

/// Clicks when the counter has this version, and says how long it took until there was a
/// new number to show. Nothing of it is under way any more then.
pub(super) async fn click(
    client: &mut dyn Client,
    lesson: Lesson,
    version: u64,
) -> Result<Duration> {
    let began = Instant::now();
    client.send("increment").await?;
    // Over WebSocket nothing answers; else the answer has the number, and the page shows it.
    let answered = began.elapsed();
    if lesson == Lesson::Polling {
        return Ok(answered);
    }
    reach(client, version + 1).await?;
    Ok(if lesson == Lesson::WebSocket { began.elapsed() } else { answered })
}

/// As socket.io-client does it unless told otherwise: HTTP long polling first, and then
/// WebSocket (Engine.IO protocol 4, "Upgrade").
async fn upgraded(target: Target) -> Result<Option<Timed>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = target.url("/socket.io/?EIO=4&transport=polling");
    let text = async |request: reqwest::RequestBuilder| {
        let answer = limited("answer", request.send()).await??;
        anyhow::Ok(limited("body", answer.text()).await??)
    };
    let began = Instant::now();
    let open = text(http.get(&url)).await?;
    let open: Value = serde_json::from_str(open.trim_start_matches('0'))?;
    let sid = open["sid"].as_str().context("no sid")?;
    let session = format!("{url}&sid={sid}");
    let listening = async {
        let mut answers = 0;
        let mut came = String::new();
        while !came.contains("42[\"counter\"") {
            came += &text(http.get(&session)).await?;
            answers += 1;
        }
        anyhow::Ok(answers)
    };
    let joining = text(http.post(&session).body("40"));
    let (answers, _) = tokio::try_join!(listening, joining)?;
    let first = began.elapsed();
    if answers == 1 {
        // "40" was there before the question, whose answer has both packets.
        return Ok(None);
    }
    let began = Instant::now();
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    let url = format!("ws://{}/socket.io/?{query}", target.address);
    let (mut socket, _) = limited("handshake", connect_async(url)).await??;
    socket.send(Message::text("2probe")).await?;
    until(&mut socket, "3probe").await?;
    let upgrade = began.elapsed();
    socket.send(Message::text("5")).await?;
    let began = Instant::now();
    let click = r#"420["command",{"type":"increment"}]"#;
    socket.send(Message::text(click)).await?;
    until(&mut socket, "430").await?;
    let (click, upgrade) = (began.elapsed(), Some(upgrade));
    Ok(Some(Timed { first, click, upgrade, connections: 0 }))
}

/// Reads until a packet begins like this.
async fn until(socket: &mut WebSocket, wanted: &str) -> Result<()> {
    loop {
        let message = limited("packet", socket.next()).await?.context("closed")??;
        if message.to_text()?.starts_with(wanted) {
            return Ok(());
        }
    }
}
