//! One term for one thing: what the glossary says not to write is not written.

use anyhow::{Context, Result};
use book::page::Page;
use regex::Regex;

use crate::{
    check::{Book, fault},
    prose::Prose,
};

/// The head of the glossary's column of what is not to be written.
const NOT: [&str; 2] = ["et non", "not"];

/// Words, alone or with the ending of a plural or a feminine, that the glossary of the page's
/// language has another one for. What is quoted may have them.
pub fn faults(book: &Book, page: &Page) -> Result<Vec<String>> {
    let glossary = format!("docs/{}/glossary.md", Prose::language(page).code());
    let better = book.pages.get(&glossary).map(better).unwrap_or_default();
    if better.is_empty() || page.path == glossary {
        return Ok(Vec::new());
    }
    let words = better.iter().map(|(_, not)| regex::escape(not).replace(' ', r"\s+"));
    let words = words.collect::<Vec<_>>().join(")|(");
    let written = Regex::new(&format!(r"(?i)\b(?:({words}))(?:e?s?|x)\b"))?;
    let prose = Prose::of(page).own;
    let mut faults = Vec::new();
    for found in written.captures_iter(&prose) {
        let which = (0..better.len()).find_map(|at| Some((at, found.get(at + 1)?)));
        let (at, word) = which.context("one of them is found")?;
        let line = prose[..word.start()].matches('\n').count() + 1;
        let (word, term) = (word.as_str(), better[at].0);
        let wrong = format!("{word:?} is {term:?} in {glossary}");
        faults.push(fault(page, line, wrong));
    }
    Ok(faults)
}

/// The terms of the glossary, each with what is not to be written for it.
fn better(glossary: &Page) -> Vec<(&str, &str)> {
    let mut better = Vec::new();
    let mut counts = false;
    for line in glossary.text.lines() {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        match *cells {
            [_, head] if NOT.contains(&head) => counts = true,
            [term, not] if counts && !term.starts_with("--") => {
                let words = not.split(", ").filter(|word| *word != "–");
                better.extend(words.map(|not| (term, not)));
            }
            _ => counts &= cells.len() == 2,
        }
    }
    better
}
