//! What a bad network does, as data and as tables.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{
    capacity::{self, Capacity},
    chapter::{server_name, table, write_between},
    crowds::{self, Crowd},
    curves::{Curve, Curves, write_with_plots},
    figure::{Machine, quantile},
    loss::{self, Loss},
};
use crate::{Lesson, language::Language};

/// The chapter that shows it.
const CHAPTER: &str = "network";

/// All that was measured, and where.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// The day, in UTC, as ISO 8601 writes it.
    pub date: String,
    /// The command that was run.
    pub command: String,
    /// Where it was measured.
    pub machine: Machine,
    /// What clients missed while they were cut again and again, by server.
    pub gaps: BTreeMap<String, Gap>,
    /// How crowds came back, by server: with pauses that are drawn, and with fixed ones.
    pub storms: BTreeMap<String, [Storm; 2]>,
    /// What a client costs at several rates of change, by server.
    #[serde(default)]
    pub rates: BTreeMap<String, Vec<Paid>>,
    /// What servers pay at several numbers of clients, by server.
    #[serde(default)]
    pub crowds: BTreeMap<String, Vec<Crowd>>,
    /// What each server bore.
    #[serde(default)]
    pub capacity: BTreeMap<String, Capacity>,
    /// What polling and SSE cost over each version of HTTP.
    #[serde(default)]
    pub http: Vec<Http>,
    /// The round trips of each transport.
    pub trips: Vec<Trips>,
    /// What distance and lost packets did, by lesson.
    #[serde(default)]
    pub loss: BTreeMap<String, Loss>,
    /// What was asked for and is not installed, and why.
    pub missing: Vec<String>,
}

/// What clients received through a network that was cut again and again.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Gap {
    /// How many there were.
    pub clients: usize,
    /// Numbered changes of the counter.
    pub changes: u64,
    /// How often the network was cut.
    pub cuts: usize,
    /// How many different changes each client received.
    pub received: Vec<u64>,
    /// Changes that a client received once more, over all clients.
    pub repeated: u64,
    /// Changes that came after a newer one, over all clients.
    pub out_of_order: u64,
    /// How many clients held the last change in the end.
    pub last: usize,
    /// From the network's return until a client heard of the counter again.
    pub recovery: Recovery,
    /// The same of each client and cut, in seconds.
    #[serde(default)]
    pub recoveries: Vec<f64>,
}

impl Gap {
    /// The share of the changes that were received, over all clients.
    #[must_use]
    pub fn share(&self) -> f64 {
        let received: u64 = self.received.iter().sum();
        received as f64 / (self.changes * self.clients as u64) as f64
    }
}

/// Times in seconds, over all clients and cuts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Recovery {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The longest.
    pub max: f64,
}

impl Recovery {
    /// The percentiles of these times, in any order; zeros when there are none.
    #[must_use]
    pub fn of(mut times: Vec<std::time::Duration>) -> Self {
        times.sort();
        let at = |share| quantile(&times, share).map_or(0.0, |time| time.as_secs_f64());
        Self { p50: at(0.5), p95: at(0.95), max: at(1.0) }
    }
}

/// How a crowd came back to a server that was killed and started again. Times in seconds
/// since it listened again.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Storm {
    /// How many clients there were.
    pub clients: usize,
    /// When half of them had a snapshot again.
    pub half: Option<f64>,
    /// When 95 % had.
    pub most: Option<f64>,
    /// When all had.
    pub all: Option<f64>,
    /// How many had none after a minute.
    pub never: usize,
    /// The most attempts to connect in any 100 ms since the server was killed.
    pub peak: usize,
    /// All attempts since the server was killed.
    pub attempts: usize,
}

/// What one client costs its server, per second.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Paid {
    /// Changes of the counter per second.
    pub rate: f64,
    /// Bytes, both ways, heads included.
    pub bytes: f64,
    /// Processor time in microseconds; nothing where the system does not tell.
    pub cpu: Option<f64>,
}

/// One of its costs.
type Cost = fn(&Paid) -> Option<f64>;

/// The rate at which a client costs the same on two transports; nothing when one is always
/// cheaper, as far as was measured. Between two rates the cost is taken to be a line.
#[must_use]
pub fn crossing(one: &[Paid], other: &[Paid], cost: Cost) -> Option<f64> {
    let gaps: Vec<(f64, f64)> = one
        .iter()
        .zip(other)
        .filter_map(|(one, other)| Some((one.rate, cost(one)? - cost(other)?)))
        .collect();
    gaps.windows(2).find_map(|pair| {
        let [(from, before), (to, after)] = [pair[0], pair[1]];
        let meet = before.signum() != after.signum();
        meet.then(|| from + (to - from) * before / (before - after))
    })
}

