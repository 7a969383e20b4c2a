//! What must be true of the rendered book: it needs no other host, no link is dead, every
//! diagram is drawn, and nothing is cut off where a page is printed.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::Path,
    time::Duration,
};

use anyhow::Result;
use book::{page::resolve, render};
use compare::browser::{Window, as_printed};
use regex::Regex;
use tokio::time::timeout;

use crate::{
    check::{Book, fault},
    trial::block_on,
};

/// What is wrong in the rendered book.
pub fn faults(book: &Book) -> Result<Vec<String>> {
    let site = tempfile::tempdir()?;
    render::render(&book.root, site.path())?;
    let mut faults = links(site.path())?;
    faults.extend(block_on(drawn(book, site.path()))?);
    Ok(faults)
}

/// Scripts, styles, fonts and images of other hosts, and links that lead to nothing.
pub fn links(site: &Path) -> Result<Vec<String>> {
    let tag = Regex::new(r"<([a-z]\w*)\s([^<>]*)>")?;
    let id = Regex::new(r#"\bid="([^"]*)""#)?;
    let link = Regex::new(r#"\b(?:href|src)="([^"]*)""#)?;
    let foreign = Regex::new(r#"(?:url\(["']?|@import ["'])(?:https?:)?//[^)"']*"#)?;
    let mut files = BTreeMap::new();
    read(site, "", &mut files)?;
    let ids = |html: &str| -> HashSet<String> {
        let tags = tag.captures_iter(html);
        tags.filter_map(|tag| Some(id.captures(&tag[2])?[1].to_owned())).collect()
    };
    let ids: BTreeMap<&str, _> =
        files.iter().map(|(path, text)| (path.as_str(), ids(text))).collect();
    let mut faults = Vec::new();
    for (path, text) in &files {
        if path.ends_with(".css") {
            let found = foreign.find_iter(text);
            faults
                .extend(found.map(|it| format!("{path}: {} is foreign", it.as_str())));
            continue;
        }
        for tag in tag.captures_iter(text) {
            let Some(link) = link.captures(&tag[2]) else { continue };
            let link = &link[1];
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") || link.starts_with("//") {
                if &tag[1] != "a" {
                    faults.push(format!("{path}: {link} is foreign"));
                }
                continue;
            }
            let to = resolve(path, file).unwrap_or_default();
            let has = |ids: &HashSet<String>| anchor.is_empty() || ids.contains(anchor);
            if !site.join(&to).is_file() || !ids.get(&*to).is_none_or(has) {
                faults.push(format!("{path}: {link} leads to nothing"));
            }
        }
    }
    Ok(faults)
}

/// The pages and styles below a folder, by their path.
fn read(site: &Path, folder: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in fs::read_dir(site.join(folder))? {
        let entry = entry?;
        let path = format!("{folder}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(site, &format!("{path}/"), files)?;
        } else if path.ends_with(".html") || path.ends_with(".css") {
            files.insert(path, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// Pages that a browser cannot draw the diagrams of, or not without the network, and those
/// with something wider than the paper.
async fn drawn(book: &Book, site: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let window = Window::open().await?;
    let tab = window.blank().await?;
    as_printed(&tab).await?;
    for page in book.pages.values() {
        if !page.path.starts_with("docs/") || page.path.ends_with("SUMMARY.md") {
            continue;
        }
        let first = page.fences.iter().find(|fence| fence.language == "mermaid");
        let line = first.map_or(1, |fence| fence.line);
        let path = page.path.replace("docs/", "").replace("README", "index");
        let path = site.join(path).with_extension("html").display().to_string();
        let url =
            format!("file:///{}", path.replace('\\', "/").trim_start_matches('/'));
        if let Err(error) = tab.goto(url).await {
            faults.push(fault(page, line, format!("is not in the site: {error}")));
            continue;
        }
        // A diagram that mermaid does not understand stays text.
        let drawn = "new Promise((resolve) => setInterval(() => {
            if (document.querySelector('code.language-mermaid')) return;
            const names = performance.getEntriesByType('resource').map((it) => it.name);
            resolve(names.filter((name) => !name.startsWith('file:')));
        }, 20))";
        match timeout(Duration::from_secs(20), tab.evaluate(drawn)).await {
            Err(_) => faults.push(fault(page, line, "a diagram is not drawn")),
            Ok(foreign) => {
                let foreign: Vec<String> = foreign?.into_value()?;
                faults.extend(foreign.iter().map(|name| fault(page, line, name)));
            }
        }
        // What scrolls on a screen is cut off on paper.
        let wide = "[...document.querySelectorAll('main *')]
            .filter((it) => it.getBoundingClientRect().right > innerWidth + 1
                || it.matches('pre > code') && it.scrollWidth > it.clientWidth + 1)
            .map((it) => `${it.localName} ${it.textContent.trim().slice(0, 60)}`)
            .slice(0, 3)";
        let wide: Vec<String> = tab.evaluate(wide).await?.into_value()?;
        let cut = wide.iter().map(|what| format!("a printed page cuts off: {what}"));
        faults.extend(cut.map(|wrong| fault(page, 1, wrong)));
    }
    Ok(faults)
}
