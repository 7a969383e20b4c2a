//! The part of [`loss`](super::loss) that happens in a network of its own.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use tokio::time::sleep_until;

use super::{
    followers::{Followers, Log},
    loss::Plan,
    trips::click,
};
use crate::{
    Lesson, Server, Target,
    client::{Memory, connect, reach},
    link::{HOME, Link, Links},
    report::loss::{Cell, Loss},
};

/// How often a click may fail before a measurement does: where packets are lost, a first
/// request can come after the server's patience with it (408). Such a click is no sample.
const FAILURES: usize = 5;

/// Measures a lesson on all links at once.
///
/// # Errors
/// When the system refuses a network, or the lesson does not do what its transport asks.
pub async fn apart(lesson: Lesson, plan: &Plan) -> Result<Loss> {
    let ways = plan.links.iter();
    let mut ways: Vec<_> =
        ways.map(|&(trip, loss)| (Duration::from_millis(trip), loss)).collect();
    // The last is near, and loses nothing.
    ways.push((Duration::ZERO, 0.0));
    let links = Links::new(&ways)?;
    let near = &links.all()[plan.links.len()];
    let cells = plan.links.iter().zip(links.all());
    let cells = cells.map(|(&way, link)| cell(lesson, way, [link, near], plan));
    let cells = try_join_all(cells).await?;
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control")?;
    let congestion = congestion.trim().to_owned();
    Ok(Loss { congestion, overflow: links.overflow()?, cells })
}

/// Measures a lesson on one link; changes are made over the near one.
async fn cell(
    lesson: Lesson,
    (round_trip, loss): (u64, f64),
    [link, near]: [&Link; 2],
    plan: &Plan,
) -> Result<Cell> {
    let followed = serve(lesson)?;
    let [far, near] = [link, near].map(|link| link.before(followed.target()));
    // Each has a counter of his own, for no number may come from another's click.
    let clicking = try_join_all((0..plan.clickers).map(async |_| {
        let clicked = serve(lesson)?;
        clicks(link.before(clicked.target()), plan).await
    }));
    let ((delays, lost), clicks) = tokio::try_join!(delays(far, near, plan), clicking)?;
    Ok(Cell {
        round_trip,
        loss,
        passed: link.passed(),
        dropped: link.dropped(),
        clients: plan.clients,
        changes: plan.changes,
        lost,
        delays: milliseconds(&delays),
        clicks: milliseconds(&clicks.concat()),
    })
}

fn serve(lesson: Lesson) -> Result<Server> {
    Server::start_by(lesson, lesson.command()?.env("HOST", HOME.to_string()))
}

/// How long each change took until each follower had it, or a later one; and how many
/// connections were lost.
async fn delays(
    far: Target,
    near: Target,
    plan: &Plan,
) -> Result<(Vec<Duration>, usize)> {
    let followers = Followers::start(far, plan.clients, Memory::Nothing);
    let connected = followers.until_all_hold(0).await;
    ensure!(connected == plan.clients, "not every client connects");
    let before = followers.lost();
    let mut sender = connect(near).await?;
    let first = sender.next().await?.version;
    let began = tokio::time::Instant::now();
    let mut sent = Vec::new();
    for change in 1..=plan.changes {
        sleep_until(began + plan.every.mul_f64(change as f64)).await;
        sent.push(Instant::now());
        sender.send("increment").await?;
        reach(&mut *sender, first + change).await?;
    }
    let last = followers.until_all_hold(first + plan.changes).await;
    ensure!(
        last == plan.clients,
        "{last} of {} clients hold the last value",
        plan.clients
    );
    let logs = followers.logs();
    let delays = logs
        .iter()
        .map(|log| received(log, first, &sent))
        .collect::<Result<Vec<_>>>()?;
    Ok((delays.concat(), followers.lost() - before))
}

/// How long each change after version `first` took until this client had it, or a later one.
fn received(log: &Log, first: u64, sent: &[Instant]) -> Result<Vec<Duration>> {
    let mut delays = Vec::new();
    for (at, version) in log {
        let changes = usize::try_from(version.saturating_sub(first))?;
        ensure!(changes >= delays.len(), "version {version} after a later one");
        let new = sent.get(delays.len()..changes).unwrap_or_default();
        delays.extend(new.iter().map(|sent| at.duration_since(*sent)));
    }
    Ok(delays)
}

/// How long clicks take that are made one after another, as long as the changes last.
async fn clicks(far: Target, plan: &Plan) -> Result<Vec<Duration>> {
    let time = plan.every.mul_f64(plan.changes as f64);
    let (mut end, mut clicks, mut failed) = (None, Vec::new(), 0);
    while let Err(error) = clicks_once(far, time, &mut end, &mut clicks).await {
        failed += 1;
        if failed > FAILURES {
            return Err(error);
        }
    }
    Ok(clicks)
}

/// Clicks over one connection until the end, which comes so much later than the first click,
/// and keeps how long each click took.
async fn clicks_once(
    far: Target,
    time: Duration,
    end: &mut Option<Instant>,
    clicks: &mut Vec<Duration>,
) -> Result<()> {
    let mut client = connect(far).await?;
    let mut version = client.next().await?.version;
    let end = *end.get_or_insert_with(|| Instant::now() + time);
    while Instant::now() < end {
        clicks.push(click(&mut *client, far.lesson, version).await?);
        version += 1;
    }
    Ok(())
}

/// To the microsecond.
fn milliseconds(times: &[Duration]) -> Vec<f64> {
    times.iter().map(|time| time.as_micros() as f64 / 1000.0).collect()
}
