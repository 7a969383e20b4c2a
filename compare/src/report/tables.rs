//! The comparison as tables and plots, in both languages of the book.

use std::{fmt::Write, fs};

use anyhow::Result;

use super::{
    chapter::{folder, table, write_between},
    comparison::{AGAIN, BEYOND, Comparison, Idle, Measured, Sample, Waiting},
    figure::Figure,
    plot::{Bar, Plot},
};
use crate::language::Language;

/// A column of a table: its head, and what it says of a server.
type Column<'a> = (&'a str, Box<dyn Fn(&Measured) -> String + 'a>);

/// The tables of a comparison, as Markdown that a terminal shows well too.
#[must_use]
pub fn tables(comparison: &Comparison, language: Language) -> String {
    let say = |fr, en| language.say(fr, en);
    let mut text = conditions(comparison, language);
    // The floors below peers are in the multiples only: rows of them would say one thing.
    let rows = comparison.subjects.iter().filter(|m| !m.is_floor || m.is_own());
    let all: Vec<&Measured> = rows.collect();
    let servers: Vec<&Measured> = all.iter().copied().filter(|m| !m.is_floor).collect();
    let idle: Vec<&Measured> =
        servers.iter().copied().filter(|m| m.idle.is_some()).collect();

    let ranges = |of: fn(&Sample) -> Option<f64>| -> Box<dyn Fn(&Measured) -> String> {
        Box::new(move |m| Figure::text(m.figure(of), language))
    };
    let medians = |of: fn(&Sample) -> Option<f64>| -> Box<dyn Fn(&Measured) -> String> {
        Box::new(move |m| {
            let figure = m.figure(of);
            figure.map_or("–".to_owned(), |f| language.number(f.median))
        })
    };
    let whole = |of: fn(&Sample) -> f64| -> Box<dyn Fn(&Measured) -> String> {
        Box::new(move |m| {
            let figure = m.figure(|sample| Some(of(sample)));
            figure.map_or("–".to_owned(), |f| language.thousands(f.median))
        })
    };
    let at_rest = |of: fn(Idle) -> f64| -> Box<dyn Fn(&Measured) -> String> {
        Box::new(move |m| {
            m.idle.map_or("–".to_owned(), |idle| language.thousands(of(idle)))
        })
    };

    let title = say(
        "Délai entre la commande et l’instantané chez un client, en millisecondes",
        "Delay from the command to the snapshot in a client, in milliseconds",
    );
    let percentiles = shown(comparison, language);
    let columns = percentiles.iter().map(|&(head, share)| -> Column {
        (head, Box::new(move |m| Figure::text(m.percentile(share), language)))
    });
    let columns: Vec<Column> =
        columns.chain([("max", ranges(|s| Some(s.max)))]).collect();
    section(&mut text, title, &all, &columns, language);

    let title = say(
        "Ce que paie un serveur : processeur, mémoire et connexions",
        "What a server pays: CPU, memory and connections",
    );
    let columns: [Column; 7] = [
        (
            say(
                "processeur pour 100 000 livraisons, s",
                "CPU for 100,000 deliveries, s",
            ),
            medians(|s| Some(s.cpu? / 10.0)),
        ),
        (
            say("des clients, s", "of the clients, s"),
            medians(|s| Some(s.client_cpu? / 10.0)),
        ),
        (
            say("× plancher", "× floor"),
            Box::new(|m| Figure::text(comparison.over_floor(m), language)),
        ),
        (
            say("mémoire par client, ko", "memory per client, kB"),
            ranges(|s| s.memory_idle),
        ),
        (
            say("après les changements, ko", "after the changes, kB"),
            medians(|s| s.memory_loaded),
        ),
        (
            say("tous connectés après, ms", "all connected after, ms"),
            ranges(|s| Some(s.connect)),
        ),
        (
            say("processeur par connexion, µs", "CPU per connection, µs"),
            medians(|s| s.connect_cpu),
        ),
    ];
    section(&mut text, title, &all, &columns, language);

    let title = say(
        "Octets par mise à jour reçue par un client",
        "Bytes per update that reaches a client",
    );
    let columns = [
        (say("reçus", "received"), whole(|s| s.down)),
        (say("dont en-têtes", "of them heads"), whole(|s| s.head_down)),
        (say("envoyés", "sent"), whole(|s| s.up)),
        (say("dont en-têtes", "of them heads"), whole(|s| s.head_up)),
        (say("connexion, reçus", "handshake, received"), whole(|s| s.handshake_down)),
        (say("connexion, envoyés", "handshake, sent"), whole(|s| s.handshake_up)),
    ];
    section(&mut text, title, &servers, &columns, language);

    let title = say("Un client au repos, par minute", "An idle client, per minute");
    let columns = [
        (say("requêtes", "requests"), at_rest(|i| i.requests)),
        (say("octets reçus", "bytes received"), at_rest(|i| i.down)),
        (say("octets envoyés", "bytes sent"), at_rest(|i| i.up)),
    ];
    section(&mut text, title, &idle, &columns, language);

    let burst = comparison.burst;
    let title = match language {
        Language::French => format!("Une rafale de {burst} changements d’un coup"),
        Language::English => format!("A burst of {burst} changes at once"),
    };
    let columns = [
        (
            say(
                "tous ont la dernière valeur après, ms",
                "every client holds the last value after, ms",
            ),
            ranges(|s| Some(s.burst)),
        ),
        (
            say("messages par client", "messages per client"),
            ranges(|s| Some(s.burst_messages)),
        ),
    ];
    section(&mut text, &title, &all, &columns, language);

    if !comparison.waiting.is_empty() {
        waiting(&mut text, &comparison.waiting, language);
    }
    language.spaced(&text)
}

