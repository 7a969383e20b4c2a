//! The value in Redis, so that several servers share one counter.
//!
//! Two things make it one. A script (`apply.lua`) checks the ids, changes the value and
//! publishes the new state in a single step. And what a server shows comes from that
//! publication alone: all servers see the same states in the same order. A server subscribes
//! first and then asks for a publication, so no change can fall between.
//!
//! When Redis goes away the last known state is shown as stale, commands are refused, and
//! the connection is made anew, with longer and longer pauses. Whether the commands on their
//! way were applied nobody can know, so they are sent again under the same ids; unless Redis
//! itself said that it applied none of them.

use std::{
    io, iter,
    pin::pin,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, Msg, ProtocolVersion, PushInfo,
    PushKind, RedisError, RedisResult, Script, aio::MultiplexedConnection,
};
use actix_web::web::Data;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::future::{FutureExt, ready};
use tokio::{
    sync::{
        mpsc::{self, Receiver, Sender, UnboundedReceiver},
        oneshot,
    },
    time::{Instant, sleep, timeout},
};

use super::{Applied, Counter, Store, new_run, update};
use crate::{Action, Command, Refusal, Snapshot};

/// The keys of the counter and of the ids. What stands in braces chooses the node of a Redis
/// Cluster (its specification, "Hash tags"): the same for both.
const KEYS: [&str; 2] = ["{counter}", "{counter}:ids"];

/// How many ids are remembered: about twelve megabytes. A command without an id gets one too.
const REMEMBERED_IDS: usize = 100_000;

/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long commands on their way wait for a Redis that has gone to come back. Together with
/// `PATIENCE` less than the 3 s after which lesson 4's page repeats a command: the repeat
/// would be refused as not applied, and nobody knows that.
const GRACE: Duration = Duration::from_millis(1500);

/// How long nothing is sent to Redis before it is asked whether it still answers.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The first pause between two attempts to connect. Each is twice as long as the one before,
/// and up to as much again by chance, so that not all servers come back at once.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two attempts to connect, before chance.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Commands that may wait for Redis; beyond, they are refused.
const WAITING: usize = 16 * 1024;

/// The most commands that are sent together.
const TOGETHER: usize = 128;

/// Why a command is refused, and what became of it.
const LOST: &str = "the counter cannot be reached";
const NOT_APPLIED: &str = "the command was not applied";
const UNKNOWN: &str = "nobody knows whether the command was applied";

/// The codes of errors after which no command has been applied. Redis gives them in place of
/// running the script, or of its first write (`processCommand` and `scriptCall` in its
/// source); `WRONGTYPE` where the script first touches a key, which is before it counts.
const REFUSALS: [&str; 8] = [
    "BUSY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "WRONGTYPE",
];

/// Moves the counter's value to the Redis server at `url`, and waits until it is known.
///
/// # Errors
/// A line that says why it cannot be had.
pub(crate) async fn share(counter: &Data<Counter>, url: &str) -> Result<(), String> {
    let place = url.into_connection_info().map_err(|error| {
        format!("REDIS_URL is not an address such as redis://127.0.0.1:6379: {error}")
    })?;
    let unreachable = format!("cannot reach Redis at {}", place.addr());
    let why = |error: RedisError| {
        let error = error.to_string();
        format!("{unreachable}: {}", error.lines().next().unwrap_or_default())
    };
    // Protocol 3 has answers and publications on one connection (RESP3 specification).
    let settings = place.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let redis = Redis {
        // Each database has its own keys, but all share the channels.
        channel: format!("{}@{}", KEYS[0], settings.db()),
        client: Client::open(place.set_redis_settings(settings)).map_err(why)?,
        script: Script::new(include_str!("apply.lua")),
        counter: counter.clone(),
    };
    let session = match redis.connect().await {
        // Where much starts at once, Redis may be slow for a moment.
        Err(error) if error.is_timeout() => redis.connect().await,
        ended => ended,
    };
    let session = session.map_err(why)?;
    counter.lose();
    let (waiting, commands) = mpsc::channel(WAITING);
    let queue = Queue { waiting, server: new_run(), count: AtomicU64::new(0) };
    counter
        .store
        .set(Box::new(queue))
        .map_err(|_| "the counter has a store".to_owned())?;
    tokio::spawn(redis.keep(session, commands));
    let mut slot = counter.slot.subscribe();
    let known = slot.wait_for(|slot| !slot.update.snapshot.stale);
    let known = timeout(PATIENCE, known).await.is_ok();
    known.then_some(()).ok_or(format!("{unreachable}: it publishes nothing"))
}

