//! What lost packets and distance do, as data and as tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{chapter::table, figure::quantile};
use crate::language::Language;

/// What was measured of a lesson.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Loss {
    /// The congestion control of the system's TCP.
    pub congestion: String,
    /// Packets that were lost before they came to a link, because the machine was too busy.
    pub overflow: u64,
    /// What was measured on each link.
    pub cells: Vec<Cell>,
}

/// What was measured of a lesson on a link. Times in milliseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cell {
    /// How long a packet and its answer are under way.
    pub round_trip: u64,
    /// The share of the packets that are lost, each way.
    pub loss: f64,
    /// Packets that the link delivered, both ways.
    pub passed: u64,
    /// Packets that it lost, both ways.
    pub dropped: u64,
    /// How many clients followed the counter.
    pub clients: usize,
    /// Its changes.
    pub changes: u64,
    /// How often a follower lost its connection meanwhile.
    pub lost: usize,
    /// From each change until each follower had it, or a later one: follower by follower.
    pub delays: Vec<f64>,
    /// From a click until there was a new number to show.
    pub clicks: Vec<f64>,
}

/// What was measured, by lesson: a table for each round trip.
#[must_use]
pub fn tables(measured: &BTreeMap<String, Loss>, language: Language) -> String {
    let cells = || {
        let each = measured.iter();
        each.flat_map(|(lesson, loss)| {
            loss.cells.iter().map(move |cell| (lesson, cell))
        })
    };
    let controls: BTreeSet<_> = measured.values().map(|it| &*it.congestion).collect();
    let controls = controls.into_iter().collect::<Vec<_>>().join(", ");
    let control =
        language.say("Contrôle de congestion de TCP : ", "TCP's congestion control: ");
    let mut text = format!("{control}`{controls}`.\n");
    let overflow: u64 = measured.values().map(|it| it.overflow).sum();
    if overflow > 0 {
        let lost = language.say(
            "Paquets perdus avant tout lien, la machine étant trop occupée : ",
            "Packets lost before any link, for the machine was too busy: ",
        );
        text += &format!("{lost}{overflow}.\n");
    }
    let trips: BTreeSet<u64> = cells().map(|(_, cell)| cell.round_trip).collect();
    for trip in trips {
        let title = language.say("Aller-retour de", "Round trip of");
        text += &format!("\n**{title} {trip} ms**\n\n");
        let mut rows: Vec<_> =
            cells().filter(|(_, cell)| cell.round_trip == trip).collect();
        rows.sort_by(|(_, one), (_, other)| one.loss.total_cmp(&other.loss));
        let rows = rows.into_iter().map(|(lesson, cell)| row(lesson, cell, language));
        let head = [
            "",
            language.say("retard, ms", "delay, ms"),
            language.say("retard, p95", "delay, p95"),
            language.say("retard, p99", "delay, p99"),
            language.say("retard, max", "delay, max"),
            language.say("clic, ms", "click, ms"),
            language.say("clic, p95", "click, p95"),
            language.say("clic, max", "click, max"),
            language.say("paquets perdus", "packets lost"),
        ];
        table(&mut text, &head, rows.collect());
    }
    language.spaced(&text)
}

fn row(lesson: &str, cell: &Cell, language: Language) -> Vec<String> {
    let time = |times: &[f64], share| {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        quantile(&times, share)
            .map_or("–".to_owned(), |time| language.thousands(time))
    };
    let delays = [0.5, 0.95, 0.99, 1.0].map(|share| time(&cell.delays, share));
    let clicks = [0.5, 0.95, 1.0].map(|share| time(&cell.clicks, share));
    let (all, of) = (cell.passed + cell.dropped, language.say("sur", "of"));
    let [dropped, all] = [cell.dropped, all].map(|it| language.thousands(it as f64));
    let mut row = vec![format!("**{lesson}**, {}", language.percent(cell.loss))];
    row.extend(delays);
    row.extend(clicks);
    row.push(format!("{dropped} {of} {all}"));
    row
}
