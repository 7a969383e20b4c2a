//! Clients that follow a server, and what each of them received.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

use crate::{
    Target,
    client::{Chance, Memory, Met, resume},
};

/// How long all clients may take for what they should do soon: the longest pause of a page
/// is 10 s.
const SOON: Duration = Duration::from_secs(60);

/// What one client received: versions, and when.
pub(super) type Log = Vec<(Instant, u64)>;

/// What all clients met.
#[derive(Clone, Debug, Default)]
struct Seen {
    logs: Vec<Log>,
    /// How often a connection was lost, or was not made.
    lost: usize,
}

/// Clients that come back as the lessons' pages do. Dropping them ends them.
pub(super) struct Followers {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<Infallible>,
}

impl Followers {
    /// Has so many clients follow the counter, which say this when they come back.
    pub(super) fn start(target: Target, clients: usize, memory: Memory) -> Self {
        let seen = Seen { logs: vec![Log::new(); clients], lost: 0 };
        let seen = Arc::new(Mutex::new(seen));
        let mut tasks = JoinSet::new();
        for client in 0..clients {
            let seen = seen.clone();
            tasks.spawn(resume(target, Chance::Random, memory, move |met| {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                match met {
                    Met::Trying => {}
                    Met::Snapshot(snapshot) => {
                        seen.logs[client].push((Instant::now(), snapshot.version));
                    }
                    Met::Lost => seen.lost += 1,
                }
            }));
        }
        Self { seen, _tasks: tasks }
    }

    fn look(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all hold `version` or a later one, but not for ever; says how many do.
    pub(super) async fn until_all_hold(&self, version: u64) -> usize {
        let holds = |log: &&Log| log.last().is_some_and(|last| last.1 >= version);
        let asked = Instant::now();
        loop {
            let (holding, all) = {
                let seen = self.look();
                (seen.logs.iter().filter(holds).count(), seen.logs.len())
            };
            if holding == all || asked.elapsed() >= SOON {
                return holding;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What each received so far.
    pub(super) fn logs(&self) -> Vec<Log> {
        self.look().logs.clone()
    }

    /// How often a connection was lost so far, or was not made.
    #[cfg(target_os = "linux")]
    pub(super) fn lost(&self) -> usize {
        self.look().lost
    }
}
