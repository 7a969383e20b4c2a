//! What must be true of the text of the pages. A fault says where, and what is wrong.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use book::{
    LANGUAGES,
    page::{Fence, Link, Page},
};
use compare::language::UNITS;
use regex::Regex;

use crate::prose::Prose;

/// What must be true of a page.
pub type Check = fn(&Book, &Page) -> Result<Vec<String>>;

/// Blocks of these languages are code of this repository, and say which.
const CODE: [&str; 6] = ["rust", "js", "html", "toml", "nginx", "lua"];

/// Blocks of these need not say where they come from.
const FREE: [&str; 6] = ["console", "sh", "text", "mermaid", "json", "diff"];

/// The pages outside `docs`.
const FRONT: [&str; 3] = ["README.md", "README.fr.md", "CONTRIBUTING.md"];

/// Written by the suite of drills, not by an author.
const GENERATED: &str = "drills.md";

/// The pages of both languages and those in front, and the repository that they speak of.
pub struct Book {
    pub root: PathBuf,
    pub pages: BTreeMap<String, Page>,
}

impl Book {
    pub fn load(root: &Path) -> Result<Self> {
        let mut paths = FRONT.map(str::to_owned).to_vec();
        for language in LANGUAGES {
            for file in fs::read_dir(root.join("docs").join(language))? {
                let name = file?.file_name().to_string_lossy().into_owned();
                if name.ends_with(".md") {
                    paths.push(format!("docs/{language}/{name}"));
                }
            }
        }
        let pages = paths.into_iter().map(|path| {
            let text = fs::read_to_string(root.join(&path));
            let page = Page::read(&path, &text.with_context(|| path.clone())?);
            Ok((path, page))
        });
        Ok(Self { root: root.to_owned(), pages: pages.collect::<Result<_>>()? })
    }

    /// What a check finds on all pages.
    pub fn faults(&self, check: Check) -> Result<Vec<String>> {
        let faults = self.pages.values().map(|page| check(self, page));
        Ok(faults.collect::<Result<Vec<_>>>()?.concat())
    }

    /// The blocks of code that are not as the file has them, and what it has.
    pub fn stale<'a>(&self, page: &'a Page) -> Vec<(&'a Fence, Result<String>)> {
        let shown = page.fences.iter().filter_map(|fence| {
            let now = excerpt(&self.root, fence.source.as_ref()?);
            (now.as_ref().ok() != Some(&fence.content)).then_some((fence, now))
        });
        shown.collect()
    }

    /// Code that is not as the file has it.
    pub fn code(&self, page: &Page) -> Vec<String> {
        let faults = self.stale(page).into_iter().map(|(fence, now)| match now {
            Err(why) => fault(page, fence.line, format!("{why:#}")),
            Ok(now) => {
                let [shown, now] = [&fence.content, &now]
                    .map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
                let at = difference(&shown, &now).unwrap_or_default();
                let wrong = format!(
                    "shows {:?}, the file has {:?}",
                    shown.get(at),
                    now.get(at)
                );
                fault(page, fence.line + 1 + at, wrong)
            }
        });
        faults.collect()
    }

    /// Links that lead to nothing, anchors that no heading has, and pictures without a word
    /// for whoever does not see them.
    pub fn links(&self, page: &Page) -> Vec<String> {
        let mute = |link: &&Link| page.text[link.range.clone()].starts_with("![]");
        let mut faults: Vec<_> = page
            .links
            .iter()
            .filter(mute)
            .map(|link| fault(page, link.line, format!("no words for {}", link.target)))
            .collect();
        for link in page.links.iter().filter(|link| !link.away) {
            let path = link.path.clone().unwrap_or_default();
            let has =
                |to: &Page| to.anchors.iter().any(|(name, _)| *name == link.anchor);
            if path.is_empty() || !self.root.join(&path).exists() {
                let wrong = format!("{} leads to no file", link.target);
                faults.push(fault(page, link.line, wrong));
            } else if !link.anchor.is_empty() && !self.pages.get(&path).is_some_and(has)
            {
                let wrong = format!("{} leads to no heading of {path}", link.target);
                faults.push(fault(page, link.line, wrong));
            }
        }
        faults
    }

    /// A page in one language only, or one that the summary does not name.
    pub fn places(&self, page: &Page) -> Vec<String> {
        let Some((language, name)) = place(page) else { return Vec::new() };
        let mut faults = Vec::new();
        for other in LANGUAGES {
            if !self.pages.contains_key(&format!("docs/{other}/{name}")) {
                faults.push(fault(page, 1, format!("there is no docs/{other}/{name}")));
            }
        }
        let summary = format!("docs/{language}/SUMMARY.md");
        let names = |summary: &Page| summary.links.iter().any(|l| l.target == name);
        if name != "SUMMARY.md" && !self.pages.get(&summary).is_some_and(names) {
            faults.push(fault(page, 1, format!("{summary} does not name it")));
        }
        faults
    }

    /// Where the page in the other language is not built alike.
    pub fn parity(&self, page: &Page) -> Vec<String> {
        let other = match place(page) {
            Some(("fr", name)) => self.pages.get(&format!("docs/en/{name}")),
            _ => None,
        };
        let Some(other) = other else { return Vec::new() };
        let mut faults = Vec::new();
        let [(our_lines, ours), (their_lines, theirs)] = [page, other].map(shape);
        if let Some(at) = difference(&ours, &theirs) {
            let has = |page: &Page, lines: &[usize], shape: &[String]| {
                let line = lines.get(at).copied().unwrap_or(page.text.lines().count());
                let what = shape.get(at).map_or("its end", String::as_str);
                fault(page, line, format!("has {what}"))
            };
            let theirs = has(other, &their_lines, &theirs);
            faults.push(format!("{}, but {theirs}", has(page, &our_lines, &ours)));
        }
        for (page, other) in [(page, other), (other, page)] {
            let count = |page: &Page, target: &str| {
                page.links.iter().filter(|link| neutral(&link.target) == target).count()
            };
            for link in &page.links {
                let target = neutral(&link.target);
                if count(page, &target) > count(other, &target) {
                    let wrong =
                        format!("{} is not linked in {}", link.target, other.path);
                    faults.push(fault(page, link.line, wrong));
                }
            }
        }
        faults
    }
}

