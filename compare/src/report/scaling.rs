//! What it costs to share the counter, as data and as tables.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::{
    chapter::table,
    figure::{Figure, Machine},
};
use crate::{Lesson, language::Language};

/// Connections that send commands at the same time.
pub const CONNECTIONS: usize = 20;

/// Commands that are sent one after the other, to see how long each takes.
pub const ALONE: u64 = 300;

/// Clients that follow the counter.
pub const FOLLOWERS: usize = 100;

/// How many changes they see.
pub const CHANGES: u64 = 50;

/// Where the counter is, and how many instances there are of the lesson.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Setup {
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
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Redis, Self::Two, Self::Nginx];

    /// What the tables call it.
    #[must_use]
    pub fn name(self, language: Language) -> &'static str {
        match self {
            Self::Memory => language.say("seule", "alone"),
            Self::Redis => language.say("une instance, Redis", "one instance, Redis"),
            Self::Two => language.say("deux instances, Redis", "two instances, Redis"),
            Self::Nginx => language
                .say("deux instances, Redis, nginx", "two instances, Redis, nginx"),
        }
    }
}

/// One lesson in one setup, once.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Shared {
    /// The lesson's name.
    pub lesson: String,
    /// How it was run.
    pub setup: Setup,
    /// Commands per second, all connections together.
    pub commands: f64,
    /// CPU of all instances per command, in µs.
    pub cpu: Option<f64>,
    /// CPU of Redis per command, in µs.
    pub redis: Option<f64>,
    /// CPU of all instances per delivery, in µs; polling delivers nothing by itself.
    pub delivery: Option<f64>,
    /// CPU of Redis per delivery, in µs.
    pub redis_delivery: Option<f64>,
    /// From a command, sent when nothing else happens, to the state that it made in a client
    /// of the other instance; for polling, to its answer. The median, in ms.
    pub delay: f64,
    /// The 99th percentile of the same.
    pub p99: f64,
}

/// How long it took until all was well again, in ms.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Recovery {
    /// A lesson that is alone, from its end to a client that has its first snapshot again.
    pub restart: f64,
    /// From the end of an instance to its client that has a snapshot of the other.
    pub instance: f64,
    /// From the end of Redis to a client that is told.
    pub notice: f64,
    /// From a Redis that listens again to a client that has its state.
    pub redis: f64,
}

/// All that was measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Scaling {
    /// The day, in UTC, as ISO 8601 writes it.
    pub date: String,
    /// Where it was measured.
    pub machine: Machine,
    /// Which Redis it was.
    pub redis: String,
    /// How many commands each connection sent without waiting for their answers.
    pub commands: usize,
    /// How often each was measured.
    pub rounds: usize,
    /// Each lesson in each setup, once for each round.
    pub samples: Vec<Shared>,
    /// One for each round.
    pub recoveries: Vec<Recovery>,
}

impl Scaling {
    /// The tables, as Markdown that a terminal shows well too.
    #[must_use]
    pub fn tables(&self, language: Language) -> String {
        let say = |fr, en| language.say(fr, en);
        let Self { date, machine, redis, commands, rounds, .. } = self;
        let machine = machine.line(language);
        let mut text = match language {
            Language::French => format!(
                "`just scale`, {date}. {machine} ; {redis}. {CONNECTIONS} connexions de \
                 {commands} commandes chacune ; {ALONE} commandes une à une ; {CHANGES} \
                 changements pour {FOLLOWERS} clients. Médianes de {rounds} tours, avec le plus petit et le plus grand. Tous les processus \
                 partagent les cœurs, celui qui mesure aussi.\n"
            ),
            Language::English => format!(
                "`just scale`, {date}. {machine}; {redis}. {CONNECTIONS} connections with \
                 {commands} commands each; {ALONE} commands one by one; {CHANGES} changes for \
                 {FOLLOWERS} clients. Medians of {rounds} rounds, with the smallest and the largest. All processes share the \
                 cores, the measuring one too.\n"
            ),
        };
        let header = [
            "",
            say("commandes par seconde", "commands per second"),
            say("× seule", "× alone"),
            say("instances, µs par commande", "instances, µs per command"),
            say("Redis, µs par commande", "Redis, µs per command"),
            say("délai, ms", "delay, ms"),
            say("× seule", "× alone"),
            say("instances, µs par livraison", "instances, µs per delivery"),
            say("Redis, µs par livraison", "Redis, µs per delivery"),
        ];
        let mut rows = Vec::new();
        for lesson in Lesson::ALL {
            for setup in Setup::ALL {
                let of = |setup| {
                    let own = move |sample: &&Shared| {
                        sample.setup == setup && sample.lesson == lesson.name()
                    };
                    self.samples.iter().filter(own)
                };
                let figure = |value: fn(&Shared) -> Option<f64>| {
                    Figure::new(of(setup).filter_map(value).collect())
                };
                let ratio = |value: fn(&Shared) -> f64| {
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
                    Figure::text(ratio(|s| s.commands), language),
                    median(figure(|s| s.cpu)),
                    median(figure(|s| s.redis)),
                    median(figure(|s| Some(s.delay))),
                    Figure::text(ratio(|s| s.delay), language),
                    median(figure(|s| s.delivery)),
                    median(figure(|s| s.redis_delivery)),
                ]);
            }
        }
        text.push('\n');
        table(&mut text, &header, rows);
        let figure = |value: fn(&Recovery) -> f64| {
            Figure::new(self.recoveries.iter().map(value).collect())
        };
        let ratio = |value: fn(&Recovery) -> f64| {
            let ratios = self.recoveries.iter().map(|r| value(r) / r.restart);
            Figure::text(Figure::new(ratios.collect()), language)
        };
        let row = |name: &str, value: fn(&Recovery) -> f64| {
            vec![name.to_owned(), Figure::text(figure(value), language), ratio(value)]
        };
        let rows = vec![
            row(
                say(
                    "une leçon seule, tuée puis relancée : jusqu’à l’état chez un client",
                    "a lesson alone, killed and started again: until a client has its state",
                ),
                |r| r.restart,
            ),
            row(
                say(
                    "une instance sur deux tuée : jusqu’à l’état de l’autre chez son client",
                    "one of two instances killed: until its client has the other’s state",
                ),
                |r| r.instance,
            ),
            row(
                say(
                    "Redis tué : jusqu’à ce qu’un client le sache",
                    "Redis killed: until a client is told",
                ),
                |r| r.notice,
            ),
            row(
                say(
                    "Redis revenu : jusqu’à la réception de son état par un client",
                    "Redis listens again: until a client has its state",
                ),
                |r| r.redis,
            ),
        ];
        let _ = writeln!(text);
        let header = [
            say("rétablissement, 02-sse", "recovery, 02-sse"),
            "ms",
            say("× relance seule", "× restart alone"),
        ];
        table(&mut text, &header, rows);
        text
    }
}
