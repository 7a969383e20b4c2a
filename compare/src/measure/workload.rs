//! What is done to a server to measure it.

use std::{
    cell::{Cell, RefCell},
    env, fmt,
    process::{self, Command},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use hdrhistogram::Histogram;
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet, spawn_local},
    time::{sleep, sleep_until, timeout},
};

use super::{
    cores::Cores,
    traffic::{Connection, Speech, Traffic, follow},
};
use crate::{
    Lesson, Server, Subject, Target,
    client::limited,
    process::{cpu_time, footprint},
    report::{
        capacity::Step,
        comparison::{Idle, Sample, Waiting},
        network::Paid,
    },
};

/// How many clients shake hands at the same time: few enough for every server's queue of
/// connections that wait to be accepted.
const CONNECTING: usize = 64;

/// Changes before the measured ones, so that caches and just-in-time compilers are warm.
const WARM_UP: usize = 10;

/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_millis(250);

/// How late a change may leave and still count from when it left: the runtime's timer and
/// the kernel's each round up to a millisecond.
const GRAIN: Duration = Duration::from_millis(2);

/// How much is done to each server.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Clients that follow the counter.
    pub clients: usize,
    /// Changes, one after another.
    pub changes: usize,
    /// The time between two of them.
    pub every: Duration,
    /// Changes that are sent all at once afterwards.
    pub burst: usize,
    /// How long a client that polls waits after an answer.
    pub poll: Duration,
}

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Measurand {
    /// A server of the counter.
    Server(Subject),
    /// The floor below a server: what it costs to write the bytes that the server writes.
    Floor(Subject),
}

impl Measurand {
    /// The server, or the one above this floor.
    #[must_use]
    pub fn subject(self) -> Subject {
        match self {
            Self::Server(subject) | Self::Floor(subject) => subject,
        }
    }
}

impl fmt::Display for Measurand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(subject) => subject.fmt(f),
            Self::Floor(subject) => write!(f, "the floor of {subject}"),
        }
    }
}

/// What all clients of a server know, and when they learnt it. One monotonic clock, one
/// process.
struct Board {
    held: RefCell<Vec<Option<u64>>>,
    /// When the command was sent, or due, that makes each version; the first makes
    /// version 1.
    sent: RefCell<Vec<Instant>>,
    delays: RefCell<Histogram<u64>>,
    recording: Cell<bool>,
    awaited: Cell<u64>,
    missing: Cell<usize>,
    complete: Notify,
}

impl Board {
    fn new(clients: usize) -> Result<Self> {
        Ok(Self {
            held: RefCell::new(vec![None; clients]),
            sent: RefCell::default(),
            // Up to ten minutes, to three digits, in microseconds.
            delays: RefCell::new(Histogram::new_with_bounds(1, 600_000_000, 3)?),
            recording: Cell::new(false),
            awaited: Cell::new(0),
            missing: Cell::new(clients),
            complete: Notify::new(),
        })
    }

    /// Notes that a client holds `version`: every change up to it has reached that client.
    fn seen(&self, client: usize, version: u64) {
        let now = Instant::now();
        let before = self.held.borrow_mut()[client].replace(version);
        if self.recording.get() {
            let sent = self.sent.borrow();
            let from = usize::try_from(before.unwrap_or(0)).unwrap_or(usize::MAX);
            let to = usize::try_from(version).unwrap_or(usize::MAX).min(sent.len());
            for sent in sent.get(from..to).unwrap_or_default() {
                let delay = now.duration_since(*sent).as_micros();
                let delay = u64::try_from(delay).unwrap_or(u64::MAX);
                self.delays.borrow_mut().saturating_record(delay.max(1));
            }
        }
        let awaited = self.awaited.get();
        if before.is_none_or(|before| before < awaited) && version >= awaited {
            self.missing.set(self.missing.get() - 1);
            if self.missing.get() == 0 {
                self.complete.notify_one();
            }
        }
    }

