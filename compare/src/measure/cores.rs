//! A core for the server and another for its clients, so that they do not take each
//! other's time. Linux only: elsewhere the system shares the cores as it likes.

use anyhow::Result;

/// How the cores of this machine are shared between a server and its clients.
#[derive(Clone, Debug)]
pub struct Cores {
    #[cfg(target_os = "linux")]
    split: Option<(nix::sched::CpuSet, nix::sched::CpuSet)>,
}

#[cfg(target_os = "linux")]
impl Cores {
    /// Takes the last core that this process may use for servers and leaves the others to
    /// this thread. With a single core both share it.
    ///
    /// # Errors
    /// When the system does not say which cores there are.
    pub fn split() -> Result<Self> {
        use nix::{
            sched::{CpuSet, sched_getaffinity},
            unistd::Pid,
        };
        let all = sched_getaffinity(Pid::from_raw(0))?;
        let mut usable = Vec::new();
        for core in 0..CpuSet::count() {
            if all.is_set(core)? {
                usable.push(core);
            }
        }
        let Some((server, others)) = usable.split_last().filter(|(_, o)| !o.is_empty())
        else {
            return Ok(Self::shared());
        };
        let (mut servers, mut clients) = (CpuSet::new(), CpuSet::new());
        servers.set(*server)?;
        for core in others {
            clients.set(*core)?;
        }
        let cores = Self { split: Some((clients, servers)) };
        cores.take(true)?;
        Ok(cores)
    }

    /// Leaves all cores to all.
    #[must_use]
    pub fn shared() -> Self {
        Self { split: None }
    }

    /// Whether servers have a core of their own.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.split.is_some()
    }

    /// Starts a process on the core of the servers: a child inherits the cores of the
    /// thread that starts it.
    ///
    /// # Errors
    /// Those of `start`, and when the system refuses the core.
    pub fn beside<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        self.take(false)?;
        let started = start();
        self.take(true)?;
        started
    }

    fn take(&self, clients: bool) -> Result<()> {
        use nix::{sched::sched_setaffinity, unistd::Pid};
        if let Some((own, servers)) = &self.split {
            sched_setaffinity(Pid::from_raw(0), if clients { own } else { servers })?;
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Cores {
    /// The system shares the cores.
    ///
    /// # Errors
    /// Never.
    pub fn split() -> Result<Self> {
        Ok(Self::shared())
    }

    /// Leaves all cores to all.
    #[must_use]
    pub fn shared() -> Self {
        Self {}
    }

    /// Whether servers have a core of their own: no.
    #[must_use]
    pub fn is_split(&self) -> bool {
        false
    }

    /// Starts a process.
    ///
    /// # Errors
    /// Those of `start`.
    pub fn beside<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        start()
    }
}
