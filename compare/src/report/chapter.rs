//! Writes what was measured to the book, to a file, and as a table.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::{Lesson, language::Language};

/// The folder of the book's pages in this language.
#[must_use]
pub fn folder(language: Language) -> PathBuf {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    docs.join(language.code())
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
    for language in Language::ALL {
        let (path, _, now) = between(chapter, markers, language, &measured(language))?;
        fs::write(&path, now)?;
    }
    Ok(())
}

/// Checks that a chapter of both languages has this between its markers.
///
/// # Errors
/// When one has not, or has no markers.
pub fn stands_between(
    chapter: &str,
    markers: &str,
    expected: impl Fn(Language) -> String,
) -> Result<()> {
    for language in Language::ALL {
        let (path, page, now) =
            between(chapter, markers, language, &expected(language))?;
        ensure!(page == now, "{}: {markers} is old", path.display());
    }
    Ok(())
}

/// A chapter's file, what it says, and what it would say with this between its markers.
fn between(
    chapter: &str,
    markers: &str,
    language: Language,
    inside: &str,
) -> Result<(PathBuf, String, String)> {
    let path = folder(language).join(chapter).with_extension("md");
    let page = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let now = replace(&page, markers, &format!("\n{}\n", language.spaced(inside)))
        .with_context(|| format!("{} has no markers {markers}", path.display()))?;
    Ok((path, page, now))
}

/// The page with `inside` between its markers.
fn replace(page: &str, markers: &str, inside: &str) -> Option<String> {
    let begin = format!("<!-- {markers}: begin -->\n");
    let end = format!("<!-- {markers}: end -->");
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{inside}{end}{after}"))
}

/// Writes a report to a file, as JSON.
///
/// # Errors
/// When it cannot be written.
pub fn write_json(report: &impl Serialize, path: &Path) -> Result<()> {
    let json = serde_json::to_string_pretty(report)? + "\n";
    fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))
}

/// Adds a table whose columns are aligned in plain text too.
pub fn table(text: &mut String, header: &[&str], rows: Vec<Vec<String>>) {
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

/// A server as a table has it: a lesson in bold, and what was added to it.
#[must_use]
pub fn server_name(server: &str) -> String {
    let is_lesson = |name: &str| Lesson::ALL.iter().any(|lesson| lesson.name() == name);
    match server.split_once(" + ") {
        Some((lesson, with)) if is_lesson(lesson) => format!("**{lesson}** + `{with}`"),
        Some((peer, with)) => format!("{peer} + `{with}`"),
        None if is_lesson(server) => format!("**{server}**"),
        _ => server.to_owned(),
    }
}
