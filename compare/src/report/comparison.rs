//! The comparison as data: all samples, and the figures that are made of them.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

use super::figure::{Figure, Machine};
use crate::{Lesson, Runtime};

/// The name of the floor, where a server has that of its runtime.
pub const FLOOR: &str = "floor";

/// The crates whose versions matter for what was measured.
const CRATES: [&str; 5] = ["actix-web", "actix-ws", "askama", "socketioxide", "tokio"];

/// A spread beyond which the machine was busy with something else: the slowest round took
/// this many times the CPU of the fastest.
const DISTURBED: f64 = 1.5;

/// One comparison.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
    /// How often a polling client asked, in milliseconds.
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
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Measured {
    /// The lesson whose transport it serves.
    pub lesson: String,
    /// What it is written in; `floor` for bare sockets.
    pub runtime: String,
    /// One sample for each round.
    pub samples: Vec<Sample>,
    /// What it costs while nothing changes.
    pub idle: Option<Idle>,
}

impl Measured {
    /// Whether it is the floor.
    #[must_use]
    pub fn is_floor(&self) -> bool {
        self.runtime == FLOOR
    }

    /// A figure of every round, as far as it was measured.
    #[must_use]
    pub fn figure(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Figure> {
        Figure::new(self.samples.iter().filter_map(of).collect())
    }
}

impl Comparison {
    /// What was measured of a lesson itself.
    #[must_use]
    pub fn lesson(&self, lesson: Lesson) -> Option<&Measured> {
        let own = |m: &&Measured| {
            m.lesson == lesson.name() && m.runtime == Runtime::Rust.name()
        };
        self.subjects.iter().find(own)
    }

    /// CPU per delivery as a multiple of the floor's, round by round.
    #[must_use]
    pub fn over_floor(&self, measured: &Measured) -> Option<Figure> {
        let floor = self
            .subjects
            .iter()
            .find(|m| m.is_floor() && m.lesson == measured.lesson)?;
        let ratios = measured.samples.iter().zip(&floor.samples);
        Figure::new(
            ratios.filter_map(|(own, floor)| Some(own.cpu? / floor.cpu?)).collect(),
        )
    }

    /// The servers whose rounds lie so far apart that something else must have disturbed
    /// them.
    #[must_use]
    pub fn disturbed(&self) -> Vec<&Measured> {
        let wide = |measured: &&Measured| {
            let cpu = measured.figure(|sample| sample.cpu);
            cpu.is_some_and(|cpu| cpu.max > DISTURBED * cpu.min)
        };
        self.subjects.iter().filter(wide).collect()
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
    let python = here.join("peers/python/requirements.txt");
    for line in fs::read_to_string(python).unwrap_or_default().lines() {
        if let Some((package, version)) = line.split_once("==")
            && ["websockets", "python-socketio", "uvicorn"].contains(&package)
        {
            let version = version.split_whitespace().next().unwrap_or(version);
            versions.insert(package.to_owned(), version.to_owned());
        }
    }
    versions
}
