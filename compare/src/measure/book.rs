//! The report as tables and plots, in both languages of the book.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    plot::{Bar, Plot},
    report::{Figure, Measured, Report},
    run::{Idle, Sample, Waiting},
};
use crate::Runtime;

/// A language of the book.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// English.
    English,
    /// French.
    French,
}

impl Language {
    pub(super) fn say<'a>(self, en: &'a str, fr: &'a str) -> &'a str {
        match self {
            Self::English => en,
            Self::French => fr,
        }
    }

    /// A number with three digits that count.
    #[must_use]
    pub fn number(self, number: f64) -> String {
        let decimals = match number.abs() {
            100.0.. => 0,
            10.0.. => 1,
            _ => 2,
        };
        let text = format!("{number:.decimals$}");
        match self {
            Self::English => text,
            Self::French => text.replace('.', ","),
        }
    }

    /// The median, and the smallest and the largest when there are several.
    pub(super) fn figure(self, figure: Option<Figure>) -> String {
        match figure {
            None => "–".to_owned(),
            Some(Figure { median, min, max }) if min == max => self.number(median),
            Some(Figure { median, min, max }) => format!(
                "{} ({}–{})",
                self.number(median),
                self.number(min),
                self.number(max)
            ),
        }
    }

    /// A whole number with its thousands set apart.
    pub(super) fn thousands(self, number: f64) -> String {
        let digits = format!("{number:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push_str(self.say(",", "\u{a0}"));
            }
            text.push(digit);
        }
        text
    }

    fn percent(self, share: f64) -> String {
        format!("{:.0}{}", share * 100.0, self.say("%", "\u{a0}%"))
    }
}

/// A column of a table: its head, and what it says of a server.
type Column<'a> = (&'a str, Box<dyn Fn(&Measured) -> String + 'a>);

/// The tables of a report, as Markdown that a terminal shows well too.
#[must_use]
pub fn tables(report: &Report, language: Language) -> String {
    let say = |en, fr| language.say(en, fr);
    let mut text = conditions(report, language);
    let all: Vec<&Measured> = report.subjects.iter().collect();
    let servers: Vec<&Measured> =
        all.iter().copied().filter(|m| !m.is_floor()).collect();
    let idle: Vec<&Measured> =
        servers.iter().copied().filter(|m| m.idle.is_some()).collect();

    let ranges = |of: fn(&Sample) -> Option<f64>| -> Box<dyn Fn(&Measured) -> String> {
        Box::new(move |m| language.figure(m.figure(of)))
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
            figure.map_or("–".to_owned(), |f| format!("{:.0}", f.median))
        })
    };
    let at_rest = |of: fn(Idle) -> f64| -> Box<dyn Fn(&Measured) -> String> {
        Box::new(move |m| m.idle.map_or("–".to_owned(), |i| format!("{:.0}", of(i))))
    };

    let title = say(
        "Delay from the command to the snapshot in a client, in milliseconds",
        "Délai entre la commande et l’instantané chez un client, en millisecondes",
    );
    let columns = [
        (say("median", "médiane"), ranges(|s| Some(s.p50))),
        ("p95", ranges(|s| Some(s.p95))),
        ("p99", ranges(|s| Some(s.p99))),
        ("max", ranges(|s| Some(s.max))),
    ];
    section(&mut text, title, &all, &columns, language);

    let title = say(
        "What a server pays: CPU, memory and connections",
        "Ce que paie un serveur : processeur, mémoire et connexions",
    );
    let columns: [Column; 6] = [
        (
            say(
                "CPU for 100,000 deliveries, s",
                "processeur pour 100 000 livraisons, s",
            ),
            medians(|s| Some(s.cpu? / 10.0)),
        ),
        (
            say("× floor", "× plancher"),
            Box::new(|m| language.figure(report.over_floor(m))),
        ),
        (
            say("memory per client, kB", "mémoire par client, ko"),
            ranges(|s| s.memory_idle),
        ),
        (
            say("after the changes, kB", "après les changements, ko"),
            medians(|s| s.memory_loaded),
        ),
        (
            say("all connected after, ms", "tous connectés après, ms"),
            ranges(|s| Some(s.connect)),
        ),
        (
            say("CPU per connection, µs", "processeur par connexion, µs"),
            medians(|s| s.connect_cpu),
        ),
    ];
    section(&mut text, title, &all, &columns, language);

    let title = say(
        "Bytes per update that reaches a client",
        "Octets par mise à jour reçue par un client",
    );
    let columns = [
        (say("received", "reçus"), whole(|s| s.down)),
        (say("of them heads", "dont en-têtes"), whole(|s| s.head_down)),
        (say("sent", "envoyés"), whole(|s| s.up)),
        (say("of them heads", "dont en-têtes"), whole(|s| s.head_up)),
        (say("handshake, received", "connexion, reçus"), whole(|s| s.handshake_down)),
        (say("handshake, sent", "connexion, envoyés"), whole(|s| s.handshake_up)),
    ];
    section(&mut text, title, &servers, &columns, language);

    let title = say("An idle client, per minute", "Un client au repos, par minute");
    let columns = [
        (say("requests", "requêtes"), at_rest(|i| i.requests)),
        (say("bytes received", "octets reçus"), at_rest(|i| i.down)),
        (say("bytes sent", "octets envoyés"), at_rest(|i| i.up)),
    ];
    section(&mut text, title, &idle, &columns, language);

    let burst = report.burst;
    let title = match language {
        Language::English => format!("A burst of {burst} changes at once"),
        Language::French => format!("Une rafale de {burst} changements d’un coup"),
    };
    let columns = [
        (
            say(
                "every client holds the last value after, ms",
                "tous ont la dernière valeur après, ms",
            ),
            ranges(|s| Some(s.burst)),
        ),
        (
            say("messages per client", "messages par client"),
            ranges(|s| Some(s.burst_messages)),
        ),
    ];
    section(&mut text, &title, &all, &columns, language);

    if !report.waiting.is_empty() {
        waiting(&mut text, &report.waiting, language);
    }
    match language {
        Language::English => text,
        // A line may not break before French punctuation.
        Language::French => text.replace(" ;", "\u{a0};").replace(" :", "\u{a0}:"),
    }
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
    let say = |en, fr| language.say(en, fr);
    let title = say(
        "What polling makes the reader wait",
        "Ce que l’interrogation périodique fait attendre",
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
        say("measured / expected", "mesuré / attendu"),
        say("median, ms", "médiane, ms"),
        "p95, ms",
        "max, ms",
        say("answered by 304", "réponses 304"),
    ];
    table(text, &header, rows.collect());
}

