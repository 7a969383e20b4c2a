//! Starts a lesson's real binary on a free port, and always stops it.

use std::{
    env, fmt, fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cluster::{Cluster, Place, Redis},
    peers::{Runtime, Subject},
};

/// The profile by which the lessons are built that a release build of this crate starts.
const FAST: &str = "fast";

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

    /// A command that runs the lesson's binary, built from the sources as they are now.
    ///
    /// # Errors
    /// When the lessons do not build.
    pub fn command(self) -> Result<Command> {
        static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
        BUILT.get_or_init(build).clone().map_err(anyhow::Error::msg)?;
        let name = format!("{}{}", self.name(), env::consts::EXE_SUFFIX);
        let own = env::current_exe()?;
        // target/debug/deps/contract-… for a test, target/debug/compare for a program;
        // from target/release/compare the lessons are in target/fast.
        let beside =
            if cfg!(debug_assertions) { ".".to_owned() } else { format!("../{FAST}") };
        let found =
            own.ancestors().skip(1).map(|folder| folder.join(&beside).join(&name));
        let binary: Option<PathBuf> = found.into_iter().find(|path| path.is_file());
        let binary = binary.with_context(|| format!("{name} is not beside {own:?}"))?;
        let mut command = Command::new(binary);
        command.env_remove("HOST").env_remove("REDIS_URL").env("PORT", "0");
        Ok(command)
    }
}

impl fmt::Display for Lesson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn build() -> Result<(), String> {
    let mut cargo =
        Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet"]);
    for lesson in Lesson::ALL {
        cargo.args(["--bin", lesson.name()]);
    }
    cargo.args(["--features", "shared/redis"]);
    if !cfg!(debug_assertions) {
        cargo.args(["--profile", FAST]);
    }
    match cargo.args(["--workspace", "--locked"]).status() {
        Ok(status) if status.success() => Ok(()),
        outcome => Err(format!("cannot build the lessons: {outcome:?}")),
    }
}

/// A running lesson. Dropping it kills the process; a test in which the process panicked
/// fails.
#[derive(Debug)]
pub struct Server {
    child: Child,
    errors: Option<JoinHandle<String>>,
    /// Where it listens.
    pub address: SocketAddr,
    /// The lesson whose transport it serves.
    pub lesson: Lesson,
    /// The others that it shares its counter with, if any.
    company: Option<Box<Cluster>>,
}

impl Server {
    /// Starts a lesson, or a peer, on a free port and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(subject: impl Into<Subject>) -> Result<Self> {
        let subject = subject.into();
        if subject.place == Place::Alone {
            return Self::spawn(subject, &mut subject.command()?);
        }
        let mut cluster = Cluster::start(subject.lesson, 2)?;
        if subject.place == Place::Proxied {
            cluster = cluster.with_nginx()?;
        }
        let mut first = cluster.instances.remove(0);
        if let Some(nginx) = &cluster.nginx {
            first.address = nginx.address;
        }
        first.company = Some(Box::new(cluster));
        Ok(first)
    }

    /// Whether clients reach several instances at its address.
    #[must_use]
    pub fn is_proxied(&self) -> bool {
        self.company.as_ref().is_some_and(|company| company.nginx.is_some())
    }

    /// The instance that the next client connects to: itself, or one whose turn it is.
    #[must_use]
    pub fn next_instance(&self) -> &Self {
        let company = self.company.as_deref().filter(|company| company.nginx.is_none());
        company.and_then(|company| company.next(self)).unwrap_or(self)
    }

    /// Starts the same on the same port, after [`Server::kill`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(
        subject: impl Into<Subject>,
        address: SocketAddr,
    ) -> Result<Self> {
        let (subject, port) = (subject.into(), address.port().to_string());
        Self::spawn(subject, subject.command()?.env("PORT", port))
    }

    /// Starts it by a command made from [`Subject::command`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn spawn(subject: impl Into<Subject>, command: &mut Command) -> Result<Self> {
        let Subject { lesson, runtime, .. } = subject.into();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut stderr = child.stderr.take().context("no standard error")?;
        let errors = thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let address = SocketAddr::from(([0; 4], 0));
        let mut server =
            Self { child, errors: Some(errors), address, lesson, company: None };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let expected = match runtime {
            Runtime::Rust => format!("{lesson} listening on http://"),
            _ => "listening on http://".to_owned(),
        };
        let Some(address) = line.trim_end().strip_prefix(&expected) else {
            server.child.kill()?;
            let errors = server.errors.take().and_then(|errors| errors.join().ok());
            bail!("{lesson} began with {line:?} and {:?}", errors.unwrap_or_default());
        };
        server.address = address.parse()?;
        Ok(server)
    }

    /// `http://address` followed by `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The ids of the processes of all instances that clients reach through this one.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let others = self.company.iter().flat_map(|company| &company.instances);
        [self.pid()].into_iter().chain(others.map(Self::pid)).collect()
    }

    /// Where the counter is, when this one shares it with others.
    #[must_use]
    pub fn redis(&self) -> Option<&Redis> {
        self.company.as_ref().map(|company| &company.redis)
    }

    /// Sends a signal to the process, such as `SIGTERM`.
    ///
    /// # Errors
    /// When the process is gone.
    #[cfg(unix)]
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        send_signal(self.pid(), signal)
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// When it is still running after `limit`, by a clock that stands still when the whole
    /// machine does.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        const TICK: Duration = Duration::from_millis(5);
        const STANDSTILL: Duration = Duration::from_millis(100);
        let mut waited = Duration::ZERO;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(waited < limit, "still running after {limit:?}");
            let tick = Instant::now();
            tokio::time::sleep(TICK).await;
            waited += tick.elapsed().min(STANDSTILL);
        }
    }

    /// Ends the process at once, as a crash would.
    ///
    /// # Errors
    /// When it has panicked.
    pub fn kill(&mut self) -> Result<()> {
        self.reap()
    }

    fn reap(&mut self) -> Result<()> {
        let _ = self.child.kill();
        self.child.wait()?;
        let errors = self.errors.take().and_then(|errors| errors.join().ok());
        match errors {
            Some(errors) if errors.contains("panicked at") => {
                bail!("{} panicked:\n{errors}", self.lesson)
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.reap()
            && !thread::panicking()
        {
            panic!("{error}");
        }
    }
}

/// Sends a signal to a process.
#[cfg(unix)]
pub(crate) fn send_signal(pid: u32, signal: nix::sys::signal::Signal) -> Result<()> {
    let pid = nix::unistd::Pid::from_raw(pid.try_into()?);
    Ok(nix::sys::signal::kill(pid, signal)?)
}

/// Memory (KiB) and open descriptors of a process, as the kernel counts them.
///
/// # Errors
/// When the process is gone, and where there is no `/proc`.
pub fn footprint(pid: u32) -> Result<(u64, usize)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory =
        line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok((memory.parse()?, fs::read_dir(format!("/proc/{pid}/fd"))?.count()))
}
