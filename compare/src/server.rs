//! One process of a lesson, or of a peer: started on a free port, and always ended.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    Lesson, Subject, Target,
    process::{Process, Reserved},
};

/// A running server. Dropping it kills the process; a test in which the process panicked
/// fails.
#[derive(Debug)]
pub struct Server {
    process: Process,
    errors: Option<JoinHandle<String>>,
    target: Target,
    /// Its port, once it was killed, for [`Server::start_again`].
    reserved: Option<Reserved>,
}

impl Server {
    /// Starts a lesson, or a peer, on a free port and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(subject: impl Into<Subject>) -> Result<Self> {
        let subject = subject.into();
        Self::spawn(subject.lesson, &subject.greeting(), &mut subject.command()?)
    }

    /// Starts the same on the same port, after [`Server::kill`]; the one that was killed keeps
    /// the port for it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(
        subject: impl Into<Subject>,
        address: SocketAddr,
    ) -> Result<Self> {
        let (subject, port) = (subject.into(), address.port().to_string());
        let mut command = subject.command()?;
        Self::spawn(subject.lesson, &subject.greeting(), command.env("PORT", port))
    }

    /// Starts a lesson by a command made from [`Lesson::command`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_by(lesson: Lesson, command: &mut Command) -> Result<Self> {
        Self::spawn(lesson, &Subject::from(lesson).greeting(), command)
    }

    /// Starts what serves a lesson's transport, and waits for the line that begins with
    /// `greeting` and ends with the address where it listens.
    ///
    /// # Errors
    /// When it does not start, or begins with another line.
    pub fn spawn(
        lesson: Lesson,
        greeting: &str,
        command: &mut Command,
    ) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(command)?;
        let stdout = process.stdout().context("no standard output")?;
        let mut stderr = process.stderr().context("no standard error")?;
        let errors = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let Some(address) = line.trim_end().strip_prefix(greeting) else {
            process.kill();
            let errors = errors.join().unwrap_or_default();
            bail!("{lesson} began with {line:?} and {errors:?}");
        };
        let target = Target::new(lesson, address.parse()?);
        Ok(Self { process, errors: Some(errors), target, reserved: None })
    }

    /// Where to connect.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal to the process, such as `SIGTERM`.
    ///
    /// # Errors
    /// When the process is gone.
    #[cfg(unix)]
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Waits until the process has ended, as [`Process::ended`] does.
    ///
    /// # Errors
    /// When it is still running after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.ended(limit).await
    }

    /// Ends the process at once, as a crash would.
    ///
    /// # Errors
    /// When it has panicked.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill();
        self.reserved = Reserved::at(self.target.address).ok();
        let errors = self.errors.take().and_then(|errors| errors.join().ok());
        match errors {
            Some(errors) if errors.contains("panicked at") => {
                bail!("{} panicked:\n{errors}", self.target.lesson)
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.kill()
            && !thread::panicking()
        {
            panic!("{error}");
        }
    }
}