/// The day, the machine and the command; what is missing, and whether to trust it.
fn conditions(report: &Report, language: Language) -> String {
    let versions: Vec<String> = report
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let versions = versions.join(", ");
    let Report { date, machine, command, clients, changes, rounds, .. } = report;
    let machine = machine.line(language);
    let (every, poll) = (report.every, language.number(report.poll / 1000.0));
    let mut text = match language {
        Language::English => format!(
            "`{command}`, {date}. {machine}; {versions}.\n\n\
             {clients} clients, {changes} changes one every {every} ms, polling every \
             {poll} s; medians of {rounds} rounds, with the smallest and the largest.{}\n",
            if report.own_core {
                " One core for the server, the others for the clients."
            } else {
                ""
            },
        ),
        Language::French => format!(
            "`{command}`, {date}. {machine} ; {versions}.\n\n\
             {clients} clients, {changes} changements, un toutes les {every} ms, \
             interrogation toutes les {poll} s ; médianes de {rounds} tours, avec le plus \
             petit et le plus grand.{}\n",
            if report.own_core {
                " Un cœur pour le serveur, les autres pour les clients."
            } else {
                ""
            },
        ),
    };
    let disturbed = report.disturbed();
    if !disturbed.is_empty() {
        let names = disturbed.iter().map(|m| name(m, language).replace("**", ""));
        let list = names.collect::<Vec<_>>().join(language.say("; ", " ; "));
        text += &match language {
            Language::English => format!(
                "\nThe machine was disturbed: the rounds lie far apart for {list}.\n"
            ),
            Language::French => format!(
                "\nLa machine a été perturbée : les tours sont très dispersés pour {list}.\n"
            ),
        };
    }
    for missing in &report.missing {
        text += &match language {
            Language::English => format!("\nNot measured: {missing}.\n"),
            Language::French => format!("\nNon mesuré : {missing}.\n"),
        };
    }
    text
}

fn name(measured: &Measured, language: Language) -> String {
    let Measured { lesson, runtime, .. } = measured;
    if measured.is_floor() {
        format!("{} {lesson}", language.say("floor of", "plancher de"))
    } else if runtime == Runtime::Rust.name() {
        format!("**{lesson}**")
    } else {
        format!("{lesson}, {runtime}")
    }
}

