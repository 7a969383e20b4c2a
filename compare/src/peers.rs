//! The same counter outside Rust, as each peer's own documentation would write it: what
//! the lessons are measured beside.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use crate::{Lesson, Place};

/// What a server is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Runtime {
    /// Rust: the lessons themselves.
    Rust,
    /// Node.js, with `node:http`, `ws` and `socket.io`.
    Node,
    /// Bun, with `Bun.serve` and `socket.io`.
    Bun,
    /// Python, with `websockets`, and with `python-socketio` on uvicorn.
    Python,
    /// Nothing but sockets: see [`crate::measure::floor`].
    Floor,
}

impl Runtime {
    /// The name as its makers write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Node => "Node.js",
            Self::Bun => "Bun",
            Self::Python => "Python",
            Self::Floor => "floor",
        }
    }

    /// Runs the runtime's own program, installed or not.
    #[must_use]
    pub fn command(self) -> Command {
        Command::new(self.program())
    }

    /// The program that runs this runtime's files.
    fn program(self) -> PathBuf {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        match self {
            Self::Rust | Self::Node | Self::Floor => "node".into(),
            Self::Bun => peers.join("node_modules/bun/bin/bun.exe"),
            Self::Python if cfg!(windows) => {
                peers.join("python/.venv/Scripts/python.exe")
            }
            Self::Python => peers.join("python/.venv/bin/python"),
        }
    }
}

/// A server of the counter: a transport, in a runtime.
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
    /// Every peer, beside the lesson that it is compared with.
    pub fn peers() -> impl Iterator<Item = Self> {
        use Runtime::{Bun, Node, Python};
        Lesson::ALL.into_iter().flat_map(|lesson| {
            let runtimes: &[Runtime] = match lesson {
                Lesson::Polling | Lesson::Sse => &[Node, Bun],
                Lesson::WebSocket | Lesson::SocketIo => &[Node, Bun, Python],
            };
            runtimes.iter().map(move |&runtime| {
                let place = Place::Alone;
                Self { lesson, runtime, place }
            })
        })
    }

    /// A command that runs the server on a free port.
    ///
    /// # Errors
    /// When the lessons do not build, or the peer is not installed.
    pub fn command(self) -> Result<Command> {
        if self.runtime == Runtime::Rust {
            return self.lesson.command();
        }
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let file = match self.runtime {
            Runtime::Python => format!("python/{}.py", self.lesson),
            Runtime::Bun => format!("bun/{}.mjs", self.lesson),
            Runtime::Node | Runtime::Rust | Runtime::Floor => {
                format!("node/{}.mjs", self.lesson)
            }
        };
        let program = self.runtime.program();
        let modules = peers.join("node_modules");
        let installed = match self.runtime {
            Runtime::Node => modules.is_dir(),
            _ => program.is_file(),
        };
        let runtime = self.runtime.name();
        ensure!(
            installed,
            "{runtime} is not installed; `just compare --peers` does it"
        );
        let mut command = Command::new(program);
        command.arg(peers.join(file)).env_remove("HOST").env("PORT", "0");
        // As both are deployed: Bun is slower without it.
        command.env("NODE_ENV", "production");
        Ok(command)
    }
}
