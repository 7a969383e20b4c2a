//! The live counter: one value, any number of followers.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
    future::ready,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytestring::ByteString;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::watch;

use crate::{Action, Command, Refusal, Snapshot};

#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
pub(crate) use redis::share;

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
    /// number, tells them apart. Servers that share a counter share its run too. An id that
    /// ends in `-stale` names the same state while it cannot be kept up to date.
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
///
/// The value lives in this process. When [`run`](crate::run) finds `REDIS_URL` set it lives
/// in Redis, and the slot follows it: all servers that share it show one counter.
#[derive(Debug)]
pub struct Counter {
    slot: watch::Sender<Slot>,
    encode: fn(id: &str, json: &str) -> String,
    applied: Mutex<AppliedIds>,
    store: OnceLock<Box<dyn Store>>,
}

/// Where the value lives when it does not live in this process.
trait Store: Debug + Send + Sync {
    /// Applies commands in the order of the calls; the rest is as in [`Counter::apply`].
    fn apply(&self, command: Command) -> Applied;
}

/// What becomes of a command: the state it made, or why it was not applied.
pub type Applied = BoxFuture<'static, Result<Snapshot, Refusal>>;

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
    run: Arc<str>,
    update: Arc<Update>,
    open: bool,
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
        let run = new_run();
        let update = update(&run, Snapshot::default(), encode);
        let (slot, _) = watch::channel(Slot { run: run.into(), update, open: true });
        Self { slot, encode, applied: Mutex::default(), store: OnceLock::new() }
    }

    /// The newest state.
    #[must_use]
    pub fn latest(&self) -> Arc<Update> {
        self.slot.borrow().update.clone()
    }

    /// Applies `command` and wakes every follower. Answers with the state it made; for a
    /// command whose id was applied already, with the newest state.
    ///
    /// Commands are applied in the order of the calls: what is awaited is only the answer.
    ///
    /// # Errors
    /// A [`Refusal`] when the value does not live in this process, and what keeps it cannot
    /// be reached or refuses the command.
    pub fn apply(&self, command: Command) -> Applied {
        match self.store.get() {
            None => ready(Ok(self.apply_here(command))).boxed(),
            Some(_) if self.latest().snapshot.stale => {
                let reason =
                    "the counter cannot be reached; the command was not applied";
                ready(Err(Refusal::new(reason))).boxed()
            }
            Some(store) => store.apply(command),
        }
    }

    /// Applies the command in a JSON text; the rest is as in [`Counter::apply`].
    ///
    /// # Errors
    /// Those of [`Counter::apply`], and a [`Refusal`] of a text that is no command.
    pub async fn apply_text(&self, text: &str) -> Result<Snapshot, Refusal> {
        self.apply(text.parse()?).await
    }

    fn apply_here(&self, command: Command) -> Snapshot {
        let Some(id) = command.id else { return self.change(command.action) };
        // Held until the change is made: a repeat must not be answered before it.
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if applied.insert(id.into()) {
            self.change(command.action)
        } else {
            self.latest().snapshot
        }
    }

    fn change(&self, action: Action) -> Snapshot {
        let mut made = Snapshot::default();
        self.slot.send_modify(|slot| {
            made = slot.update.snapshot.after(action);
            slot.update = update(&slot.run, made, self.encode);
        });
        made
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

/// A name that no other run has.
fn new_run() -> String {
    // The keys of a `RandomState` are random, and so is its hash of anything.
    format!("{:016x}", RandomState::new().hash_one(()))
}

fn update(
    run: &str,
    snapshot: Snapshot,
    encode: fn(id: &str, json: &str) -> String,
) -> Arc<Update> {
    let stale = if snapshot.stale { "-stale" } else { "" };
    let id = format!("{run}-{}{stale}", snapshot.version);
    let text = encode(&id, &serde_json::json!(snapshot).to_string()).into();
    Arc::new(Update { snapshot, id, text })
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