/// What polling and SSE cost over one version of HTTP, over TLS: bytes both ways on an open
/// connection, with the records of TLS.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Http {
    /// The version.
    pub version: String,
    /// A poll that is answered 304.
    pub unchanged: f64,
    /// A poll that is answered with a new snapshot.
    pub changed: f64,
    /// An event with a snapshot.
    pub event: f64,
    /// A minute of a client that polls once a second, when nothing changes.
    pub idle_polling: f64,
    /// The same of one that holds a stream open.
    pub idle_stream: f64,
    /// The connections of several streams at once.
    pub connections: u64,
    /// How many streams.
    pub tabs: usize,
}

/// How a client speaks its transport.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Way {
    /// As the lesson does; Socket.IO over WebSocket from the start.
    Own,
    /// Socket.IO as its client does it unless told otherwise: long polling, then WebSocket.
    Upgraded,
}

/// The round trips of a transport, without those of TCP: one more for each connection.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Trips {
    /// Whose transport.
    pub lesson: String,
    /// How it was spoken.
    pub way: Way,
    /// Until the first value.
    pub first: u32,
    /// From a click to the new value.
    pub click: u32,
    /// From the first value until WebSocket works, where that comes later.
    pub upgrade: Option<u32>,
    /// TCP connections that all this took.
    pub connections: u64,
}

impl Report {
    /// What was measured, as Markdown that a terminal shows well too.
    #[must_use]
    pub fn tables(&self, language: Language) -> String {
        let sections = [
            (!self.trips.is_empty()).then(|| self.trips_table(language)),
            (!self.http.is_empty()).then(|| self.http_table(language)),
            (!self.rates.is_empty()).then(|| self.rates_table(language)),
            (!self.crowds.is_empty()).then(|| self.crowds_table(language)),
            (!self.capacity.is_empty()).then(|| self.capacity_table(language)),
            (!self.gaps.is_empty()).then(|| self.gaps_table(language)),
            (!self.storms.is_empty()).then(|| self.storms_table(language)),
            (!self.loss.is_empty()).then(|| self.loss_tables(language)),
        ];
        let mut text = sections.into_iter().flatten().collect::<Vec<_>>().join("\n");
        text += &self.not_measured(language);
        text
    }

    /// What was asked for and is not measured, together where the reason is the same.
    fn not_measured(&self, language: Language) -> String {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (server, reason) in self.missing.iter().filter_map(|it| it.split_once(": "))
        {
            reasons.entry(reason).or_default().push(server);
        }
        let not = language.say("Non mesuré\u{a0}:", "Not measured:");
        let colon = language.say("\u{a0}:", ":");
        let line = |(reason, servers): (&str, Vec<&str>)| {
            format!("\n{not} {}{colon} {reason}.\n", servers.join(", "))
        };
        reasons.into_iter().map(line).collect()
    }

    /// The same as a page has it, without the reasons.
    fn left_out(&self, language: Language) -> String {
        let servers = self.missing.iter().filter_map(|it| it.split_once(": "));
        let servers: Vec<_> = servers.map(|(server, _)| server).collect();
        if servers.is_empty() {
            return String::new();
        }
        let not = language.say("Non mesuré\u{a0}:", "Not measured:");
        format!("\n{not} {}.\n", servers.join(", "))
    }

    /// Writes each table that there is into the book's chapter.
    ///
    /// # Errors
    /// When the chapter cannot be written.
    pub fn write(&self) -> Result<()> {
        if !self.trips.is_empty() {
            write_between(CHAPTER, "trips", |language| self.trips_table(language))?;
        }
        if !self.gaps.is_empty() {
            write_between(CHAPTER, "gaps", |language| {
                self.gaps_table(language) + &self.left_out(language)
            })?;
        }
        if !self.http.is_empty() {
            write_between(CHAPTER, "http", |language| self.http_table(language))?;
        }
        if !self.rates.is_empty() {
            write_with_plots(
                "comparison",
                "rates",
                |language| self.rates_table(language),
                |language| self.curves(language),
            )?;
        }
        if !self.crowds.is_empty() {
            write_with_plots(
                "comparison",
                "crowds",
                |language| self.crowds_table(language) + &self.left_out(language),
                |language| crowds::curves(&self.crowds, language),
            )?;
        }
        if !self.capacity.is_empty() {
            write_between("comparison", "capacity", |language| {
                self.capacity_table(language) + &self.left_out(language)
            })?;
        }
        if !self.storms.is_empty() {
            write_between(CHAPTER, "storms", |language| self.storms_table(language))?;
        }
        if !self.loss.is_empty() {
            write_between(CHAPTER, "loss", |language| self.loss_tables(language))?;
        }
        Ok(())
    }