    /// Waits until every client holds `version` or a later one.
    async fn all_hold(&self, version: u64, limit: Duration) -> Result<()> {
        self.awaited.set(version);
        let behind = |held: &&Option<u64>| held.is_none_or(|held| held < version);
        self.missing.set(self.held.borrow().iter().filter(behind).count());
        let complete = async {
            while self.missing.get() > 0 {
                self.complete.notified().await;
            }
        };
        timeout(limit, complete).await.with_context(|| {
            format!("{} clients never saw version {version}", self.missing.get())
        })
    }

    fn delay(&self, quantile: f64) -> f64 {
        self.delays.borrow().value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The delays that were recorded, in microseconds, and how many there are of each.
    fn spread(&self) -> Vec<(u64, u64)> {
        let delays = self.delays.borrow();
        let recorded = delays.iter_recorded();
        recorded.map(|it| (it.value_iterated_to(), it.count_at_value())).collect()
    }
}

/// A server with its followers and the one who commands.
pub(super) struct Session {
    pub(super) server: Server,
    speech: Speech,
    board: Rc<Board>,
    pub(super) traffic: Rc<Cell<Traffic>>,
    commander: Rc<Connection>,
    /// Reads what the commander gets.
    draining: JoinHandle<Result<()>>,
    tasks: JoinSet<Result<()>>,
    poll: Duration,
}

impl Session {
    /// With the server that it starts, and all clients connected.
    async fn connected(
        subject: Subject,
        clients: usize,
        poll: Duration,
        cores: &Cores,
    ) -> Result<Self> {
        let server = start(subject, cores)?;
        let speech = Speech::Lesson(subject.lesson);
        let mut session = Self::start(server, speech, clients, poll).await?;
        session.connect().await?;
        Ok(session)
    }

    pub(super) async fn start(
        server: Server,
        speech: Speech,
        clients: usize,
        poll: Duration,
    ) -> Result<Self> {
        let board = Rc::new(Board::new(clients)?);
        let traffic = Rc::new(Cell::new(Traffic::default()));
        // One client comes and goes: what the first one costs is not the price of each.
        let first = Connection::follower(speech, server.target(), Rc::default());
        let first = limited("handshake", first).await??;
        let snapshot = async {
            if speech.polls() {
                first.poll().await.map(drop)
            } else {
                first.next().await.map(drop)
            }
        };
        limited("first snapshot", snapshot).await??;
        drop(first);
        let (commander, draining) = command(speech, server.target()).await?;
        sleep(SETTLE).await;
        let tasks = JoinSet::new();
        Ok(Self { server, speech, board, traffic, commander, draining, tasks, poll })
    }

    /// Has a new commander take over: a server ends an HTTP connection that was not used
    /// for some seconds.
    async fn relieve(&mut self) -> Result<()> {
        self.draining.abort();
        (self.commander, self.draining) =
            command(self.speech, self.server.target()).await?;
        Ok(())
    }

    pub(super) async fn connect(&mut self) -> Result<()> {
        let clients = self.board.held.borrow().len();
        let (speech, target) = (self.speech, self.server.target());
        let opening = stream::iter(0..clients).map(|client| {
            let traffic = self.traffic.clone();
            async move {
                Ok::<_, anyhow::Error>((
                    client,
                    Connection::follower(speech, target, traffic).await?,
                ))
            }
        });
        let mut opened = opening.buffer_unordered(CONNECTING);
        let mut next = async || limited("handshake", opened.try_next()).await?;
        while let Some((client, connection)) = next().await? {
            let (board, pause) = (self.board.clone(), self.poll);
            // A class does not open the page in the same millisecond.
            let first = pause.mul_f64(fastrand::f64());
            self.tasks.spawn_local(async move {
                follow(connection, pause, first, |v| board.seen(client, v)).await
            });
        }
        drop(opened);
        self.all_hold(0).await
    }

    fn versions(&self) -> u64 {
        self.board.sent.borrow().len() as u64
    }

    async fn change(&self, sent: Instant, count: usize) -> Result<()> {
        self.board.sent.borrow_mut().extend(vec![sent; count]);
        self.commander.increment(count).await
    }

