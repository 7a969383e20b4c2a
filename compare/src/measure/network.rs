//! The measurements of a bad network, one after another.

use std::{env, num::NonZeroUsize, time::Duration};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    CLIENTS, Options, capacity,
    cores::Cores,
    crowds,
    gap::{Case, Plan},
    http2::http,
    loss::{self, loss},
    measurands,
    storm::storm,
    trips::trips,
    workload::{self, Measurand},
};
use crate::{
    Lesson, Subject,
    client::Chance,
    language::Language,
    process::allow_descriptors,
    report::{chapter::write_json, figure::Machine, network::Report},
};

/// Clients of a storm, unless told otherwise.
const CROWD: usize = 2000;

/// Clients on each link that loses packets, unless told otherwise, and for how many seconds
/// they follow the counter.
const FAR: usize = 8;
const LOSING: u64 = 45;
const LOSING_QUICKLY: u64 = 5;

/// How often the counter changes where it is said what a client costs, per second: never,
/// and then more and more often.
const RATES: [f64; 5] = [0.0, 0.1, 1.0, 5.0, 20.0];

/// How long each rate lasts.
const EACH_RATE: Duration = Duration::from_secs(15);

/// How long nothing changes: a heartbeat comes every 15 s.
const IDLE: Duration = Duration::from_secs(60);

/// How many servers are cut at the same time: their clients share one process.
const CUT_TOGETHER: usize = 8;

