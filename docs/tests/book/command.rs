//! The commands that the pages name, in `sh` blocks and in inline code: their recipes,
//! lessons, drills and tests exist.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, ensure};
use book::page::Page;
use compare::{Lesson, drills::Drill};
use regex::Regex;

use crate::{
    check::{Book, fault},
    console,
};

pub fn faults(book: &Book, page: &Page) -> Result<Vec<String>> {
    let recipe = Regex::new(r"(?m)^@?([a-z][\w-]*)[^:\n]*:(?:[^=]|$)")?;
    let justfile = fs::read_to_string(book.root.join("justfile"))?;
    let recipes: Vec<&str> =
        recipe.captures_iter(&justfile).map(|it| it.extract::<1>().1[0]).collect();
    let mut faults = Vec::new();
    for (line, command) in commands(page) {
        if let Some(wrong) = wrong(command, &recipes)? {
            faults.push(fault(page, line, format!("`{command}`: there is no {wrong}")));
        }
    }
    Ok(faults)
}

fn commands(page: &Page) -> impl Iterator<Item = (usize, &str)> {
    let blocks = page.fences.iter().filter(|fence| fence.language == "sh");
    let lines = blocks.flat_map(|fence| (fence.line + 1..).zip(fence.content.lines()));
    lines.chain(page.spans.iter().map(|(line, code)| (*line, code.as_str())))
}

fn wrong(command: &str, recipes: &[&str]) -> Result<Option<String>> {
    let words = command.split_whitespace().take_while(|word| !word.starts_with('#'));
    let words = words.skip_while(|word| word.contains('='));
    let words: Vec<&str> =
        words.filter(|word| !["npx", "--yes"].contains(word)).collect();
    match &*words {
        ["just" | "rust-just", words @ ..] => Ok(no_recipe(words, recipes)),
        ["cargo", "test", words @ ..] => no_test(words),
        // As `protocol.md` names its proofs.
        [suite @ ("contract" | "browser" | "cluster" | "drills" | "interop"), test] => {
            no_test(&["--test", suite, test])
        }
        ["unit", test] => no_test(&["--lib", test]),
        _ => Ok(None),
    }
}

fn no_recipe(words: &[&str], recipes: &[&str]) -> Option<String> {
    // `NAME` and `…` stand for what the reader puts there.
    let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let words = words.iter().filter(|word| !word.contains('='));
    let mut words = words.filter(|word| word.starts_with(named));
    let recipe = words.next()?;
    if !recipes.contains(recipe) {
        return Some(format!("recipe {recipe}"));
    }
    let known = |word: &str| {
        Lesson::ALL.iter().any(|lesson| lesson.name() == word)
            || Drill::named(word).is_some()
            || word.parse::<u8>().is_ok()
    };
    let takes_names =
        ["run", "wire", "drill", "diff", "profile", "cluster"].contains(recipe);
    let unknown = words.find(|word| takes_names && !known(word))?;
    Some(format!("drill or lesson {unknown}"))
}

fn no_test(words: &[&str]) -> Result<Option<String>> {
    let (mut which, mut filters) = (Vec::new(), Vec::new());
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        match word {
            // All packages are built together: one alone would be built differently.
            "-p" | "--package" | "--features" => drop(words.next()),
            "--test" | "--bin" => which.extend([word, words.next().unwrap_or("")]),
            "--lib" | "--bins" => which.push(word),
            word if word.starts_with('-') => {}
            word => filters.push(word),
        }
    }
    if which.is_empty() && filters.is_empty() {
        return Ok(None);
    }
    let tests = tests(&which)?;
    let missing = |part: &&str| !tests.lines().any(|test| test.contains(part));
    Ok(filters.into_iter().find(missing).map(|part| format!("test {part}")))
}

/// The list of the tests of `cargo test` with these arguments.
fn tests(which: &[&str]) -> Result<String> {
    static LISTS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tests) = lists.get(&which.join(" ")) {
        return Ok(tests.clone());
    }
    let mut cargo = console::cargo("test");
    let output =
        cargo.args(which).args(["--", "--list", "--format", "terse"]).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot list the tests: {errors}");
    let tests = String::from_utf8(output.stdout)?;
    lists.insert(which.join(" "), tests.clone());
    Ok(tests)
}
