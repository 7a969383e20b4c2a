//! What every server of the counter does, the peers and several instances too.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use compare::{
    Bad, Client, Lesson, Outcome, Place, Running, Runtime, Server, Snapshot, Subject,
    Target,
    client::limited,
    connect,
    raw::{self, Raw},
};
use futures_util::future::{join_all, try_join_all};
use reqwest::{StatusCode, header};
use serde_json::json;
use tokio::time::timeout;

use super::serving::get;

/// Well before the first heartbeat, which on some transports brings a snapshot too and
/// would hide that one was lost.
const AT_ONCE: Duration = Duration::from_secs(5);

pub async fn first_snapshot_at_once(subject: Subject) -> Result<()> {
    let server = Running::start(subject)?;
    let mut first = connect(server.target()).await?;
    let snapshot =
        timeout(AT_ONCE, first.next()).await.context("nothing at once")??;
    ensure!(snapshot == Snapshot::new(0, 0));
    first.send("increment").await?;
    until(&mut *first, 1).await?;
    let snapshot = timeout(AT_ONCE, newest(subject, &server, 1))
        .await
        .context("nothing at once")??;
    ensure!(snapshot == Snapshot::new(1, 1));
    Ok(())
}

pub async fn every_command(subject: Subject) -> Result<()> {
    let server = Running::start(subject)?;
    let mut client = connect(server.target()).await?;
    let steps = [
        ("increment", 1),
        ("increment", 2),
        ("decrement", 1),
        ("reset", 0),
        ("reset", 0),
        ("decrement", -1),
    ];
    for (version, (command, value)) in (1..).zip(steps) {
        client.send(command).await?;
        let snapshot = until(&mut *client, version).await?;
        ensure!(snapshot == Snapshot::new(value, version), "{command}: {snapshot:?}");
    }
    Ok(())
}

/// What a new client sees, once the instance that it reached knows of `version`: it may be
/// a moment behind another.
async fn newest(subject: Subject, running: &Running, version: u64) -> Result<Snapshot> {
    let mut client = connect(running.target()).await?;
    match subject.place {
        Place::Alone => client.next().await,
        Place::Shared | Place::Proxied => until(&mut *client, version).await,
    }
}

/// Reads snapshots until `version`, and checks that none goes back.
pub async fn until(client: &mut dyn Client, version: u64) -> Result<Snapshot> {
    let mut last = client.next().await?;
    while last.version < version {
        let newer = async {
            loop {
                let next = client.next().await?;
                ensure!(next.version >= last.version, "{next:?} after {last:?}");
                if next.version > last.version {
                    return Ok(next);
                }
            }
        };
        last = limited("newer version", newer).await??;
    }
    ensure!(last.version == version, "{last:?} is past version {version}");
    Ok(last)
}

pub async fn concurrent_increments(subject: Subject) -> Result<()> {
    const CLIENTS: u64 = 20;
    const EACH: u64 = 50;
    let server = Running::start(subject)?;
    let clients = join_all((0..CLIENTS).map(|_| connect(server.target()))).await;
    let finished = clients.into_iter().map(async |client| {
        let mut client = client?;
        for _ in 0..EACH {
            client.send("increment").await?;
        }
        until(&mut *client, CLIENTS * EACH).await
    });
    for last in try_join_all(finished).await? {
        ensure!(last.value == 1000 && last.version == 1000, "{last:?}");
    }
    Ok(())
}

pub async fn repeated_id_counts_once(subject: Subject) -> Result<()> {
    let server = Running::start(subject)?;
    let mut clients = try_join_all((0..4).map(|_| connect(server.target()))).await?;
    let long = "é".repeat(32);
    for id in ["a", "b", &long] {
        for client in &mut clients {
            for _ in 0..5 {
                let command = json!({ "type": "increment", "id": id });
                client.send_text(command.to_string()).await?;
            }
        }
    }
    // An id belongs to the first command that came with it, whatever comes later.
    clients[0].send_text(json!({ "type": "reset", "id": "a" }).to_string()).await?;
    clients[0].send("decrement").await?;
    let last = until(&mut *clients[0], 4).await?;
    ensure!(last == Snapshot::new(2, 4), "{last:?}");
    Ok(())
}

pub async fn a_follower_sees_the_last_value(subject: Subject) -> Result<()> {
    let server = Running::start(subject)?;
    // A client that connects while the counter changes must not miss the last change: the
    // gap between reading and subscribing would lose it.
    let mut sender = connect(server.target()).await?;
    sender.next().await?;
    for version in 1..=100 {
        let (sent, followed) = tokio::join!(sender.send("increment"), async {
            let mut follower = connect(server.target()).await?;
            timeout(AT_ONCE, until(&mut *follower, version)).await?
        });
        sent?;
        followed.with_context(|| format!("version {version} never came"))?;
    }
    Ok(())
}