/// Commands on their way to Redis.
#[derive(Debug)]
struct Queue {
    waiting: Sender<Waiting>,
    /// Tells apart the ids that several servers give.
    server: String,
    count: AtomicU64,
}

#[derive(Debug)]
struct Waiting {
    id: String,
    action: Action,
    answer: oneshot::Sender<Result<Snapshot, Refusal>>,
}

impl Store for Queue {
    fn apply(&self, command: Command) -> Applied {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let id = match command.id {
            Some(id) => format!("client {id}"),
            None => format!("server {} {count}", self.server),
        };
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { id, action: command.action, answer };
        if self.waiting.try_send(waiting).is_err() {
            let reason = "too many commands wait; this one was not applied";
            return ready(Err(Refusal::new(reason))).boxed();
        }
        let ended = |_| Err(Refusal::new("the server stops"));
        answered.map(move |answer| answer.unwrap_or_else(ended)).boxed()
    }
}

/// What it takes to keep the counter in Redis.
struct Redis {
    client: Client,
    channel: String,
    script: Script,
    counter: Data<Counter>,
}

/// One connection, from the subscription to the first error.
///
/// Not redis's `ConnectionManager`: it connects again by itself, where the state must be
/// published again too, and it keeps a connection on which answers no longer come.
struct Session {
    connection: MultiplexedConnection,
    published: UnboundedReceiver<PushInfo>,
}

impl Redis {
    async fn keep(self, mut session: Session, mut commands: Receiver<Waiting>) {
        let mut sent = Vec::new();
        // Since when no command has been answered. Redis may come back again and again and
        // answer each time with an error.
        let mut trouble = None;
        loop {
            let Session { connection, published } = &mut session;
            let error = tokio::select! {
                error = self.follow(published) => error,
                error = self.send(connection, &mut commands, &mut sent, &mut trouble) => error,
            };
            tracing::warn!(%error, "the counter in Redis is lost");
            self.counter.lose();
            let since: Instant = *trouble.get_or_insert_with(Instant::now);
            let grace = GRACE.saturating_sub(since.elapsed());
            let mut again = pin!(self.connect_again());
            session = if let Ok(session) = timeout(grace, &mut again).await {
                session
            } else {
                refuse(sent.drain(..), LOST, UNKNOWN);
                let left = iter::from_fn(|| commands.try_recv().ok());
                refuse(left, LOST, NOT_APPLIED);
                again.await
            };
        }
    }

