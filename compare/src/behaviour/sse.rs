//! What only Server-Sent Events have: a stream that nothing may hold back, with ids.

use std::collections::HashSet;

use anyhow::{Result, ensure};
use compare::{Lesson, Server, connect, raw};

use super::serving::get;

/// The headers that keep an event stream unbuffered, and its ids.
pub async fn head_and_ids(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let answer =
        get(server.target(), "/events", &[("accept-encoding", "gzip, br, zstd")])
            .await?;
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
    ensure!(header("content-type") == Some("text/event-stream"), "{answer:?}");
    ensure!(header("cache-control") == Some("no-cache"), "{answer:?}");
    ensure!(header("x-accel-buffering") == Some("no"), "{answer:?}");
    ensure!(header("content-encoding").is_none(), "{answer:?}");
    let before = raw::first_event_id(server.target()).await?;
    ensure!(
        raw::first_event_id(server.target()).await? == before,
        "one state, two ids"
    );
    connect(server.target()).await?.send("reset").await?;
    ensure!(
        raw::first_event_id(server.target()).await? != before,
        "two states, one id"
    );
    let mut pauses = HashSet::new();
    for _ in 0..8 {
        let pause = raw::first_line_after(server.target(), b"\nretry: ").await?;
        ensure!((1000..2000).contains(&pause.parse::<u32>()?), "retry: {pause}");
        pauses.insert(pause);
    }
    // One chance in a thousand each: eight alike would be no chance.
    ensure!(pauses.len() > 1, "every client would come back after {pauses:?} ms");
    Ok(())
}
