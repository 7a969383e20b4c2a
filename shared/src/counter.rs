//! The live counter: one value, any number of followers.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
};

use bytestring::ByteString;
use tokio::sync::watch;

use crate::{Action, Command, Snapshot};

/// One state of the counter, ready to be sent.
///
/// It is made once for each accepted command and shared by all clients.
#[derive(Debug)]
pub struct Update {
    /// The state itself.
    pub snapshot: Snapshot,
    /// Names this state among all states of all runs, as `run-version`.
    ///
    /// `version` starts again with the server. A client that came back after a restart
    /// would take version 3 of this run for version 3 of the last one; the run, a random
    /// number, tells them apart.
    pub id: String,
    /// The snapshot as the lesson puts it on the wire.
    pub text: ByteString,
}

/// The live counter. Clones of an [`Arc`] of it share one value.
///
/// Its heart is [`tokio::sync::watch`]: a slot that holds the **latest** value and wakes
/// whoever waits for a newer one. A follower that was busy while ten commands were applied
/// finds the tenth state, not ten states: no queue grows, and nobody waits for the slowest.
///
/// That is right for a *state* such as a counter, a price or a position, where the latest
/// value makes the earlier ones worthless. It would be wrong for *events* such as chat
/// messages or payments, where each one counts: those need a queue
/// ([`tokio::sync::broadcast`] or a log), and a rule for clients that fall behind.
#[derive(Debug)]
pub struct Counter {
    slot: watch::Sender<Slot>,
    encoder: Encoder,
    applied: Mutex<AppliedIds>,
}

/// How many ids are remembered: about one megabyte. A client that repeats a command does so
/// within seconds; ten thousand clicks of others do not fit between.
const REMEMBERED_IDS: usize = 10_000;

/// The ids of the latest commands, so that a repeat is not applied again. They are gone
/// when the server stops, and so is the value that they changed.
#[derive(Debug, Default)]
struct AppliedIds {
    known: HashSet<Arc<str>>,
    oldest_first: VecDeque<Arc<str>>,
}

impl AppliedIds {
    /// Remembers the id. Returns whether it is new.
    fn insert(&mut self, id: Arc<str>) -> bool {
        if !self.known.insert(id.clone()) {
            return false;
        }
        self.oldest_first.push_back(id);
        if self.oldest_first.len() > REMEMBERED_IDS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[derive(Clone, Debug)]
struct Slot {
    update: Arc<Update>,
    open: bool,
}

#[derive(Debug)]
struct Encoder {
    run: u64,
    encode: fn(id: &str, json: &str) -> String,
}

impl Encoder {
    fn update(&self, snapshot: Snapshot) -> Arc<Update> {
        let id = format!("{:016x}-{}", self.run, snapshot.version);
        let json = serde_json::json!(snapshot).to_string();
        let text = (self.encode)(&id, &json).into();
        Arc::new(Update { snapshot, id, text })
    }
}

/// A counter at zero whose updates are sent as plain JSON.
impl Default for Counter {
    fn default() -> Self {
        Self::encoded_by(|_id, json| json.to_owned())
    }
}

impl Counter {
    /// A counter at zero; `encode` makes of an update's id and JSON the text to send.
    #[must_use]
    pub fn encoded_by(encode: fn(id: &str, json: &str) -> String) -> Self {
        // The keys of a `RandomState` are random, and so is its hash of anything.
        let run = RandomState::new().hash_one(());
        let encoder = Encoder { run, encode };
        let update = encoder.update(Snapshot::default());
        let (slot, _) = watch::channel(Slot { update, open: true });
        Self { slot, encoder, applied: Mutex::default() }
    }

    /// The newest state.
    #[must_use]
    pub fn latest(&self) -> Arc<Update> {
        self.slot.borrow().update.clone()
    }

    /// Applies `command` and wakes every follower. Returns the state it made; for a command
    /// whose id was applied already, the newest state.
    pub fn apply(&self, command: Command) -> Arc<Update> {
        let Some(id) = command.id else { return self.change(command.action) };
        // Held until the change is made: a repeat must not be answered before it.
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if applied.insert(id.into()) {
            self.change(command.action)
        } else {
            self.latest()
        }
    }

    fn change(&self, action: Action) -> Arc<Update> {
        let mut made = None;
        self.slot.send_modify(|slot| {
            slot.update = self.encoder.update(slot.update.snapshot.after(action));
            made = Some(slot.update.clone());
        });
        made.unwrap_or_else(|| self.latest())
    }

    /// Follows the counter from now on. The first update is the newest state, at once.
    ///
    /// To subscribe and to read the current value is one step here: an update cannot fall
    /// between the two and be lost.
    #[must_use]
    pub fn subscribe(&self) -> Updates {
        let mut slot = self.slot.subscribe();
        slot.mark_changed();
        Updates { slot }
    }

    /// Ends every [`Updates`], now and later: the server stops.
    pub fn close(&self) {
        self.slot.send_modify(|slot| slot.open = false);
    }
}

/// Follows a [`Counter`]; made by [`Counter::subscribe`].
#[derive(Debug)]
pub struct Updates {
    slot: watch::Receiver<Slot>,
}

impl Updates {
    /// Waits for a state newer than the last one returned, and skips those between.
    /// `None` when the server stops.
    ///
    /// Cancel safe: a call that is dropped while it waits loses nothing.
    pub async fn next(&mut self) -> Option<Arc<Update>> {
        self.slot.changed().await.ok()?;
        let slot = self.slot.borrow_and_update();
        slot.open.then(|| slot.update.clone())
    }

    /// The newest state, without waiting and without counting as returned by `next`.
    #[must_use]
    pub fn latest(&self) -> Arc<Update> {
        self.slot.borrow().update.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_remembered_up_to_a_bound() {
        let mut applied = AppliedIds::default();
        assert!((0..=REMEMBERED_IDS).all(|id| applied.insert(id.to_string().into())));
        assert!(
            !applied.insert(REMEMBERED_IDS.to_string().into()),
            "forgot the newest"
        );
        assert!(!applied.insert("1".into()), "forgot one too early");
        assert!(applied.insert("0".into()), "remembers more than the bound");
        assert_eq!(applied.known.len(), REMEMBERED_IDS);
    }
}
