//! The client of a lane: it follows the counter, clicks, and comes back after a loss, as the
//! lesson's page does.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use compare::{
    Client, Lesson, Target,
    client::{Late, connect_by_polling, is_refused_upgrade, patient},
    connect,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use tokio::{
    pin,
    sync::mpsc::UnboundedReceiver,
    time::{sleep, timeout},
};

use crate::screen::Screen;

/// How long the pages wait for an answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How long lesson 4 waits for an acknowledgement before it sends the command again.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(3);

/// How often lesson 1 asks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many requests a browser has under way with one server over HTTP/1.1: six, of which the
/// event stream is one.
const REQUESTS: usize = 5;

/// A click on its way.
pub struct Click {
    kind: String,
    id: u64,
}

impl Click {
    /// One that is made now.
    pub fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), id: fastrand::u64(..) }
    }

    fn command(&self) -> String {
        json!({ "type": self.kind }).to_string()
    }

    /// With an id, so that it counts once however often it is sent.
    fn command_with_id(&self) -> String {
        json!({ "type": self.kind, "id": format!("{:016x}", self.id) }).to_string()
    }
}

/// The client's clicks, in their order.
type Clicks = UnboundedReceiver<Click>;

/// Follows the counter at `target` for ever, and sends the clicks.
pub async fn follow(target: Target, screen: Arc<Screen>, clicks: Clicks) {
    match target.lesson {
        Lesson::Polling => {
            tokio::join!(watch(target, &screen), post(target, &screen, clicks, 1));
        }
        Lesson::Sse => {
            tokio::join!(
                watch(target, &screen),
                post(target, &screen, clicks, REQUESTS)
            );
        }
        Lesson::WebSocket => talk(target, &screen, clicks).await,
        Lesson::SocketIo => insist(target, &screen, clicks).await,
    }
}

/// How long a connection may be silent before it is doubted.
fn silence(lesson: Lesson) -> Duration {
    match lesson {
        Lesson::Polling => ANSWER,
        Lesson::Sse | Lesson::WebSocket => Duration::from_secs(35),
        // Its server's interval between two pings, and the time for an answer.
        Lesson::SocketIo => Duration::from_secs(30),
    }
}

/// How long to wait before the next attempt, as `page.js` has it.
fn backoff(failures: u32) -> Duration {
    let most = Duration::from_secs(10);
    let doubled = Duration::from_millis(250) * 2_u32.saturating_pow(failures.min(10));
    doubled.min(most).mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// What the client hears next. Does not wait longer than the lesson's page would.
async fn hear(client: &mut dyn Client, lesson: Lesson, screen: &Screen) -> Result<()> {
    let heard = timeout(silence(lesson), client.hear()).await??;
    screen.live();
    if let Some(snapshot) = heard {
        screen.show(snapshot);
    }
    Ok(())
}

/// Shows what the server sends, and nothing else.
async fn watch(target: Target, screen: &Screen) {
    let mut failures = 0;
    loop {
        let following = async {
            let mut client = patient(ANSWER, connect(target)).await?;
            loop {
                hear(&mut *client, target.lesson, screen).await?;
                failures = 0;
                if target.lesson == Lesson::Polling {
                    sleep(INTERVAL).await;
                }
            }
        };
        let _: Result<()> = following.await;
        screen.lost();
        failures += 1;
        sleep(backoff(failures)).await;
    }
}

/// Sends each click as a request, no more of them at once than this. One that fails is not
/// sent again.
async fn post(target: Target, screen: &Screen, mut clicks: Clicks, at_once: usize) {
    // It sends what lesson 1 sends, and does not ask.
    let target = Target::new(Lesson::Polling, target.address);
    let mut idle: Vec<Box<dyn Client>> = Vec::new();
    let mut sending = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(click) = clicks.recv(), if sending.len() < at_once => {
                let sender = idle.pop();
                sending.push(async move {
                    let mut sender = match sender {
                        Some(sender) => sender,
                        None => connect(target).await?,
                    };
                    patient(ANSWER, sender.send_text(click.command())).await?;
                    Ok(sender)
                });
            }
            Some(sent) = sending.next() => {
                let sent: Result<_> = sent;
                screen.settled(sent.is_ok());
                idle.extend(sent);
            }
            else => return,
        }
    }
}

/// Waits for something, and does `with` each click that is made meanwhile.
async fn meanwhile<T>(
    future: impl Future<Output = T>,
    clicks: &mut Clicks,
    mut with: impl FnMut(Click),
) -> T {
    pin!(future);
    loop {
        tokio::select! {
            outcome = &mut future => return outcome,
            Some(click) = clicks.recv() => with(click),
        }
    }
}

/// One connection for both ways. A click without a connection is lost, and the page says so.
async fn talk(target: Target, screen: &Screen, mut clicks: Clicks) {
    let mut failures = 0;
    loop {
        let lost = |_| screen.settled(false);
        let connecting = patient(ANSWER, connect(target));
        if let Ok(mut client) = meanwhile(connecting, &mut clicks, lost).await {
            let talking = async {
                loop {
                    tokio::select! {
                        heard = hear(&mut *client, target.lesson, screen) => heard?,
                        Some(click) = clicks.recv() => {
                            let sent = client.send_text(click.command()).await;
                            screen.settled(sent.is_ok());
                            sent?;
                        }
                    }
                    failures = 0;
                }
            };
            let _: Result<()> = talking.await;
        }
        screen.lost();
        failures += 1;
        meanwhile(sleep(backoff(failures)), &mut clicks, lost).await;
    }
}

/// One connection for both ways, and each click is sent until it is acknowledged. Where no
/// WebSocket is granted, HTTP long-polling is enough.
async fn insist(target: Target, screen: &Screen, mut clicks: Clicks) {
    let mut failures = 0;
    let mut kept = VecDeque::new();
    loop {
        let connecting = patient(ANSWER, async {
            match connect(target).await {
                Err(error) if is_refused_upgrade(&error) => {
                    connect_by_polling(target).await
                }
                connected => connected,
            }
        });
        let connected =
            meanwhile(connecting, &mut clicks, |it| kept.push_back(it)).await;
        if let Ok(mut client) = connected {
            let mut heard = Instant::now();
            let insisting = async {
                screen.live();
                loop {
                    if let Some(click) = kept.front() {
                        let sent = client.send_text(click.command_with_id());
                        match patient(ACKNOWLEDGEMENT, sent).await {
                            Ok(()) => {
                                screen.settled(true);
                                kept.pop_front();
                            }
                            Err(error) if error.is::<Late>() => {
                                if heard.elapsed() > silence(target.lesson) {
                                    bail!("nothing was heard");
                                }
                                continue;
                            }
                            Err(error) => return Err(error),
                        }
                    } else {
                        tokio::select! {
                            it = hear(&mut *client, target.lesson, screen) => it?,
                            Some(click) = clicks.recv() => kept.push_back(click),
                        }
                    }
                    heard = Instant::now();
                    failures = 0;
                }
            };
            let _: Result<()> = insisting.await;
        }
        screen.lost();
        failures += 1;
        meanwhile(sleep(backoff(failures)), &mut clicks, |it| kept.push_back(it)).await;
    }
}
