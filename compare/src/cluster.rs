//! Several instances of a lesson that share their counter: a real Redis behind them, and a
//! real nginx in front.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    Lesson, Place, Server, Snapshot, Subject, Target,
    process::{Process, Reserved, installed},
};

/// The configuration of nginx, for any of the lessons.
pub const CONFIGURATION: &str = include_str!("../nginx.conf");

/// How long a program of the system may take until it listens.
const SOON: Duration = Duration::from_secs(10);

/// A subject as it runs.
#[derive(Debug)]
pub enum Running {
    /// One process.
    Alone(Server),
    /// Two instances of a lesson.
    Together(Box<Cluster>),
}

impl Running {
    /// Starts a subject in its place.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(subject: impl Into<Subject>) -> Result<Self> {
        let subject = subject.into();
        let cluster = || Cluster::start(subject.lesson, 2);
        Ok(match subject.place {
            Place::Alone => Self::Alone(Server::start(subject)?),
            Place::Shared => Self::Together(cluster()?.into()),
            Place::Proxied => Self::Together(cluster()?.with_nginx()?.into()),
        })
    }

    /// Where the next client connects to.
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::Alone(server) => server.target(),
            Self::Together(cluster) => cluster.target(),
        }
    }

    /// Its processes.
    #[must_use]
    pub fn instances(&self) -> &[Server] {
        match self {
            Self::Alone(server) => std::slice::from_ref(server),
            Self::Together(cluster) => &cluster.instances,
        }
    }

    /// Where the counter is, if it is not in the process.
    #[must_use]
    pub fn redis(&self) -> Option<&Redis> {
        match self {
            Self::Alone(_) => None,
            Self::Together(cluster) => Some(&cluster.redis),
        }
    }
}

/// Several instances of a lesson. Dropping it ends all their processes.
#[derive(Debug)]
pub struct Cluster {
    /// What stands in front, if anything.
    pub nginx: Option<Nginx>,
    /// The instances, each on its own port.
    pub instances: Vec<Server>,
    /// Where the counter is.
    pub redis: Redis,
    lesson: Lesson,
    turn: AtomicUsize,
}

impl Cluster {
    /// Starts `count` instances with a Redis, and nothing in front.
    ///
    /// # Errors
    /// When Redis is not installed, or something does not start.
    pub fn start(lesson: Lesson, count: usize) -> Result<Self> {
        let redis = Redis::start()?;
        let instances =
            (0..count).map(|_| redis.instance(lesson)).collect::<Result<_>>()?;
        let turn = AtomicUsize::new(0);
        Ok(Self { nginx: None, instances, redis, lesson, turn })
    }

    /// Puts nginx in front of the instances.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn with_nginx(mut self) -> Result<Self> {
        let nginx = Nginx::start(&self.addresses(), CONFIGURATION)?;
        self.nginx = Some(nginx);
        Ok(self)
    }

    /// Where the instances listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.instances.iter().map(|instance| instance.target().address).collect()
    }

    /// Where the next client connects to: what stands in front, or the instance whose turn
    /// it is.
    #[must_use]
    pub fn target(&self) -> Target {
        if let Some(nginx) = &self.nginx {
            return nginx.target(self.lesson);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.instances[turn % self.instances.len()].target()
    }
}

/// A Redis of its own, which keeps nothing on the disk.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    _reserved: Reserved,
    folder: TempDir,
}

