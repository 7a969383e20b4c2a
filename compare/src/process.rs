//! Other programs: found, started, always ended, and asked what they use.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};
use which::{which, which_in};

/// A child process. Dropping it kills it.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When the system does not.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let child =
            command.spawn().with_context(|| format!("cannot run {program:?}"))?;
        Ok(Self(child))
    }

    /// Its standard input, once, if it is piped.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.0.stdin.take()
    }

    /// Its standard output, once, if it is piped.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// Its standard error, once, if it is piped.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal to the process, such as `SIGTERM`. After `SIGSTOP` Linux tells when it
    /// has stopped: until then its threads go on.
    ///
    /// # Errors
    /// When the process is gone.
    #[cfg(unix)]
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        let pid = nix::unistd::Pid::from_raw(self.pid().try_into()?);
        nix::sys::signal::kill(pid, signal)?;
        #[cfg(target_os = "linux")]
        if signal == nix::sys::signal::Signal::SIGSTOP {
            use nix::sys::wait::{Id, WaitPidFlag, waitid};
            let stopped_or_ended = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED;
            // How it ended is left to whoever asks for it.
            waitid(Id::Pid(pid), stopped_or_ended | WaitPidFlag::WNOWAIT)?;
        }
        Ok(())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn has_ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it is still running after `limit`, by a clock that stands still when the whole
    /// machine does.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        const TICK: Duration = Duration::from_millis(5);
        const STANDSTILL: Duration = Duration::from_millis(100);
        let mut waited = Duration::ZERO;
        loop {
            if let Some(status) = self.has_ended()? {
                return Ok(status);
            }
            ensure!(waited < limit, "still running after {limit:?}");
            let tick = Instant::now();
            tokio::time::sleep(TICK).await;
            waited += tick.elapsed().min(STANDSTILL);
        }
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        // It has ended already, or it ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An address of this machine that is kept free for a program that is about to listen.
#[derive(Debug)]
pub struct Reserved {
    /// The address.
    pub address: SocketAddr,
    /// Bound and not listening: Linux gives the port to nobody who asks for any, and still to
    /// who names it. Elsewhere nobody else may have it, so there it is only free now.
    _socket: Option<Socket>,
}

impl Reserved {
    /// Reserves a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn any() -> Result<Self> {
        Self::at((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// Reserves this port.
    ///
    /// # Errors
    /// When somebody has it.
    pub fn at(address: SocketAddr) -> Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::STREAM, None)?;
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let address = socket.local_addr()?.as_socket().context("not an address")?;
        Ok(Self { address, _socket: cfg!(target_os = "linux").then_some(socket) })
    }
}

/// A command that runs a program of the system.
///
/// # Errors
/// When it is not installed; says how it is.
pub fn installed(program: &str) -> Result<Command> {
    // Debian has in /usr/sbin what only administrators are thought to run.
    let found = which(program).or_else(|_| which_in(program, Some("/usr/sbin"), "/"));
    let package = match program {
        "nginx" => "nginx-light",
        "unshare" => "util-linux",
        _ => program,
    };
    found.ok().map(Command::new).with_context(|| {
        format!(
            "{program} is not installed; on Debian and Ubuntu: sudo apt install {package}"
        )
    })
}

/// Memory (KiB) and open descriptors of a process, as the kernel counts them.
///
/// # Errors
/// When the process is gone, and where there is no `/proc`.
pub fn footprint(pid: u32) -> Result<(u64, usize)> {
    ensure!(
        cfg!(target_os = "linux"),
        "only Linux tells how much memory and how many descriptors a process has"
    );
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let memory =
        line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok((memory.parse()?, fs::read_dir(format!("/proc/{pid}/fd"))?.count()))
}

/// The CPU time that a process has used, of all its threads, in user and kernel mode.
#[must_use]
pub fn cpu_time(pid: u32) -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let pid = nix::unistd::Pid::from_raw(pid.try_into().ok()?);
        let clock = nix::time::clock_getcpuclockid(pid).ok()?;
        clock.now().ok().map(Duration::from)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// Lets this process open at least `wanted` descriptors, where the system allows.
///
/// # Errors
/// When it does not, saying how many it allows.
pub fn allow_descriptors(wanted: u64) -> Result<()> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource::RLIMIT_NOFILE, getrlimit, setrlimit};
        let (soft, hard) = getrlimit(RLIMIT_NOFILE)?;
        if soft < wanted {
            anyhow::ensure!(
                hard >= wanted,
                "so many clients need {wanted} descriptors, and the system allows {hard} \
                 (ulimit -Hn)"
            );
            // Servers inherit it.
            setrlimit(RLIMIT_NOFILE, hard.min(wanted.max(1 << 16)), hard)?;
        }
    }
    #[cfg(not(unix))]
    let _ = wanted;
    Ok(())
}
