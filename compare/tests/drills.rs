//! Every drill on every lesson. What a drill observes is compared with its cell in the book's
//! table; `UPDATE=1` writes it anew.

mod common;

use std::{
    env, fs,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, ensure};
#[cfg(not(unix))]
use common::cannot;
use common::{in_order, placed, trial};
use compare::{
    Lesson, Place, Subject,
    drills::{Drill, Teller, Verdict},
    language::Language,
    report::chapter::folder,
};
use libtest_mimic::Arguments;
use tokio::sync::Semaphore;

/// Drills that are done to several instances too; what they observe must be as with one.
const TOGETHER: [(Place, &[&str]); 2] =
    [(Place::Shared, &["cut", "stall", "garbage"]), (Place::Proxied, &["cut", "idle"])];

/// Drills that wait for about a minute, on no core.
const WAITS: [&str; 3] = ["::sleep", "::gap", "::idle"];

/// How many of the others run at once: some keep a core busy.
const BUSY: usize = 8;
static TURNS: Semaphore = Semaphore::const_new(BUSY);

/// What each drill observed of each subject, as far as they ran.
type Seen = Vec<(&'static Drill, Subject, Verdict)>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let seen = Arc::new(Mutex::new(Seen::new()));
    let run = |drill: &'static Drill, subject: Subject| {
        let seen = seen.clone();
        let name = format!("{subject}::{}", drill.name);
        let waits = waits(&name);
        trial(name, async move || {
            let _turn = if waits { None } else { Some(TURNS.acquire().await?) };
            let verdict = drill.run(subject, Teller::new(false)).await?;
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push((drill, subject, verdict));
            as_the_book_says(drill, subject.lesson, verdict)
        })
    };
    let mut trials = Vec::new();
    for place in [Place::Alone, Place::Shared, Place::Proxied] {
        let drills = Drill::ALL.iter().filter(|drill| drill.place == place);
        let all =
            drills.flat_map(|it| Lesson::ALL.map(|lesson| run(it, lesson.into())));
        trials.extend(placed("the drills", place, all.collect()));
    }
    for (place, names) in TOGETHER {
        let subjects = Lesson::ALL.map(|lesson| Subject::placed(lesson, place));
        let drills = names.iter().filter_map(|name| Drill::named(name));
        let all = drills.flat_map(|it| subjects.map(|subject| run(it, subject)));
        trials.extend(placed("the drills of one lesson", place, all.collect()));
    }
    #[cfg(unix)]
    trials.push(trial("told_to_end", async || told_to_end()));
    #[cfg(not(unix))]
    trials.push(cannot("told_to_end", "no signals"));
    let whole = arguments.filter.is_none() && !arguments.list;
    let waiting = trials.iter().filter(|trial| waits(trial.name())).count();
    arguments.test_threads = arguments.test_threads.or(Some(waiting + BUSY));
    let trials = in_order(trials, &[&WAITS[..], &["::stall"]].concat());
    let conclusion = libtest_mimic::run(&arguments, trials);
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if tables_hold(&seen, whole) { conclusion.exit_code() } else { ExitCode::FAILURE }
}

fn waits(name: &str) -> bool {
    WAITS.iter().any(|it| name.ends_with(it))
}

/// Whether the book's table says what was observed, of one instance as of several.
fn as_the_book_says(drill: &Drill, lesson: Lesson, seen: Verdict) -> Result<()> {
    if env::var_os("UPDATE").is_some() {
        return Ok(());
    }
    let language = Language::English;
    let page = fs::read_to_string(folder(language).join("drills.md"))?;
    let says = written(&page, drill, lesson).unwrap_or("nothing");
    let observed = seen.text().of(language);
    ensure!(says == observed, "the book says {says:?}; observed was {observed:?}");
    Ok(())
}

/// What a page's table says of a drill and a lesson.
fn written<'p>(page: &'p str, drill: &Drill, lesson: Lesson) -> Option<&'p str> {
    let start = format!("| **`{}`**", drill.name);
    let row = page.lines().find(|line| line.starts_with(&start))?;
    let column = Lesson::ALL.into_iter().position(|it| it == lesson)?;
    let cell = row.split(" | ").nth(column + 1)?;
    Some(cell.trim_end_matches(" |"))
}

/// What was observed of a lesson where the drill has its place.
fn alone(seen: &Seen, drill: &Drill, lesson: Lesson) -> Option<Verdict> {
    let own = |(other, subject, _): &&(&'static Drill, Subject, Verdict)| {
        other.name == drill.name && *subject == lesson.into()
    };
    seen.iter().find(own).map(|(.., verdict)| *verdict)
}

