//! One term for one thing: what the glossary says not to write is not written.

use anyhow::Result;
use book::page::Page;
use regex::Regex;

use crate::{
    check::{Book, fault},
    prose::Prose,
};

/// Each table of the glossary whose last column is headed by one of these says there which
/// words stand for no thing of the book.
const NOT: [&str; 2] = ["et non", "not"];

/// Words that the glossary of the page's language has a better one for, with any ending that
/// makes a plural or a feminine, but for what is quoted.
pub fn faults(book: &Book, page: &Page) -> Result<Vec<String>> {
    let glossary = format!("docs/{}/glossary.md", Prose::language(page).code());
    let Some(glossary) = book.pages.get(&glossary).filter(|it| it.path != page.path)
    else {
        return Ok(Vec::new());
    };
    let prose = Prose::of(page).own;
    let mut faults = Vec::new();
    for (term, not) in better(glossary) {
        let words: Vec<_> = not.split_whitespace().map(regex::escape).collect();
        let written =
            Regex::new(&format!(r"(?i)\b{}(?:e?s?|x)\b", words.join(r"\s+")))?;
        for found in written.find_iter(&prose) {
            let line = prose[..found.start()].matches('\n').count() + 1;
            let wrong =
                format!("{:?} is {term:?} in {}", found.as_str(), glossary.path);
            faults.push(fault(page, line, wrong));
        }
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
                better.extend(not.split(", ").map(|not| (term, not)));
            }
            _ => counts &= cells.len() == 2,
        }
    }
    better
}