/// The percentiles beyond which enough changes lie, from the smallest; the median always.
fn shown(comparison: &Comparison, language: Language) -> Vec<(&'static str, f64)> {
    let median = (language.say("médiane", "median"), 0.5);
    let shown = [("p95", 0.95), ("p99", 0.99)].into_iter();
    let shown = shown.filter(|&(_, share)| comparison.shows(share));
    [median].into_iter().chain(shown).collect()
}

/// Adds a table with a row for each server, unless there is none.
fn section(
    text: &mut String,
    title: &str,
    servers: &[&Measured],
    columns: &[Column],
    language: Language,
) {
    if servers.is_empty() {
        return;
    }
    let _ = write!(text, "\n**{title}**\n\n");
    let header: Vec<&str> =
        [""].into_iter().chain(columns.iter().map(|(head, _)| *head)).collect();
    let row = |m: &&Measured| {
        let cells = columns.iter().map(|(_, cell)| cell(m));
        [name(m, language)].into_iter().chain(cells).collect()
    };
    table(text, &header, servers.iter().map(row).collect());
}

/// Adds the table of what pollers wait, beside what arithmetic says.
fn waiting(text: &mut String, waiting: &[Waiting], language: Language) {
    let say = |fr, en| language.say(fr, en);
    let title = say(
        "Ce que l’interrogation périodique fait attendre",
        "What polling makes the reader wait",
    );
    let _ = write!(text, "\n**{title}**\n\n");
    let rows = waiting.iter().map(|w| {
        let unchanged = (1.0 - w.interval / w.every).max(0.0);
        let shares = [w.not_modified, unchanged].map(|share| language.percent(share));
        vec![
            format!("{} s", language.number(w.interval / 1000.0)),
            format!("{:.0} / {:.0}", w.p50, w.interval / 2.0),
            format!("{:.0} / {:.0}", w.p95, w.interval * 0.95),
            format!("{:.0} / {:.0}", w.max, w.interval),
            shares.join(" / "),
        ]
    });
    let header = [
        say("mesuré / attendu", "measured / expected"),
        say("médiane, ms", "median, ms"),
        "p95, ms",
        "max, ms",
        say("réponses 304", "answered by 304"),
    ];
    table(text, &header, rows.collect());
}

