//! A client that loses its connection and comes back as its lesson's page does.

use std::{convert::Infallible, time::Duration};

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::{Client, Late, Line, Polling, connect};
use crate::{Lesson, Snapshot, Target};

/// How long lesson 1's page waits between an answer and its next question (`INTERVAL` in
/// its `client.js`).
const INTERVAL: Duration = Duration::from_secs(1);

/// What a follower meets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Met {
    /// It tries to connect.
    Trying,
    /// The server sent a snapshot.
    Snapshot(Snapshot),
    /// The connection is gone, or was not made.
    Lost,
}

/// Whether a follower draws its pauses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chance {
    /// As the pages do.
    Random,
    /// It takes the middle of what could be drawn, like all others.
    Fixed,
}

impl Chance {
    /// A number from 0 to 1.
    fn draw(self) -> f64 {
        match self {
            Self::Random => fastrand::f64(),
            Self::Fixed => 0.5,
        }
    }
}

/// What a follower says when it comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Memory {
    /// Nothing: as the lessons' pages, it takes the state that it is given.
    Nothing,
    /// The id of the last event that it has, as the pages of the extension `resume` do.
    Event,
    /// That, and its session, as socket.io-client does with a server that recovers
    /// connections (<https://socket.io/docs/v4/connection-state-recovery>).
    Session,
}

/// Follows the counter, and tells what it meets, until it is dropped.
pub async fn follow(
    target: Target,
    chance: Chance,
    met: impl FnMut(Met) + Send,
) -> Infallible {
    resume(target, chance, Memory::Nothing, met).await
}

/// The same, by a client that says what it has when it comes back.
pub async fn resume(
    target: Target,
    chance: Chance,
    memory: Memory,
    mut met: impl FnMut(Met) + Send,
) -> Infallible {
    let polls = target.lesson == Lesson::Polling;
    // Each page of lesson 4 draws its longest pause once.
    let longest = 5000.0 + 5000.0 * chance.draw();
    let mut failures = 0;
    let mut last = Last::default();
    loop {
        met(Met::Trying);
        if let Ok(mut connection) = Connection::open(target, memory, &last).await {
            loop {
                match connection.next(&mut last).await {
                    Ok(snapshot) => {
                        failures = 0;
                        met(Met::Snapshot(snapshot));
                        if polls {
                            sleep(INTERVAL).await;
                        }
                    }
                    // Nothing has changed for long, and a heartbeat is no snapshot.
                    Err(error) if error.is::<Late>() => {}
                    Err(_) => break,
                }
            }
        }
        met(Met::Lost);
        failures += 1;
        sleep(pause(target.lesson, failures, longest, chance)).await;
    }
}

/// The last event that a follower has, and the session in which it came.
#[derive(Default)]
struct Last {
    id: String,
    session: String,
}

enum Connection {
    State(Box<dyn Client>),
    Events(Box<Line>),
}

impl Connection {
    async fn open(target: Target, memory: Memory, last: &Last) -> Result<Self> {
        let asked: &[_] = match memory {
            Memory::Nothing if target.lesson == Lesson::Polling => {
                let mut client = Polling::connect(target)?;
                client.every = INTERVAL;
                return Ok(Self::State(Box::new(client)));
            }
            Memory::Nothing => return Ok(Self::State(connect(target).await?)),
            Memory::Event => &[("after", &*last.id)],
            Memory::Session => &[("pid", &*last.session), ("offset", &*last.id)],
        };
        Ok(Self::Events(Box::new(Line::open(target, asked).await?)))
    }

    async fn next(&mut self, last: &mut Last) -> Result<Snapshot> {
        let line = match self {
            Self::State(client) => return client.next().await,
            Self::Events(line) => line,
        };
        loop {
            let said = line.next().await?.context("the connection ended")?;
            // A state that is repeated as a sign of life is no event, and has no id.
            if said.id.is_empty() {
                continue;
            }
            let snapshot = said.snapshot()?;
            *last = Last { id: said.id, session: line.session().to_owned() };
            return Ok(snapshot);
        }
    }
}

/// How long a page waits after so many failures in a row.
fn pause(lesson: Lesson, failures: i32, longest: f64, chance: Chance) -> Duration {
    let draw = chance.draw();
    let ms = match lesson {
        // `backoff` in shared/assets/page.js.
        Lesson::Polling | Lesson::WebSocket => {
            (250.0 * 2_f64.powi(failures)).min(10_000.0) * (0.5 + draw / 2.0)
        }
        // The browser comes back after the `retry` of the stream that it lost.
        Lesson::Sse => 1000.0 + 1000.0 * draw,
        // socket.io-client's backo2, with the options of lesson 4's `client.js`: half more or
        // less, and then cut.
        Lesson::SocketIo => {
            let doubled = 500.0 * 2_f64.powi(failures - 1);
            (doubled * (0.5 + draw)).min(longest)
        }
    };
    Duration::from_secs_f64(ms / 1000.0)
}
