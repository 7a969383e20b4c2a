//! The comparison as data: all samples, and the figures that are made of them.

use std::{collections::BTreeMap, fs, mem, path::Path, process::Command};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::figure::{Figure, Machine};
use crate::{Runtime, Subject};

/// The crates whose versions matter for what was measured.
const CRATES: [&str; 5] = ["actix-web", "actix-ws", "askama", "socketioxide", "tokio"];

/// A spread beyond which the machine was busy with something else: the slowest round took
/// this many times the CPU of the fastest.
const DISTURBED: f64 = 1.5;

/// How often a server is measured again at most, because a run of it was disturbed.
pub const AGAIN: usize = 2;

/// A percentile is shown when at least so many changes lie beyond it: a single slow change
/// makes as many slow delays as there are clients.
pub const BEYOND: f64 = 5.0;

/// One comparison.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Comparison {
    /// The day, in UTC, as ISO 8601 writes it.
    pub date: String,
    /// The command that was run.
    pub command: String,
    /// Where it was measured.
    pub machine: Machine,
    /// Whether the server had a core to itself.
    pub own_core: bool,
    /// What took part, by name.
    pub versions: BTreeMap<String, String>,
    /// Clients that followed the counter.
    pub clients: usize,
    /// Changes at a pace, per run.
    pub changes: usize,
    /// The time between two of them, in milliseconds.
    pub every: f64,
    /// Changes at once, per run.
    pub burst: usize,
    /// How long a polling client waited after an answer, in milliseconds.
    pub poll: f64,
    /// How often each server was measured.
    pub rounds: usize,
    /// What was measured.
    pub subjects: Vec<Measured>,
    /// What polling at different intervals makes the reader wait.
    pub waiting: Vec<Waiting>,
    /// What was asked for and is not installed, and why.
    pub missing: Vec<String>,
}

/// What one run showed. Times in milliseconds unless said otherwise.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Sample {
    /// From the first connection until every client holds its first snapshot.
    pub connect: f64,
    /// Server CPU for that, per client, in microseconds; nothing where the system does not
    /// tell.
    pub connect_cpu: Option<f64>,
    /// Bytes of heads and handshakes that a client sends before its first snapshot.
    pub handshake_up: f64,
    /// The same, received.
    pub handshake_down: f64,
    /// Resident memory that a connected client adds to the server, in kilobytes (1000).
    pub memory_idle: Option<f64>,
    /// The same after all changes.
    pub memory_loaded: Option<f64>,
    /// Delays that were recorded: one for each change and client.
    pub delays: u64,
    /// The delays, in microseconds to three digits, and how many there are of each.
    pub spread: Vec<(u64, u64)>,
    /// How long after it was due a command left, at most. One that left late counts from
    /// when it was due.
    pub late: f64,
    /// From the command to the snapshot, over all clients and changes: the median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Snapshots that were delivered while the delays were measured.
    pub deliveries: u64,
    /// Server CPU for each, in microseconds.
    pub cpu: Option<f64>,
    /// CPU of the process that plays all clients, for each, in microseconds.
    pub client_cpu: Option<f64>,
    /// Bytes received for each, heads included.
    pub down: f64,
    /// Bytes sent for each, heads included.
    pub up: f64,
    /// Those among the received bytes that are heads.
    pub head_down: f64,
    /// Those among the sent bytes that are heads.
    pub head_up: f64,
    /// The burst: from the first command until every client holds the last value.
    pub burst: f64,
    /// Snapshots per client that the burst took.
    pub burst_messages: f64,
}

/// What one client costs while nothing changes, per minute.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Idle {
    /// HTTP requests.
    pub requests: f64,
    /// Bytes sent, heads included.
    pub up: f64,
    /// Bytes received, heads included.
    pub down: f64,
}

/// What polling at an interval makes the reader wait.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Waiting {
    /// The interval, in milliseconds.
    pub interval: f64,
    /// The time between two changes, in milliseconds.
    pub every: f64,
    /// The median of the delays, in milliseconds.
    pub p50: f64,
    /// Their 95th percentile.
    pub p95: f64,
    /// The longest.
    pub max: f64,
    /// The share of the requests that were answered by 304, from 0 to 1.
    pub not_modified: f64,
}

/// One server, measured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Measured {
    /// The lesson whose transport it serves.
    pub lesson: String,
    /// What it is written in.
    pub runtime: String,
    /// Whether it is the floor below that server: the same bytes, from bare sockets.
    pub is_floor: bool,
    /// One sample for each round.
    pub samples: Vec<Sample>,
    /// The samples of disturbed runs that were measured again.
    pub set_aside: Vec<Sample>,
    /// What it costs while nothing changes.
    pub idle: Option<Idle>,
}

impl Measured {
    /// Whether it is a lesson, or the floor below one.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.runtime == Runtime::Rust.name()
    }

    /// A figure of every round, as far as it was measured.
    #[must_use]
    pub fn figure(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Figure> {
        Figure::new(self.samples.iter().filter_map(of).collect())
    }

    /// The delay that this share of all delays of all rounds does not exceed, in
    /// milliseconds, with the smallest and the largest of a round alone.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<Figure> {
        let rounds = self.samples.iter().filter_map(|it| quantile(&it.spread, share));
        let all: Vec<_> =
            self.samples.iter().flat_map(|it| it.spread.clone()).collect();
        Some(Figure {
            median: quantile(&all, share)?,
            ..Figure::new(rounds.collect())?
        })
    }

    /// Sets the sample of a round aside for a new one.
    pub fn replace(&mut self, round: usize, sample: Sample) {
        let disturbed = mem::replace(&mut self.samples[round], sample);
        self.set_aside.push(disturbed);
    }
}

