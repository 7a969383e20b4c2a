//! A tiny comparison, end to end: its shape and its arithmetic, never its timings.

mod common;

use std::{
    cell::RefCell,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use common::{cannot, in_order, placed};
use compare::{
    Lesson, Place, Runtime, Server, Subject,
    client::Chance,
    language::Language,
    measure::{
        capacity,
        cores::Cores,
        crowds,
        gap::{Case, Plan},
        http2,
        loss::{self, loss},
        storm::storm,
        workload,
    },
    process::installed,
    report::{
        capacity::{Capacity, Limit, Step},
        comparison::{AGAIN, Comparison, Measured, Sample},
        crowds::curves,
        figure::Figure,
        network::{self, Paid, Recovery, crossing},
        tables::{plots, tables},
    },
};
use futures_util::future::try_join_all;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use tokio::time::sleep;

fn main() {
    let mut arguments = Arguments::from_args();
    // Most of them wait, for a clock or for a network that they have made slow.
    arguments.test_threads = arguments.test_threads.or(Some(12));
    let trial = |name, run: fn() -> Result<()>| {
        Trial::test(name, move || run().map_err(|e| Failed::from(format!("{e:#}"))))
    };
    let mut all = vec![
        trial("tiny_comparison", tiny_comparison),
        trial("polling_agrees_with_arithmetic", polling_agrees_with_arithmetic),
        trial("repeats", repeats),
        trial("tiny_capacity", tiny_capacity),
        trial("capacities", capacities),
        trial("tiny_peers", tiny_peers),
        trial("tiny_gap", tiny_gap),
        trial("crossings", crossings),
        trial("tiny_storm", tiny_storm),
        trial("tiny_network", tiny_network),
        trial("tiny_crowds", tiny_crowds),
        trial("bad_options", bad_options),
        trial("figures", figures),
    ];
    // Elsewhere nothing limits the descriptors, and it would start that many clients.
    #[cfg(target_os = "linux")]
    all.push(trial("too_many_clients", too_many_clients));
    #[cfg(not(target_os = "linux"))]
    all.push(cannot("too_many_clients", "no limit of descriptors is known"));
    let scale = vec![trial("tiny_scale", tiny_scale)];
    all.extend(placed("the measurement", Place::Proxied, scale));
    let http = http2::PROGRAMS.map(installed).into_iter().find_map(Result::err);
    if let Some(lacks) = &http {
        println!("not run: tiny_http2: {lacks}");
    }
    all.push(trial("tiny_http2", tiny_http2).with_ignored_flag(http.is_some()));
    all.push(match loss::lacks() {
        None => trial("tiny_loss", tiny_loss),
        Some(lacks) => cannot("tiny_loss", &lacks),
    });
    let longest = ["tiny_http2", "tiny_peers", "tiny_network"];
    libtest_mimic::run(&arguments, in_order(all, &longest)).exit();
}

const CLIENTS: u64 = 10;

fn compare(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.arg("measure").args(options);
    command
}

fn tiny_comparison() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    let options = ["--quick", "--clients", "10", "--poll-every", "200", "--json"];
    let output = compare(&options).arg(&file).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    let report: Comparison = serde_json::from_str(&fs::read_to_string(&file)?)?;

    ensure!(report.missing.is_empty() && report.rounds == 1, "{report:?}");
    ensure!(report.subjects.len() == 8, "four lessons, and a floor for each");
    ensure!(report.versions.contains_key("actix-web"), "{:?}", report.versions);
    for measured in &report.subjects {
        let name = format!("{} {}", measured.lesson, measured.runtime);
        let [sample] = &measured.samples[..] else {
            anyhow::bail!("{name}: {measured:?}")
        };
        // One for each change in each client, also for those that latest-value-wins skips.
        ensure!(sample.delays == CLIENTS * report.changes as u64, "{name}: {sample:?}");
        ensure!(sample.deliveries >= CLIENTS, "{name}: {sample:?}");
        ensure!(sample.deliveries <= sample.delays, "{name}: {sample:?}");
        let delays = [0.0, sample.p50, sample.p95, sample.p99, sample.max];
        ensure!(delays.is_sorted() && sample.max > 0.0, "{name}: {delays:?}");
        let counted: u64 = sample.spread.iter().map(|(_, count)| count).sum();
        ensure!(counted == sample.delays, "{name}: {sample:?}");
        // The only round is all rounds, and both count the same delays.
        let p95 = measured.percentile(0.95).context("no delays")?;
        ensure!([p95.median, p95.min, p95.max] == [sample.p95; 3], "{name}: {p95:?}");
        ensure!(measured.set_aside.len() <= AGAIN, "{name}: {measured:?}");
        ensure!(sample.burst_messages >= 1.0, "{name}: {sample:?}");
        ensure!(sample.burst_messages <= report.burst as f64, "{name}: {sample:?}");
        if cfg!(target_os = "linux") {
            ensure!(sample.cpu.is_some_and(|cpu| cpu > 0.0), "{name}: {sample:?}");
            ensure!(
                sample.client_cpu.is_some_and(|cpu| cpu > 0.0),
                "{name}: {sample:?}"
            );
            ensure!(sample.memory_idle.is_some(), "{name}: {sample:?}");
        }
    }

    let sample = |lesson: Lesson| {
        let measured = report.server(lesson.into()).context("a lesson is missing")?;
        measured.samples.first().context("no sample")
    };
    // Versions 11 to 50 and values alike: two digits each.
    let json = r#"{"value":11,"version":11}"#.len() as f64;
    // Two bytes of header (RFC 6455, section 5.2).
    let frame = sample(Lesson::WebSocket)?;
    ensure!(frame.down == 2.0 + json, "{frame:?}");
    let packet = sample(Lesson::SocketIo)?;
    ensure!(packet.down == 2.0 + r#"42["counter",]"#.len() as f64 + json, "{packet:?}");
    let event = sample(Lesson::Sse)?;
    // A chunk (RFC 9112, section 7.1) has its length in two digits and two line ends.
    let id = "0123456789abcdef-11".len() as f64;
    let block = "id: \ndata: \n\n".len() as f64 + id + json + 6.0;
    ensure!(event.down == block, "{event:?}");
    let poll = sample(Lesson::Polling)?;
    ensure!(poll.down - poll.head_down >= json, "{poll:?}");
    ensure!(frame.up == 0.0 && packet.up == 0.0 && event.up == 0.0 && poll.up > 0.0);
    floors_below(&report)?;

    let text = String::from_utf8(output.stdout)?;
    for lesson in Lesson::ALL {
        ensure!(text.contains(&format!("**{lesson}**")), "{text}");
    }
    let french = tables(&report, Language::French);
    ensure!(french.matches('|').count() == text.matches('|').count());
    for (file, plot) in plots(&report, Language::French) {
        let svg = plot.svg();
        ensure!(svg.starts_with("<svg") && svg.contains("<title>"), "{file}: {svg}");
        ensure!(svg.matches("<rect class=\"own\"").count() == 4, "{file}: {svg}");
    }
    Ok(())
}

/// A peer has a floor of its own: its answers have other heads than the lesson's.
fn tiny_peers() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    let options = ["--quick", "--clients", "3", "--poll-every", "200", "--peers"];
    let output = compare(&options)
        .args(["--lesson", "01-polling", "--json"])
        .arg(&file)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    let report: Comparison = serde_json::from_str(&fs::read_to_string(&file)?)?;
    floors_below(&report)?;
    let axum = Subject { runtime: Runtime::Axum, ..Lesson::Polling.into() };
    let bytes = [axum, Lesson::Polling.into()].map(|it| {
        let measured = report.server(it)?;
        Some(measured.samples.first()?.down)
    });
    ensure!(bytes[0] != bytes[1], "a trial of floors takes two sizes: {bytes:?}");
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.contains("\n| floor of 01-polling "), "{text}");
    ensure!(!text.contains("\n| floor of 01-polling, axum"), "{text}");
    Ok(())
}

