//! What a client and a delivery cost a server, against the number of clients.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::{
    cores::Cores,
    traffic::Speech,
    workload::{Session, start},
};
use crate::{
    Subject,
    process::{allow_descriptors, cpu_time, footprint},
    report::crowds::Crowd,
};

/// Clients of the largest crowd, unless told otherwise.
pub const MOST: usize = 5000;

/// The time between two changes: the slowest of the lessons tells 5,000 clients of one in
/// less.
pub const EVERY: Duration = Duration::from_millis(400);

/// Of how many clients the crowds are: parts of the largest, 100, 1,000 and 5,000.
const PARTS: [usize; 3] = [50, 5, 1];

/// Changes before the measured ones, and the measured ones.
const WARM_UP: usize = 3;
const CHANGES: usize = 8;

/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_millis(250);

/// What is done to each server.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Clients of the largest crowd; the others have a fiftieth and a fifth of them.
    pub most: usize,
    /// How often each server is measured with each crowd; every other time in reverse order.
    pub rounds: usize,
    /// The time between two changes.
    pub every: Duration,
    /// How often a client that polls asks.
    pub poll: Duration,
}

impl Plan {
    /// How many runs it takes to measure so many servers.
    #[must_use]
    pub fn runs(&self, servers: usize) -> usize {
        self.rounds * PARTS.len() * servers
    }
}

/// Measures each server with each crowd, in every round. `tell` hears what comes next.
///
/// # Errors
/// When the system does not allow as many descriptors, a server does not do what its
/// transport asks, or loses a change.
pub async fn crowds(
    servers: &[Subject],
    plan: Plan,
    tell: impl Fn(String),
) -> Result<BTreeMap<String, Vec<Crowd>>> {
    // A socket for each, here and in the server, and what a runtime and its files need.
    allow_descriptors(plan.most as u64 + 1000)?;
    let cores = Cores::split()?;
    let sizes = PARTS.map(|part| (plan.most / part).max(1));
    let empty = sizes.map(|clients| Crowd { clients, ..Crowd::default() }).to_vec();
    let mut crowds: BTreeMap<_, _> =
        servers.iter().map(|it| (it.to_string(), empty.clone())).collect();
    for round in 0..plan.rounds {
        let mut order: Vec<_> = servers
            .iter()
            .flat_map(|it| (0..sizes.len()).map(move |at| (it, at)))
            .collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (subject, at) in order {
            let clients = sizes[at];
            let now = format!(
                "round {} of {}: {subject}, {clients} clients",
                round + 1,
                plan.rounds
            );
            tell(now.clone());
            let cost = measure(*subject, clients, plan, &cores).await.context(now)?;
            if let Some(of) = crowds.get_mut(&subject.to_string()) {
                of[at].cpu.extend(cost.cpu);
                of[at].memory.extend(cost.memory);
            }
        }
    }
    Ok(crowds)
}

/// What one crowd cost its server, once; nothing where the system does not tell.
struct Cost {
    /// CPU for each delivery, in microseconds.
    cpu: Option<f64>,
    /// Resident memory that each client added, in kilobytes (1000).
    memory: Option<f64>,
}

async fn measure(
    subject: Subject,
    clients: usize,
    plan: Plan,
    cores: &Cores,
) -> Result<Cost> {
    let server = start(subject, cores)?;
    let pid = server.pid();
    let memory = || footprint(pid).ok().map(|(kib, _)| kib as f64 * 1.024);
    let speech = Speech::Lesson(subject.lesson);
    let mut session = Session::start(server, speech, clients, plan.poll).await?;
    let before = memory();
    session.connect().await?;
    sleep(SETTLE).await;
    let memory = memory().zip(before).map(|(now, before)| now - before);
    session.paced(WARM_UP, plan.every).await?;
    let (before, cpu) = (session.traffic.get(), cpu_time(pid));
    session.paced(CHANGES, plan.every).await?;
    let used = cpu_time(pid).zip(cpu).map(|(now, before)| now - before);
    let deliveries = session.traffic.get().since(before).deliveries as f64;
    Ok(Cost {
        cpu: used.map(|used| used.as_secs_f64() * 1e6 / deliveries),
        memory: memory.map(|memory| memory / clients as f64),
    })
}