    /// How and where it was measured.
    fn conditions(&self, language: Language) -> String {
        let measured = language.say("Mesuré le", "Measured on");
        let by = language.say("par", "by");
        format!(
            "{measured} {}, {by} `{}` ; `{}`.\n\n",
            self.date,
            self.command,
            self.machine.line(language)
        )
        .replace(" ;", language.say("\u{a0};", ";"))
    }

    fn trips_table(&self, language: Language) -> String {
        let mut text = String::new();
        let head = [
            "",
            language.say("première valeur", "first value"),
            language.say("un clic", "a click"),
            language.say("passage à WebSocket", "move to WebSocket"),
            language.say("connexions TCP", "TCP connections"),
        ];
        let rows = self.trips.iter().map(|trips| {
            let way = match (trips.way, &*trips.lesson) {
                (Way::Upgraded, _) => {
                    language.say(" (long polling d’abord)", " (long polling first)")
                }
                (Way::Own, "04-socketio") => {
                    language.say(" (WebSocket d’emblée)", " (WebSocket at once)")
                }
                (Way::Own, _) => "",
            };
            vec![
                format!("**{}**{way}", trips.lesson),
                trips.first.to_string(),
                trips.click.to_string(),
                trips.upgrade.map_or("–".to_owned(), |trips| trips.to_string()),
                trips.connections.to_string(),
            ]
        });
        table(&mut text, &head, rows.collect());
        text
    }

    fn gaps_table(&self, language: Language) -> String {
        let mut text = self.conditions(language);
        // One plan measures all: each row has as many clients and changes.
        let Some(Gap { clients, changes, .. }) = self.gaps.values().next() else {
            return text;
        };
        let held =
            language.say("état : ont le dernier, sur", "state: hold the last, of");
        let worst = language.say("le moins bien servi, sur", "the worst served, of");
        let (held, worst) = (format!("{held} {clients}"), format!("{worst} {changes}"));
        let head = [
            "",
            &held,
            language.say(
                "de retour après, s : médiane, p95, max",
                "back after, s: median, p95, max",
            ),
            language.say("événements : reçus", "events: received"),
            &worst,
            language.say("répétés, par client", "repeated, per client"),
        ];
        let rows = self.gaps.iter().map(|(server, gap)| {
            let Recovery { p50, p95, max } = gap.recovery;
            let numbers = [p50, p95, max].map(|it| language.number(it));
            let worst = gap.received.iter().min().copied().unwrap_or_default();
            let repeated = language.number(gap.repeated as f64 / gap.clients as f64);
            let disorder = match gap.out_of_order {
                0 => "",
                _ => language.say(", dans le désordre", ", out of order"),
            };
            vec![
                server_name(server),
                gap.last.to_string(),
                numbers.join(" ; ").replace(" ;", language.say("\u{a0};", ";")),
                language.percent(gap.share()),
                worst.to_string(),
                repeated + disorder,
            ]
        });
        table(&mut text, &head, rows.collect());
        language.spaced(&text)
    }

    fn http_table(&self, language: Language) -> String {
        let mut text = self.conditions(language);
        let mut head = vec![language.say("octets, TLS compris", "bytes, TLS included")];
        let versions: Vec<String> =
            self.http.iter().map(|http| format!("HTTP/{}", http.version)).collect();
        head.extend(versions.iter().map(String::as_str));
        let row = |fr: &str, en: &str, of: fn(&Http) -> f64| {
            let mut row = vec![language.say(fr, en).to_owned()];
            row.extend(self.http.iter().map(|http| language.thousands(of(http))));
            row
        };
        let rows = vec![
            row("une question, rien de nouveau", "a poll, nothing new", |it| {
                it.unchanged
            }),
            row("une question, du nouveau", "a poll, something new", |it| it.changed),
            row("un événement de SSE", "an event of SSE", |it| it.event),
            row(
                "une minute au repos, une question par seconde",
                "an idle minute, a poll each second",
                |it| it.idle_polling,
            ),
            row("une minute au repos, SSE", "an idle minute, SSE", |it| it.idle_stream),
            row(
                "connexions pour neuf flux à la fois",
                "connections for nine streams at once",
                |it| it.connections as f64,
            ),
        ];
        table(&mut text, &head, rows);
        text
    }

