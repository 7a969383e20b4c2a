//! What it costs to share the counter: each lesson alone and with Redis, in alternating
//! order, and how long it takes to recover.

use std::{
    fmt::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures_util::future::{select, try_join, try_join_all};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    book::{self, Language},
    cores::cpu_time,
    report::{Figure, Machine},
};
use crate::{
    Client, Cluster, Lesson, Place, Redis, Server, Subject,
    client::limited,
    connect,
    raw::{self, COMMAND, Raw, frame},
};

/// Connections that send commands at the same time, and how many each sends without waiting
/// for their answers.
const CONNECTIONS: usize = 20;
const COMMANDS: usize = 500;

/// Commands that are sent one after the other, to see how long each takes.
const ALONE: u64 = 300;

/// Clients that follow the counter, how many changes they see, and the time between two.
const FOLLOWERS: usize = 100;
const CHANGES: u64 = 50;
const EVERY: Duration = Duration::from_millis(20);

/// How long Redis stays away: by then the pauses between two attempts are at their longest.
const AWAY: Duration = Duration::from_secs(4);

/// What is measured, and how often.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// How often each is measured; every other time in reverse order
    #[arg(long, default_value = "5")]
    rounds: std::num::NonZeroUsize,
    /// Writes all samples to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the tables into the book's chapter
    #[arg(long)]
    book: bool,
}

/// Where the counter is, and how many instances there are of the lesson.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
enum Setup {
    /// One instance that holds it.
    Memory,
    /// One instance and Redis.
    Redis,
    /// Two instances and Redis.
    Two,
    /// The same behind nginx.
    Nginx,
}

impl Setup {
    const ALL: [Self; 4] = [Self::Memory, Self::Redis, Self::Two, Self::Nginx];

    fn name(self, language: Language) -> &'static str {
        match self {
            Self::Memory => language.say("alone", "seule"),
            Self::Redis => language.say("one instance, Redis", "une instance, Redis"),
            Self::Two => language.say("two instances, Redis", "deux instances, Redis"),
            Self::Nginx => language
                .say("two instances, Redis, nginx", "deux instances, Redis, nginx"),
        }
    }
}

/// One lesson in one setup, once.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Sample {
    lesson: String,
    setup: Setup,
    /// Commands per second, all connections together.
    commands: f64,
    /// CPU of all instances per command, in µs.
    cpu: Option<f64>,
    /// CPU of Redis per command, in µs.
    redis: Option<f64>,
    /// CPU of all instances per delivery, in µs; polling delivers nothing by itself.
    delivery: Option<f64>,
    /// CPU of Redis per delivery, in µs.
    redis_delivery: Option<f64>,
    /// From a command, sent when nothing else happens, to the state that it made in a client
    /// of the other instance; for polling, to its answer. Median and p99, in ms.
    delay: f64,
    p99: f64,
}

/// How long it took until all was well again, in ms.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Recovery {
    /// A lesson that is alone, from its end to a client that has its first snapshot again.
    restart: f64,
    /// From the end of an instance to its client that has a snapshot of the other.
    instance: f64,
    /// From the end of Redis to a client that is told.
    notice: f64,
    /// From a Redis that listens again to a client that has its state.
    redis: f64,
}

/// All that was measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Report {
    date: String,
    machine: Machine,
    redis: String,
    rounds: usize,
    samples: Vec<Sample>,
    recoveries: Vec<Recovery>,
}

/// Measures, prints the tables, and writes what was asked for.
///
/// # Errors
/// When Redis or nginx is not installed, or a server does not do what it must.
pub async fn run(options: Options) -> Result<()> {
    if let Some(lacks) = Place::Proxied.lacks() {
        bail!(lacks);
    }
    let rounds = options.rounds.get();
    let mut report = Report {
        date: time::OffsetDateTime::now_utc().date().to_string(),
        machine: Machine::this(),
        redis: Redis::version()?,
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
            let sample = measure(lesson, setup).await;
            let name = setup.name(Language::English);
            report.samples.push(sample.with_context(|| format!("{lesson}, {name}"))?);
        }
        report.recoveries.push(recovery(Lesson::Sse).await.context("recovery")?);
    }
    print!("{}", report.tables(Language::English));
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, json + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if options.book {
        book::write_between("scaling", "scale", |language| report.tables(language))?;
    }
    Ok(())
}

