//! Renders the pages with mdBook: one book for each language, and what they share.
//!
//! The Markdown is written for a code host. What differs in a rendered book is mended on
//! the way: `README.md` becomes `index.html`, a link to a file of the repository leads to
//! a page that shows it, and a heading gets the anchor that a code host gives it.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};
use mdbook_driver::{MDBook, book::BookItem};

use crate::{LANGUAGES, page::Page};

/// The script that draws the diagrams, from npm.
const MERMAID: &str = "docs/node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js";

/// Renders the pages of a repository into a folder, which it empties first.
///
/// # Errors
/// When mdBook finds a fault, a file is missing, or `npm ci` was not run in `docs`.
pub fn render(root: &Path, site: &Path) -> Result<()> {
    if site.exists() {
        fs::remove_dir_all(site)?;
    }
    let mut files = BTreeSet::new();
    for language in LANGUAGES {
        let folder = format!("docs/{language}");
        let mut book = MDBook::load(root.join(&folder))?;
        book.config.build.build_dir = site.join(language);
        book.book.for_each_mut(|item| {
            if let BookItem::Chapter(chapter) = item
                && let Some(path) = &chapter.path
            {
                let path = format!("{folder}/{}", path.display());
                let page = Page::read(&path, &chapter.content);
                chapter.content = for_the_site(&page, &mut files);
            }
        });
        book.build()?;
    }
    while let Some(path) = files.pop_first() {
        show(root, &path, site, &mut files).with_context(|| path.clone())?;
    }
    fs::copy(root.join(MERMAID), site.join("mermaid.js"))
        .with_context(|| format!("{MERMAID} is missing: run `npm ci` in docs"))?;
    fs::write(site.join("index.html"), include_str!("../theme/index.html"))?;
    Ok(())
}

/// The text of a page with the links and the anchors of the site; `files` learns which
/// files of the repository it links to.
fn for_the_site(page: &Page, files: &mut BTreeSet<String>) -> String {
    let anchors = page.anchors.iter();
    let mut changes: Vec<_> =
        anchors.map(|(name, at)| (*at..*at, format!(" {{#{name}}}"))).collect();
    for link in &page.links {
        let Some(path) = &link.path else { continue };
        let is_page =
            LANGUAGES.iter().any(|it| path.starts_with(&format!("docs/{it}/")));
        let target = if is_page {
            link.target.replace("README.md", "index.md")
        } else {
            files.insert(path.clone());
            format!("../files/{path}.html")
        };
        if let Some(at) = page.text[link.range.clone()].rfind(&link.target) {
            let start = link.range.start + at;
            changes.push((start..start + link.target.len(), target));
        }
    }
    let mut text = page.text.clone();
    changes.sort_by_key(|(range, _)| range.start);
    for (range, new) in changes.into_iter().rev() {
        text.replace_range(range, &new);
    }
    text
}

/// Writes a page that shows a file of the repository, or lists a folder.
fn show(
    root: &Path,
    path: &str,
    site: &Path,
    files: &mut BTreeSet<String>,
) -> Result<()> {
    let file = root.join(path);
    let content = if file.is_dir() {
        let names = fs::read_dir(&file)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.retain(|name| !name.starts_with('.') && name != "node_modules");
        names.sort();
        let folder = path.rsplit('/').next().unwrap_or(path);
        let links = names.iter().map(|name| {
            files.insert(format!("{path}/{name}"));
            format!("<a href=\"{folder}/{name}.html\">{name}</a>\n")
        });
        links.collect()
    } else {
        let text = String::from_utf8_lossy(&fs::read(&file)?).replace('&', "&amp;");
        text.replace('<', "&lt;").replace('>', "&gt;")
    };
    let page = site.join("files").join(format!("{path}.html"));
    fs::create_dir_all(page.parent().unwrap_or(site))?;
    let html = include_str!("../theme/file.html");
    Ok(fs::write(page, html.replace("PATH", path).replace("CONTENT", &content))?)
}
