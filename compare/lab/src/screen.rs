//! What is there to see of a lane: the number, the state, what passed, and how much.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use compare::{
    Snapshot,
    relay::Direction,
    wire::{Entry, What},
};
use serde::Serialize;
use serde_json::Value;

/// How many rows of the diagram are kept.
pub const ROWS: usize = 60;

/// How much of a message's text is kept: a page's style sheet is longer.
const MOST: usize = 2000;

/// How many clicks are remembered until their number is shown.
const AWAITED: usize = 1000;

/// How the client that follows the counter is connected.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// Not yet.
    #[default]
    Connecting,
    /// The number is up to date, as far as the client knows.
    Live,
    /// The client knows that it is not.
    Lost,
}

/// What the lesson's process does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Process {
    /// It is being started.
    #[default]
    Starting,
    /// It runs.
    Running,
    /// It stands still: it keeps its connections and does nothing.
    Paused,
    /// It ended when it was told to.
    Stopped,
    /// It was killed, by the lab or from outside.
    Killed,
}

/// The state of a lane.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// The number that the client shows.
    pub value: Option<i64>,
    /// How the client is connected.
    pub link: Link,
    /// What the lesson's process does.
    pub process: Process,
    /// The process's id.
    pub pid: Option<u32>,
    /// What the network does, as an order has it.
    pub network: Value,
    /// How often it clicks by itself, in ms.
    pub every: Option<u64>,
    /// Messages from clients, since the counters were cleared, as those that follow.
    pub messages_up: u64,
    /// Messages to clients.
    pub messages_down: u64,
    /// Connections that were made, and those that were refused.
    pub connections: u64,
    /// Bytes from clients.
    pub up: u64,
    /// Bytes to clients.
    pub down: u64,
    /// From the last click whose number is shown until it was, in ms, if nobody else clicks.
    pub delay: Option<f64>,
    /// Clicks made here.
    pub clicks: u64,
    /// Clicks made here whose fate is open.
    pub waiting: u64,
    /// Clicks made here that the client gave up, and says so.
    pub given_up: u64,
    /// Commands that the server has accepted, of everybody.
    pub counted: u64,
    /// How many numbers the client has shown.
    pub numbers: u64,
    /// How often the connection was lost.
    pub losses: u64,
}

/// A row of the diagram.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its number, from one.
    pub n: u64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What is there to see now.
pub struct Seen {
    /// The state.
    pub status: Status,
    /// The newest rows, the newest last.
    pub rows: Vec<Row>,
}

/// What is there to see.
#[derive(Default)]
pub struct Screen(Mutex<Shown>);

#[derive(Default)]
struct Shown {
    status: Status,
    rows: VecDeque<Row>,
    last: u64,
    /// The version that the client shows.
    shown: Option<u64>,
    /// When the clicks were made whose numbers are waited for, and the version that the
    /// counter has with each, if nobody else clicks.
    awaited: VecDeque<(Instant, u64)>,
    /// The version that the server counted last.
    version: u64,
}

impl Screen {
    /// Now.
    pub fn seen(&self) -> Seen {
        let shown = lock(&self.0);
        Seen {
            status: shown.status.clone(),
            rows: shown.rows.iter().cloned().collect(),
        }
    }

    /// The state.
    pub fn status(&self) -> Status {
        lock(&self.0).status.clone()
    }

    /// Changes the state.
    pub fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.0).status);
    }

    /// Something passed.
    pub fn passed(&self, mut entry: Entry) {
        let mut shown = lock(&self.0);
        if let What::Message { direction, message, .. } = &mut entry.what {
            match direction {
                Direction::Up => shown.status.messages_up += 1,
                Direction::Down => shown.status.messages_down += 1,
            }
            if let Some((end, _)) = message.text.char_indices().nth(MOST) {
                message.text.truncate(end);
                message.text.push('…');
            }
        }
        shown.last += 1;
        let n = shown.last;
        shown.rows.push_back(Row { n, entry });
        if shown.rows.len() > ROWS {
            shown.rows.pop_front();
        }
    }

    /// The client is connected.
    pub fn live(&self) {
        lock(&self.0).status.link = Link::Live;
    }

    /// The client knows that it is not.
    pub fn lost(&self) {
        let mut shown = lock(&self.0);
        if shown.status.link == Link::Live {
            shown.status.losses += 1;
        }
        shown.status.link = Link::Lost;
    }

    /// The client shows this.
    pub fn show(&self, snapshot: Snapshot) {
        let mut shown = lock(&self.0);
        shown.status.value = Some(snapshot.value);
        let version = snapshot.version;
        let before = shown.shown.replace(version);
        if before != Some(version) {
            shown.status.numbers += 1;
        }
        if before.is_some_and(|before| version < before) {
            // The server has started again.
            for (awaited, next) in shown.awaited.iter_mut().zip(version + 1..) {
                awaited.1 = next;
            }
        }
        while let Some((clicked, _)) = shown.awaited.pop_front_if(|it| it.1 <= version)
        {
            shown.status.delay = Some(milliseconds(clicked.elapsed()));
        }
    }

    /// A click was made.
    pub fn clicked(&self) {
        let mut shown = lock(&self.0);
        let last =
            shown.awaited.back().map_or(shown.shown.unwrap_or_default(), |it| it.1);
        shown.awaited.push_back((Instant::now(), last + 1));
        if shown.awaited.len() > AWAITED {
            shown.awaited.pop_front();
        }
        shown.status.clicks += 1;
        shown.status.waiting += 1;
    }

    /// A click has its answer, or the client has given it up.
    pub fn settled(&self, well: bool) {
        let mut shown = lock(&self.0);
        shown.status.waiting = shown.status.waiting.saturating_sub(1);
        if !well {
            shown.status.given_up += 1;
            shown.awaited.pop_front();
            for awaited in &mut shown.awaited {
                awaited.1 = awaited.1.saturating_sub(1);
            }
        }
    }

    /// The server counts from zero again.
    pub fn anew(&self) {
        lock(&self.0).version = 0;
    }

    /// The server has counted up to this version.
    pub fn counted(&self, version: u64) {
        let mut shown = lock(&self.0);
        shown.status.counted += version.saturating_sub(shown.version);
        shown.version = version;
    }

    /// Counts from here on.
    pub fn clear(&self) {
        let mut shown = lock(&self.0);
        let status = &mut shown.status;
        status.messages_up = 0;
        status.messages_down = 0;
        status.delay = None;
        status.clicks = status.waiting;
        status.given_up = 0;
        status.counted = 0;
        status.numbers = 0;
        status.losses = 0;
        shown.awaited.clear();
    }
}

/// With a tenth.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// What a thread that panicked has left is still worth seeing.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