    /// Makes changes at a pace that waits for nobody, and returns how late the latest left.
    async fn pace(&self, changes: usize, every: Duration) -> Result<Duration> {
        let (mut due, mut latest) = (Instant::now(), Duration::ZERO);
        for _ in 0..changes {
            sleep_until(due.into()).await;
            let late = due.elapsed();
            // Who waits counts from when the change was due, even if this program stood
            // still then.
            let sent = if late > GRAIN { due } else { Instant::now() };
            self.change(sent, 1).await?;
            latest = latest.max(late);
            due += every;
        }
        Ok(latest)
    }

    /// Makes changes at a pace, and waits until every client holds the last; returns how
    /// late the latest left.
    pub(super) async fn paced(
        &mut self,
        changes: usize,
        every: Duration,
    ) -> Result<Duration> {
        self.relieve().await?;
        let latest = self.pace(changes, every).await?;
        self.all_hold(self.versions()).await?;
        Ok(latest)
    }

    async fn all_hold(&mut self, version: u64) -> Result<()> {
        let limit = Duration::from_secs(60) + self.poll;
        tokio::select! {
            held = self.board.all_hold(version, limit) => held,
            Some(ended) = self.tasks.join_next() => ended?.context("a client was lost"),
        }
    }

    /// CPU time that the server has used.
    fn cpu(&self) -> Option<Duration> {
        cpu_time(self.server.pid())
    }

    fn memory(&self) -> Option<f64> {
        let (kib, _descriptors) = footprint(self.server.pid()).ok()?;
        Some(kib as f64 * 1.024)
    }
}

/// CPU time that this process has used: all clients are in it.
fn own_cpu() -> Option<Duration> {
    cpu_time(process::id())
}

/// Connects one who commands, and has all be read that it gets.
async fn command(
    speech: Speech,
    target: Target,
) -> Result<(Rc<Connection>, JoinHandle<Result<()>>)> {
    let commander = Connection::commander(speech, target);
    let commander = Rc::new(limited("handshake", commander).await??);
    let drained = commander.clone();
    Ok((commander, spawn_local(async move { drained.drain().await })))
}

/// Starts a lesson or a peer on its own core.
pub(super) fn start(subject: Subject, cores: &Cores) -> Result<Server> {
    let mut command = subject.command()?;
    let greeting = subject.greeting();
    cores.beside(|| Server::spawn(subject.lesson, &greeting, &mut command))
}

fn start_floor(lesson: Lesson, of: &Sample, cores: &Cores) -> Result<(Server, Speech)> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("floor").args(["--line", &of.down.round().to_string()]);
    let speech = if lesson == Lesson::Polling {
        let request = of.up.round();
        command.args(["--request", &request.to_string()]);
        Speech::FloorAnswer { request: request as usize }
    } else {
        Speech::FloorPush
    };
    let server = || Server::spawn(lesson, "listening on http://", &mut command);
    Ok((cores.beside(server)?, speech))
}

