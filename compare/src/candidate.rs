//! Who is tried, as it is started: a lesson or a peer, anybody's program, or a server that
//! runs already.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, bail};

use crate::{
    Lesson, Running, Server, Snapshot, Subject, Target, connect,
    contract::expect,
    program::{CommandLine, Program},
    relay::{Relay, Tap},
};

/// Who is tried.
#[derive(Clone)]
pub struct Candidate {
    /// The lesson whose transport it serves.
    pub lesson: Lesson,
    who: Who,
    tap: Option<Tap>,
}

#[derive(Clone, Debug)]
enum Who {
    Subject(Subject),
    Program(CommandLine),
    Address(SocketAddr),
}

impl From<Subject> for Candidate {
    fn from(subject: Subject) -> Self {
        Self { lesson: subject.lesson, who: Who::Subject(subject), tap: None }
    }
}

impl From<Lesson> for Candidate {
    fn from(lesson: Lesson) -> Self {
        Subject::from(lesson).into()
    }
}

/// What it is called in a report.
impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.who {
            Who::Subject(subject) => subject.fmt(f),
            Who::Program(program) => program.fmt(f),
            Who::Address(address) => write!(f, "http://{address}"),
        }
    }
}

impl Candidate {
    /// Any program that serves the lesson's transport.
    #[must_use]
    pub fn program(lesson: Lesson, command: CommandLine) -> Self {
        Self { lesson, who: Who::Program(command), tap: None }
    }

    /// A server that runs already, and goes on.
    #[must_use]
    pub fn running(lesson: Lesson, address: SocketAddr) -> Self {
        Self { lesson, who: Who::Address(address), tap: None }
    }

    /// The same, with all that travels shown to `tap`.
    #[must_use]
    pub fn recorded(&self, tap: Tap) -> Self {
        Self { tap: Some(tap), ..self.clone() }
    }

    /// The subject, if it is one.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        match self.who {
            Who::Subject(subject) => Some(subject),
            Who::Program(_) | Who::Address(_) => None,
        }
    }

    /// Whether it is started here, so that it can be ended too.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        !matches!(self.who, Who::Address(_))
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(&self) -> Result<Started> {
        let served = match &self.who {
            Who::Subject(subject) => {
                Served::Subject(*subject, Running::start(*subject)?)
            }
            Who::Program(line) => {
                Served::Program(line.clone(), Program::start(line).await?)
            }
            Who::Address(address) => Served::Elsewhere(*address),
        };
        let mut started = Started { lesson: self.lesson, served, relay: None };
        if let Some(tap) = &self.tap {
            let server = started.target().address;
            started.relay = Some(Relay::start(server, Some(tap.clone())).await?);
        }
        Ok(started)
    }
}

/// Who is tried, as it runs. Dropping it ends what was started here.
pub struct Started {
    lesson: Lesson,
    served: Served,
    relay: Option<Relay>,
}

enum Served {
    Subject(Subject, Running),
    Program(CommandLine, Program),
    Elsewhere(SocketAddr),
}

impl Started {
    /// Where the next client connects to.
    #[must_use]
    pub fn target(&self) -> Target {
        let target = match &self.served {
            Served::Subject(_, running) => running.target(),
            Served::Program(_, program) => Target::new(self.lesson, program.address),
            Served::Elsewhere(address) => Target::new(self.lesson, *address),
        };
        self.relay.as_ref().map_or(target, |relay| relay.before(target))
    }

    /// The state before anything is done: a counter begins at zero (M3), unless it runs
    /// already.
    ///
    /// # Errors
    /// When one that runs already does not tell.
    pub async fn begins(&self) -> Result<Snapshot> {
        match self.served {
            Served::Subject(..) | Served::Program(..) => Ok(Snapshot::new(0, 0)),
            Served::Elsewhere(_) => connect(self.target()).await?.next().await,
        }
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When it has panicked, or is not ours to end.
    pub fn kill(&mut self) -> Result<()> {
        match &mut self.served {
            Served::Subject(_, Running::Alone(server)) => server.kill(),
            Served::Program(_, program) => {
                program.kill();
                Ok(())
            }
            Served::Subject(..) | Served::Elsewhere(_) => {
                bail!("it is not ours to end")
            }
        }
    }

    /// Starts it again on the same port, after [`Started::kill`].
    ///
    /// # Errors
    /// When it does not start again, or was not ours to end.
    pub async fn start_again(&mut self) -> Result<()> {
        match &mut self.served {
            Served::Subject(subject, Running::Alone(server)) => {
                *server = Server::start_again(*subject, server.target().address)?;
            }
            Served::Program(line, program) => program.start_again(line).await?,
            Served::Subject(..) | Served::Elsewhere(_) => {
                bail!("it is not ours to end")
            }
        }
        Ok(())
    }

    /// Tells it to end, with a signal such as `SIGTERM`.
    ///
    /// # Errors
    /// When it is gone, or not ours to end.
    #[cfg(unix)]
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        match &self.served {
            Served::Subject(_, Running::Alone(server)) => server.signal(signal),
            Served::Program(_, program) => program.signal(signal),
            Served::Subject(..) | Served::Elsewhere(_) => {
                bail!("it is not ours to end")
            }
        }
    }

    /// Waits until it has ended with exit code 0.
    ///
    /// # Errors
    /// When it is still running after `limit`, or ended with another code.
    pub async fn ended(&mut self, limit: Duration) -> Result<()> {
        let status = match &mut self.served {
            Served::Subject(_, Running::Alone(server)) => server.ended(limit).await?,
            Served::Program(_, program) => program.ended(limit).await?,
            Served::Subject(..) | Served::Elsewhere(_) => {
                bail!("it is not ours to end")
            }
        };
        let ended = status.code().map_or_else(
            || "ended by the signal".to_owned(),
            |code| format!("exit code {code}"),
        );
        expect("exit code 0", &*ended)
    }
}
