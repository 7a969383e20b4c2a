//! What becomes of clients that stop reading, are many, vanish, or never finish.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use tokio::time::{sleep, timeout};

use super::verdict::{Teller, Verdict};
use crate::{
    Lesson, Running, Server, Subject, Target,
    client::LIMIT,
    connect,
    language::Language,
    measure::gap::{self, Plan},
    process::{allow_descriptors, footprint},
    raw::{self, Raw},
};

/// What the server needs when it is at rest: a new one is still opening what it needs.
async fn at_rest(server: &Server) -> Result<(u64, usize)> {
    connect(server.target()).await?.next().await?;
    let mut last = footprint(server.pid())?;
    let mut calm = 0;
    while calm < 10 {
        sleep(Duration::from_millis(50)).await;
        let now = footprint(server.pid())?;
        calm = if now.1 == last.1 { calm + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

/// Waits until the process has at most this many descriptors, and returns how long it took.
async fn descriptors_return(
    pid: u32,
    most: usize,
    limit: Duration,
) -> Result<Duration> {
    let started = Instant::now();
    loop {
        let (_, now) = footprint(pid)?;
        if now <= most {
            return Ok(started.elapsed());
        }
        ensure!(
            started.elapsed() < limit,
            "{now} descriptors, not {most}, after {limit:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn stall(subject: Subject, tell: Teller) -> Result<Verdict> {
    const CHANGES: u64 = 10_000;
    /// What the server may grow by: far less than 10 000 snapshots for each stalled client.
    const GROWTH: u64 = 16 * 1024;
    /// 20 s without an acknowledgement (`TCP_USER_TIMEOUT`), which the kernel notices at its
    /// next probe; its probes are up to twice as far apart each time.
    const DROPPED_WITHIN: Duration = Duration::from_secs(90);
    let running = Running::start(subject)?;
    let server = running.instances().first().context("nothing runs")?;
    let mut reader = connect(running.target()).await?;
    let mut sender = connect(running.target()).await?;
    sender.next().await?;
    reader.next().await?;
    let (memory, descriptors) = footprint(server.pid())?;
    let mut stalled = Raw::subscribe(server.target()).await?;
    if subject.lesson == Lesson::Polling {
        // A poll has one answer; many polls at once have as many.
        let poll = raw::request(server.target(), "GET", "/counter", "", "");
        stalled.write(poll.repeat(500).as_bytes()).await?;
    }
    tell.say("a client follows the counter and reads nothing");
    let sending = async {
        for _ in 0..CHANGES {
            sender.send("increment").await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let reading = async {
        while reader.next().await?.version < CHANGES {}
        Ok::<_, anyhow::Error>(())
    };
    tokio::try_join!(sending, reading)?;
    let grown = footprint(server.pid())?.0.saturating_sub(memory);
    tell.say(&format!(
        "10,000 changes reached the others; the server grew by {grown} KiB"
    ));
    ensure!(grown < GROWTH, "the server grew by {grown} KiB");
    // Its own two connections stay; what polls may have fewer.
    let took = descriptors_return(server.pid(), descriptors, DROPPED_WITHIN).await?;
    tell.say(&format!(
        "its socket was freed {:.0} s after the last change",
        took.as_secs_f32()
    ));
    Ok(Verdict::Dropped)
}

pub(super) async fn crowd(subject: Subject, tell: Teller) -> Result<Verdict> {
    const CLIENTS: usize = 2000;
    allow_descriptors(2 * CLIENTS as u64)?;
    let server = Server::start(subject)?;
    let mut crowd = Vec::new();
    for _ in 0..CLIENTS / 50 {
        crowd.extend(try_join_all((0..50).map(|_| connect(server.target()))).await?);
    }
    for client in &mut crowd {
        client.next().await?;
    }
    tell.say(&format!("{CLIENTS} clients are connected and have the first snapshot"));
    crowd[0].send("increment").await?;
    let mut told = 0;
    for client in &mut crowd {
        while client.next().await?.version < 1 {}
        told += 1;
    }
    tell.say(&format!("{told} clients have the change"));
    Ok(Verdict::AllHaveIt)
}

/// Each client is a descriptor here and one in the server, which inherits the limit.
pub(super) async fn vanish(subject: Subject, tell: Teller) -> Result<Verdict> {
    const ROUNDS: usize = 200;
    /// For two thousand clients: two kilobytes each would be a leak.
    const GROWTH: u64 = 4 * 1024;
    /// How long lesson 4 waits for a client that does not join a namespace.
    const FORGOTTEN: Duration = Duration::from_secs(15);
    let server = Server::start(subject)?;
    let (mut before, descriptors) = at_rest(&server).await?;
    // The allocator keeps what the busiest moment needed, so the first times may grow. What
    // is never given back grows every time.
    for time in 1..=5 {
        for _ in 0..ROUNDS {
            try_join_all((0..10).map(|_| Raw::subscribe(server.target()))).await?;
        }
        descriptors_return(server.pid(), descriptors, 3 * LIMIT).await?;
        if subject.lesson == Lesson::SocketIo {
            sleep(FORGOTTEN).await;
        }
        let (now, _) = footprint(server.pid())?;
        tell.say(&format!(
            "2,000 clients connected and vanished, time {time}: no descriptor is left; \
             memory went from {before} KiB to {now} KiB"
        ));
        if now.saturating_sub(before) < GROWTH {
            return Ok(Verdict::NothingLeft);
        }
        before = now;
    }
    bail!("the server grows each time")
}

pub(super) async fn gap(subject: Subject, tell: Teller) -> Result<Verdict> {
    let server = Server::start(subject)?;
    let plan = Plan::minute(20);
    tell.say("20 clients follow 120 changes; every 15 s the network is cut for 2 s");
    let seen = gap::gap(server.target(), plan).await?;
    let share = Language::English.percent(seen.share());
    tell.say(&format!("of the changes {share} were received, none out of order"));
    ensure!(seen.out_of_order == 0, "{} came after a newer one", seen.out_of_order);
    ensure!(seen.last == seen.clients, "only {} hold the last value", seen.last);
    tell.say("all hold the last value");
    let whole = seen.received.iter().all(|received| *received == seen.changes);
    ensure!(!whole, "nobody missed anything");
    Ok(Verdict::StateHolds)
}

/// Clients that begin a request and do not go on.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Slow {
    Head,
    /// The head of a second request, once the first was answered: a fault of actix-http
    /// (see the protocol, "Known faults").
    SecondHead,
    Body,
}

async fn begin(target: Target, slow: Slow) -> Result<Raw> {
    const HEAD: &str = "GET /counter HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
    const LATE: &str = "Content-Type: application/json\r\nContent-Length: 10\r\n";
    let mut raw = Raw::connect(target).await?;
    if slow == Slow::SecondHead {
        raw.write(raw::request(target, "GET", "/icon.svg", "", "").as_bytes()).await?;
        raw.read_until(b"</svg>").await?;
    }
    if slow == Slow::Body {
        let path = match target.lesson {
            Lesson::SocketIo => "/socket.io/?EIO=4&transport=polling",
            _ => "/counter",
        };
        raw.write(raw::request(target, "POST", path, LATE, "").as_bytes()).await?;
    } else {
        raw.write(HEAD.as_bytes()).await?;
    }
    Ok(raw)
}

pub(super) async fn slow_heads(subject: Subject, tell: Teller) -> Result<Verdict> {
    const EACH: usize = 50;
    let server = Server::start(subject)?;
    let (_, descriptors) = at_rest(&server).await?;
    let (mut dropped, mut held) = (Vec::new(), Vec::new());
    for _ in 0..EACH {
        dropped.push(begin(server.target(), Slow::Head).await?);
        held.push(begin(server.target(), Slow::SecondHead).await?);
        // Lesson 3 reads no body at all.
        if subject.lesson != Lesson::WebSocket {
            dropped.push(begin(server.target(), Slow::Body).await?);
        }
    }
    tell.say(&format!(
        "{} clients have begun a request and do not go on",
        dropped.len() + held.len()
    ));
    let mut client = connect(server.target()).await?;
    client.send("increment").await?;
    while client.next().await?.version < 1 {}
    drop(client);
    tell.say("another client is served meanwhile");
    for raw in &mut dropped {
        // 5 s for a head, 20 s for a body.
        let ended = timeout(2 * LIMIT, raw.closed()).await;
        ended.context("a slow request is not given up")??;
    }
    descriptors_return(server.pid(), descriptors + EACH, LIMIT).await?;
    let (_, open) = footprint(server.pid())?;
    ensure!(open > descriptors + EACH / 2, "{open} descriptors: is the fault mended?");
    tell.say(&format!("{} of them were dropped", dropped.len()));
    drop(held);
    descriptors_return(server.pid(), descriptors, LIMIT).await?;
    tell.say(&format!("{EACH} were held until they left: a second head has no limit"));
    Ok(Verdict::SlowDropped)
}