/// Checks that each server's own floor follows it, writes what it writes, and divides it.
fn floors_below(report: &Comparison) -> Result<()> {
    for pair in report.subjects.chunks(2) {
        let [server, floor] = pair else { anyhow::bail!("{pair:?}") };
        let below = server.lesson == floor.lesson && server.runtime == floor.runtime;
        ensure!(below && !server.is_floor && floor.is_floor, "{pair:?}");
        let ratio = report.over_floor(server).map(|ratio| ratio.median);
        let (server, floor) = (&server.samples[0], &floor.samples[0]);
        ensure!(ratio == server.cpu.zip(floor.cpu).map(|(own, floor)| own / floor));
        ensure!(floor.down == server.down.round(), "{floor:?} below {server:?}");
    }
    Ok(())
}

/// What was disturbed is measured again, so often and no more; percentiles are those of all
/// rounds, where enough changes lie beyond.
fn repeats() -> Result<()> {
    let sample = |cpu: f64, late: f64, spread: &[(u64, u64)]| Sample {
        cpu: Some(cpu),
        late,
        spread: spread.to_vec(),
        ..Sample::default()
    };
    let calm = |cpu| sample(cpu, 1.0, &[]);
    let measured = |samples: Vec<Sample>| Comparison {
        every: 50.0,
        changes: 40,
        rounds: samples.len(),
        subjects: vec![Measured { samples, ..Measured::default() }],
        ..Comparison::default()
    };
    let quiet = measured(vec![calm(1.0), calm(1.4), calm(1.2)]);
    ensure!(quiet.to_repeat().is_none() && quiet.disturbed().is_empty(), "{quiet:?}");
    let mut wide = measured(vec![calm(1.0), calm(1.1), calm(1.6)]);
    ensure!(wide.to_repeat() == Some((0, 2)), "the round that took the most");
    wide.subjects[0].replace(2, calm(1.2));
    ensure!(wide.to_repeat().is_none() && wide.disturbed().is_empty(), "{wide:?}");
    ensure!(wide.subjects[0].set_aside[0].cpu == Some(1.6), "{wide:?}");
    let mut late = measured(vec![sample(1.0, 26.0, &[]), calm(1.0)]);
    for _ in 0..AGAIN {
        ensure!(late.to_repeat() == Some((0, 0)), "{late:?}");
        late.subjects[0].replace(0, sample(1.0, 26.0, &[]));
    }
    ensure!(late.to_repeat().is_none() && late.disturbed().len() == 1, "{late:?}");
    let text = tables(&late, Language::English);
    ensure!(
        text.contains(&format!("measured again: {AGAIN}, at most {AGAIN}")),
        "{text}"
    );

    // Of a hundred delays of both rounds, the 96th is the first of the second round's slow.
    let (fast, slow) = (&[(1000, 50)][..], &[(1000, 45), (2000, 5)][..]);
    let three =
        measured(vec![sample(1.0, 0.0, fast), sample(1.0, 0.0, slow), calm(1.0)]);
    let percentile = |share| three.subjects[0].percentile(share);
    let all = Figure { median: 1.0, min: 1.0, max: 2.0 };
    ensure!(percentile(0.95) == Some(all), "{:?}", percentile(0.95));
    ensure!(percentile(0.96).map(|it| it.median) == Some(2.0));
    ensure!(
        three.shows(0.95) && !three.shows(0.99),
        "six changes, and one, lie beyond"
    );
    let once = measured(vec![calm(1.0)]);
    ensure!(!once.shows(0.95), "two changes lie beyond");
    Ok(())
}