/// The delay in milliseconds that this share of the delays does not exceed; nothing when
/// there are none.
fn quantile(spread: &[(u64, u64)], share: f64) -> Option<f64> {
    let mut delays = Histogram::<u64>::new(3).ok()?;
    for &(delay, count) in spread {
        delays.record_n(delay, count).ok()?;
    }
    (!delays.is_empty()).then(|| delays.value_at_quantile(share) as f64 / 1000.0)
}

impl Comparison {
    /// What was measured of a server itself.
    #[must_use]
    pub fn server(&self, subject: Subject) -> Option<&Measured> {
        let (lesson, runtime) = (subject.lesson.name(), subject.runtime.name());
        self.subjects
            .iter()
            .find(|m| !m.is_floor && m.lesson == lesson && m.runtime == runtime)
    }

    /// CPU per delivery as a multiple of that of the floor below it, round by round.
    #[must_use]
    pub fn over_floor(&self, measured: &Measured) -> Option<Figure> {
        let Measured { lesson, runtime, .. } = measured;
        let floor = self
            .subjects
            .iter()
            .find(|m| m.is_floor && m.lesson == *lesson && m.runtime == *runtime)?;
        let ratios = measured.samples.iter().zip(&floor.samples);
        Figure::new(
            ratios.filter_map(|(own, floor)| Some(own.cpu? / floor.cpu?)).collect(),
        )
    }

    /// Whether enough changes lie beyond the delay that this share does not exceed.
    #[must_use]
    pub fn shows(&self, share: f64) -> bool {
        (self.changes * self.rounds) as f64 * (1.0 - share) >= BEYOND
    }

    /// A round in which something else disturbed this server: a command left late by more
    /// than half the time between two, or the rounds lie so far apart that the slowest must
    /// have been disturbed.
    fn disturbed_round(&self, measured: &Measured) -> Option<usize> {
        let late = |sample: &Sample| sample.late > self.every / 2.0;
        if let Some(round) = measured.samples.iter().position(late) {
            return Some(round);
        }
        let cpu = measured.figure(|sample| sample.cpu)?;
        let slowest = |sample: &Sample| sample.cpu == Some(cpu.max);
        let round = measured.samples.iter().position(slowest);
        round.filter(|_| cpu.max > DISTURBED * cpu.min)
    }

    /// The run to measure again: the place of its server among the subjects, and its round.
    #[must_use]
    pub fn to_repeat(&self) -> Option<(usize, usize)> {
        self.subjects.iter().enumerate().find_map(|(at, measured)| {
            let may = measured.set_aside.len() < AGAIN;
            Some((at, self.disturbed_round(measured).filter(|_| may)?))
        })
    }

    /// The servers that were disturbed and remained so.
    #[must_use]
    pub fn disturbed(&self) -> Vec<&Measured> {
        let disturbed = |it: &&Measured| self.disturbed_round(it).is_some();
        self.subjects.iter().filter(disturbed).collect()
    }
}

/// The versions of what takes part, by name.
#[must_use]
pub fn versions(peers: bool) -> BTreeMap<String, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut versions = BTreeMap::new();
    let lock = fs::read_to_string(here.join("../Cargo.lock")).unwrap_or_default();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let value = package.lines().find_map(|line| line.strip_prefix(name));
            value.map(|value| value.trim_matches([' ', '=', '"']).to_owned())
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && (CRATES.contains(&name.as_str())
                || peers && name == Runtime::Axum.name())
        {
            versions.insert(name, version);
        }
    }
    let mut programs = vec![("rustc", Runtime::Rust)];
    if peers {
        let runtimes = [Runtime::Node, Runtime::Bun, Runtime::Python];
        programs.extend(runtimes.map(|runtime| (runtime.name(), runtime)));
    }
    for (name, runtime) in programs {
        if let Ok(said) = Command::new(runtime.program()).arg("--version").output()
            && let Ok(text) = String::from_utf8(said.stdout)
            && let Some(version) = text
                .split([' ', '\n', 'v'])
                .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        {
            versions.insert(name.to_owned(), version.to_owned());
        }
    }
    if !peers {
        return versions;
    }
    let peers = fs::read_to_string(here.join("peers/package.json")).unwrap_or_default();
    let peers: serde_json::Value = serde_json::from_str(&peers).unwrap_or_default();
    for package in ["ws", "socket.io"] {
        if let Some(version) = peers["dependencies"][package].as_str() {
            versions.insert(package.to_owned(), version.to_owned());
        }
    }
    // What is installed: a package that a system does not have is not used there either.
    let script = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))";
    for package in ["websockets", "python-socketio", "uvicorn", "uvloop"] {
        let mut python = Command::new(Runtime::Python.program());
        if let Ok(said) = python.args(["-c", script, package]).output()
            && let Ok(version) = String::from_utf8(said.stdout)
            && said.status.success()
        {
            versions.insert(package.to_owned(), version.trim().to_owned());
        }
    }
    versions
}