async fn measure(lesson: Lesson, setup: Setup) -> Result<Sample> {
    let subject = |place| Subject { place, ..lesson.into() };
    let one = if setup == Setup::Redis { Some(Redis::start()?) } else { None };
    let server = match (&one, setup) {
        (Some(redis), _) => redis.instance(lesson)?,
        (None, Setup::Two) => Server::start(subject(Place::Shared))?,
        (None, Setup::Nginx) => Server::start(subject(Place::Proxied))?,
        (None, _) => Server::start(lesson)?,
    };
    let redis = one.as_ref().or(server.redis());
    let (delay, p99) = delay(&server).await?;
    let cpu = || {
        let of = |pid: u32| cpu_time(pid).map(|time| time.as_secs_f64() * 1e6);
        let instances: Option<f64> = server.pids().into_iter().map(of).sum();
        (instances, redis.and_then(|redis| of(redis.pid())))
    };
    let each = |after: Option<f64>, before: Option<f64>, count: f64| {
        Some((after? - before?) / count)
    };
    let idle = cpu();
    let took = commands(&server).await?;
    let busy = cpu();
    let all = (CONNECTIONS * COMMANDS) as f64;
    let (mut delivery, mut redis_delivery) = (None, None);
    if lesson != Lesson::Polling {
        let before = deliver(&server, cpu).await?;
        let after = cpu();
        let deliveries = FOLLOWERS as f64 * CHANGES as f64;
        delivery = each(after.0, before.0, deliveries);
        redis_delivery = each(after.1, before.1, deliveries);
    }
    Ok(Sample {
        lesson: lesson.to_string(),
        setup,
        commands: all / took.as_secs_f64(),
        cpu: each(busy.0, idle.0, all),
        redis: each(busy.1, idle.1, all),
        delivery,
        redis_delivery,
        delay,
        p99,
    })
}

