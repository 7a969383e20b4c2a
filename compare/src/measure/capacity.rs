//! What a server's core bears: more and more load, until a core is full.

use std::{env, num::NonZeroUsize, time::Duration};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};

use super::{CLIENTS, Options, cores::Cores, network::servers, workload};
use crate::{
    Lesson, Subject,
    language::Language,
    process::allow_descriptors,
    report::{
        capacity::{Capacity, Report},
        chapter::write_json,
        figure::Machine,
    },
};

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

/// About the steps that a server takes, for the bar.
const USUAL: u64 = 8;

/// Measures, prints a table, and writes what was asked for.
///
/// # Errors
/// When a server does not do what its transport asks, or a file cannot be written.
pub async fn run(options: &Options) -> Result<()> {
    let plan = Plan {
        clients: options.clients.map_or(CLIENTS, NonZeroUsize::get),
        first: 2000.0,
        steps: 12,
        time: Duration::from_secs(2),
        half: Duration::from_secs(4),
        every: Duration::from_millis(50),
    };
    allow_descriptors(2 * plan.clients as u64 + 1000)?;
    let lessons = options.lesson.map_or(Lesson::ALL.to_vec(), |lesson| vec![lesson]);
    Lesson::build(&lessons)?;
    let (subjects, missing) = servers(options);
    // Before the cores are split: it has all of them.
    let machine = Machine::this();
    let cores = Cores::split()?;
    let arguments: Vec<String> = env::args().skip(2).collect();
    let mut report = Report {
        date: time::OffsetDateTime::now_utc().date().to_string(),
        command: format!("just compare {}", arguments.join(" ")),
        machine,
        own_core: cores.is_split(),
        clients: plan.clients,
        servers: Vec::new(),
        missing,
    };
    let bar = ProgressBar::new(subjects.len() as u64 * USUAL);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {elapsed_precise}\n{msg}")?);
    bar.enable_steady_tick(Duration::from_millis(500));
    for (done, subject) in (1..).zip(subjects) {
        let capacity = capacity(subject, plan, &cores, |messages| {
            bar.set_message(format!("{subject}: {messages:.0} messages a second"));
            bar.inc(1);
        });
        let capacity =
            capacity.await.with_context(|| format!("while loading {subject}"));
        report.servers.push(capacity?);
        bar.set_position(done * USUAL);
    }
    bar.finish_and_clear();
    print!("{}", report.table(Language::English));
    if let Some(path) = &options.json {
        write_json(&report, path)?;
    }
    if options.book {
        report.write()?;
    }
    Ok(())
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
    let mut capacity = Capacity::new(subject.to_string());
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