/// Code that does not say where it comes from, and blocks that nothing would check.
pub fn provenance(page: &Page) -> Vec<String> {
    let strays = page.strays.iter();
    let mut faults: Vec<_> = strays
        .map(|line| fault(page, *line, "no block follows this comment"))
        .collect();
    for fence in &page.fences {
        let language = fence.language.as_str();
        if CODE.contains(&language) && fence.source.is_none() {
            let wrong = "code without <!-- code: FILE … --> before it";
            faults.push(fault(page, fence.line, wrong));
        } else if !CODE.contains(&language) && !FREE.contains(&language) {
            let wrong = format!("a block of {language:?}, not {CODE:?} or {FREE:?}");
            faults.push(fault(page, fence.line, wrong));
        }
    }
    faults
}

/// A page without the line, below the title, that leads to the other language.
pub fn switch(page: &Page) -> Vec<String> {
    let expected = match place(page) {
        None | Some((_, "SUMMARY.md" | GENERATED)) => return Vec::new(),
        Some(("fr", name)) => format!("*[Read in English](../en/{name})*"),
        Some((_, name)) => format!("*[Lire en français](../fr/{name})*"),
    };
    match page.text.lines().filter(|line| !line.is_empty()).nth(1) {
        Some(line) if line == expected => Vec::new(),
        _ => vec![fault(page, 3, format!("is not {expected}"))],
    }
}

/// French without its own spaces and apostrophes; and, in both languages, a number that a
/// line could part from its unit, or whose thousands are not set apart as its language does.
pub fn typography(page: &Page) -> Result<Vec<String>> {
    let units = UNITS.join("|");
    let unit = format!(r"\d(?:[ \u{{202f}}]|\n *)(?:{units})(?:[^\w’]|$)");
    let language = Prose::language(page);
    let own = language.say(
        r"\w'\w|«[^\u{a0}]|[^\u{a0}\s][:;?!»](?:\s|$)|[ \n][:;?!»]|\.\.\.|\d[ \u{202f}]\d{3}\b",
        r"\d[ \u{a0}\u{202f}](?:\d{3}\b|%)",
    );
    let wrong = Regex::new(&format!("(?m){unit}|{own}"))?;
    let prose = Prose::of(page).own;
    let faults = wrong.find_iter(&prose).map(|found| {
        let line = prose[..found.start()].matches('\n').count() + 1;
        let name = language.say("French", "English");
        fault(page, line, format!("{:?} is not {name}", found.as_str().trim()))
    });
    Ok(faults.collect())
}

