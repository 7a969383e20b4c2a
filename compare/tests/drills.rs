//! Every drill on every lesson. What a whole run observes is compared with the table in the
//! book; `UPDATE=1` writes it anew.

use std::{
    env, fs,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use compare::{
    Lesson,
    drills::{Drill, Observed, Teller},
};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let all: Vec<(&Drill, Lesson)> = Drill::ALL
        .iter()
        .flat_map(|drill| Lesson::ALL.map(|lesson| (drill, lesson)))
        .collect();
    let seen = Arc::new(Mutex::new(vec![None; all.len()]));
    let trials = all.iter().enumerate().map(|(cell, (drill, lesson))| {
        let (drill, lesson, seen) = (*drill, *lesson, seen.clone());
        Trial::test(format!("{lesson}::{}", drill.name), move || {
            let observed = block_on(drill, lesson)?;
            seen.lock().unwrap_or_else(PoisonError::into_inner)[cell] = Some(observed);
            Ok(())
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let whole: Option<Vec<Observed>> = seen.iter().copied().collect();
    match whole {
        Some(whole) if !tables_hold(&whole) => ExitCode::FAILURE,
        _ => conclusion.exit_code(),
    }
}

fn block_on(drill: &Drill, lesson: Lesson) -> Result<Observed, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let observed = runtime.block_on(drill.run(lesson, Teller::new(false)));
    observed.map_err(|error| format!("{error:#}").into())
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
