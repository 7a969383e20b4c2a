//! What it costs to share the counter: each lesson alone and with Redis, in alternating
//! order, and how long it takes to recover.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures_util::future::{select, try_join, try_join_all};
use hdrhistogram::Histogram;
use tokio::time::sleep;

use crate::{
    Client, Cluster, Lesson, Place, Redis, Running, Server, Subject,
    client::limited,
    connect,
    language::Language,
    process::cpu_time,
    raw::{self, COMMAND, Raw},
    report::{
        chapter::{write_between, write_json},
        figure::Machine,
        scaling::{
            ALONE, CHANGES, CONNECTIONS, FOLLOWERS, Recovery, Scaling, Setup, Shared,
        },
    },
};

/// The time between two changes that followers see.
const EVERY: Duration = Duration::from_millis(20);

/// How long Redis stays away: by then the pauses between two attempts are at their longest.
const AWAY: Duration = Duration::from_secs(4);

/// What is measured, and how often.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How often each is measured; every other time in reverse order
    #[arg(long, default_value = "5")]
    rounds: std::num::NonZeroUsize,
    /// How many commands each of 20 connections sends at once
    #[arg(long, default_value = "500")]
    commands: std::num::NonZeroUsize,
    /// Writes all samples to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the tables into the book's chapter
    #[arg(long)]
    book: bool,
}

/// Measures, prints the tables, and writes what was asked for.
///
/// # Errors
/// When Redis or nginx is not installed, or a server does not do what it must.
pub async fn run(options: Options) -> Result<()> {
    if let Some(lacks) = Place::Proxied.lacks() {
        bail!(lacks);
    }
    Lesson::build(&Lesson::ALL)?;
    let rounds = options.rounds.get();
    let mut report = Scaling {
        date: time::OffsetDateTime::now_utc().date().to_string(),
        machine: Machine::this(),
        redis: Redis::version()?,
        commands: options.commands.get(),
        rounds,
        samples: Vec::new(),
        recoveries: Vec::new(),
    };
    let all: Vec<_> = Lesson::ALL
        .into_iter()
        .flat_map(|lesson| Setup::ALL.map(|setup| (lesson, setup)))
        .collect();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        let mut order = all.clone();
        if round % 2 == 0 {
            order.reverse();
        }
        for (lesson, setup) in order {
            let sample = measure(lesson, setup, report.commands).await;
            let name = setup.name(Language::English);
            report.samples.push(sample.with_context(|| format!("{lesson}, {name}"))?);
        }
        report.recoveries.push(recovery(Lesson::Sse).await.context("recovery")?);
    }
    print!("{}", report.tables(Language::English));
    if let Some(path) = &options.json {
        write_json(&report, path)?;
    }
    if options.book {
        write_between("scaling", "scale", |language| report.tables(language))?;
    }
    Ok(())
}

/// A lesson as a setup runs it, and the Redis that holds its counter, if any.
fn start(lesson: Lesson, setup: Setup) -> Result<(Running, Option<Redis>)> {
    let place = match setup {
        Setup::Redis => {
            let redis = Redis::start()?;
            return Ok((Running::Alone(redis.instance(lesson)?), Some(redis)));
        }
        Setup::Memory => Place::Alone,
        Setup::Two => Place::Shared,
        Setup::Nginx => Place::Proxied,
    };
    Ok((Running::start(Subject::placed(lesson, place))?, None))
}

async fn measure(lesson: Lesson, setup: Setup, each: usize) -> Result<Shared> {
    let (running, one) = start(lesson, setup)?;
    let redis = one.as_ref().or(running.redis());
    let (delay, p99) = delay(&running).await?;
    let cpu = || {
        let of = |pid: u32| cpu_time(pid).map(|time| time.as_secs_f64() * 1e6);
        let instances: Option<f64> =
            running.instances().iter().map(|it| of(it.pid())).sum();
        (instances, redis.and_then(|redis| of(redis.pid())))
    };
    let per = |after: Option<f64>, before: Option<f64>, count: f64| {
        Some((after? - before?) / count)
    };
    let idle = cpu();
    let took = commands(&running, each).await?;
    let busy = cpu();
    let all = (CONNECTIONS * each) as f64;
    let (mut delivery, mut redis_delivery) = (None, None);
    if lesson != Lesson::Polling {
        let before = deliver(&running, cpu).await?;
        let after = cpu();
        let deliveries = FOLLOWERS as f64 * CHANGES as f64;
        delivery = per(after.0, before.0, deliveries);
        redis_delivery = per(after.1, before.1, deliveries);
    }
    Ok(Shared {
        lesson: lesson.to_string(),
        setup,
        commands: all / took.as_secs_f64(),
        cpu: per(busy.0, idle.0, all),
        redis: per(busy.1, idle.1, all),
        delivery,
        redis_delivery,
        delay,
        p99,
    })
}