/// A plan of a session whose parts do not follow each other: in a table that begins with a
/// time and minutes, each part begins where those before it end.
pub fn plans(page: &Page) -> Result<Vec<String>> {
    let time = Regex::new(r"^(\d+)\D+(\d\d)$")?;
    let mut faults = Vec::new();
    let mut end = None;
    for (line, text) in (1..).zip(page.text.lines()) {
        let cells: Vec<_> = text.trim_matches('|').split('|').map(str::trim).collect();
        match *cells {
            ["À" | "At", "Minutes", ..] => end = Some(0),
            [at, minutes, ..] if end.is_some() && !at.starts_with("--") => {
                let at =
                    time.captures(at).with_context(|| format!("{at} is no time"))?;
                let at = at[1].parse::<u32>()? * 60 + at[2].parse::<u32>()?;
                let due = end.unwrap_or_default();
                if at != due {
                    let wrong = format!("begins after {at} minutes, not {due}");
                    faults.push(fault(page, line, wrong));
                }
                end = Some(due + minutes.parse::<u32>()?);
            }
            _ => end = end.filter(|_| cells.len() > 1),
        }
    }
    Ok(faults)
}

/// What is wrong, and where.
pub fn fault(page: &Page, line: usize, wrong: impl std::fmt::Display) -> String {
    format!("{}:{line}: {wrong}", page.path)
}

/// The first place where two lists differ.
pub fn difference<T: PartialEq>(a: &[T], b: &[T]) -> Option<usize> {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    (same < a.len().max(b.len())).then_some(same)
}

/// The lines that a comment `<!-- code: FILE "first" .. "last" -->` names.
fn excerpt(root: &Path, comment: &str) -> Result<String> {
    let form = Regex::new(r#"^<!-- code: (\S+) "(.+?)"(?: \.\. "(.+)")? -->$"#)?;
    let form = form.captures(comment).with_context(|| {
        format!("{comment} is not <!-- code: FILE \"first\" .. \"last\" -->")
    })?;
    let file = &form[1];
    let source =
        fs::read_to_string(root.join(file)).with_context(|| file.to_owned())?;
    let lines: Vec<&str> = source.lines().collect();
    let first = lines.iter().position(|line| line.contains(&form[2]));
    let first =
        first.with_context(|| format!("no line of {file} contains {:?}", &form[2]))?;
    let last = match form.get(3).map(|last| last.as_str()) {
        None => Some(first),
        Some(last) => (first..lines.len()).find(|at| lines[*at].starts_with(last)),
    };
    let last = last.with_context(|| {
        format!("no later line of {file} starts with {:?}", &form[3])
    })?;
    let lines = &lines[first..=last];
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let margin = filled.map(|line| line.len() - line.trim_start().len()).min();
    let margin = margin.unwrap_or_default();
    let cut = |line: &&str| format!("{}\n", line.get(margin..).unwrap_or_default());
    Ok(lines.iter().map(cut).collect())
}

/// The language and the file name of a page in `docs`.
fn place(page: &Page) -> Option<(&str, &str)> {
    page.path.strip_prefix("docs/")?.split_once('/')
}

/// A link's target without what may differ between the languages.
fn neutral(target: &str) -> String {
    if target.contains("://") {
        return target.to_owned();
    }
    let file = target.split_once('#').map_or(target, |(file, _)| file);
    file.replace("../fr/", "../en/").replace("README.fr.md", "README.md")
}

/// Headings, tables and the lines of blocks, as both languages must have them, after the
/// numbers of their lines.
fn shape(page: &Page) -> (Vec<usize>, Vec<String>) {
    let mut shape = page.shape.clone();
    for fence in &page.fences {
        let source = fence.source.as_deref().unwrap_or("no comment");
        shape.push((fence.line, format!("```{} after {source}", fence.language)));
        for (line, text) in (fence.line + 1..).zip(fence.content.lines()) {
            match fence.language.as_str() {
                // In the words of the page.
                "text" | "mermaid" | "diff" => {}
                "sh" => {
                    let command = text.split('#').next().unwrap_or_default();
                    shape.push((line, format!("`{}`", command.trim_end())));
                }
                _ => shape.push((line, format!("`{text}`"))),
            }
        }
    }
    shape.sort_by_key(|(line, _)| *line);
    shape.into_iter().unzip()
}