/// A drill that is told to end leaves neither its lesson behind nor its browser.
#[cfg(unix)]
fn told_to_end() -> anyhow::Result<()> {
    use std::{
        io::{BufRead, BufReader},
        os::unix::process::CommandExt,
        process::{Command, Stdio},
        thread::sleep,
        time::{Duration, Instant},
    };

    use anyhow::{Context, bail, ensure};
    use nix::{
        sys::signal::{Signal, kill, killpg},
        unistd::Pid,
    };

    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(["drill", "freeze", "02-sse"]).stdout(Stdio::piped());
    // A group of its own, to find whoever is left of it.
    let mut drill = command.process_group(0).spawn()?;
    let group = Pid::from_raw(drill.id().try_into()?);
    let said = BufReader::new(drill.stdout.take().context("no standard output")?);
    let clicked = said.lines().map_while(Result::ok).any(|line| line.contains("on +1"));
    ensure!(clicked, "the drill ended before its clicks");
    kill(group, Signal::SIGTERM)?;
    let status = drill.wait()?;
    let ended = Instant::now();
    while killpg(group, None).is_ok() {
        if ended.elapsed() > Duration::from_secs(20) {
            killpg(group, Signal::SIGKILL)?;
            bail!("it left a process behind");
        }
        sleep(Duration::from_millis(20));
    }
    ensure!(status.code() == Some(1), "{status}");
    Ok(())
}

/// What stands above the table.
const ENGLISH: &str = "\
# Drills: what each transport does when it is disturbed

*[Lire en français](../fr/drills.md)*

Each cell was observed: the suite of tests does to the lessons what the first column says,
with their real pages in a real browser, and fails when something else happens. One cell
before your eyes, step by step: `just drill cut 03-websocket`.
";
const FRENCH: &str = "\
# Incidents : ce que fait chaque transport quand on le perturbe

*[Read in English](../en/drills.md)*

Un incident est une panne provoquée exprès. Chaque case a été observée : la suite de tests
joue l’incident de la première colonne contre les leçons, avec leurs vraies pages dans un
vrai navigateur, et échoue s’il se passe autre chose. Pour en jouer un sous vos yeux, pas à
pas : `just drill cut 03-websocket`.
";

/// Whether each cell of the tables in the book says what was observed, once that is written
/// if asked. Names what did not run.
fn tables_hold(seen: &Seen, whole: bool) -> bool {
    let cells = Drill::ALL.iter().flat_map(|it| Lesson::ALL.map(|lesson| (it, lesson)));
    let missing = cells.filter(|(drill, lesson)| alone(seen, drill, *lesson).is_none());
    let names = missing.map(|(drill, lesson)| format!("{lesson}::{}", drill.name));
    let names: Vec<_> = names.filter(|_| whole).collect();
    if !names.is_empty() {
        println!("not run, and not compared with the book: {}", names.join(", "));
    }
    Language::ALL.into_iter().all(|language| {
        let path = folder(language).join("drills.md");
        let page = fs::read_to_string(&path).unwrap_or_default();
        let table = table(language, seen, &page);
        if env::var_os("UPDATE").is_some() {
            return fs::write(&path, table).is_ok();
        }
        for (line, now) in page.lines().zip(table.lines()).filter(|(a, b)| a != b) {
            println!("{} says\n{line}\nand observed was\n{now}", path.display());
            println!("UPDATE=1 cargo test -p compare --test drills writes it anew");
        }
        page == table
    })
}

/// The page as it must be: what did not run is left as the page has it.
fn table(language: Language, seen: &Seen, page: &str) -> String {
    let mut table = format!("{}\n| |", language.say(FRENCH, ENGLISH));
    for lesson in Lesson::ALL {
        table += &format!(" {lesson} |");
    }
    table += "\n|---|---|---|---|---|\n";
    for drill in Drill::ALL {
        let colon = language.say(" :", ":");
        table +=
            &format!("| **`{}`**{colon} {} |", drill.name, drill.what.of(language));
        for lesson in Lesson::ALL {
            let observed = alone(seen, drill, lesson).map(|it| it.text().of(language));
            let cell = observed.or_else(|| written(page, drill, lesson)).unwrap_or("–");
            table += &format!(" {cell} |");
        }
        table += "\n";
    }
    // A line may not break inside a number.
    language.spaced(&table.replace(" 000", "\u{a0}000"))
}
