//! What a client and a delivery cost against the number of clients, as data, as tables and
//! as plots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    chapter::{server_name, table},
    curves::{Curve, Curves},
    figure::Figure,
};
use crate::{Lesson, language::Language};

/// What a number of clients cost a server, in each round.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Crowd {
    /// How many clients there were.
    pub clients: usize,
    /// Server CPU for each delivery, in microseconds; none where the system does not tell.
    pub cpu: Vec<f64>,
    /// Resident memory that each client added to the server, in kilobytes (1000); none where
    /// the system does not tell.
    pub memory: Vec<f64>,
}

/// One of its costs, round by round.
type Cost = fn(&Crowd) -> &Vec<f64>;

/// What is paid: what a table and a plot say, the plot's file, and the cost.
fn costs(language: Language) -> [(&'static str, &'static str, Cost); 2] {
    let say = |fr, en| language.say(fr, en);
    [
        (
            say(
                "Processeur du serveur par livraison, µs",
                "Server CPU per delivery, µs",
            ),
            "crowds-cpu",
            |crowd| &crowd.cpu,
        ),
        (
            say("Mémoire du serveur par client, ko", "Server memory per client, kB"),
            "crowds-memory",
            |crowd| &crowd.memory,
        ),
    ]
}

/// Each cost as a table: a row for each server, a column for each number of clients.
pub(super) fn tables(
    crowds: &BTreeMap<String, Vec<Crowd>>,
    language: Language,
) -> String {
    let sizes = crowds.values().next().map_or(&[][..], |crowds| crowds);
    let sizes: Vec<String> = sizes
        .iter()
        .map(|crowd| {
            let clients = language.thousands(crowd.clients as f64);
            format!("{clients} {}", language.say("clients", "clients"))
        })
        .collect();
    let mut tables = Vec::new();
    for (title, _, cost) in costs(language) {
        let mut head = vec![title];
        head.extend(sizes.iter().map(String::as_str));
        let rows = crowds.iter().map(|(server, crowds)| {
            let figures = crowds
                .iter()
                .map(|crowd| Figure::text(Figure::new(cost(crowd).clone()), language));
            [server_name(server)].into_iter().chain(figures).collect()
        });
        let mut lines = String::new();
        table(&mut lines, &head, rows.collect());
        tables.push(lines);
    }
    tables.join("\n")
}

/// What the lessons cost as curves with their ranges, each plot with its file name.
#[must_use]
pub fn curves(
    crowds: &BTreeMap<String, Vec<Crowd>>,
    language: Language,
) -> Vec<(&'static str, Curves)> {
    let plots = costs(language).into_iter().map(|(title, file, cost)| {
        let curves = Lesson::ALL.into_iter().filter_map(|lesson| {
            let crowds = crowds.get(lesson.name())?.iter();
            let figures = crowds.filter_map(|crowd| {
                Some((crowd.clients as f64, Figure::new(cost(crowd).clone())?))
            });
            Some(Curve::ranged(lesson.name(), figures.collect()))
        });
        let curves = Curves {
            title: title.to_owned(),
            axis: language.say("clients", "clients").to_owned(),
            curves: curves.collect(),
            language,
        };
        (file, curves)
    });
    plots.collect()
}
