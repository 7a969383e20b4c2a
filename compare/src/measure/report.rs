//! What was measured: all samples, and the figures that are made of them.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

use serde::{Deserialize, Serialize};

use super::{
    book::{Language, tables},
    run::{Idle, Plan, Sample, Waiting},
};
use crate::{Lesson, Runtime, Subject};

/// The crates whose versions matter for what was measured.
const CRATES: [&str; 5] = ["actix-web", "actix-ws", "askama", "socketioxide", "tokio"];

/// A spread beyond which the machine was busy with something else: the slowest round took
/// this many times the CPU of the fastest.
const DISTURBED: f64 = 1.5;

/// One comparison.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
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
    /// A server that was not measured yet.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self {
            lesson: subject.lesson.to_string(),
            runtime: subject.runtime.name().to_owned(),
            samples: Vec::new(),
            idle: None,
        }
    }

    /// Whether it is the floor.
    #[must_use]
    pub fn is_floor(&self) -> bool {
        self.runtime == Runtime::Floor.name()
    }

    /// A figure of every round, as far as it was measured.
    #[must_use]
    pub fn figure(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<Figure> {
        Figure::new(self.samples.iter().filter_map(of).collect())
    }
}

/// A figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Figure {
    /// The figure of these samples; nothing when there are none.
    #[must_use]
    pub fn new(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let (min, max) = (*samples.first()?, *samples.last()?);
        let (low, high) =
            (samples[(samples.len() - 1) / 2], samples[samples.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }
}

impl Report {
    /// A report without figures.
    #[must_use]
    pub fn new(plan: Plan, rounds: usize, peers: bool) -> Self {
        let arguments: Vec<String> = env::args().skip(2).collect();
        Self {
            date: time::OffsetDateTime::now_utc().date().to_string(),
            command: format!("just compare {}", arguments.join(" ")).trim().to_owned(),
            machine: Machine::this(),
            own_core: false,
            versions: versions(peers),
            clients: plan.clients,
            changes: plan.changes,
            every: plan.every.as_secs_f64() * 1000.0,
            burst: plan.burst,
            poll: plan.poll.as_secs_f64() * 1000.0,
            rounds,
            subjects: Vec::new(),
            waiting: Vec::new(),
            missing: Vec::new(),
        }
    }

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

    /// The tables for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        tables(self, Language::English)
    }
}

/// Where it was measured.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Machine {
    /// The processor's name; empty where the system does not tell.
    pub processor: String,
    /// How many cores it has.
    pub cores: usize,
    /// Its memory in gigabytes (10⁹ bytes); 0 where the system does not tell.
    pub memory: f64,
    /// The operating system and the architecture.
    pub system: String,
}

impl Machine {
    /// The machine in one line.
    #[must_use]
    pub(super) fn line(&self, language: Language) -> String {
        let Self { processor, cores, memory, system } = self;
        let (cores_word, gigabytes) =
            (language.say("cores", "cœurs"), language.say("GB", "Go"));
        format!("{processor}, {cores} {cores_word}, {memory:.0} {gigabytes}, {system}")
    }

    /// This machine.
    #[must_use]
    pub(super) fn this() -> Self {
        let line = |file: &str, name: &str| {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = line("/proc/meminfo", "MemTotal")
            .and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok());
        Self {
            processor: line("/proc/cpuinfo", "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: memory.map_or(0.0, |kib| kib * 1024.0 / 1e9),
            system: format!("{} {}", env::consts::OS, env::consts::ARCH),
        }
    }
}

fn versions(peers: bool) -> BTreeMap<String, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut versions = BTreeMap::new();
    let lock = fs::read_to_string(here.join("../Cargo.lock")).unwrap_or_default();
    for package in lock.split("[[package]]") {
        let field = |name: &str| {
            let value = package.lines().find_map(|line| line.strip_prefix(name));
            value.map(|value| value.trim_matches([' ', '=', '"']).to_owned())
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && CRATES.contains(&name.as_str())
        {
            versions.insert(name, version);
        }
    }
    let mut programs = vec![("rustc", Command::new("rustc"))];
    if peers {
        let runtimes = [Runtime::Node, Runtime::Bun, Runtime::Python];
        programs.extend(runtimes.map(|runtime| (runtime.name(), runtime.command())));
    }
    for (name, mut program) in programs {
        if let Ok(said) = program.arg("--version").output()
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
