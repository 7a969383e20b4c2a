//! The comparison: the same workload over the four lessons, in alternating order, beside a
//! floor and the peers.

#[cfg(target_os = "linux")]
pub mod apart;
pub mod capacity;
pub mod cores;
pub mod crowds;
pub mod floor;
mod followers;
pub mod gap;
pub mod http2;
pub mod loss;
pub mod network;
#[cfg(unix)]
pub mod profile;
pub mod scale;
pub mod storm;
pub mod traffic;
pub mod trips;
pub mod workload;

use std::{env, num::NonZeroUsize, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use futures_util::future::{try_join, try_join_all};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::sleep;

use crate::{
    Lesson, Subject,
    language::Language,
    process::allow_descriptors,
    report::{
        chapter::write_json,
        comparison::{Comparison, Measured, Sample, versions},
        figure::Machine,
        tables,
    },
};
use cores::Cores;
use workload::{Measurand, Plan};

/// What is measured, and how much of it.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Clients that follow the counter: 200, 1000 that load a server, 2000 in a storm, 5000 in
    /// the largest crowd, or 8 on each link that loses, unless told otherwise
    #[arg(long)]
    clients: Option<NonZeroUsize>,
    /// Measures this lesson alone
    #[arg(long)]
    lesson: Option<Lesson>,
    /// How often each server is measured; every other time in reverse order
    #[arg(long, default_value = "3")]
    rounds: NonZeroUsize,
    /// How long a polling client waits after an answer, in milliseconds
    #[arg(long, value_name = "MS", default_value = "1000")]
    poll_every: NonZeroUsize,
    /// One round, and neither the idle minute nor the poll intervals; of loss, five seconds
    #[arg(long)]
    quick: bool,
    /// Instead: what clients miss whose network is cut for 2 s every 15 s, for a minute
    #[arg(long)]
    gaps: bool,
    /// Instead: how a crowd comes back to a server that is killed and started again
    #[arg(long)]
    storm: bool,
    /// Instead: what a client costs per second, at several rates of change
    #[arg(long)]
    rates: bool,
    /// Instead: what a delivery and a client cost among 100, 1000 and 5000 clients
    #[arg(long)]
    crowds: bool,
    /// Instead: what polling and SSE cost over HTTP/2; takes nginx, openssl and curl
    #[arg(long)]
    http2: bool,
    /// Instead: how many messages a second a server's core bears
    #[arg(long)]
    capacity: bool,
    /// Instead: how many round trips a first value and a click cost
    #[arg(long)]
    network: bool,
    /// Instead: what distance and lost packets do; takes a network namespace of Linux
    #[arg(long)]
    loss: bool,
    /// Measures the peers too: on axum, and in Node.js, Bun and Python
    #[arg(long)]
    peers: bool,
    /// Writes all figures, and the samples behind them, to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes tables and plots into the book's chapter
    #[arg(long)]
    book: bool,
}

/// Clients that follow the counter, unless told otherwise.
const CLIENTS: usize = 200;

/// The quiet minute: idle clients are counted, and pollers wait.
const QUIET: Duration = Duration::from_secs(60);

/// Each of these is counted for itself, so a few are as good as many.
const IDLE_CLIENTS: usize = 20;

/// The poll intervals whose price in waiting is shown.
const INTERVALS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(2000),
    Duration::from_millis(5000),
];

/// The time between two changes while pollers wait, and how many there are of them. It is
/// no multiple of an interval, or each poller would meet all changes at the same moment.
const WAITING_EVERY: Duration = Duration::from_millis(1618);
const WAITING_CLIENTS: usize = 100;

/// Measures, prints a table, and writes what was asked for.
///
/// # Errors
/// When a server does not do what its transport asks, or a file cannot be written.
pub async fn run(options: Options) -> Result<()> {
    let Options { gaps, storm, rates, crowds, capacity, http2, network, loss, .. } =
        options;
    if gaps || storm || rates || crowds || capacity || http2 || network || loss {
        return network::run(&options).await;
    }
    let comparison = measure(&options).await?;
    print!("{}", tables::tables(&comparison, Language::English));
    if let Some(path) = &options.json {
        write_json(&comparison, path)?;
    }
    if options.book {
        tables::write(&comparison)?;
    }
    Ok(())
}

