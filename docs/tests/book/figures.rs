//! Figures that sentences quote, held against the measured tables of the same page.

use anyhow::{Context, Result, ensure};
use book::page::Page;
use regex::Regex;

use crate::check::{Book, fault};

/// Each comment `<!-- figure: "title" "row" "column" in 60..70 -->` names a cell of the first
/// table below a line that contains the title. Its first number must lie in the range, or
/// the sentence above the comment is no longer so.
pub fn faults(_book: &Book, page: &Page) -> Result<Vec<String>> {
    let comment = Regex::new(
        r#"^<!-- figure: "(.+?)" "(.+?)" "(.+?)" in (-?[\d.]+)\.\.(-?[\d.]+) -->$"#,
    )?;
    let mut faults = Vec::new();
    for (line, text) in (1..).zip(page.text.lines()) {
        if !text.starts_with("<!-- figure:") {
            continue;
        }
        let Some(held) = comment.captures(text) else {
            let form = r#"<!-- figure: "title" "row" "column" in 60..70 -->"#;
            faults.push(fault(page, line, format!("is not {form}")));
            continue;
        };
        let (least, most): (f64, f64) = (held[4].parse()?, held[5].parse()?);
        match cell(&page.text, &held[1], &held[2], &held[3]).and_then(number) {
            Ok(now) if (least..=most).contains(&now) => {}
            Ok(now) => {
                let wrong = format!("{least} to {most} is said, {now} was measured");
                faults.push(fault(page, line, wrong));
            }
            Err(why) => faults.push(fault(page, line, format!("{why:#}"))),
        }
    }
    Ok(faults)
}

/// A cell, by the title above its table, the beginning of its row and the head of its column;
/// what a line may not break at is a space.
fn cell<'a>(text: &'a str, title: &str, row: &str, column: &str) -> Result<&'a str> {
    let comment = |line: &&str| line.starts_with("<!-- figure:");
    let plain = |text: &str| text.replace('\u{a0}', " ");
    let [title, row, column] = [title, row, column].map(plain);
    let mut lines = text.lines().filter(|line| !comment(line));
    lines
        .by_ref()
        .find(|line| plain(line).contains(&title))
        .with_context(|| format!("no line contains {title:?}"))?;
    let mut table = lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>()
        });
    let heads = table.next().with_context(|| format!("no table below {title:?}"))?;
    let at = heads.iter().position(|head| plain(head) == column);
    let at = at.with_context(|| format!("no column {column:?} among {heads:?}"))?;
    let cells = table.find(|cells| cells.first().is_some_and(|it| plain(it) == row));
    let cells = cells.with_context(|| format!("no row {row:?} below {title:?}"))?;
    cells.get(at).copied().context("the row is too short")
}

/// The first number of a cell, in either language's form.
fn number(cell: &str) -> Result<f64> {
    let number: String = cell
        .chars()
        .filter(|c| *c != '\u{a0}')
        .take_while(|c| c.is_ascii_digit() || ".,-".contains(*c))
        .collect();
    ensure!(!number.is_empty(), "no number in {cell:?}");
    // A comma before three digits sets thousands apart; before others it is French.
    let number = match number.rsplit_once(',') {
        Some((whole, part)) if part.len() == 3 => format!("{whole}{part}"),
        _ => number.replace(',', "."),
    };
    Ok(number.parse()?)
}
