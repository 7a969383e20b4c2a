//! What a server's core bears: more and more load, until a core is full.

use std::time::Duration;

use anyhow::Result;

use super::{cores::Cores, workload};
use crate::{Subject, report::capacity::Capacity};

/// Clients that follow the counter, unless told otherwise: so many that changes never follow
/// each other by less than a timer's millisecond. Changes of the same millisecond are one
/// message, and what was measured would be the timer.
pub const CLIENTS: usize = 1000;

/// How a load grows.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Clients that follow the counter.
    pub clients: usize,
    /// Messages that the first step makes due per second, over all clients; each step
    /// doubles them.
    pub first: f64,
    /// How many steps there are at most.
    pub steps: usize,
    /// How long a step is measured.
    pub time: Duration,
    /// How long half of the most is.
    pub half: Duration,
    /// The time between two changes where clients poll.
    pub every: Duration,
}

impl Plan {
    /// About the steps that a server takes, for the bar.
    pub(super) const USUAL: u64 = 8;

    /// Steps of two seconds, from 2,000 messages a second on.
    #[must_use]
    pub fn steps(clients: usize) -> Self {
        Self {
            clients,
            first: 2000.0,
            steps: 12,
            time: Duration::from_secs(2),
            half: Duration::from_secs(4),
            every: Duration::from_millis(50),
        }
    }
}

/// Doubles the load of a server until its core or the clients' is full, or more load
/// brings no more; then measures half of the most that came. Tells `begin` how many messages
/// each step makes due.
///
/// # Errors
/// When the server does not do what its transport asks.
pub async fn capacity(
    subject: Subject,
    plan: Plan,
    cores: &Cores,
    begin: impl Fn(f64),
) -> Result<Capacity> {
    let load = async |messages: f64, time: Duration| {
        begin(messages);
        workload::load(subject, plan.clients, messages, plan.every, time, cores).await
    };
    let own_core = cores.is_split();
    let mut capacity =
        Capacity { clients: plan.clients, own_core, ..Capacity::default() };
    let mut due = plan.first;
    for _ in 0..plan.steps {
        capacity.steps.push(load(due, plan.time).await?);
        if capacity.is_reached() {
            break;
        }
        due *= 2.0;
    }
    let most = capacity.most().map_or(plan.first, |step| step.came);
    capacity.half = load(most / 2.0, plan.half).await?;
    Ok(capacity)
}
