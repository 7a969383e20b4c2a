//! What a server's core bears, as data and as a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chapter::{server_name, table};
use crate::language::Language;

/// The share of a core from which on it counts as full: a timer and a count of its time are
/// not exact.
const FULL: f64 = 0.95;

/// More load that brings less than so many times as much brings no more.
const MORE: f64 = 1.1;

/// A load, and what came of it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Step {
    /// Messages that were due per second, over all clients: snapshots, or answers where
    /// clients poll.
    pub due: f64,
    /// Those that came.
    pub came: f64,
    /// The share of a core that the server used, from 0 to 1; nothing where the system does
    /// not tell.
    pub server: Option<f64>,
    /// The same of the process that plays all clients.
    pub clients: Option<f64>,
    /// The 95th percentile of the delays from a change to a client, in milliseconds.
    pub p95: f64,
}

/// What first stood in the way of more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// The server's core was full.
    Server,
    /// The clients' core was full, and the server's was not.
    Clients,
    /// No core was full, as far as the system tells, and more load brought no more.
    Neither,
}

/// What one server bore.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Capacity {
    /// Clients that followed the counter.
    pub clients: usize,
    /// Whether it had a core to itself.
    pub own_core: bool,
    /// Each load, twice the one before.
    pub steps: Vec<Step>,
    /// Half the load of the most that came.
    pub half: Step,
}

impl Capacity {
    /// The step with the most messages.
    #[must_use]
    pub fn most(&self) -> Option<&Step> {
        self.steps.iter().max_by(|one, other| one.came.total_cmp(&other.came))
    }

    /// Whether more load would bring no more: a core was full, or two doublings, lest one was
    /// disturbed, brought hardly anything.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        let stalled = match &self.steps[..] {
            [before @ .., one, last] => {
                let most = before.iter().map(|step| step.came).fold(0.0, f64::max);
                one.came.max(last.came) < MORE * most
            }
            _ => false,
        };
        stalled || self.limit() != Limit::Neither
    }

    /// What stood in the way of more.
    #[must_use]
    pub fn limit(&self) -> Limit {
        let full = |of: fn(&Step) -> Option<f64>| {
            self.steps.last().and_then(of).is_some_and(|share| share >= FULL)
        };
        if full(|step| step.server) {
            Limit::Server
        } else if full(|step| step.clients) {
            Limit::Clients
        } else {
            Limit::Neither
        }
    }
}

/// What each server bore, as Markdown.
#[must_use]
pub fn tables(servers: &BTreeMap<String, Capacity>, language: Language) -> String {
    let say = |fr, en| language.say(fr, en);
    let Some(first) = servers.values().next() else { return String::new() };
    let clients = first.clients as f64;
    let cores = match first.own_core {
        true => say(
            "Un cœur pour le serveur, un autre pour les clients.",
            "One core for the server, another for the clients.",
        ),
        false => say(
            "Le serveur et les clients partagent les cœurs.",
            "The server and the clients share the cores.",
        ),
    };
    let mut text = format!("{} clients. {cores}\n\n", language.thousands(clients));
    let head = [
        say("au plus", "at most"),
        say("messages par seconde", "messages per second"),
        say("par client", "per client"),
        say("cœur du serveur", "server's core"),
        say("cœur des clients", "clients' core"),
        say("ce qui limite", "what limits"),
        say("à la moitié : p95 du délai, ms", "at half of it: p95 of the delay, ms"),
    ];
    let share = |share: Option<f64>| {
        share.map_or("–".to_owned(), |share| language.percent(share))
    };
    let rows = servers.iter().map(|(server, capacity)| {
        let most = capacity.most().copied().unwrap_or_default();
        let limit = match capacity.limit() {
            Limit::Server => say("le serveur", "the server"),
            Limit::Clients => say("les clients", "the clients"),
            Limit::Neither => say("aucun cœur plein", "no full core"),
        };
        vec![
            server_name(server),
            // Three digits: the rest is chance.
            language.thousands(rounded(most.came)),
            language.number(most.came / clients),
            share(most.server),
            share(most.clients),
            limit.to_owned(),
            language.number(capacity.half.p95),
        ]
    });
    table(&mut text, &head, rows.collect());
    language.spaced(&text)
}

/// A number with three digits that count.
fn rounded(number: f64) -> f64 {
    let unit = 10_f64.powf(number.abs().max(1.0).log10().floor() - 2.0);
    (number / unit).round() * unit
}