pub async fn stalled_client_delays_nobody(subject: Subject) -> Result<()> {
    const CHANGES: u64 = 2000;
    let server = Running::start(subject)?;
    let mut stalled = Raw::subscribe(server.target()).await?;
    let mut reader = connect(server.target()).await?;
    let mut sender = connect(server.target()).await?;
    sender.next().await?;
    let (sent, read) = tokio::join!(
        async {
            for _ in 0..CHANGES {
                sender.send("increment").await?;
            }
            Ok::<_, anyhow::Error>(())
        },
        until(&mut *reader, CHANGES),
    );
    sent?;
    read?;
    // It was connected all the while, and only now reads what waited for it.
    ensure!(stalled.read_some().await? > 0, "the stalled client was not connected");
    Ok(())
}

/// How the transport's own protocol demands to end the connection after a bad input.
fn closes(lesson: Lesson, bad: Bad) -> Option<&'static str> {
    match (lesson, bad) {
        (Lesson::WebSocket, Bad::TooLong) => Some("1009"),
        (Lesson::WebSocket, Bad::Binary) => Some("1003"),
        (Lesson::WebSocket, Bad::NotUtf8) => Some("1007"),
        // A packet that cannot be read at all is an error of the protocol, not of the event.
        (Lesson::SocketIo, Bad::NotJson | Bad::TooLong | Bad::NotUtf8) => {
            Some("close frame")
        }
        _ => None,
    }
}

/// What a peer's Socket.IO library settles before the peer sees the event: its JSON parser
/// keeps the last of two fields with one name, and python-socketio drops a packet that it
/// cannot parse.
fn unseen(subject: Subject, bad: Bad) -> bool {
    subject.lesson == Lesson::SocketIo
        && match subject.runtime {
            Runtime::Node | Runtime::Bun => bad == Bad::Twice,
            Runtime::Python => matches!(bad, Bad::Twice | Bad::NotJson | Bad::Nested),
            Runtime::Rust => false,
        }
}

pub async fn bad_input_changes_nothing(subject: Subject) -> Result<()> {
    let server = Running::start(subject)?;
    let mut accepted = 0;
    for bad in Bad::ALL.into_iter().filter(|&bad| !unseen(subject, bad)) {
        let mut client = connect(server.target()).await?;
        client.next().await?;
        let outcome = client.send_bad(bad).await.with_context(|| format!("{bad:?}"))?;
        match (closes(subject.lesson, bad), outcome) {
            (Some(expected), Outcome::Closed(how)) => {
                ensure!(how == expected, "{bad:?} closed with {how:?}");
            }
            (None, Outcome::Refused(sentence)) => {
                ensure!(sentence.contains(' '), "{bad:?} says only {sentence:?}");
                // The connection is as good as before.
                client.send("reset").await.with_context(|| format!("after {bad:?}"))?;
                accepted += 1;
                until(&mut *client, accepted)
                    .await
                    .with_context(|| format!("{bad:?}"))?;
            }
            (_, outcome) => bail!("{bad:?}: {outcome:?}"),
        }
        let now = newest(subject, &server, accepted).await?;
        ensure!(now == Snapshot::new(0, accepted), "{bad:?} made {now:?}");
    }
    Ok(())
}

/// What a client knows of one run says nothing of the next: neither the name of a state nor
/// the id of a command.
pub async fn restart_matches_nothing_old(subject: Subject) -> Result<()> {
    let mut server = Server::start(subject)?;
    let target = server.target();
    let old = first_change(target).await?;
    server.kill()?;
    let _server = Server::start_again(subject, target.address)?;
    let new = first_change(target).await?;
    ensure!(old.is_none() || old != new, "{old:?} in two runs");
    if let (Lesson::Polling, Some(old)) = (subject.lesson, old) {
        let answer = get(target, "/counter", &[("if-none-match", &old)]).await?;
        ensure!(answer.status() == StatusCode::OK, "{answer:?}");
    }
    Ok(())
}

/// Makes the first change of a run, always under the same id, and returns the name of the
/// state that it made, where the transport has names.
async fn first_change(target: Target) -> Result<Option<String>> {
    let mut client = connect(target).await?;
    let first = client.next().await?;
    ensure!(first == Snapshot::new(0, 0), "a new run begins with {first:?}");
    let command = json!({ "type": "increment", "id": "the same" });
    client.send_text(command.to_string()).await?;
    until(&mut *client, 1).await?;
    Ok(match target.lesson {
        Lesson::Polling => {
            let answer = get(target, "/counter", &[]).await?;
            let etag = answer.headers().get(header::ETAG).context("no ETag")?;
            Some(etag.to_str()?.to_owned())
        }
        Lesson::Sse => Some(raw::first_event_id(target).await?),
        Lesson::WebSocket | Lesson::SocketIo => None,
    })
}