/// Adds a table whose columns are aligned in plain text too.
pub(super) fn table(text: &mut String, header: &[&str], rows: Vec<Vec<String>>) {
    let header: Vec<String> = header.iter().map(|&cell| cell.to_owned()).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&header]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut line = |cells: &[String]| {
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let _ = match at {
                0 => write!(text, "| {cell:<width$} "),
                _ => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
    };
    line(&header);
    let rule = widths.iter().enumerate();
    line(
        &rule
            .map(|(at, width)| match at {
                0 => "-".repeat(*width),
                _ => "-".repeat(width.saturating_sub(1)) + ":",
            })
            .collect::<Vec<_>>(),
    );
    for row in &rows {
        line(row);
    }
}

/// The plots, each with its file name.
#[must_use]
pub fn plots(report: &Report, language: Language) -> Vec<(&'static str, Plot)> {
    let say = |en: &str, fr: &str| language.say(en, fr).to_owned();
    let bars = |floors: bool, of: &dyn Fn(&Measured) -> Option<Figure>| {
        let shown = report.subjects.iter().filter(|m| floors || !m.is_floor());
        let bars = shown.filter_map(|m| {
            let own = m.runtime == Runtime::Rust.name();
            let label = name(m, language).replace("**", "");
            Some(Bar { label, figure: of(m)?, own })
        });
        bars.collect::<Vec<_>>()
    };
    let plot = |title, logarithmic, bars| Plot { title, logarithmic, bars, language };
    let all = vec![
        (
            "delay",
            plot(
                say(
                    "Delay from the command to the snapshot, p99, ms (logarithmic)",
                    "Délai de la commande à l’instantané, p99, ms (échelle logarithmique)",
                ),
                true,
                bars(false, &|m| m.figure(|s| Some(s.p99))),
            ),
        ),
        (
            "bytes",
            plot(
                say(
                    "Bytes per update, both ways, heads included",
                    "Octets par mise à jour, dans les deux sens, en-têtes compris",
                ),
                false,
                bars(false, &|m| m.figure(|s| Some(s.down + s.up))),
            ),
        ),
        (
            "cost",
            plot(
                say(
                    "Server CPU per delivery, as a multiple of the floor",
                    "Processeur par livraison, en multiple du plancher",
                ),
                false,
                bars(false, &|m| report.over_floor(m)),
            ),
        ),
        (
            "burst",
            plot(
                say(
                    "Burst: every client holds the last value after, ms (logarithmic)",
                    "Rafale : tous ont la dernière valeur après, ms (échelle logarithmique)",
                ),
                true,
                bars(false, &|m| m.figure(|s| Some(s.burst))),
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
pub fn write(report: &Report) -> Result<()> {
    let mut images = [String::new(), String::new()];
    for (language, images) in LANGUAGES.into_iter().zip(&mut images) {
        let folder = folder(language).join("images");
        fs::create_dir_all(&folder)?;
        for (file, plot) in plots(report, language) {
            fs::write(folder.join(file).with_extension("svg"), plot.svg())?;
            let _ = writeln!(images, "\n![{}](images/{file}.svg)", plot.description());
        }
    }
    write_between("comparison", "compare", |language| {
        let images = &images[usize::from(language != LANGUAGES[0])];
        format!("{}{images}", tables(report, language))
    })
}

const LANGUAGES: [Language; 2] = [Language::French, Language::English];

fn folder(language: Language) -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    docs.join(language.say("en", "fr"))
}

/// Writes what was measured into a chapter of both languages, between the markers of this
/// name.
///
/// # Errors
/// When a chapter or one of its markers is missing, or cannot be written.
pub fn write_between(
    chapter: &str,
    markers: &str,
    measured: impl Fn(Language) -> String,
) -> Result<()> {
    for language in LANGUAGES {
        let path = folder(language).join(chapter).with_extension("md");
        let page = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let inside = format!("\n{}\n", measured(language));
        let page = replace(&page, markers, &inside)
            .with_context(|| format!("{} has no markers", path.display()))?;
        fs::write(&path, page)?;
    }
    Ok(())
}

/// The page with `inside` between its markers.
fn replace(page: &str, markers: &str, inside: &str) -> Option<String> {
    let begin = format!("<!-- {markers}: begin -->\n");
    let end = format!("<!-- {markers}: end -->");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{inside}{end}{after}"))
}