/// Sends commands one by one: median and p99 of how long each took, in ms.
async fn delay(running: &Running) -> Result<(f64, f64)> {
    let mut sender = connect(running.target()).await?;
    let mut follower = connect(running.target()).await?;
    let mut delays = Histogram::<u64>::new(3)?;
    for version in 1..=ALONE {
        let started = Instant::now();
        sender.send("increment").await?;
        if running.target().lesson != Lesson::Polling {
            until(&mut *follower, version).await?;
        }
        delays.record(started.elapsed().as_nanos().try_into()?)?;
    }
    let ms = |quantile| delays.value_at_quantile(quantile) as f64 / 1e6;
    Ok((ms(0.5), ms(0.99)))
}

async fn until(client: &mut dyn Client, version: u64) -> Result<()> {
    while client.next().await?.version < version {}
    Ok(())
}

/// Sends many commands over many connections: how long it takes until all are answered.
async fn commands(running: &Running, each: usize) -> Result<Duration> {
    let lesson = running.target().lesson;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let target = running.target();
        let raw = Raw::commander(target).await?;
        connections.push((raw, raw::command(target, COMMAND).repeat(each), target));
    }
    let started = Instant::now();
    try_join_all(connections.iter_mut().map(async |(raw, bytes, target)| {
        let (answer, answers): (&[u8], _) = match lesson {
            Lesson::Polling | Lesson::Sse => (b"HTTP/1.1 200", each),
            Lesson::SocketIo => (b"430[{\"value", each),
            // It answers nothing to a command; who is refused what is none knows that all
            // before it have been applied.
            Lesson::WebSocket => {
                bytes.extend(raw::command(*target, "{}"));
                (b"{\"error\"", 1)
            }
        };
        let (_, closed) = raw.exchange(bytes, answer, answers).await?;
        ensure!(!closed, "the connection was closed");
        Ok(())
    }))
    .await?;
    let took = started.elapsed();
    let all = ALONE + (CONNECTIONS * each) as u64;
    let mut witness = connect(running.target()).await?;
    until(&mut *witness, all).await?;
    Ok(took)
}

/// Has many clients see a few changes. Returns the CPU that was used until they were all
/// connected.
async fn deliver<T>(running: &Running, cpu: impl Fn() -> T) -> Result<T> {
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        let mut follower = connect(running.target()).await?;
        follower.next().await?;
        followers.push(follower);
    }
    let mut sender = connect(running.target()).await?;
    let last = sender.next().await?.version + CHANGES;
    let before = cpu();
    let sending = async {
        for _ in 0..CHANGES {
            sender.send("increment").await?;
            sleep(EVERY).await;
        }
        Ok(())
    };
    let following = try_join_all(followers.iter_mut().map(|it| until(&mut **it, last)));
    try_join(sending, following).await?;
    Ok(before)
}

async fn recovery(lesson: Lesson) -> Result<Recovery> {
    let ms = |started: Instant| started.elapsed().as_secs_f64() * 1000.0;

    let mut server = Server::start(lesson)?;
    let target = server.target();
    connect(target).await?.next().await?;
    server.kill()?;
    let started = Instant::now();
    let _server = Server::start_again(lesson, target.address)?;
    connect(target).await?.next().await?;
    let restart = ms(started);

    let mut cluster = Cluster::start(lesson, 2)?.with_nginx()?;
    let entrance = cluster.target();
    // One for each instance: they take turns.
    let mut clients = try_join_all([entrance, entrance].map(connect)).await?;
    for client in &mut clients {
        client.next().await?;
    }
    let [one, two] = &mut clients[..] else { bail!("two were connected") };
    let started = Instant::now();
    cluster.instances[0].kill()?;
    select(one.farewell(), two.farewell()).await;
    connect(entrance).await?.next().await?;
    let instance = ms(started);

    let mut client = connect(cluster.instances[1].target()).await?;
    client.next().await?;
    let started = Instant::now();
    cluster.redis.kill();
    while !client.next().await?.stale {}
    let notice = ms(started);
    sleep(AWAY).await;
    cluster.redis.start_again()?;
    let started = Instant::now();
    let back = async {
        while client.next().await?.stale {}
        Ok::<_, anyhow::Error>(())
    };
    limited("fresh state", back).await??;
    Ok(Recovery { restart, instance, notice, redis: ms(started) })
}
