//! What every server of the counter does, the peers and several instances too.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::{join_all, try_join_all};
use reqwest::header;
use serde_json::json;

use super::serving::get;
use crate::{
    Bad, Client, Lesson, Outcome, Place, Runtime, Snapshot, Target,
    candidate::{Candidate, Started},
    client::{limited, within},
    connect,
    contract::{Broken, expect},
    raw::{self, Raw},
};

/// Well before the first heartbeat, which on some transports brings a snapshot too and
/// would hide that one was lost.
const AT_ONCE: Duration = Duration::from_secs(5);

/// M3, D1: whoever connects is told the state of the moment, at once.
pub async fn first_snapshot_at_once(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let begin = server.begins().await?;
    let mut first = connect(server.target()).await?;
    expect(begin, within(AT_ONCE, "snapshot", first.next()).await??)?;
    first.send("increment").await?;
    let changed = until(&mut *first, begin.version + 1).await?;
    let newcomer = newest(&who, &server, changed.version);
    expect(changed, within(AT_ONCE, "snapshot", newcomer).await??)
}

/// M4, M8: each command does what it says, and is one version.
pub async fn every_command(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let mut last = server.begins().await?;
    let mut client = connect(server.target()).await?;
    let steps = ["increment", "increment", "decrement", "reset", "reset", "decrement"];
    for command in steps {
        let value = match command {
            "increment" => last.value + 1,
            "decrement" => last.value - 1,
            _ => 0,
        };
        let expected = Snapshot::new(value, last.version + 1);
        let changed = async {
            client.send(command).await?;
            until(&mut *client, expected.version).await
        };
        last = changed.await.with_context(|| command)?;
        expect(expected, last).with_context(|| command)?;
    }
    Ok(())
}

/// Who clicks is not the only one who sees it.
pub async fn change_reaches_the_others(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let mut last = server.begins().await?.version;
    let mut clients = try_join_all((0..4).map(|_| connect(server.target()))).await?;
    for client in &mut clients {
        within(AT_ONCE, "snapshot", client.next()).await??;
    }
    for command in ["increment", "decrement"] {
        clients[0].send(command).await?;
        last += 1;
        for client in &mut clients {
            let told = within(AT_ONCE, "newer snapshot", until(&mut **client, last));
            told.await?.with_context(|| command)?;
        }
    }
    Ok(())
}

/// What a new client sees, once the instance that it reached knows of `version`: it may be
/// a moment behind another.
async fn newest(who: &Candidate, server: &Started, version: u64) -> Result<Snapshot> {
    let mut client = connect(server.target()).await?;
    match who.subject().map(|subject| subject.place) {
        None | Some(Place::Alone) => client.next().await,
        Some(Place::Shared | Place::Proxied) => until(&mut *client, version).await,
    }
}

/// Reads snapshots until `version`, and checks that none goes back.
pub async fn until(client: &mut dyn Client, version: u64) -> Result<Snapshot> {
    let mut last = client.next().await?;
    while last.version < version {
        let newer = async {
            loop {
                let next = client.next().await?;
                ensure!(
                    next.version >= last.version,
                    Broken::new(format!("no version before {last}"), next)
                );
                if next.version > last.version {
                    return Ok(next);
                }
            }
        };
        last = limited("newer snapshot", newer).await??;
    }
    ensure!(last.version == version, Broken::new(format!("version {version}"), last));
    Ok(last)
}

/// D6: simultaneous commands are all applied, once each.
pub async fn concurrent_increments(who: Candidate) -> Result<()> {
    const CLIENTS: u64 = 20;
    const EACH: u64 = 50;
    let server = who.start().await?;
    let begin = server.begins().await?;
    let clients = join_all((0..CLIENTS).map(|_| connect(server.target()))).await;
    let finished = clients.into_iter().map(async |client| {
        let mut client = client?;
        for _ in 0..EACH {
            client.send("increment").await?;
        }
        until(&mut *client, begin.version + CLIENTS * EACH).await
    });
    let expected = Snapshot::new(begin.value + 1000, begin.version + 1000);
    for last in try_join_all(finished).await? {
        expect(expected, last)?;
    }
    Ok(())
}