    /// What is paid: what a table and a plot say, the plot's file, and the cost.
    fn costs(language: Language) -> [(&'static str, &'static str, Cost); 2] {
        let say = |fr, en| language.say(fr, en);
        [
            (
                say(
                    "Octets par client et par seconde, dans les deux sens",
                    "Bytes per client and second, both ways",
                ),
                "rates-bytes",
                |paid| Some(paid.bytes),
            ),
            (
                say(
                    "Processeur du serveur par client et par seconde, µs",
                    "Server CPU per client and second, µs",
                ),
                "rates-cpu",
                |paid| paid.cpu,
            ),
        ]
    }

    /// The rate at which a server costs as much as polling.
    fn meets(&self, server: &str, cost: Cost) -> Option<f64> {
        let polling = Lesson::Polling.name();
        let paid = self.rates.get(server).filter(|_| server != polling)?;
        crossing(self.rates.get(polling)?, paid, cost)
    }

    fn rates_table(&self, language: Language) -> String {
        let mut text = self.conditions(language);
        let columns = self.rates.values().next().map_or(&[][..], |paid| paid);
        let rates = columns.iter().map(|paid| match paid.rate {
            0.0 => language.say("au repos", "idle").to_owned(),
            rate => {
                let rate = (rate * 10.0).round() / 10.0;
                format!("{}/s", rate.to_string().replace('.', language.say(",", ".")))
            }
        });
        let rates: Vec<String> = rates.collect();
        for (title, _, cost) in Self::costs(language) {
            let mut head = vec![title];
            head.extend(rates.iter().map(String::as_str));
            head.push(
                language.say("autant que 01-polling à", "as much as 01-polling at"),
            );
            let rows = self.rates.iter().map(|(server, paid)| {
                let number = |cost: Option<f64>| {
                    cost.map_or("–".to_owned(), |cost| language.number(cost))
                };
                let mut row = vec![format!("**{server}**")];
                row.extend(paid.iter().map(|paid| number(cost(paid))));
                let meets = self.meets(server, cost);
                row.push(meets.map_or("–".to_owned(), |at| format!("{at:.0}/s")));
                row
            });
            table(&mut text, &head, rows.collect());
            text.push('\n');
        }
        text
    }

    /// What the lessons cost as curves, each plot with its file name.
    fn curves(&self, language: Language) -> Vec<(&'static str, Curves)> {
        let plots = Self::costs(language).into_iter().map(|(title, file, cost)| {
            let curves = Lesson::ALL.into_iter().filter_map(|lesson| {
                let points = self.rates.get(lesson.name())?.iter();
                let points = points.filter_map(|paid| Some((paid.rate, cost(paid)?)));
                Some(Curve {
                    label: lesson.to_string(),
                    points: points.collect(),
                    ranges: Vec::new(),
                    meets: self.meets(lesson.name(), cost),
                })
            });
            let axis = language.say("changements par seconde", "changes per second");
            let curves = Curves {
                title: title.to_owned(),
                axis: axis.to_owned(),
                curves: curves.collect(),
                language,
            };
            (file, curves)
        });
        plots.collect()
    }

    fn crowds_table(&self, language: Language) -> String {
        self.conditions(language) + &crowds::tables(&self.crowds, language)
    }

    fn capacity_table(&self, language: Language) -> String {
        self.conditions(language) + &capacity::tables(&self.capacity, language)
    }

    fn loss_tables(&self, language: Language) -> String {
        self.conditions(language) + &loss::tables(&self.loss, language)
    }

    fn storms_table(&self, language: Language) -> String {
        let mut text = self.conditions(language);
        let head = [
            "",
            language.say("pauses", "pauses"),
            language.say("50 % de retour, s", "50% back, s"),
            language.say("95 %, s", "95%, s"),
            language.say("tous, s", "all, s"),
            language.say("jamais", "never"),
            language
                .say("tentatives en 100 ms, au plus", "attempts in 100 ms, at most"),
            language.say("tentatives par client", "attempts per client"),
        ];
        let mut rows = Vec::new();
        for (server, storms) in &self.storms {
            let pauses =
                [language.say("au hasard", "random"), language.say("fixes", "fixed")];
            for (storm, pauses) in storms.iter().zip(pauses) {
                let time = |time: Option<f64>| {
                    time.map_or("–".to_owned(), |time| language.number(time))
                };
                rows.push(vec![
                    format!("**{server}**"),
                    pauses.to_owned(),
                    time(storm.half),
                    time(storm.most),
                    time(storm.all),
                    storm.never.to_string(),
                    storm.peak.to_string(),
                    language.number(storm.attempts as f64 / storm.clients as f64),
                ]);
            }
        }
        table(&mut text, &head, rows);
        text.replace(" %", language.say("\u{a0}%", "%"))
    }
}
