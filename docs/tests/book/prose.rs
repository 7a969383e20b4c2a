//! What the pages say to their reader: their words, without code, markup and addresses.

use std::{ops::Range, sync::LazyLock};

use book::page::{Page, events};
use compare::language::Language;
use pulldown_cmark::{Event, Tag, TagEnd};
use regex::Regex;

/// The text of a page with blanks in the place of all that is not prose, so that what is
/// found in it has the same place in the page.
pub struct Prose {
    /// The page's own words.
    pub own: String,
    /// What may be in another language: words in italics, and the names of pages elsewhere.
    pub quoted: String,
}

impl Prose {
    pub fn of(page: &Page) -> Self {
        let (mut own, mut quoted) = (Vec::new(), Vec::new());
        let (mut code, mut italic, mut away) = (false, false, false);
        for (event, at) in events(&page.text) {
            match event {
                Event::Start(Tag::CodeBlock(_)) => code = true,
                Event::End(TagEnd::CodeBlock) => code = false,
                Event::Start(Tag::Emphasis) => italic = true,
                Event::End(TagEnd::Emphasis) => italic = false,
                Event::Start(Tag::Link { dest_url, .. }) => {
                    away = dest_url.contains("://")
                }
                Event::End(TagEnd::Link) => away = false,
                Event::Start(Tag::HtmlBlock) => own.extend(between(&page.text, at)),
                // An address within `<` and `>` is its own text.
                Event::Text(words) if code || words.contains("://") => {}
                Event::Text(_) if italic || away => quoted.push(at),
                Event::Text(_) => own.push(at),
                _ => {}
            }
        }
        Self { own: only(&page.text, &own), quoted: only(&page.text, &quoted) }
    }

    /// The language of a page.
    pub fn language(page: &Page) -> Language {
        let french = page.path.starts_with("docs/fr/") || page.path == "README.fr.md";
        if french { Language::French } else { Language::English }
    }
}

/// What a block of HTML says between its tags, its code and its comments.
fn between(text: &str, block: Range<usize>) -> Vec<Range<usize>> {
    static SILENT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("(?s)<!--.*?-->|<code>.*?</code>|<[^>]*>").expect("a pattern")
    });
    let mut said = Vec::new();
    let mut from = block.start;
    for silent in SILENT.find_iter(&text[block.clone()]) {
        said.push(from..block.start + silent.start());
        from = block.start + silent.end();
    }
    said.push(from..block.end);
    said
}

/// A text with blanks outside some of its parts.
fn only(text: &str, parts: &[Range<usize>]) -> String {
    let blank = |byte| if byte == b'\n' { b'\n' } else { b' ' };
    let mut kept: Vec<u8> = text.bytes().map(blank).collect();
    for part in parts {
        kept[part.clone()].copy_from_slice(&text.as_bytes()[part.clone()]);
    }
    String::from_utf8(kept).expect("whole characters are kept")
}
