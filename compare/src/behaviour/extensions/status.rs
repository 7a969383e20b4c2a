//! A status: who is connected, and what was sent.

use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use serde::Deserialize;
use tokio::time::sleep;

use super::super::serving::get;
use crate::{
    Target,
    candidate::Candidate,
    client::{Line, limited},
    connect,
    contract::{Broken, expect},
    relay::{Network, Relay},
};

/// The answer to `GET /status`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
struct Status {
    clients: u64,
    sent: u64,
    dropped: u64,
}

/// E4: `GET /status` tells how many clients are connected, however they go, and what became
/// of each state for each of them.
pub async fn status_tells_who_is_there(who: Candidate) -> Result<()> {
    const LINES: u64 = 3;
    const CHANGES: u64 = 200;
    let server = who.start().await?;
    let target = server.target();
    let others = status(target).await?.clients;
    let relay = Relay::start(target.address, None).await?;
    let open = async |target| {
        let mut line = Line::open(target, &[]).await?;
        line.next().await?;
        anyhow::Ok(line)
    };
    let lines = try_join_all((0..LINES).map(|_| open(target))).await?;
    let reset = try_join_all((0..LINES).map(|_| open(relay.before(target)))).await?;
    let mut sender = connect(target).await?;
    sender.next().await?;
    // One that posts has a stream too.
    let clients = 2 * LINES + 1;
    let now = until(target, "clients", |now| (now.clients, others + clients)).await?;
    let before = now.sent + now.dropped;
    for _ in 0..CHANGES {
        sender.send("increment").await?;
    }
    let each = before + (others + clients) * CHANGES;
    until(target, "sent and dropped", |now| (now.sent + now.dropped, each)).await?;
    relay.set(Network::Down);
    until(target, "clients", |now| (now.clients, others + LINES + 1)).await?;
    drop((lines, reset, sender));
    until(target, "clients", |now| (now.clients, others)).await.map(drop)
}

async fn status(target: Target) -> Result<Status> {
    let answer = get(target, "/status", &[]).await?;
    expect(200, answer.status().as_u16())?;
    let text = answer.text().await?;
    let example = r#"{"clients":2,"sent":17,"dropped":0}"#;
    serde_json::from_str(&text).map_err(|_| Broken::new(example, text).into())
}

/// Waits until what is read is what is expected: what is counted may be a moment late.
async fn until(
    target: Target,
    what: &str,
    read: impl Fn(Status) -> (u64, u64),
) -> Result<Status> {
    let mut last = None;
    let reached = async {
        loop {
            let now = status(target).await?;
            let (is, expected) = read(now);
            if is == expected {
                return Ok(now);
            }
            last = Some((is, expected));
            sleep(Duration::from_millis(20)).await;
        }
    };
    match (limited(what, reached).await, last) {
        (Ok(reached), _) => reached,
        (Err(_), Some((is, expected))) => {
            bail!(Broken::new(format!("{expected} {what}"), is))
        }
        (Err(late), None) => Err(late),
    }
}