/// The load of a few clients, and what came of it, on every transport at once.
fn tiny_capacity() -> Result<()> {
    // A build would keep those waiting that are loaded already.
    Lesson::build(&Lesson::ALL)?;
    let time = Duration::from_secs(1);
    let every = Duration::from_millis(50);
    let plan =
        capacity::Plan { clients: 3, first: 60.0, steps: 2, time, half: time, every };
    let cores = Cores::shared();
    let loading = try_join_all(Lesson::ALL.map(async |lesson| {
        let told = RefCell::new(Vec::new());
        let tell = |messages| told.borrow_mut().push(messages);
        let capacity = capacity::capacity(lesson.into(), plan, &cores, tell).await?;
        anyhow::Ok((lesson, capacity, told.into_inner()))
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let loaded = tokio::task::LocalSet::new().block_on(&runtime, loading)?;
    for (lesson, capacity, told) in loaded {
        ensure!(told[0] == 60.0 && told.len() == capacity.steps.len() + 1, "{told:?}");
        let dues = capacity.steps.iter().zip(&told);
        ensure!(dues.clone().all(|(step, told)| step.due == *told), "{told:?}");
        let most = capacity.most().context("no step")?.came;
        ensure!(told.last() == Some(&(most / 2.0)), "{told:?}, {most}");
        for step in capacity.steps.iter().chain([&capacity.half]) {
            ensure!(step.came > 0.0 && step.p95 > 0.0, "{lesson}: {step:?}");
            if cfg!(target_os = "linux") {
                let shares = [step.server, step.clients].map(Option::unwrap_or_default);
                ensure!(shares.iter().all(|share| *share > 0.0), "{lesson}: {step:?}");
            }
        }
    }
    Ok(())
}

/// Whose core was full first.
fn capacities() -> Result<()> {
    let step = |came: f64, server: f64, clients: f64| Step {
        came,
        server: Some(server),
        clients: Some(clients),
        ..Step::default()
    };
    let of = |steps: &[Step]| Capacity {
        clients: 200,
        steps: steps.to_vec(),
        ..Capacity::default()
    };
    let half = step(4000.0, 0.5, 0.4);
    ensure!(!of(&[half]).is_reached() && !of(&[]).is_reached());
    ensure!(!of(&[half, step(7900.0, 0.9, 0.8)]).is_reached());
    let server = of(&[half, step(7000.0, 0.99, 0.96)]);
    ensure!(server.is_reached() && server.limit() == Limit::Server);
    let clients = of(&[half, step(7000.0, 0.9, 0.96)]);
    ensure!(clients.is_reached() && clients.limit() == Limit::Clients);
    let once = [half, step(4100.0, 0.6, 0.5)];
    ensure!(!of(&once).is_reached(), "it may have been disturbed");
    let stalled = of(&[once[0], once[1], step(4300.0, 0.6, 0.5)]);
    ensure!(stalled.is_reached() && stalled.limit() == Limit::Neither);
    let fewer = of(&[step(7000.0, 0.9, 0.5), step(6543.2, 1.0, 0.5)]);
    ensure!(fewer.most().map(|step| step.came) == Some(7000.0));
    let servers = [("02-sse", server), ("03-websocket", clients), ("peer", stalled)];
    let capacity = servers.map(|(name, capacity)| (name.to_owned(), capacity)).into();
    let report = network::Report { capacity, ..network::Report::default() };
    let text = report.tables(Language::English);
    for said in [" 7,000 |", "35.0", "99%", "the server", "the clients", "no full core"]
    {
        ensure!(text.contains(said), "{said}: {text}");
    }
    Ok(())
}

/// What was received adds up, on every transport, through one cut: some changes of a state,
/// and of the events of a journal each, once and in order.
fn tiny_gap() -> Result<()> {
    let plan = Plan {
        clients: 3,
        changes: 30,
        every: Duration::from_millis(100),
        period: Duration::from_secs(2),
        offline: Duration::from_millis(500),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // What is built takes a while, and a lesson is built beside the others.
    let (resuming, missing) = Case::resuming(&[Lesson::Polling, Lesson::WebSocket])?;
    ensure!(missing.is_empty(), "{missing:?}");
    let [_websocket] = &resuming[..] else {
        anyhow::bail!("polling has no events to resume")
    };
    let lessons = Lesson::ALL.map(|lesson| Case::from(Subject::from(lesson)));
    let mut report = network::Report::default();
    for case in lessons.into_iter().chain(resuming) {
        let (name, events) = (case.name.clone(), case.name.ends_with("resume"));
        let gap = runtime.block_on(case.gap(plan))?;
        let whole = gap.received.len() == 3 && gap.clients == 3 && gap.changes == 30;
        ensure!(whole && gap.cuts == 1, "{name}: {gap:?}");
        ensure!(gap.last == 3 && gap.out_of_order == 0, "{name}: {gap:?}");
        let expected = if events { 30..=30 } else { 1..=30 };
        ensure!(gap.received.iter().all(|it| expected.contains(it)), "{name}: {gap:?}");
        ensure!(!events || gap.repeated == 0, "{name}: {gap:?}");
        let received: u64 = gap.received.iter().sum();
        ensure!((gap.share() * 90.0).round() as u64 == received, "{name}: {gap:?}");
        let Recovery { p50, p95, max } = gap.recovery;
        ensure!(0.0 < p50 && p50 <= p95 && p95 <= max, "{name}: {gap:?}");
        ensure!(gap.recoveries.len() == 3, "{name}: {gap:?}");
        report.gaps.insert(name, gap);
    }
    let table = report.tables(Language::English);
    for row in ["| **03-websocket** ", "| **03-websocket** + `resume` "] {
        ensure!(table.contains(row), "{table}");
    }
    ensure!(!table.contains("out of order"), "{table}");
    report.gaps.values_mut().for_each(|gap| gap.out_of_order = 1);
    let table = report.tables(Language::English);
    ensure!(table.matches(", out of order").count() == 5, "{table}");
    Ok(())
}

/// Where two transports cost the same, between the rates that were measured.
fn crossings() -> Result<()> {
    let paid = |costs: [f64; 3]| {
        let paid = [0.0, 1.0, 20.0].into_iter().zip(costs);
        paid.map(|(rate, bytes)| Paid { rate, bytes, cpu: None }).collect::<Vec<_>>()
    };
    let (polling, push) = (paid([100.0, 110.0, 110.0]), paid([1.0, 10.0, 200.0]));
    let meets = crossing(&polling, &push, |paid| Some(paid.bytes)).context("none")?;
    ensure!((meets - 11.0).abs() < 0.001, "{meets}");
    ensure!(crossing(&polling, &push, |paid| paid.cpu).is_none());
    let cheap = paid([1.0, 2.0, 3.0]);
    ensure!(crossing(&polling, &cheap, |paid| Some(paid.bytes)).is_none());
    Ok(())
}

/// A crowd comes back, every client of it.
fn tiny_storm() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for lesson in Lesson::ALL {
        let storm = runtime.block_on(storm(lesson.into(), 10, Chance::Random))?;
        ensure!(storm.never == 0 && storm.clients == 10, "{lesson}: {storm:?}");
        let times = [storm.half, storm.most, storm.all].map(Option::unwrap_or_default);
        ensure!(times[0] > 0.0 && times.is_sorted(), "{lesson}: {storm:?}");
        ensure!((1..=storm.attempts).contains(&storm.peak), "{lesson}: {storm:?}");
        ensure!(storm.attempts >= 10, "{lesson}: {storm:?}");
    }
    Ok(())
}

/// Both versions of HTTP, and what must be so whatever the machine does.
fn tiny_http2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    let output = compare(&["--http2", "--json"]).arg(&file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: network::Report = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let [one, two] = &report.http[..] else { anyhow::bail!("{report:?}") };
    ensure!(one.version == "1.1" && two.version == "2", "{report:?}");
    for http in [one, two] {
        ensure!(http.changed > http.unchanged && http.event > 0.0, "{http:?}");
        ensure!(http.idle_polling == 60.0 * http.unchanged, "{http:?}");
        ensure!(http.idle_stream > 0.0 && http.tabs == 9, "{http:?}");
    }
    // Many streams share a connection (RFC 9113, section 5), and headers that were said
    // before are not said again (RFC 7541).
    ensure!(one.connections == 9 && two.connections == 1, "{report:?}");
    ensure!(two.unchanged < one.unchanged, "{report:?}");
    Ok(())
}

/// The round trips of each way, in the terminal and in a file.
fn tiny_network() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    let output = compare(&["--network", "--json"]).arg(&file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: network::Report = serde_json::from_str(&fs::read_to_string(&file)?)?;
    ensure!(report.trips.len() == 5 && report.gaps.is_empty(), "{report:?}");
    for trips in &report.trips {
        ensure!(trips.first >= 1 && trips.click >= 1, "{trips:?}");
        ensure!(trips.connections >= 1, "{trips:?}");
        ensure!(trips.upgrade.is_some() == (trips.way == network::Way::Upgraded));
    }
    ensure!(String::from_utf8(output.stdout)? == report.tables(Language::English));
    Ok(())
}

/// Links with a distance and a loss, on every transport: their arithmetic, and what a report
/// says of them.
fn tiny_loss() -> Result<()> {
    let plan = loss::Plan {
        clients: 2,
        clickers: 1,
        changes: 30,
        every: Duration::from_millis(100),
        links: vec![(40, 0.0), (60, 0.1)],
    };
    let compare_itself = Path::new(env!("CARGO_BIN_EXE_compare"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for lesson in Lesson::ALL {
        let loss = runtime.block_on(loss(compare_itself, lesson, &plan))?;
        ensure!(loss.cells.len() == plan.links.len(), "{lesson}: {loss:?}");
        for (cell, &(round_trip, share)) in loss.cells.iter().zip(&plan.links) {
            let told = (cell.round_trip, cell.loss, cell.clients, cell.changes);
            ensure!(told == (round_trip, share, 2, 30), "{lesson}: {cell:?}");
            // Every follower has every change in the end, or a later one.
            ensure!(cell.delays.len() == 2 * 30, "{lesson}: {cell:?}");
            let trip = round_trip as f64;
            let far = cell.delays.iter().all(|delay| *delay >= trip / 2.0)
                && cell.clicks.iter().all(|click| *click >= trip);
            ensure!(far && !cell.clicks.is_empty(), "{lesson}: {cell:?}");
            ensure!(cell.passed > 0, "{lesson}: {cell:?}");
            ensure!((cell.dropped > 0) == (share > 0.0), "{lesson}: {cell:?}");
        }
    }

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    let options =
        ["--loss", "--quick", "--lesson", "02-sse", "--clients", "1", "--json"];
    let output = compare(&options).arg(&file).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: network::Report = serde_json::from_str(&fs::read_to_string(&file)?)?;
    ensure!(report.loss.len() == 1 && report.loss["02-sse"].cells.len() == 6);
    let text = report.tables(Language::English);
    // A table for each round trip, with a header, a rule, and a row for each loss.
    let lines = text.lines().filter(|line| line.starts_with('|')).count();
    ensure!(lines == 2 * (2 + 3) && text.matches("**02-sse**").count() == 6, "{text}");
    ensure!(String::from_utf8(output.stdout)? == text);
    Ok(())
}

/// Three crowds of each lesson, and what they cost in every round, with its range.
fn tiny_crowds() -> Result<()> {
    let plan = crowds::Plan {
        most: 50,
        rounds: 2,
        every: Duration::from_millis(20),
        poll: Duration::from_millis(100),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let servers = Lesson::ALL.map(Subject::from);
    let told = RefCell::new(Vec::new());
    let measuring = crowds::crowds(&servers, plan, |now| told.borrow_mut().push(now));
    let crowds = tokio::task::LocalSet::new().block_on(&runtime, measuring)?;
    let told = told.into_inner();
    ensure!(told.len() == plan.runs(4) && told.len() == 24, "{told:?}");
    // The second round is in reverse order.
    ensure!(told[12] == told[11].replace("round 1", "round 2"), "{told:?}");
    ensure!(crowds.len() == 4, "{crowds:?}");
    let known = if cfg!(target_os = "linux") { 2 } else { 0 };
    for (lesson, crowds) in &crowds {
        let clients: Vec<_> = crowds.iter().map(|crowd| crowd.clients).collect();
        ensure!(clients == [1, 10, 50], "{lesson}: {crowds:?}");
        for crowd in crowds {
            let rounds = [crowd.cpu.len(), crowd.memory.len()];
            ensure!(rounds == [known, known], "{lesson}: {crowd:?}");
            ensure!(crowd.cpu.iter().all(|cpu| *cpu > 0.0), "{lesson}: {crowd:?}");
        }
    }
    let report = network::Report { crowds, ..network::Report::default() };
    let text = report.tables(Language::English);
    ensure!(text.matches("| **").count() == 2 * 4, "{text}");
    for (file, curves) in curves(&report.crowds, Language::French) {
        let svg = curves.svg();
        ensure!(svg.matches("<polyline").count() == 4, "{file}: {svg}");
        // One of each lesson at each number of clients.
        let ranges = svg.matches("class=\"whisker\"").count();
        ensure!(ranges == 12 || known == 0, "{file}: {svg}");
    }
    Ok(())
}

/// Every request of an idle client has the same length, and so has every answer: how many
/// bytes pass follows from the interval.
fn polling_agrees_with_arithmetic() -> Result<()> {
    const CLIENTS: usize = 5;
    let (interval, time) = (Duration::from_millis(250), Duration::from_secs(3));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lesson = Lesson::Polling.into();
    let cores = Cores::shared();
    // Slower than the server's patience with an idle connection, which is 5 s.
    let (slow, twice) = (Duration::from_millis(5500), Duration::from_secs(12));
    let slowly = workload::idle(lesson, CLIENTS, slow, twice, &cores);
    // A busy machine has less time, and its answers take longer: this much.
    let server = Server::start(Lesson::Polling)?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let ticks = RefCell::new(Vec::new());
    let ticking = async {
        loop {
            sleep(interval).await;
            let answer = http.get(server.target().url("/counter")).send().await?;
            answer.bytes().await?;
            ticks.borrow_mut().push(Instant::now());
        }
    };
    // What was not disturbed counts, or else the third.
    let measured = async {
        let mut tries = 0;
        loop {
            tries += 1;
            let idle = workload::idle(lesson, CLIENTS, interval, time, &cores).await?;
            let ended = Instant::now();
            let watched = |tick: &&Instant| **tick <= ended && ended - **tick < time;
            let ticks = ticks.borrow().iter().filter(watched).count() as f64;
            if tries == 3 || ticks + 1.0 >= time.div_duration_f64(interval) {
                return Ok((idle, ticks));
            }
        }
    };
    let all = async {
        tokio::select! {
            both = async { tokio::try_join!(measured, slowly) } => both,
            never = ticking => never,
        }
    };
    let ((idle, ticks), slowly) =
        tokio::task::LocalSet::new().block_on(&runtime, all)?;
    ensure!((5.0..=15.0).contains(&slowly.requests), "{slowly:?}");
    // A client asks once more or less, whatever falls into the time that is watched, and once
    // less when its answers take a little longer than those here.
    let requests = 60.0 / interval.as_secs_f64();
    let spread = 60.0 / time.as_secs_f64();
    let fewest = requests.min(spread * (ticks + 1.0)) - 2.0 * spread;
    let expected = fewest..=requests + spread;
    ensure!(expected.contains(&idle.requests), "{idle:?}, {requests}, {ticks} ticks");
    let request = idle.up / idle.requests;
    let one_request = request.fract() == 0.0 && (400.0..700.0).contains(&request);
    ensure!(one_request, "{request} bytes per request");
    let answer = idle.down / idle.requests;
    // One answer of each client may come after the time is over.
    ensure!((150.0..400.0).contains(&answer), "{answer} bytes per answer");
    Ok(())
}

/// What it costs to share the counter: every lesson in every setup, and Redis only where
/// there is one.
fn tiny_scale() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    let output = command
        .args(["scale", "--rounds", "1", "--commands", "50", "--json"])
        .arg(&file)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let samples = report["samples"].as_array().context("no samples")?;
    ensure!(samples.len() == 4 * 4, "{report}");
    for sample in samples {
        let alone = sample["setup"] == "Memory";
        ensure!(sample["redis"].is_null() == (alone || cfg!(not(target_os = "linux"))));
        let of = |name: &str| sample[name].as_f64().unwrap_or_default();
        ensure!(of("commands") > 0.0 && of("delay") > 0.0, "{sample}");
        ensure!(of("delay") <= of("p99"), "{sample}");
    }
    let recovery = report["recoveries"][0].as_object().context("no recovery")?;
    ensure!(recovery.len() == 4 && recovery.values().all(|ms| ms.as_f64() > Some(0.0)));
    let text = String::from_utf8(output.stdout)?;
    // Two tables with a header and a rule each.
    ensure!(
        text.lines().filter(|line| line.starts_with('|')).count() == 18 + 6,
        "{text}"
    );
    // A lesson alone is the measure of itself.
    ensure!(text.matches(" 1.00 |").count() > 2 * 4, "{text}");
    Ok(())
}

#[cfg(target_os = "linux")]
fn too_many_clients() -> Result<()> {
    for options in ["--quick", "--crowds"] {
        let output = compare(&[options, "--clients", "100000000"]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "it found a hundred million descriptors");
        let told = errors.lines().filter(|line| line.contains("ulimit -Hn")).count();
        ensure!(told == 1 && errors.contains("descriptors"), "{options}: {errors}");
    }
    Ok(())
}

fn bad_options() -> Result<()> {
    for bad in [["--clients", "0"], ["--rounds", "0"], ["--poll-every", "no"]] {
        let output = compare(&bad).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && errors.contains(bad[0]), "{errors}");
    }
    Ok(())
}

fn figures() -> Result<()> {
    ensure!(Figure::new(Vec::new()).is_none());
    let odd = Figure { median: 2.0, min: 1.0, max: 9.0 };
    ensure!(Figure::new(vec![9.0, 1.0, 2.0]) == Some(odd));
    let even = Figure { median: 1.5, min: 1.0, max: 2.0 };
    ensure!(Figure::new(vec![2.0, 1.0]) == Some(even));
    ensure!(Language::English.number(1234.4) == "1,234");
    ensure!(Language::French.number(1234.4) == "1\u{a0}234");
    ensure!(Language::French.number(1.234) == "1,23");
    ensure!(Language::French.number(12.34) == "12,3");
    Ok(())
}