/// M10: a command that comes again under its id counts once.
pub async fn repeated_id_counts_once(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let begin = server.begins().await?;
    let mut clients = try_join_all((0..4).map(|_| connect(server.target()))).await?;
    // Where the server runs already, it may remember the ids of an earlier trial.
    let unique = format!("{:016x}", fastrand::u64(..));
    let ids =
        ["a".to_owned() + &unique, "b".to_owned() + &unique, unique + &"é".repeat(24)];
    for id in &ids {
        for client in &mut clients {
            for _ in 0..5 {
                let command = json!({ "type": "increment", "id": id });
                client.send_text(command.to_string()).await?;
            }
        }
    }
    // An id belongs to the first command that came with it, whatever comes later.
    clients[0].send_text(json!({ "type": "reset", "id": ids[0] }).to_string()).await?;
    clients[0].send("decrement").await?;
    let expected = Snapshot::new(begin.value + 2, begin.version + 4);
    expect(expected, until(&mut *clients[0], expected.version).await?)
}

/// D2: no change is lost to a client that connects while it happens.
pub async fn a_follower_sees_the_last_value(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let begin = server.begins().await?;
    // A client that connects while the counter changes must not miss the last change: the
    // gap between reading and subscribing would lose it.
    let mut sender = connect(server.target()).await?;
    sender.next().await?;
    for version in begin.version + 1..=begin.version + 100 {
        let (sent, followed) = tokio::join!(sender.send("increment"), async {
            let mut follower = connect(server.target()).await?;
            within(AT_ONCE, "newest snapshot", until(&mut *follower, version)).await?
        });
        sent?;
        followed.with_context(|| format!("version {version}"))?;
    }
    Ok(())
}

/// D5: a client that does not read delays nobody.
pub async fn stalled_client_delays_nobody(who: Candidate) -> Result<()> {
    const CHANGES: u64 = 2000;
    let server = who.start().await?;
    let begin = server.begins().await?;
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
        until(&mut *reader, begin.version + CHANGES),
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

/// What a Socket.IO library settles before its user sees the event: its JSON parser keeps
/// the last of two fields with one name, and python-socketio drops a packet that it cannot
/// parse. Of anybody's server nobody knows which library it stands on.
fn unseen(who: &Candidate, bad: Bad) -> bool {
    who.lesson == Lesson::SocketIo
        && match who.subject().map(|subject| subject.runtime) {
            Some(Runtime::Rust | Runtime::Axum) => false,
            Some(Runtime::Node | Runtime::Bun) => bad == Bad::Twice,
            Some(Runtime::Python) | None => {
                matches!(bad, Bad::Twice | Bad::NotJson | Bad::Nested)
            }
        }
}

/// M15, M16: what is refused changes nothing, and the connection stays where it can.
pub async fn bad_input_changes_nothing(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let mut last = server.begins().await?;
    for bad in Bad::ALL.into_iter().filter(|&bad| !unseen(&who, bad)) {
        let tried = async {
            let mut client = connect(server.target()).await?;
            client.next().await?;
            let outcome = client.send_bad(bad).await?;
            match (closes(who.lesson, bad), outcome) {
                (Some(expected), Outcome::Closed(how)) => expect(expected, &*how)?,
                (None, Outcome::Refused(sentence)) => {
                    ensure!(
                        sentence.contains(' '),
                        Broken::new("a sentence", sentence)
                    );
                    // The connection is as good as before.
                    client.send("reset").await?;
                    last = Snapshot::new(0, last.version + 1);
                    expect(last, until(&mut *client, last.version).await?)?;
                }
                (Some(expected), Outcome::Refused(sentence)) => {
                    bail!(Broken::new(format!("close {expected}"), sentence))
                }
                (None, Outcome::Closed(how)) => {
                    bail!(Broken::new("a refusal", format!("close {how}")))
                }
            }
            expect(last, newest(&who, &server, last.version).await?)
        };
        tried.await.with_context(|| bad.to_string())?;
    }
    Ok(())
}

/// What a client knows of one run says nothing of the next: neither the name of a state nor
/// the id of a command.
pub async fn restart_matches_nothing_old(who: Candidate) -> Result<()> {
    let mut server = who.start().await?;
    let old = first_change(server.target()).await?;
    server.kill()?;
    server.start_again().await?;
    let target = server.target();
    let new = first_change(target).await?;
    if let (Some(old), Some(new)) = (&old, new) {
        ensure!(*old != new, Broken::new("a name of its own", "the same in two runs"));
    }
    if let (Lesson::Polling, Some(old)) = (who.lesson, old) {
        let answer = get(target, "/counter", &[("if-none-match", &old)]).await?;
        let status = answer.status().as_u16();
        expect(200, status).context("If-None-Match of the run before")?;
    }
    Ok(())
}

/// Makes the first change of a run, always under the same id, and returns the name of the
/// state that it made, where the transport has names.
async fn first_change(target: Target) -> Result<Option<String>> {
    let mut client = connect(target).await?;
    expect(Snapshot::new(0, 0), client.next().await?).context("a new run")?;
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