async fn measure(options: &Options) -> Result<Comparison> {
    let plan = Plan {
        clients: options.clients.map_or(CLIENTS, NonZeroUsize::get),
        changes: 40,
        every: Duration::from_millis(50),
        burst: 200,
        poll: Duration::from_millis(options.poll_every.get() as u64),
    };
    let rounds = if options.quick { 1 } else { options.rounds.get() };
    // A socket for each, and what a runtime and its files need.
    allow_descriptors(plan.clients as u64 + 1000)?;
    let (measurands, missing) = measurands(options);
    // Before the cores are split: a build wants them all, and the machine has them all.
    let asked = options.lesson.map(|lesson| vec![lesson, Lesson::Polling]);
    let lessons = asked.unwrap_or(Lesson::ALL.to_vec());
    Lesson::build(&lessons)?;
    let machine = Machine::this();
    let cores = Cores::split()?;
    let arguments: Vec<String> = env::args().skip(2).collect();
    let mut comparison = Comparison {
        date: time::OffsetDateTime::now_utc().date().to_string(),
        command: format!("just compare {}", arguments.join(" ")).trim().to_owned(),
        machine,
        own_core: cores.is_split(),
        versions: versions(options.peers),
        clients: plan.clients,
        changes: plan.changes,
        every: plan.every.as_secs_f64() * 1000.0,
        burst: plan.burst,
        poll: plan.poll.as_secs_f64() * 1000.0,
        rounds,
        subjects: measurands.iter().map(|&it| nothing_yet(it)).collect(),
        waiting: Vec::new(),
        missing,
    };

    let bar = progress(rounds * measurands.len(), options.quick)?;
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..measurands.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            bar.set_message(format!(
                "round {} of {rounds}: {}",
                round + 1,
                measurands[at]
            ));
            let sample = sample(&comparison, measurands[at], plan, &cores).await?;
            comparison.subjects[at].samples.push(sample);
            bar.inc(1);
        }
    }
    while let Some((at, round)) = comparison.to_repeat() {
        bar.set_message(format!("again, for it was disturbed: {}", measurands[at]));
        bar.inc_length(1);
        let sample = sample(&comparison, measurands[at], plan, &cores).await?;
        comparison.subjects[at].replace(round, sample);
        bar.inc(1);
    }
    if !options.quick {
        bar.set_message("the quiet minute: idle clients, and pollers that wait");
        quiet(&mut comparison, &measurands, plan, &cores, &bar).await?;
    }
    bar.finish_and_clear();
    Ok(comparison)
}

/// Measures a server once; a floor lies below its server's first sample.
async fn sample(
    comparison: &Comparison,
    measurand: Measurand,
    plan: Plan,
    cores: &Cores,
) -> Result<Sample> {
    let of = comparison.server(measurand.subject());
    let of = of.and_then(|measured| measured.samples.first());
    let sample = workload::measure(measurand, of, plan, cores).await;
    sample.with_context(|| format!("while measuring {measurand}"))
}

/// A server that was not measured yet.
fn nothing_yet(measurand: Measurand) -> Measured {
    Measured {
        lesson: measurand.subject().lesson.to_string(),
        runtime: measurand.subject().runtime.name().to_owned(),
        is_floor: matches!(measurand, Measurand::Floor(_)),
        samples: Vec::new(),
        set_aside: Vec::new(),
        idle: None,
    }
}

/// What is measured, each server before its floor; and what would be but is not installed.
fn measurands(options: &Options) -> (Vec<Measurand>, Vec<String>) {
    let (mut measurands, mut missing) = (Vec::new(), Vec::new());
    let asked = |lesson: &Lesson| options.lesson.is_none_or(|asked| asked == *lesson);
    for lesson in Lesson::ALL.into_iter().filter(asked) {
        let both = |subject| [Measurand::Server(subject), Measurand::Floor(subject)];
        measurands.extend(both(lesson.into()));
        for peer in
            Subject::peers().filter(|peer| options.peers && peer.lesson == lesson)
        {
            match peer.command() {
                Ok(_) => measurands.extend(both(peer)),
                Err(reason) => missing.push(format!("{peer}: {reason}")),
            }
        }
    }
    (measurands, missing)
}

async fn quiet(
    comparison: &mut Comparison,
    measurands: &[Measurand],
    plan: Plan,
    cores: &Cores,
    bar: &ProgressBar,
) -> Result<()> {
    let idle = try_join_all(measurands.iter().map(async |&measurand| {
        let Measurand::Server(subject) = measurand else { return Ok(None) };
        let idle = workload::idle(subject, IDLE_CLIENTS, plan.poll, QUIET, cores).await;
        idle.map(Some).with_context(|| format!("while {subject} was idle"))
    }));
    let waiting = async {
        workload::waiting(&INTERVALS, WAITING_CLIENTS, WAITING_EVERY, QUIET, cores)
            .await
            .context("while pollers waited")
    };
    let ticks = bar.clone();
    let ticking = tokio::task::spawn_local(async move {
        for _ in 0..QUIET.as_secs() {
            sleep(Duration::from_secs(1)).await;
            ticks.inc(1);
        }
    });
    let (idle, waiting) = try_join(idle, waiting).await?;
    ticking.abort();
    for (measured, idle) in comparison.subjects.iter_mut().zip(idle) {
        measured.idle = idle;
    }
    comparison.waiting = waiting;
    Ok(())
}

/// A bar in seconds or runs, whatever takes longer: about three seconds each.
fn progress(runs: usize, quick: bool) -> Result<ProgressBar> {
    let quiet = if quick { 0 } else { QUIET.as_secs() };
    let bar = ProgressBar::new(runs as u64 + quiet);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {elapsed_precise}\n{msg}")?);
    bar.enable_steady_tick(Duration::from_millis(500));
    Ok(bar)
}