    async fn connect_again(&self) -> Session {
        let mut pauses = ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            match self.connect().await {
                Ok(session) => return session,
                Err(error) => tracing::warn!(%error, "Redis cannot be reached"),
            }
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
        }
    }

    /// Subscribes, and only then has the state published.
    async fn connect(&self) -> RedisResult<Session> {
        let (sender, published) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_push_sender(sender);
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe(&self.channel).await?;
        self.apply(&mut connection, &[]).await?;
        Ok(Session { connection, published })
    }

    /// Shows what is published, until the connection ends.
    async fn follow(&self, published: &mut UnboundedReceiver<PushInfo>) -> RedisError {
        while let Some(push) = published.recv().await {
            if push.kind == PushKind::Disconnection {
                break;
            }
            let Some(message) = Msg::from_push_info(push) else { continue };
            match message.get_payload::<String>().ok().and_then(|it| it.parse().ok()) {
                Some(state) => self.counter.show(&state),
                None => tracing::warn!(?message, "a publication that is not a state"),
            }
        }
        io::Error::from(io::ErrorKind::ConnectionReset).into()
    }

    /// Sends commands until the first error, with those first that were `sent` and not
    /// answered. While some are on their way the next ones gather, and go together.
    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        commands: &mut Receiver<Waiting>,
        sent: &mut Vec<Waiting>,
        trouble: &mut Option<Instant>,
    ) -> RedisError {
        loop {
            // What was sent before may have been applied then, whatever Redis says now.
            let first = sent.is_empty();
            if first {
                // After a silence no command is sent: Redis must answer to that too.
                timeout(HEARTBEAT, commands.recv_many(sent, TOGETHER)).await.ok();
            }
            let mut states = match self.apply(connection, sent).await {
                Ok(states) => states,
                Err(error) => {
                    if first && let Some(why) = refused(&error) {
                        refuse(sent.drain(..), &why, NOT_APPLIED);
                    }
                    return error;
                }
            };
            *trouble = None;
            // Whoever has an answer must find what it says also when he asks this server.
            let shown = match states.pop() {
                Some(newest) => self.counter.shows(&newest).await,
                None => false,
            };
            for (command, state) in sent.drain(..).zip(states) {
                command.answer.send(Ok(state.snapshot)).ok();
            }
            if !shown {
                return io::Error::other("what was published did not arrive").into();
            }
        }
    }

    /// Runs the script: the states after each command, then the newest.
    async fn apply(
        &self,
        connection: &mut MultiplexedConnection,
        commands: &[Waiting],
    ) -> RedisResult<Vec<State>> {
        let mut script = self.script.prepare_invoke();
        script.key(&KEYS).arg(&self.channel).arg(new_run()).arg(REMEMBERED_IDS);
        let known = self.counter.slot.borrow().clone();
        script.arg(&*known.run).arg(known.update.snapshot.version);
        for Waiting { id, action, .. } in commands {
            script.arg(id).arg(action.name());
        }
        let states: Vec<String> = script.invoke_async(connection).await?;
        states.iter().map(|state| Ok(state.parse::<State>()?)).collect()
    }
}

/// What Redis said, when it refused the script before it applied any command.
fn refused(error: &RedisError) -> Option<String> {
    let code = error.code().filter(|code| REFUSALS.contains(code))?;
    // Redis adds where in the script it happened.
    let text = error.detail()?.split(" script: ").next()?;
    Some(format!("Redis refused it ({code} {})", text.trim_end_matches('.')))
}

fn refuse(commands: impl Iterator<Item = Waiting>, why: &str, fate: &str) {
    let refusal = Refusal::new(format!("{why}; {fate}"));
    for command in commands {
        command.answer.send(Err(refusal.clone())).ok();
    }
}

/// Whether this can be the name of a run: as [`new_run`] makes them, and as `apply.lua`
/// checks what stands in Redis.
fn is_run(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

/// A state as Redis has it.
struct State {
    run: String,
    snapshot: Snapshot,
}

/// Reads `run version value`.
impl FromStr for State {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let state = || {
            let (run, numbers) = text.split_once(' ').filter(|(run, _)| is_run(run))?;
            let (version, value) = numbers.split_once(' ')?;
            let (version, value) = (version.parse().ok()?, value.parse().ok()?);
            let snapshot = Snapshot { value, version, stale: false };
            Some(Self { run: run.to_owned(), snapshot })
        };
        state().ok_or_else(|| io::Error::other(format!("{text:?} is not a state")))
    }
}

impl Counter {
    fn show(&self, state: &State) {
        let update = update(&state.run, state.snapshot, self.encode);
        self.slot.send_if_modified(|slot| {
            let changed = slot.update.id != update.id;
            slot.run = state.run.as_str().into();
            slot.update = update;
            changed
        });
    }

    /// Waits until followers can see this state, or a later one. Returns whether they can.
    async fn shows(&self, state: &State) -> bool {
        let mut slot = self.slot.subscribe();
        let shown = slot.wait_for(|slot| {
            *slot.run == *state.run
                && slot.update.snapshot.version >= state.snapshot.version
        });
        timeout(PATIENCE, shown).await.is_ok()
    }

    /// Marks what is shown as stale.
    fn lose(&self) {
        self.slot.send_if_modified(|slot| {
            let fresh = !slot.update.snapshot.stale;
            let snapshot = Snapshot { stale: true, ..slot.update.snapshot };
            slot.update = update(&slot.run, snapshot, self.encode);
            fresh
        });
    }
}