/// The day, the machine and the command; what is missing, and whether to trust it.
fn conditions(comparison: &Comparison, language: Language) -> String {
    let versions: Vec<String> = comparison
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let versions = versions.join(", ");
    let Comparison { date, machine, command, clients, changes, rounds, .. } =
        comparison;
    let (machine, events) = (machine.line(language), changes * rounds);
    let (every, poll) = (comparison.every, language.number(comparison.poll / 1000.0));
    let mut text = match language {
        Language::French => format!(
            "`{command}`, {date}. `{machine}` ; {versions}.\n\n\
             {clients} clients, {changes} changements, un toutes les {every} ms, \
             interrogation {poll} s après chaque réponse ; médianes de {rounds} tours, \
             avec le plus petit et le plus grand. Centiles des délais : ceux des {events} \
             changements de tous les tours, quand {BEYOND} au moins sont au-delà.{}\n",
            if comparison.own_core {
                " Un cœur pour le serveur, les autres pour les clients."
            } else {
                ""
            },
        ),
        Language::English => format!(
            "`{command}`, {date}. `{machine}`; {versions}.\n\n\
             {clients} clients, {changes} changes one every {every} ms, polling {poll} s \
             after each answer; medians of {rounds} rounds, with the smallest and the \
             largest. Percentiles of delays: over the {events} changes of all rounds, \
             where at least {BEYOND} lie beyond.{}\n",
            if comparison.own_core {
                " One core for the server, the others for the clients."
            } else {
                ""
            },
        ),
    };
    let repeated: usize = comparison.subjects.iter().map(|m| m.set_aside.len()).sum();
    text += &match language {
        Language::French => format!(
            "\nPassages perturbés, mesurés à nouveau : {repeated}, {AGAIN} par serveur au plus.\n"
        ),
        Language::English => format!(
            "\nDisturbed runs, measured again: {repeated}, at most {AGAIN} for a server.\n"
        ),
    };
    let disturbed = comparison.disturbed();
    if !disturbed.is_empty() {
        let names = disturbed.iter().map(|m| name(m, language).replace("**", ""));
        let list = names.collect::<Vec<_>>().join(language.say(" ; ", "; "));
        text += &match language {
            Language::French => {
                format!("\nMalgré cela, la machine a été perturbée pour {list}.\n")
            }
            Language::English => {
                format!("\nIn spite of that, the machine was disturbed for {list}.\n")
            }
        };
    }
    for missing in &comparison.missing {
        text += &match language {
            Language::French => format!("\nNon mesuré : {missing}.\n"),
            Language::English => format!("\nNot measured: {missing}.\n"),
        };
    }
    text
}

fn name(measured: &Measured, language: Language) -> String {
    let Measured { lesson, runtime, .. } = measured;
    let server =
        if measured.is_own() { lesson.clone() } else { format!("{lesson}, {runtime}") };
    if measured.is_floor {
        format!("{} {server}", language.say("plancher de", "floor of"))
    } else if measured.is_own() {
        format!("**{server}**")
    } else {
        server
    }
}

/// The plots, each with its file name.
#[must_use]
pub fn plots(comparison: &Comparison, language: Language) -> Vec<(&'static str, Plot)> {
    let say = |fr: &str, en: &str| language.say(fr, en).to_owned();
    let bars = |of: &dyn Fn(&Measured) -> Option<Figure>| {
        let servers = comparison.subjects.iter().filter(|m| !m.is_floor);
        let bars = servers.filter_map(|m| {
            let label = name(m, language).replace("**", "");
            Some(Bar { label, figure: of(m)?, own: m.is_own() })
        });
        bars.collect::<Vec<_>>()
    };
    let (name_of, share) = shown(comparison, language).pop().unwrap_or_default();
    let plot = |title, logarithmic, bars| Plot { title, logarithmic, bars, language };
    let all = vec![
        (
            "delay",
            plot(
                say(
                    "Délai de la commande à l’instantané, p99, ms (échelle logarithmique)",
                    "Delay from the command to the snapshot, p99, ms (logarithmic)",
                )
                .replace("p99", name_of),
                true,
                bars(&|m| m.percentile(share)),
            ),
        ),
        (
            "bytes",
            plot(
                say(
                    "Octets par mise à jour, dans les deux sens, en-têtes compris",
                    "Bytes per update, both ways, heads included",
                ),
                false,
                bars(&|m| m.figure(|s| Some(s.down + s.up))),
            ),
        ),
        (
            "cost",
            plot(
                say(
                    "Processeur par livraison, en multiple du plancher",
                    "Server CPU per delivery, as a multiple of the floor",
                ),
                false,
                bars(&|m| comparison.over_floor(m)),
            ),
        ),
        (
            "burst",
            plot(
                say(
                    "Rafale : tous ont la dernière valeur après, ms (échelle logarithmique)",
                    "Burst: every client holds the last value after, ms (logarithmic)",
                ),
                true,
                bars(&|m| m.figure(|s| Some(s.burst))),
            ),
        ),
    ];
    all.into_iter().filter(|(_, plot)| !plot.bars.is_empty()).collect()
}

/// Writes tables and plots into the chapter `comparison` of both languages, between its
/// markers.
///
/// # Errors
/// When a chapter or one of its markers is missing, or cannot be written.
pub fn write(comparison: &Comparison) -> Result<()> {
    for language in Language::ALL {
        let folder = folder(language).join("images");
        fs::create_dir_all(&folder)?;
        for (file, plot) in plots(comparison, language) {
            fs::write(folder.join(file).with_extension("svg"), plot.svg())?;
        }
    }
    write_between("comparison", "compare", |language| {
        let mut text = tables(comparison, language);
        for (file, plot) in plots(comparison, language) {
            let _ = writeln!(text, "\n![{}](images/{file}.svg)", plot.description());
        }
        text
    })
}
