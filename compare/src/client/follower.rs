//! A client that loses its connection and comes back as its lesson's page does.

use std::{convert::Infallible, time::Duration};

use tokio::time::sleep;

use super::{Client, Late, Polling, connect};
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

/// Follows the counter, and tells what it meets, until it is dropped.
pub async fn follow(
    target: Target,
    chance: Chance,
    mut met: impl FnMut(Met) + Send,
) -> Infallible {
    let polls = target.lesson == Lesson::Polling;
    // Each page of lesson 4 draws its longest pause once.
    let longest = 5000.0 + 5000.0 * chance.draw();
    let mut failures = 0;
    loop {
        met(Met::Trying);
        if let Ok(mut client) = connection(target).await {
            loop {
                match client.next().await {
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

async fn connection(target: Target) -> anyhow::Result<Box<dyn Client>> {
    if target.lesson != Lesson::Polling {
        return connect(target).await;
    }
    let mut client = Polling::connect(target)?;
    client.every = INTERVAL;
    Ok(Box::new(client))
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
