//! A journal of numbered events: what a client that comes back has missed.
//!
//! [`Counter`] keeps the newest state alone, and a follower that is late finds that one. Here
//! each change is an event, and the last [`KEPT`] of them are kept: a client that names the
//! last one it has gets those after it, each once and in order.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::FutureExt;
use shared::{Command, Counter, Refusal, Snapshot, Updates};

/// How many events are kept. Whoever was away for longer is told so, and gets the newest.
pub const KEPT: usize = 300;

/// One change of the counter.
#[derive(Clone, Debug)]
pub struct Event {
    /// Names it among all events of all runs of the server, as `run-version`.
    pub id: String,
    /// The state that it made.
    pub snapshot: Snapshot,
    /// Whether events before it are lost to this client: they are no longer in the journal,
    /// or are of another run.
    pub gap: bool,
}

/// The last events of a counter, one version after the other.
#[derive(Debug)]
pub struct Journal {
    /// The counter whose changes are kept.
    pub counter: Arc<Counter>,
    run: String,
    events: Mutex<VecDeque<Snapshot>>,
}

impl Journal {
    /// A journal that begins with the counter's state of the moment.
    pub fn of(counter: Arc<Counter>) -> Arc<Self> {
        let newest = counter.latest();
        let run = newest.id.split('-').next().unwrap_or_default().to_owned();
        let events = Mutex::new(VecDeque::from([newest.snapshot]));
        Arc::new(Self { counter, run, events })
    }

    /// Applies a command and keeps the event that it made.
    ///
    /// # Errors
    /// A [`Refusal`] when the counter refuses, or lives outside of this process: then its
    /// journal must live there too.
    pub fn apply(&self, command: Command) -> Result<Snapshot, Refusal> {
        // Held until the event is kept: another one must not come between.
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(applied) = self.counter.apply(command).now_or_never() else {
            return Err(Refusal::new(
                "this journal is kept in memory, and the counter is not",
            ));
        };
        let made = applied?;
        // A command that came again under its id has made nothing.
        if events.back().is_none_or(|newest| newest.version < made.version) {
            events.push_back(made);
        }
        if events.len() > KEPT {
            events.pop_front();
        }
        Ok(made)
    }

    /// Follows the journal from the event with the id `after`; without one, from the newest
    /// state, which is told first.
    pub fn follow(self: Arc<Self>, after: &str) -> Follower {
        let number =
            after.strip_prefix(&self.run).and_then(|rest| rest.strip_prefix('-'));
        let last = number.and_then(|number| number.parse().ok());
        // A version that this run has not reached is none of its own.
        let last = last.filter(|last| *last <= self.counter.latest().snapshot.version);
        let gap = !after.is_empty() && last.is_none();
        Follower { updates: self.counter.subscribe(), journal: self, last, gap }
    }

    fn after(&self, last: Option<u64>, gap: bool) -> Option<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let (oldest, newest) = (*events.front()?, *events.back()?);
        let event = |snapshot: Snapshot, gap| {
            let id = format!("{}-{}", self.run, snapshot.version);
            Some(Event { id, snapshot, gap })
        };
        let Some(last) = last else { return event(newest, gap) };
        if last >= newest.version {
            return None;
        }
        if last + 1 < oldest.version {
            return event(newest, true);
        }
        let at = usize::try_from(last + 1 - oldest.version).ok()?;
        event(*events.get(at)?, false)
    }
}

/// Follows a [`Journal`]; made by [`Journal::follow`].
#[derive(Debug)]
pub struct Follower {
    journal: Arc<Journal>,
    updates: Updates,
    /// The version of the event that was returned last.
    last: Option<u64>,
    gap: bool,
}

impl Follower {
    /// Waits for the next event. `None` when the server stops.
    ///
    /// Cancel safe: a call that is dropped while it waits loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.journal.after(self.last, self.gap) {
                self.last = Some(event.snapshot.version);
                return Some(event);
            }
            // The counter wakes its followers, and says when it closes.
            self.updates.next().await?;
        }
    }
}