/// Measures a server once; for the floor, `of` is the sample of the server below which it
/// lies.
///
/// # Errors
/// When the server does not do what its transport asks, or loses a change; and when there
/// is no sample for the floor.
pub async fn measure(
    measurand: Measurand,
    of: Option<&Sample>,
    plan: Plan,
    cores: &Cores,
) -> Result<Sample> {
    let (server, speech) = match measurand {
        Measurand::Floor(subject) => {
            let of = of.context("the floor comes after its server")?;
            start_floor(subject.lesson, of, cores)?
        }
        Measurand::Server(subject) => {
            (start(subject, cores)?, Speech::Lesson(subject.lesson))
        }
    };
    let mut session = Session::start(server, speech, plan.clients, plan.poll).await?;
    let clients = plan.clients as f64;
    let mut sample = Sample::default();

    let (memory, cpu, begin) = (session.memory(), session.cpu(), Instant::now());
    session.connect().await?;
    sample.connect = begin.elapsed().as_secs_f64() * 1000.0;
    let per = |cpu: Option<Duration>, now: Option<Duration>, count: f64| {
        Some((now? - cpu?).as_secs_f64() * 1e6 / count)
    };
    sample.connect_cpu = per(cpu, session.cpu(), clients);
    let handshake = session.traffic.get();
    sample.handshake_up = handshake.head_up as f64 / clients;
    sample.handshake_down = handshake.head_down as f64 / clients;
    sleep(SETTLE).await;
    let added = |now: Option<f64>| Some((now? - memory?) / clients);
    sample.memory_idle = added(session.memory());

    session.paced(WARM_UP, plan.every).await?;
    let (before, cpu, own) = (session.traffic.get(), session.cpu(), own_cpu());
    session.board.recording.set(true);
    let late = session.paced(plan.changes, plan.every).await?;
    session.board.recording.set(false);
    let (cpu_now, own_now) = (session.cpu(), own_cpu());
    sample.late = late.as_secs_f64() * 1000.0;
    let passed = session.traffic.get().since(before);
    let each = passed.deliveries as f64;
    sample.deliveries = passed.deliveries;
    sample.cpu = per(cpu, cpu_now, each);
    sample.client_cpu = per(own, own_now, each);
    sample.down = (passed.down + passed.head_down) as f64 / each;
    sample.up = (passed.up + passed.head_up) as f64 / each;
    sample.head_down = passed.head_down as f64 / each;
    sample.head_up = passed.head_up as f64 / each;
    sample.delays = session.board.delays.borrow().len();
    sample.p50 = session.board.delay(0.5);
    sample.p95 = session.board.delay(0.95);
    sample.p99 = session.board.delay(0.99);
    sample.max = session.board.delay(1.0);
    sample.spread = session.board.spread();

    session.relieve().await?;
    let (before, begin) = (session.traffic.get(), Instant::now());
    session.change(begin, plan.burst).await?;
    session.all_hold(session.versions()).await?;
    sample.burst = begin.elapsed().as_secs_f64() * 1000.0;
    sleep(SETTLE).await;
    let passed = session.traffic.get().since(before);
    sample.burst_messages = passed.deliveries as f64 / clients;
    sample.memory_loaded = added(session.memory());
    let held = session.board.held.borrow();
    let last = Some(session.versions());
    ensure!(held.iter().all(|held| *held == last), "a client counts more changes");
    Ok(sample)
}

/// What `clients` clients of a server cost while nothing changes.
///
/// # Errors
/// When the server does not do what its transport asks.
pub async fn idle(
    subject: Subject,
    clients: usize,
    poll: Duration,
    time: Duration,
    cores: &Cores,
) -> Result<Idle> {
    let mut session = Session::connected(subject, clients, poll, cores).await?;
    sleep(SETTLE).await;
    let before = session.traffic.get();
    tokio::select! {
        () = sleep(time) => {}
        Some(ended) = session.tasks.join_next() => ended?.context("a client was lost")?,
    }
    let passed = session.traffic.get().since(before);
    let minutes = clients as f64 * time.as_secs_f64() / 60.0;
    Ok(Idle {
        requests: passed.requests as f64 / minutes,
        up: (passed.up + passed.head_up) as f64 / minutes,
        down: (passed.down + passed.head_down) as f64 / minutes,
    })
}