impl Redis {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let (reserved, folder) = (Reserved::any()?, tempfile::tempdir()?);
        let address = reserved.address;
        let process = Self::process(address, &folder)?;
        Ok(Self { process, address, _reserved: reserved, folder })
    }

    /// Which version is installed, such as `Redis 7.0.15`.
    ///
    /// # Errors
    /// When none is.
    pub fn version() -> Result<String> {
        let said = installed("redis-server")?.arg("--version").output()?.stdout;
        let said = String::from_utf8(said)?;
        let version = said.split_whitespace().find_map(|word| word.strip_prefix("v="));
        Ok(format!("Redis {}", version.context("no version")?))
    }

    fn process(address: SocketAddr, folder: &TempDir) -> Result<Process> {
        let (port, host) = (address.port().to_string(), address.ip().to_string());
        let mut command = installed("redis-server")?;
        command.args(["--port", &port, "--bind", &host]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
        listening(command, address)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port, empty, after [`Redis::kill`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = Self::process(self.address, &self.folder)?;
        Ok(())
    }

    /// Sends it a command as a person would type it. Returns the first line of the answer.
    ///
    /// # Errors
    /// When it does not answer, or with an error.
    pub fn say(&self, command: &str) -> Result<String> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line)?;
        ensure!(!line.starts_with('-'), "{command}: {line}");
        Ok(line.trim_end().to_owned())
    }

    /// The counter as it stands here, whatever the instances know of it by now: each finds
    /// Redis again in its own time, and a publication reaches one before the other.
    ///
    /// # Errors
    /// When it does not answer, or no instance has ever reached it.
    pub fn counter(&self) -> Result<Snapshot> {
        let fields = "redis.call('HMGET', KEYS[1], 'value', 'version')";
        let script = format!("return redis.status_reply(table.concat({fields}, ' '))");
        let line = self.say(&format!("EVAL \"{script}\" 1 {{counter}}"))?;
        let numbers = line.strip_prefix('+').and_then(|line| line.split_once(' '));
        let (value, version) =
            numbers.with_context(|| format!("not a state: {line}"))?;
        Ok(Snapshot::new(value.parse()?, version.parse()?))
    }

    /// Its process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal to its process, such as `SIGSTOP`.
    ///
    /// # Errors
    /// When the process is gone.
    #[cfg(unix)]
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Its address for `REDIS_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Starts an instance of a lesson that keeps its counter here.
    ///
    /// # Errors
    /// When it does not start.
    pub fn instance(&self, lesson: Lesson) -> Result<Server> {
        Server::start_by(lesson, lesson.command()?.env("REDIS_URL", self.url()))
    }

    /// Starts one at `address`, where an earlier one has ended.
    ///
    /// # Errors
    /// When it does not start.
    pub fn instance_at(&self, lesson: Lesson, address: SocketAddr) -> Result<Server> {
        let (mut command, port) = (lesson.command()?, address.port().to_string());
        Server::start_by(lesson, command.env("REDIS_URL", self.url()).env("PORT", port))
    }
}

/// nginx, in front of instances.
#[derive(Debug)]
pub struct Nginx {
    _process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    _reserved: Option<Reserved>,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx on a free port, in front of `instances`.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start(instances: &[SocketAddr], configuration: &str) -> Result<Self> {
        let reserved = Reserved::any()?;
        let mut nginx = Self::start_at(instances, reserved.address, configuration)?;
        nginx._reserved = Some(reserved);
        Ok(nginx)
    }

    /// Starts nginx on a free port, in front of `instances`, for HTTP/1.1 and HTTP/2 over
    /// TLS, with a certificate that it signs itself.
    ///
    /// # Errors
    /// When it or openssl is not installed, or does not start.
    pub fn start_secured(instances: &[SocketAddr]) -> Result<Self> {
        const LISTEN: &str = "ssl http2;\nssl_certificate certificate.pem;\n\
             ssl_certificate_key key.pem;\nssl_protocols TLSv1.2 TLSv1.3;\n";
        let folder = tempfile::tempdir()?;
        let mut openssl = installed("openssl")?;
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]);
        openssl.args(["-subj", "/CN=localhost", "-keyout", "key.pem"]);
        openssl.args(["-out", "certificate.pem"]).current_dir(folder.path());
        let made = openssl.output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let reserved = Reserved::any()?;
        let listen = format!("listen {} {LISTEN}", reserved.address);
        let address = reserved.address;
        let mut nginx =
            Self::spawn(folder, instances, address, CONFIGURATION, &listen)?;
        nginx._reserved = Some(reserved);
        Ok(nginx)
    }

    /// Starts nginx at `address`, in front of `instances`.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start_at(
        instances: &[SocketAddr],
        address: SocketAddr,
        configuration: &str,
    ) -> Result<Self> {
        let listen = format!("listen {address};\n");
        Self::spawn(tempfile::tempdir()?, instances, address, configuration, &listen)
    }

    fn spawn(
        folder: TempDir,
        instances: &[SocketAddr],
        address: SocketAddr,
        configuration: &str,
        listen: &str,
    ) -> Result<Self> {
        let write = |name, text: &str| fs::write(folder.path().join(name), text);
        write("nginx.conf", configuration)?;
        write("listen.conf", listen)?;
        // Whoever refuses a connection is asked again the next time. By default nginx leaves
        // him out until another of his answers is complete, and a stream never is.
        let servers = instances
            .iter()
            .map(|instance| format!("server {instance} max_fails=0;\n"));
        write("instances.conf", &servers.collect::<String>())?;
        let mut command = installed("nginx")?;
        command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf"]);
        // One process that ends when it is killed, not a service of the system.
        command.args(["-g", "daemon off; master_process off;"]);
        let process = listening(command, address).with_context(|| {
            fs::read_to_string(folder.path().join("error.log")).unwrap_or_default()
        })?;
        Ok(Self { _process: process, address, _reserved: None, _folder: folder })
    }

    /// Where clients of the instances of `lesson` connect to.
    #[must_use]
    pub fn target(&self, lesson: Lesson) -> Target {
        Target { several: true, ..Target::new(lesson, self.address) }
    }
}

/// Starts a program of the system and waits until it listens.
fn listening(mut command: Command, address: SocketAddr) -> Result<Process> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::spawn(&mut command)?;
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        let program = command.get_program().to_string_lossy();
        if let Some(status) = process.has_ended()? {
            bail!("{program} ended with {status}");
        }
        if started.elapsed() > SOON {
            bail!("{program} does not listen on {address}");
        }
        sleep(Duration::from_millis(5));
    }
    Ok(process)
}

/// Whether something listens there already.
///
/// # Errors
/// When the address cannot be used for another reason.
pub fn is_taken(address: SocketAddr) -> Result<bool> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(true),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}
