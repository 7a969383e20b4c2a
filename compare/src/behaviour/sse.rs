//! What only Server-Sent Events have: a stream that nothing may hold back, with ids.

use std::collections::HashSet;

use anyhow::{Result, ensure};

use super::serving::get;
use crate::{
    candidate::Candidate,
    connect,
    contract::{Broken, expect},
    raw,
};

/// The headers that keep an event stream unbuffered, and its ids.
pub async fn head_and_ids(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let target = server.target();
    let answer =
        get(target, "/events", &[("accept-encoding", "gzip, br, zstd")]).await?;
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
    let expected = [
        ("content-type", Some("text/event-stream")),
        ("cache-control", Some("no-cache")),
        ("x-accel-buffering", Some("no")),
        ("content-encoding", None),
    ];
    for (name, value) in expected {
        let line = |value: Option<&str>| format!("{name}: {}", value.unwrap_or("none"));
        expect(line(value), line(header(name)))?;
    }
    let before = raw::first_event_id(target).await?;
    let again = raw::first_event_id(target).await?;
    ensure!(before == again, Broken::new("one id for one state", "two"));
    connect(target).await?.send("reset").await?;
    let after = raw::first_event_id(target).await?;
    ensure!(before != after, Broken::new("another id for another state", "the same"));
    let mut pauses = HashSet::new();
    for _ in 0..8 {
        let pause = raw::first_line_after(target, b"\nretry:").await?;
        let drawn = pause.parse().is_ok_and(|pause| (1000..2000).contains(&pause));
        ensure!(drawn, Broken::new("retry: 1000 to 1999", format!("retry: {pause}")));
        pauses.insert(pause);
    }
    // One chance in a thousand each: eight alike would be no chance.
    let alike = || Broken::new("a retry drawn for each stream", "the same eight times");
    ensure!(pauses.len() > 1, alike());
    Ok(())
}
