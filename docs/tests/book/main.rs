//! The book shows code and output as they are, in both languages alike, and no link is
//! dead. `UPDATE=1` writes code and output into the pages anew.

mod all;
mod check;
mod command;
mod console;
mod figures;
mod picture;
mod prose;
mod recording;
mod rot;
mod site;
mod spelling;
mod terms;
mod trial;

use std::{
    env, fs,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use compare::Lesson;
use libtest_mimic::{Arguments, Conclusion, Trial};

use crate::{all::CHECKS, check::Book, console::Blocks, trial::told};

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // Most of them wait, but a drill keeps a browser busy.
    arguments.test_threads = arguments.test_threads.or(Some(6));
    let book = Arc::new(Book::load(book::root())?);
    if env::var_os("UPDATE").is_some() {
        return Ok(refresh(&book, &arguments)?.exit_code());
    }
    // Those that take longest begin first, and the rest runs beside them.
    let pages = book.clone();
    let mut trials = vec![Trial::test("site", move || told(site::faults(&pages)))];
    trials.extend(Lesson::ALL.map(|lesson| {
        let name = format!("recording::{lesson}");
        Trial::test(name, move || told(recording::faults(lesson)))
    }));
    trials.extend(rot::trials());
    for (name, check) in CHECKS {
        let book = book.clone();
        trials.push(Trial::test(name, move || told(book.faults(check))));
    }
    trials.push(Trial::test("console::either_order", || told(console::either_order())));
    for blocks in Blocks::of(&book)? {
        let name = blocks.name.clone();
        let lacks = blocks.lack();
        if let Some(lacks) = &lacks {
            println!("not run: {name}: {lacks}");
        }
        let trial = Trial::test(name, move || told(blocks.run().map(|it| it.1)));
        trials.push(trial.with_ignored_flag(lacks.is_some()));
    }
    let lacks = spelling::lack();
    if let Some(lacks) = &lacks {
        println!("not run: spelling: {lacks}");
    }
    let pages = book.clone();
    let spelling = Trial::test("spelling", move || told(spelling::faults(&pages)));
    trials.push(spelling.with_ignored_flag(lacks.is_some()));
    trials.push(Trial::test("pictures", move || told(picture::faults(&book))));
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// Writes code and output into the pages as they are now.
fn refresh(book: &Book, arguments: &Arguments) -> Result<Conclusion> {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let can_run = |blocks: &Blocks| blocks.lack().is_none();
    let trials = Blocks::of(book)?.into_iter().filter(can_run).map(|blocks| {
        let printed = printed.clone();
        Trial::test(blocks.name.clone(), move || {
            let (now, faults) = blocks.run().map_err(|error| format!("{error:#}"))?;
            if !faults.is_empty() || !blocks.are_same() {
                let mut printed =
                    printed.lock().unwrap_or_else(PoisonError::into_inner);
                printed.push((blocks, now));
            }
            Ok(())
        })
    });
    let scenes = Lesson::ALL.map(|lesson| {
        let record = move || recording::record(lesson).map(|()| Vec::new());
        Trial::test(format!("recording::{lesson}"), move || told(record()))
    });
    let pictures = Lesson::ALL.map(|lesson| {
        let take = move || picture::take(lesson).map(|()| Vec::new());
        Trial::test(format!("picture::{lesson}"), move || told(take()))
    });
    let trials = trials.chain(scenes).chain(pictures).collect();
    let conclusion = libtest_mimic::run(arguments, trials);
    let printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
    for page in book.pages.values() {
        let stale = book.stale(page).into_iter();
        let mut changes: Vec<_> =
            stale.filter_map(|(fence, now)| Some((fence, now.ok()?))).collect();
        for (blocks, now) in printed.iter() {
            let here = blocks.shown.iter().filter(|(other, _)| other.path == page.path);
            changes.extend(here.map(|(_, fence)| (fence, now.clone())));
        }
        if !changes.is_empty() {
            println!("{}: {} blocks written", page.path, changes.len());
            fs::write(book.root.join(&page.path), page.with(changes))?;
        }
    }
    Lesson::ALL.into_iter().try_for_each(recording::draw)?;
    Ok(conclusion)
}
