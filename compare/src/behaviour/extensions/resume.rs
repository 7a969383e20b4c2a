//! Resume after a gap: a client that was cut off gets what it has missed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::super::counting::until;
use crate::{
    Client, Target,
    candidate::Candidate,
    client::{Line, Said, limited},
    connect,
    contract::{Broken, expect},
    relay::{Network, Relay},
};

/// How many events are followed through the cuts.
const EVENTS: u64 = 120;

/// After how many of them the network is cut, and how many happen until it is back.
const CUT: (u64, u64) = (20, 5);

/// More than a journal may keep.
const MANY: u64 = 400;

/// E2: 120 events reach a client that is cut off several times, each once and in order; and
/// who was away for longer than the journal reaches back, or comes from another run, is told.
pub async fn every_event_arrives(who: Candidate) -> Result<()> {
    let mut server = who.start().await?;
    let target = server.target();
    let begin = server.begins().await?.version;
    let mut sender = connect(target).await?;
    let relay = Relay::start(target.address, None).await?;
    let mut reader = Reader::new(relay.before(target));
    reader.begin().await?;
    let (sent, read) = tokio::join!(
        send(&mut *sender, &relay),
        limited("last event", reader.read_until(begin + EVENTS)),
    );
    sent?;
    let late = read.err().map(|error| format!("{error:#}"));
    all_of_them(begin, &reader.versions)?;
    ensure!(late.is_none(), "{}", late.unwrap_or_default());
    let last = reader.last.clone();
    ensure!(!last.is_empty(), Broken::new("an id with each event", "none"));
    reader.line = None;
    for _ in 0..MANY {
        sender.send("increment").await?;
    }
    let away = begin + EVENTS + MANY;
    until(&mut *sender, away).await?;
    told_of_a_gap(target, &last, Some(away)).await.context("away for 400 events")?;
    drop(sender);
    server.kill()?;
    server.start_again().await?;
    told_of_a_gap(server.target(), &last, None).await.context("after a restart")
}

/// Makes the events, and cuts the network between.
async fn send(sender: &mut dyn Client, relay: &Relay) -> Result<()> {
    let (every, down) = CUT;
    for number in 1..=EVENTS {
        if number % every == 0 {
            relay.set(Network::Down);
        } else if number % every == down {
            relay.set(Network::Good);
        }
        sender.send("increment").await?;
        // Time for some of them to arrive before the next cut; a cut may come at any moment.
        sleep(Duration::from_millis(2)).await;
    }
    relay.set(Network::Good);
    Ok(())
}

/// A client that comes back after each cut, and says what it has.
struct Reader {
    target: Target,
    line: Option<Line>,
    last: String,
    /// The versions that came, in their order.
    versions: Vec<u64>,
}

impl Reader {
    fn new(target: Target) -> Self {
        Self { target, line: None, last: String::new(), versions: Vec::new() }
    }

    /// Connects, and takes the newest state for the beginning.
    async fn begin(&mut self) -> Result<()> {
        let mut line = Line::open(self.target, &[("after", "")]).await?;
        self.last = line.next().await?.context("the connection ended")?.id;
        self.line = Some(line);
        Ok(())
    }

    async fn read_until(&mut self, version: u64) -> Result<()> {
        while self.versions.last().is_none_or(|last| *last < version) {
            let Some(line) = &mut self.line else {
                self.line =
                    Line::open(self.target, &[("after", &self.last)]).await.ok();
                sleep(Duration::from_millis(5)).await;
                continue;
            };
            match line.next().await {
                Ok(Some(said)) => self.hear(&said)?,
                Ok(None) | Err(_) => self.line = None,
            }
        }
        Ok(())
    }

    fn hear(&mut self, said: &Said) -> Result<()> {
        // A server that numbers its events may repeat a state, as a sign of life.
        if said.id.is_empty() && !self.last.is_empty() {
            return Ok(());
        }
        self.last.clone_from(&said.id);
        self.versions.push(said.snapshot()?.version);
        Ok(())
    }
}

fn all_of_them(begin: u64, versions: &[u64]) -> Result<()> {
    let expected: Vec<_> = (begin + 1..=begin + EVENTS).collect();
    if versions == expected {
        return Ok(());
    }
    let lost = expected.iter().filter(|version| !versions.contains(version)).count();
    let came = expected.len() - lost;
    let again = versions.len().saturating_sub(came);
    let order = if versions.is_sorted() { "in order" } else { "out of order" };
    let received = format!("{came} of {EVENTS}, {lost} lost, {again} again, {order}");
    Err(Broken::new(format!("{EVENTS} of {EVENTS} events, in order, once"), received)
        .into())
}

/// Whoever comes back with this id gets a snapshot that says that events are lost.
async fn told_of_a_gap(target: Target, last: &str, version: Option<u64>) -> Result<()> {
    let mut line = Line::open(target, &[("after", last)]).await?;
    let said = line.next().await?.context("the connection ended")?;
    let snapshot = said.snapshot()?;
    let name = if said.event.is_empty() { "event without a name" } else { &said.event };
    expect("gap", name)?;
    if let Some(version) = version {
        expect(version, snapshot.version)?;
    }
    Ok(())
}