/// What `clients` clients of a server cost for some time in which the counter changes every
/// so often, or never.
///
/// # Errors
/// When the server does not do what its transport asks.
pub async fn paid(
    subject: Subject,
    clients: usize,
    poll: Duration,
    every: Option<Duration>,
    time: Duration,
    cores: &Cores,
) -> Result<Paid> {
    let mut session = Session::connected(subject, clients, poll, cores).await?;
    session.paced(WARM_UP, Duration::from_millis(50)).await?;
    let (before, cpu, begin) = (session.traffic.get(), session.cpu(), Instant::now());
    let end = tokio::time::Instant::now() + time;
    if let Some(every) = every {
        let mut at = tokio::time::Instant::now() + every / 2;
        while at < end {
            sleep_until(at).await;
            // A server ends an HTTP connection on which nobody has asked for some seconds.
            if every > Duration::from_secs(1) {
                session.relieve().await?;
            }
            session.change(Instant::now(), 1).await?;
            at += every;
        }
    }
    tokio::select! {
        () = sleep_until(end) => {}
        Some(ended) = session.tasks.join_next() => ended?.context("a client was lost")?,
    }
    let passed = session.traffic.get().since(before);
    let shares = clients as f64 * begin.elapsed().as_secs_f64();
    let used = session.cpu().zip(cpu).map(|(now, before)| now - before);
    Ok(Paid {
        rate: every.map_or(0.0, |every| 1.0 / every.as_secs_f64()),
        bytes: (passed.up + passed.head_up + passed.down + passed.head_down) as f64
            / shares,
        cpu: used.map(|used| used.as_secs_f64() * 1e6 / shares),
    })
}

/// Loads a server for some time so that `messages` a second are due over all clients: by so
/// many changes, or, where clients poll, by so many questions while the counter changes at
/// the pace `every`.
///
/// # Errors
/// When the server does not do what its transport asks.
pub async fn load(
    subject: Subject,
    clients: usize,
    messages: f64,
    every: Duration,
    time: Duration,
    cores: &Cores,
) -> Result<Step> {
    let each = Duration::from_secs_f64(clients as f64 / messages);
    let polls = Speech::Lesson(subject.lesson).polls();
    let every = if polls { every } else { each };
    let mut session = Session::connected(subject, clients, each, cores).await?;
    session.paced(WARM_UP, Duration::from_millis(50)).await?;
    let loading = session.pace(usize::MAX, every);
    let measuring = async {
        // Until what is not measured has warmed the server up, and what waits has begun to.
        sleep(time / 4).await;
        session.board.recording.set(true);
        let (before, cpu, own) = (session.traffic.get(), session.cpu(), own_cpu());
        let begin = Instant::now();
        sleep(time).await;
        let passed = session.traffic.get().since(before);
        let seconds = begin.elapsed().as_secs_f64();
        let share = |now: Option<Duration>, before: Option<Duration>| {
            Some((now? - before?).as_secs_f64() / seconds)
        };
        Step {
            due: messages,
            came: (passed.deliveries + passed.not_modified) as f64 / seconds,
            server: share(session.cpu(), cpu),
            clients: share(own_cpu(), own),
            p95: session.board.delay(0.95),
        }
    };
    let step = tokio::select! {
        loaded = loading => bail!("the load ended: {loaded:?}"),
        step = measuring => step,
    };
    if let Some(ended) = session.tasks.try_join_next() {
        ended?.context("a client was lost")?;
    }
    Ok(step)
}

/// What polling makes the reader wait, at each interval, all at the same time.
///
/// # Errors
/// When the server does not do what its transport asks.
pub async fn waiting(
    intervals: &[Duration],
    clients: usize,
    every: Duration,
    time: Duration,
    cores: &Cores,
) -> Result<Vec<Waiting>> {
    let each = intervals.iter().map(async |&poll| {
        let server = start(Lesson::Polling.into(), cores)?;
        let speech = Speech::Lesson(Lesson::Polling);
        let mut session = Session::start(server, speech, clients, poll).await?;
        session.connect().await?;
        // Until every client keeps its own time.
        session.paced(poll.div_duration_f64(every).ceil() as usize, every).await?;
        let before = session.traffic.get();
        session.board.recording.set(true);
        let changes = (time - 3 * poll).div_duration_f64(every).floor() as usize;
        session.paced(changes, every).await?;
        let passed = session.traffic.get().since(before);
        Ok(Waiting {
            interval: poll.as_secs_f64() * 1000.0,
            every: every.as_secs_f64() * 1000.0,
            p50: session.board.delay(0.5),
            p95: session.board.delay(0.95),
            max: session.board.delay(1.0),
            not_modified: passed.not_modified as f64 / passed.requests as f64,
        })
    });
    try_join_all(each).await
}
