//! A page of the book, read: its headings, blocks, tables, links and inline code.

use std::{collections::HashMap, ops::Range};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page, or another Markdown file of the repository.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Where it is from the root: `docs/fr/02-sse.md`.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// The anchor of each heading, as GitHub makes it, and where the heading's text ends.
    pub anchors: Vec<(String, usize)>,
    /// Headings and tables with their line: what another language must have as well.
    pub shape: Vec<(usize, String)>,
    /// Blocks of code, output, commands, diagrams and text.
    pub fences: Vec<Fence>,
    /// Links and images.
    pub links: Vec<Link>,
    /// Inline code, with its line.
    pub spans: Vec<(usize, String)>,
    /// The lines of `<!-- code: … -->` comments that no block follows.
    pub strays: Vec<usize>,
}

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Fence {
    /// The line that opens it.
    pub line: usize,
    /// What stands after the fence; nothing where a block is only indented.
    pub language: String,
    /// Its lines, without the margin.
    pub content: String,
    /// The comment before it, from `<!-- code:` on, that says which code it shows.
    pub source: Option<String>,
    body: Range<usize>,
    margin: String,
}

/// A link or an image.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its line.
    pub line: usize,
    /// Where it leads, as written.
    pub target: String,
    /// Whether it leads away from the repository.
    pub away: bool,
    /// The file, from the root, when it leads to a place in the repository.
    pub path: Option<String>,
    /// The anchor in the file, or nothing.
    pub anchor: String,
    /// Where it is in the page.
    pub range: Range<usize>,
}

impl Page {
    /// Reads a page.
    #[must_use]
    pub fn read(path: &str, text: &str) -> Self {
        let mut page =
            Self { path: path.to_owned(), text: text.to_owned(), ..Self::default() };
        let mut titles = HashMap::<String, usize>::new();
        let mut title = String::new();
        let mut comment: Option<(usize, Range<usize>)> = None;
        for (event, range) in events(text) {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::Heading { .. }) => title.clear(),
                Event::End(TagEnd::Heading(level)) => {
                    page.shape.push((line, format!("a heading of level {level}")));
                    let before = titles.entry(anchor(&title)).or_default();
                    let anchor = match *before {
                        0 => anchor(&title),
                        before => format!("{}-{before}", anchor(&title)),
                    };
                    *before += 1;
                    let end = range.start + text[range].trim_end().len();
                    page.anchors.push((anchor, end));
                }
                Event::Start(Tag::Table(columns)) => {
                    let rows = text[range].trim_end().lines().count().saturating_sub(2);
                    let table = format!("{} columns and {rows} rows", columns.len());
                    page.shape.push((line, format!("a table of {table}")));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let mut fence = Fence::read(text, range.clone(), line, &kind);
                    if let Some((line, at)) = comment.take() {
                        if text[at.end..range.start].trim().is_empty() {
                            fence.source = Some(text[at].trim().to_owned());
                        } else {
                            page.strays.push(line);
                        }
                    }
                    page.fences.push(fence);
                }
                Event::Start(
                    Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. },
                ) => page.links.push(Link::read(path, &dest_url, line, range)),
                Event::Html(html) if html.trim_start().starts_with("<!-- code:") => {
                    page.strays.extend(comment.replace((line, range)).map(|it| it.0));
                }
                Event::Code(code) => {
                    title.push_str(&code);
                    page.spans.push((line, code.to_string()));
                }
                Event::Text(words) => title.push_str(&words),
                _ => {}
            }
        }
        page.strays.extend(comment.map(|it| it.0));
        page
    }

    /// The text with other lines in some of its blocks.
    #[must_use]
    pub fn with(&self, mut changes: Vec<(&Fence, String)>) -> String {
        let mut text = self.text.clone();
        changes.sort_by_key(|(fence, _)| fence.body.start);
        for (fence, content) in changes.iter().rev() {
            let lines = content.lines().map(|line| format!("{}{line}", fence.margin));
            let lines = lines.map(|line| format!("{}\n", line.trim_end()));
            text.replace_range(fence.body.clone(), &lines.collect::<String>());
        }
        text
    }
}

impl Fence {
    fn read(text: &str, at: Range<usize>, line: usize, kind: &CodeBlockKind) -> Self {
        let block = text[at.clone()].trim_end();
        let [first, last] = [block.find('\n'), block.rfind('\n')];
        let [start, end] =
            [first, last].map(|it| it.map_or(at.end, |it| at.start + it + 1));
        let margin = text[..at.start].rfind('\n').map_or(0, |it| it + 1);
        let margin = text[margin..at.start].to_owned();
        let lines = text[start..end].lines();
        let cut = |line: &'_ str| {
            line.strip_prefix(&margin).unwrap_or(line.trim_start()).to_owned() + "\n"
        };
        let language = match kind {
            CodeBlockKind::Fenced(language) => language.to_string(),
            CodeBlockKind::Indented => String::new(),
        };
        let content = lines.map(cut).collect();
        Self { line, language, content, source: None, body: start..end, margin }
    }
}

impl Link {
    fn read(from: &str, target: &str, line: usize, range: Range<usize>) -> Self {
        let away = target.contains("://") || target.starts_with("mailto:");
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = if away { None } else { resolve(from, file) };
        let (target, anchor) = (target.to_owned(), anchor.to_owned());
        Self { line, target, away, path, anchor, range }
    }
}

/// What a Markdown text consists of, with the place of each part.
pub fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM;
    Parser::new_ext(text, options).into_offset_iter()
}

/// The path of a file that a link leads to, unless it leads above the root.
#[must_use]
pub fn resolve(from: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    if file.starts_with('/') {
        return None;
    } else if !file.is_empty() {
        parts.pop();
    }
    for part in file.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "" | "." => {}
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The anchor that GitHub makes of a title.
fn anchor(title: &str) -> String {
    let title = title.trim().to_lowercase();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
