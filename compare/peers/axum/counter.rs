//! The counter that the peers on axum serve, as compare's contract has it: what `model.rs`
//! and `counter.rs` in `shared/src` are for the lessons, written anew.

mod http;

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use axum::extract::ws::Utf8Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};
use tokio::sync::watch;

pub use http::{post, serve};

/// The longest command that is read, in bytes.
pub const MAX_BYTES: usize = 4096;

const REMEMBERED_IDS: usize = 10_000;

/// What to do to the counter, and the id under which that is done once.
#[derive(Debug)]
pub struct Command(Fields);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    r#type: Action,
    #[serde(default, deserialize_with = "id")]
    id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Increment,
    Decrement,
    Reset,
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let id = String::deserialize(deserializer)?;
    match id.len() {
        1..=64 => Ok(Some(id)),
        length => Err(D::Error::invalid_length(length, &"an id of 1 to 64 bytes")),
    }
}

/// The derived code would take the array `["increment"]` for the fields too.
impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Command;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"an object such as {"type":"increment"}"#)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Command, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(map)).map(Command)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The state of the counter.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Snapshot {
    value: i32,
    version: u64,
}

/// A snapshot as it is sent, made once for all clients.
#[derive(Debug)]
pub struct Update {
    /// The state itself.
    pub snapshot: Snapshot,
    /// Its name among the states of all runs.
    pub id: String,
    /// The state as JSON.
    pub text: Utf8Bytes,
}

impl Update {
    fn new(run: u64, snapshot: Snapshot) -> Arc<Self> {
        let id = format!("{run:016x}-{}", snapshot.version);
        Arc::new(Self {
            snapshot,
            id,
            text: serde_json::json!(snapshot).to_string().into(),
        })
    }
}

/// Why a command is not applied.
#[derive(Debug, Serialize)]
pub struct Refusal {
    error: String,
}

impl Refusal {
    /// A refusal for this reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self { error: format!("this is no command: {reason}") }
    }
}

/// The live counter.
#[derive(Debug)]
pub struct Counter {
    run: u64,
    latest: watch::Sender<Arc<Update>>,
    applied: Mutex<Applied>,
}

/// The ids of the latest commands.
#[derive(Debug, Default)]
struct Applied {
    known: HashSet<Arc<str>>,
    oldest_first: VecDeque<Arc<str>>,
}

impl Default for Counter {
    fn default() -> Self {
        let run = fastrand::u64(..);
        let (latest, _) = watch::channel(Update::new(run, Snapshot::default()));
        Self { run, latest, applied: Mutex::default() }
    }
}

impl Counter {
    /// The newest state.
    #[must_use]
    pub fn latest(&self) -> Arc<Update> {
        self.latest.borrow().clone()
    }

    /// Follows the counter, from the newest state on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Update>> {
        let mut updates = self.latest.subscribe();
        updates.mark_changed();
        updates
    }

    /// Applies a command, unless its id was applied already, and answers with the newest
    /// state.
    pub fn apply(&self, Command(Fields { r#type, id }): Command) -> Arc<Update> {
        // Held until the end: a repeat is answered with what the first one made.
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let Applied { known, oldest_first } = &mut *applied;
        if let Some(id) = id.map(Arc::<str>::from) {
            if !known.insert(id.clone()) {
                return self.latest();
            }
            oldest_first.push_back(id);
            if oldest_first.len() > REMEMBERED_IDS
                && let Some(oldest) = oldest_first.pop_front()
            {
                known.remove(&oldest);
            }
        }
        let Snapshot { value, version } = self.latest().snapshot;
        let value = match r#type {
            Action::Increment => value.saturating_add(1),
            Action::Decrement => value.saturating_sub(1),
            Action::Reset => 0,
        };
        let made = Update::new(self.run, Snapshot { value, version: version + 1 });
        self.latest.send_replace(made.clone());
        made
    }
}
