//! Every drill on every lesson. What a whole run observes is compared with the table in the
//! book; `UPDATE=1` writes it anew.

use std::{
    env, fs,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use compare::{
    Lesson, Place, Subject,
    drills::{Drill, Observed, Teller},
};
use libtest_mimic::{Arguments, Failed, Trial};

/// Drills that are done to several instances too; what they observe must be as with one.
const TOGETHER: [(Place, &[&str]); 2] =
    [(Place::Shared, &["cut", "stall", "garbage"]), (Place::Proxied, &["cut", "idle"])];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let mut all: Vec<(&Drill, Subject)> = Vec::new();
    for drill in Drill::ALL {
        all.extend(Lesson::ALL.map(|lesson| (drill, lesson.into())));
    }
    let cells = all.len();
    for (place, names) in TOGETHER {
        if let Some(lacks) = place.lacks() {
            println!("not run: the drills with {}: {lacks}", place.name());
        }
        for drill in names.iter().filter_map(|name| Drill::named(name)) {
            let subject = |lesson: Lesson| Subject { place, ..lesson.into() };
            all.extend(Lesson::ALL.map(|lesson| (drill, subject(lesson))));
        }
    }
    let seen = Arc::new(Mutex::new(vec![None; all.len()]));
    let mut trials = Vec::new();
    for (cell, (drill, subject)) in all.iter().copied().enumerate() {
        let seen = seen.clone();
        let run = move || {
            let observed = block_on(drill, subject)?;
            seen.lock().unwrap_or_else(PoisonError::into_inner)[cell] = Some(observed);
            Ok(())
        };
        let lacks = drill.place.lacks().or(subject.place.lacks());
        let trial = Trial::test(format!("{subject}::{}", drill.name), run);
        trials.push(trial.with_ignored_flag(lacks.is_some()));
    }
    #[cfg(unix)]
    trials.push(Trial::test("told_to_end", || Ok(told_to_end()?)));
    let conclusion = libtest_mimic::run(&arguments, trials);
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut holds = true;
    for ((drill, subject), together) in all.iter().zip(&*seen).skip(cells) {
        let same = |(other, alone): &&(&Drill, Subject)| {
            other.name == drill.name && alone.lesson == subject.lesson
        };
        let alone = all.iter().position(|cell| same(&cell)).and_then(|cell| seen[cell]);
        if let (Some(alone), Some(together)) = (alone, together)
            && alone != *together
        {
            println!("{subject}::{}: {together:?}, alone {alone:?}", drill.name);
            holds = false;
        }
    }
    let whole: Option<Vec<Observed>> = seen[..cells].iter().copied().collect();
    holds &= whole.is_none_or(|whole| tables_hold(&whole));
    if holds { conclusion.exit_code() } else { ExitCode::FAILURE }
}

fn block_on(drill: &Drill, subject: Subject) -> Result<Observed, Failed> {
    // A drill on several instances may start one while a relay goes on.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let observed = runtime.block_on(drill.run(subject, Teller::new(false)));
    observed.map_err(|error| format!("{error:#}").into())
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
# Épreuves : ce que fait chaque transport quand on le perturbe

*[Read in English](../en/drills.md)*

Chaque case a été observée : la suite de tests fait subir aux leçons ce que dit la première
colonne, avec leurs vraies pages dans un vrai navigateur, et échoue s’il se passe autre
chose. Une case sous vos yeux, pas à pas : `just drill cut 03-websocket`.
";

/// Whether the tables in the book say what was observed, once they are written if asked.
fn tables_hold(seen: &[Observed]) -> bool {
    type Pick = fn(&Observed) -> &'static str;
    let languages: [(&str, &str, Pick); 2] =
        [("en", ENGLISH, |o| o.en), ("fr", FRENCH, |o| o.fr)];
    languages.into_iter().all(|(language, head, pick)| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = path.join(format!("../docs/{language}/drills.md"));
        let table = table(head, seen, pick);
        if env::var_os("UPDATE").is_some() {
            return fs::write(&path, table).is_ok();
        }
        let holds = fs::read_to_string(&path).is_ok_and(|written| written == table);
        if !holds {
            println!("{} is not what was observed:\n{table}", path.display());
            println!("UPDATE=1 cargo test -p compare --test drills writes it anew");
        }
        holds
    })
}

fn table(head: &str, seen: &[Observed], pick: fn(&Observed) -> &'static str) -> String {
    let mut table = format!("{head}\n| |");
    for lesson in Lesson::ALL {
        table += &format!(" {lesson} |");
    }
    table += "\n|---|---|---|---|---|\n";
    for (drill, seen) in Drill::ALL.iter().zip(seen.chunks(Lesson::ALL.len())) {
        let colon = if head == FRENCH { " :" } else { ":" };
        table += &format!("| **`{}`**{colon} {} |", drill.name, pick(&drill.what));
        for observed in seen {
            table += &format!(" {} |", pick(observed));
        }
        table += "\n";
    }
    // A line may not break inside a number, nor before French punctuation.
    table.replace(" 000", "\u{a0}000").replace(" ;", "\u{a0};").replace(" :", "\u{a0}:")
}