/// Measures what was asked for, prints it, and writes it where asked.
///
/// # Errors
/// When a server does not do what its transport asks, or a file cannot be written.
pub async fn run(options: &Options) -> Result<()> {
    let clients = |usual| options.clients.map_or(usual, NonZeroUsize::get);
    let lessons = options.lesson.map_or(Lesson::ALL.to_vec(), |lesson| vec![lesson]);
    if let Some(lacks) = options.loss.then(loss::lacks).flatten() {
        bail!(lacks);
    }
    Lesson::build(if options.network { &Lesson::ALL } else { &lessons })?;
    let (servers, missing) = servers(options);
    let arguments: Vec<String> = env::args().skip(2).collect();
    let mut report = Report {
        date: time::OffsetDateTime::now_utc().date().to_string(),
        command: format!("just compare {}", arguments.join(" ")).trim().to_owned(),
        machine: Machine::this(),
        missing,
        ..Report::default()
    };
    let (cases, left_out) =
        if options.gaps { Case::all(&servers)? } else { Default::default() };
    report.missing.extend(left_out);
    let crowds = crowds::Plan {
        most: clients(crowds::MOST),
        rounds: if options.quick { 1 } else { options.rounds.get() },
        every: crowds::EVERY,
        poll: Duration::from_millis(options.poll_every.get() as u64),
    };
    let steps = u64::from(options.network)
        + u64::from(options.http2)
        + u64::from(options.rates) * RATES.len() as u64
        + u64::from(options.crowds) * crowds.runs(servers.len()) as u64
        + u64::from(options.capacity) * capacity::Plan::USUAL * servers.len() as u64
        + cases.len().div_ceil(CUT_TOGETHER) as u64
        + u64::from(options.storm) * 2 * servers.len() as u64
        + u64::from(options.loss) * lessons.len() as u64;
    let bar = ProgressBar::new(steps);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {elapsed_precise}\n{msg}")?);
    bar.enable_steady_tick(Duration::from_millis(500));
    if options.network {
        bar.set_message("round trips");
        report.trips = trips().await?;
        bar.inc(1);
    }
    if options.http2 {
        report.http = http(|now| bar.set_message(now.to_owned())).await?;
        bar.inc(1);
    }
    if options.rates {
        let clients = clients(CLIENTS);
        allow_descriptors(2 * (clients * servers.len()) as u64 + 1000)?;
        let cores = Cores::split()?;
        let poll = Duration::from_millis(options.poll_every.get() as u64);
        for rate in RATES {
            bar.set_message(format!("{rate} changes a second, all servers at once"));
            let every = (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate));
            let time = if every.is_some() { EACH_RATE } else { IDLE };
            let paid = try_join_all(servers.iter().map(async |subject| {
                let paid = workload::paid(*subject, clients, poll, every, time, &cores);
                let paid =
                    paid.await.with_context(|| format!("while {subject} changed"))?;
                anyhow::Ok((subject.to_string(), paid))
            }));
            for (server, paid) in paid.await? {
                report.rates.entry(server).or_default().push(paid);
            }
            bar.inc(1);
        }
    }
    if options.crowds {
        let tell = |now: String| {
            bar.set_message(now);
            bar.inc(1);
        };
        report.crowds = crowds::crowds(&servers, crowds, tell).await?;
    }
    if options.capacity {
        let plan = capacity::Plan::steps(clients(capacity::CLIENTS));
        allow_descriptors(2 * plan.clients as u64 + 1000)?;
        let cores = Cores::split()?;
        for subject in &servers {
            let began = bar.position();
            let bears = capacity::capacity(*subject, plan, &cores, |messages| {
                bar.set_message(format!("{subject}: {messages:.0} messages a second"));
                bar.inc(1);
            });
            let bears =
                bears.await.with_context(|| format!("while loading {subject}"))?;
            report.capacity.insert(subject.to_string(), bears);
            bar.set_position(began + capacity::Plan::USUAL);
        }
    }
    if options.gaps {
        let plan = Plan::minute(clients(CLIENTS));
        // Each client has a socket here, two in the relay, and one in its server.
        allow_descriptors(3 * (plan.clients * CUT_TOGETHER) as u64 + 1000)?;
        for together in cases.chunks(CUT_TOGETHER) {
            let names: Vec<_> = together.iter().map(|case| &*case.name).collect();
            bar.set_message(format!("gaps: a minute of {}", names.join(", ")));
            let gaps = try_join_all(together.iter().map(async |case| {
                let gap = case.gap(plan).await;
                let gap =
                    gap.with_context(|| format!("while {} was cut", case.name))?;
                anyhow::Ok((case.name.clone(), gap))
            }));
            report.gaps.extend(gaps.await?);
            bar.inc(1);
        }
    }
    if options.storm {
        let clients = clients(CROWD);
        allow_descriptors(2 * clients as u64 + 1000)?;
        for subject in &servers {
            let crowd = async |chance: Chance| {
                bar.set_message(format!("storm: {subject}, {chance:?} pauses"));
                let seen = storm(*subject, clients, chance).await;
                bar.inc(1);
                seen.with_context(|| format!("in the storm on {subject}"))
            };
            let seen = [crowd(Chance::Random).await?, crowd(Chance::Fixed).await?];
            report.storms.insert(subject.to_string(), seen);
        }
    }
    if options.loss {
        let seconds = if options.quick { LOSING_QUICKLY } else { LOSING };
        let plan = loss::Plan::lasting(seconds, clients(FAR));
        for lesson in &lessons {
            bar.set_message(format!("loss: {lesson}, {seconds} s, all links at once"));
            let seen = loss(&env::current_exe()?, *lesson, &plan).await;
            let seen = seen.with_context(|| format!("while {lesson} lost packets"))?;
            report.loss.insert(lesson.to_string(), seen);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    print!("{}", report.tables(Language::English));
    if let Some(path) = &options.json {
        write_json(&report, path)?;
    }
    if options.book {
        report.write()?;
    }
    Ok(())
}

/// What is measured, without floors; and what would be but is not installed.
fn servers(options: &Options) -> (Vec<Subject>, Vec<String>) {
    let (measurands, missing) = measurands(options);
    let servers = measurands.into_iter().filter_map(|measurand| match measurand {
        Measurand::Server(subject) => Some(subject),
        Measurand::Floor(_) => None,
    });
    (servers.collect(), missing)
}
