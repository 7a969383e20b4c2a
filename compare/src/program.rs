//! Anybody's server: a program that is told by `HOST` and `PORT` where to listen, its last
//! words, and the end of all that it started.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::Read,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    language::{Sentence, sentence},
    process::{Process, Reserved},
};

/// How long a program may take until it listens.
const SOON: Duration = Duration::from_secs(10);

/// What marks a program, and with it all that it starts.
const MARK: &str = "COMPARE_PROGRAM";

/// A program with its arguments, and the folder from which it is started.
#[derive(Clone, Debug)]
pub struct CommandLine {
    words: Vec<OsString>,
    folder: Option<PathBuf>,
    /// What it is called, if not by its words.
    name: Option<String>,
}

impl CommandLine {
    /// A program and its arguments, run from here.
    #[must_use]
    pub fn new(words: Vec<OsString>) -> Self {
        Self { words, folder: None, name: None }
    }

    /// The same, called like this in a report.
    #[must_use]
    pub fn called(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same, run from this folder.
    #[must_use]
    pub fn from_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }
}

/// As it was typed.
impl std::fmt::Display for CommandLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(name) = &self.name {
            return f.write_str(name);
        }
        let words = self.words.iter().map(|word| word.to_string_lossy());
        f.write_str(&words.collect::<Vec<_>>().join(" "))
    }
}

/// A running program. Dropping it ends it and all that it started.
#[derive(Debug)]
pub struct Program {
    process: Process,
    mark: String,
    /// Where it listens.
    pub address: SocketAddr,
    reserved: Option<Reserved>,
}

impl Program {
    /// Starts it with a free port in `PORT`, and waits until something listens there.
    ///
    /// # Errors
    /// A [`Sentence`] when there is no such program, it ends before it listens, or does not
    /// listen within ten seconds.
    pub async fn start(line: &CommandLine) -> Result<Self> {
        // Nobody else who asks for any port gets this one, where the system can see to it.
        let reserved = Reserved::any()?;
        let (address, started) = (reserved.address, Instant::now());
        match Self::start_at(line, address).await {
            Ok(mut program) => {
                program.reserved = Some(reserved);
                Ok(program)
            }
            // It has ended: it may be one that takes a port only if nobody at all has it.
            Err(_) if started.elapsed() < SOON => {
                drop(reserved);
                Self::start_at(line, address).await
            }
            Err(error) => Err(error),
        }
    }

    /// Starts it to listen on this address.
    ///
    /// # Errors
    /// As [`Program::start`].
    async fn start_at(line: &CommandLine, address: SocketAddr) -> Result<Self> {
        let mark = format!("{:016x}", fastrand::u64(..));
        let mut words = line.words.iter();
        let mut command = Command::new(words.next().cloned().unwrap_or_default());
        command.args(words).env(MARK, &mark).env_remove("REDIS_URL");
        command.env("HOST", address.ip().to_string());
        command.env("PORT", address.port().to_string());
        if let Some(folder) = &line.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C in this terminal is for the judge, which then ends what it started.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process = Process::spawn(&mut command).map_err(|error| {
            let error = error.root_cause().to_string();
            sentence(
                format!("« {line} » ne démarre pas : {error}"),
                format!("“{line}” does not start: {error}"),
            )
        })?;
        let mut program = Self { process, mark, address, reserved: None };
        let words = Words::default();
        if let (Some(out), Some(err)) =
            (program.process.stdout(), program.process.stderr())
        {
            words.listen(out);
            words.listen(err);
        }
        let started = Instant::now();
        loop {
            let listens = TcpStream::connect(address).await.is_ok();
            // Whoever listens there, it is not this one.
            if let Some(status) = program.process.has_ended()? {
                return Err(ended(line, status, &words).into());
            }
            if listens {
                return Ok(program);
            }
            if started.elapsed() > SOON {
                return Err(silent(line, address, &words).into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts it again on the same port, after [`Program::kill`].
    ///
    /// # Errors
    /// As [`Program::start`].
    pub async fn start_again(&mut self, line: &CommandLine) -> Result<()> {
        let reserved = self.reserved.take();
        *self = Self::start_at(line, self.address).await?;
        self.reserved = reserved;
        Ok(())
    }

    /// Sends a signal to the program and to what it started, as a terminal does.
    ///
    /// # Errors
    /// When they are gone.
    #[cfg(unix)]
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        let group = nix::unistd::Pid::from_raw(self.process.pid().try_into()?);
        Ok(nix::sys::signal::killpg(group, signal)?)
    }

    /// Waits until the program has ended, as [`Process::ended`] does.
    ///
    /// # Errors
    /// When it is still running after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.ended(limit).await
    }

    /// Ends the program, and all that it started, at once, as a crash would.
    pub fn kill(&mut self) {
        // They are gone already, or they go now.
        #[cfg(unix)]
        let _ = self.signal(nix::sys::signal::Signal::SIGKILL);
        #[cfg(windows)]
        let _ = Command::new("taskkill")
            .args(["/T", "/F", "/PID", &self.process.pid().to_string()])
            .output();
        self.process.kill();
        #[cfg(target_os = "linux")]
        kill_marked(&self.mark);
        #[cfg(not(target_os = "linux"))]
        let _ = &self.mark;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ends what has left the program's group: the mark in its environment stays.
#[cfg(target_os = "linux")]
fn kill_marked(mark: &str) {
    use std::fs;

    use nix::{
        sys::signal::{Signal::SIGKILL, kill},
        unistd::Pid,
    };
    let mark = format!("{MARK}={mark}");
    let is_marked = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    // One that forks while it is looked for is found the next time.
    for _ in 0..20 {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids =
            entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let marked: Vec<i32> = pids.filter(is_marked).collect();
        if marked.is_empty() {
            return;
        }
        for pid in marked {
            let _ = kill(Pid::from_raw(pid), SIGKILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn ended(line: &CommandLine, status: ExitStatus, words: &Words) -> Sentence {
    let words = words.last();
    sentence(
        format!("« {line} » s’est arrêté avant d’écouter ({status}).{words}"),
        format!("“{line}” ended before it listened ({status}).{words}"),
    )
}

fn silent(line: &CommandLine, address: SocketAddr, words: &Words) -> Sentence {
    let (seconds, words) = (SOON.as_secs(), words.last());
    sentence(
        format!(
            "« {line} » n’écoute pas sur {address} après {seconds} s. PORT et HOST disent \
             où écouter.{words}"
        ),
        format!(
            "“{line}” does not listen on {address} within {seconds} s. PORT and HOST say \
             where to listen.{words}"
        ),
    )
}

/// The end of what a program writes. All of it is read, or the program would stop at a full
/// pipe; little is kept, for it may write for ever.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<VecDeque<u8>>>);

impl Words {
    const KEPT: usize = 2000;

    fn listen(&self, mut from: impl Read + Send + 'static) {
        let kept = self.0.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..read]);
                let excess = kept.len().saturating_sub(Self::KEPT);
                kept.drain(..excess);
            }
        });
    }

    fn last(&self) -> String {
        // The last words come with the end, through a pipe that another thread reads.
        thread::sleep(Duration::from_millis(50));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(kept.make_contiguous()).trim().to_owned();
        if text.is_empty() { text } else { format!("\n{text}") }
    }
}