/// Sends commands one by one: median and p99 of how long each took, in ms.
async fn delay(server: &Server) -> Result<(f64, f64)> {
    let mut sender = connect(server).await?;
    let mut follower = connect(server).await?;
    let mut delays = Histogram::<u64>::new(3)?;
    for version in 1..=ALONE {
        let started = Instant::now();
        sender.send("increment").await?;
        if server.lesson != Lesson::Polling {
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
async fn commands(server: &Server) -> Result<Duration> {
    let lesson = server.lesson;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let instance = server.next_instance();
        let mut raw = Raw::roomy(instance).await?;
        if matches!(lesson, Lesson::WebSocket | Lesson::SocketIo) {
            raw = raw.follow(instance).await?;
            let joined: &[u8] =
                if lesson == Lesson::SocketIo { b"40{" } else { b"{\"" };
            raw.read_until(joined).await?;
        }
        connections
            .push((raw, raw::request(instance, "POST", "/counter", "", COMMAND)));
    }
    let started = Instant::now();
    try_join_all(connections.iter_mut().map(async |(raw, post)| {
        let event = format!(r#"420["command",{COMMAND}]"#);
        let (bytes, answer, answers): (_, &[u8], _) = match lesson {
            Lesson::Polling | Lesson::Sse => {
                (post.repeat(COMMANDS).into_bytes(), b"HTTP/1.1 200", COMMANDS)
            }
            Lesson::SocketIo => (
                frame(0x81, event.as_bytes()).repeat(COMMANDS),
                b"430[{\"value",
                COMMANDS,
            ),
            // It answers nothing to a command; who is refused what is none knows that all
            // before it have been applied.
            Lesson::WebSocket => {
                let all = frame(0x81, COMMAND.as_bytes()).repeat(COMMANDS);
                ([all, frame(0x81, b"{}")].concat(), b"{\"error\"", 1)
            }
        };
        let (_, closed) = raw.exchange(&bytes, answer, answers).await?;
        ensure!(!closed, "the connection was closed");
        Ok(())
    }))
    .await?;
    let took = started.elapsed();
    let all = ALONE + (CONNECTIONS * COMMANDS) as u64;
    let mut witness = connect(server).await?;
    until(&mut *witness, all).await?;
    Ok(took)
}

/// Has many clients see a few changes. Returns the CPU that was used until they were all
/// connected.
async fn deliver<T>(server: &Server, cpu: impl Fn() -> T) -> Result<T> {
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        let mut follower = connect(server).await?;
        follower.next().await?;
        followers.push(follower);
    }
    let mut sender = connect(server).await?;
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
    let address = server.address;
    connect(&server).await?.next().await?;
    server.kill()?;
    let started = Instant::now();
    let server = Server::start_again(lesson, address)?;
    connect(&server).await?.next().await?;
    let restart = ms(started);

    let mut cluster = Cluster::start(lesson, 2)?.with_nginx()?;
    let mut entrance = Server::start(lesson)?;
    entrance.address = cluster.nginx.as_ref().context("no nginx")?.address;
    // One for each instance: they take turns.
    let mut clients = try_join_all([&entrance, &entrance].map(connect)).await?;
    for client in &mut clients {
        client.next().await?;
    }
    let [one, two] = &mut clients[..] else { bail!("two were connected") };
    let started = Instant::now();
    cluster.instances[0].kill()?;
    select(one.farewell(), two.farewell()).await;
    connect(&entrance).await?.next().await?;
    let instance = ms(started);

    let mut client = connect(&cluster.instances[1]).await?;
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

impl Report {
    fn tables(&self, language: Language) -> String {
        let say = |en, fr| language.say(en, fr);
        let Self { date, machine, redis, rounds, .. } = self;
        let machine = machine.line(language);
        let mut text = match language {
            Language::English => format!(
                "`just scale`, {date}. {machine}; {redis}. {CONNECTIONS} connections with \
                 {COMMANDS} commands each; {ALONE} commands one by one; {CHANGES} changes for \
                 {FOLLOWERS} clients. Medians of {rounds} rounds, with the smallest and the largest. All processes share the \
                 cores, the measuring one too.\n"
            ),
            Language::French => format!(
                "`just scale`, {date}. {machine} ; {redis}. {CONNECTIONS} connexions de \
                 {COMMANDS} commandes chacune ; {ALONE} commandes une à une ; {CHANGES} \
                 changements pour {FOLLOWERS} clients. Médianes de {rounds} tours, avec le plus petit et le plus grand. Tous les processus \
                 partagent les cœurs, celui qui mesure aussi.\n"
            ),
        };
        let header = [
            "",
            say("commands per second", "commandes par seconde"),
            say("× alone", "× seule"),
            say("instances, µs per command", "instances, µs par commande"),
            say("Redis, µs per command", "Redis, µs par commande"),
            say("delay, ms", "délai, ms"),
            say("× alone", "× seule"),
            say("instances, µs per delivery", "instances, µs par livraison"),
            say("Redis, µs per delivery", "Redis, µs par livraison"),
        ];
        let mut rows = Vec::new();
        for lesson in Lesson::ALL {
            for setup in Setup::ALL {
                let of = |setup| {
                    let own = move |sample: &&Sample| {
                        sample.setup == setup && sample.lesson == lesson.name()
                    };
                    self.samples.iter().filter(own)
                };
                let figure = |value: fn(&Sample) -> Option<f64>| {
                    Figure::new(of(setup).filter_map(value).collect())
                };
                let ratio = |value: fn(&Sample) -> f64| {
                    // Both in the order of the rounds.
                    let pairs = of(setup).zip(of(Setup::Memory));
                    Figure::new(
                        pairs.map(|(own, alone)| value(own) / value(alone)).collect(),
                    )
                };
                let median = |figure: Option<Figure>| {
                    figure.map_or("–".to_owned(), |f| language.number(f.median))
                };
                let name = match setup {
                    Setup::Memory => format!("**{lesson}**"),
                    setup => setup.name(language).to_owned(),
                };
                rows.push(vec![
                    name,
                    figure(|s| Some(s.commands))
                        .map_or(String::new(), |f| language.thousands(f.median)),
                    language.figure(ratio(|s| s.commands)),
                    median(figure(|s| s.cpu)),
                    median(figure(|s| s.redis)),
                    median(figure(|s| Some(s.delay))),
                    language.figure(ratio(|s| s.delay)),
                    median(figure(|s| s.delivery)),
                    median(figure(|s| s.redis_delivery)),
                ]);
            }
        }
        text.push('\n');
        book::table(&mut text, &header, rows);
        let figure = |value: fn(&Recovery) -> f64| {
            Figure::new(self.recoveries.iter().map(value).collect())
        };
        let ratio = |value: fn(&Recovery) -> f64| {
            let ratios = self.recoveries.iter().map(|r| value(r) / r.restart);
            language.figure(Figure::new(ratios.collect()))
        };
        let row = |name: &str, value: fn(&Recovery) -> f64| {
            vec![name.to_owned(), language.figure(figure(value)), ratio(value)]
        };
        let rows = vec![
            row(
                say(
                    "a lesson alone, killed and started again: until a client has its state",
                    "une leçon seule, tuée puis relancée : jusqu’à l’état chez un client",
                ),
                |r| r.restart,
            ),
            row(
                say(
                    "one of two instances killed: until its client has the other’s state",
                    "une instance sur deux tuée : jusqu’à l’état de l’autre chez son client",
                ),
                |r| r.instance,
            ),
            row(
                say(
                    "Redis killed: until a client is told",
                    "Redis tué : jusqu’à ce qu’un client le sache",
                ),
                |r| r.notice,
            ),
            row(
                say(
                    "Redis listens again: until a client has its state",
                    "Redis écoute de nouveau : jusqu’à son état chez un client",
                ),
                |r| r.redis,
            ),
        ];
        let _ = writeln!(text);
        let header = [
            say("recovery, 02-sse", "rétablissement, 02-sse"),
            "ms",
            say("× restart alone", "× relance seule"),
        ];
        book::table(&mut text, &header, rows);
        text
    }
}
