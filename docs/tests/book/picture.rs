//! The pictures of the lessons' pages, as a browser draws them: under "Run it, and observe"
//! of each chapter, small and light, with words that say what is to be seen.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use book::page::Page;
use compare::{
    Lesson, Server,
    browser::{SOON, Window},
    language::Language,
    report::chapter::folder,
};

use crate::{
    check::{Book, fault},
    trial::block_on,
};

/// A window that has room for the number and the log side by side, drawn as wide as a
/// chapter is.
const SCREEN: (i64, i64, f64) = (900, 500, 0.7);

/// The most bytes of a picture.
const MOST: usize = 40_000;

/// The picture of a language, as its page names it.
fn name(lesson: Lesson) -> String {
    format!("images/page-{lesson}.png")
}

fn file(lesson: Lesson, language: Language) -> PathBuf {
    folder(language).join(name(lesson))
}

/// Takes the pictures anew.
pub fn take(lesson: Lesson) -> Result<()> {
    for language in Language::ALL {
        let now = block_on(taken(lesson, language))?;
        let file = file(lesson, language);
        if !fs::read(&file).is_ok_and(|stored| stored == now) {
            fs::write(&file, now)?;
            println!("{}: taken", file.display());
        }
    }
    Ok(())
}

/// The page after three clicks. What is random in its log is put out, so that the same page
/// makes, as a rule, the same picture.
async fn taken(lesson: Lesson, language: Language) -> Result<Vec<u8>> {
    let server = Server::start(lesson)?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), language.code()).await?;
    let (width, height, scale) = SCREEN;
    tab.screen(width, height, scale).await?;
    tab.is_connected(lesson).await?;
    for value in 1..=3 {
        tab.click("increment").await?;
        tab.shows(value).await?;
    }
    let newest = match lesson {
        Lesson::Polling => "304",
        _ => "",
    };
    let answered = format!(
        "document.querySelector('#waiting').textContent === ''
            && document.querySelector('#wire code').textContent.startsWith('{newest}')"
    );
    tab.until(SOON, &answered).await?;
    let fixed = "for (const { children: [time, , code] } of
        document.querySelectorAll('#wire li')) {
            time.textContent = '12:00:00';
            code.textContent = code.textContent
                .replace(/[0-9a-f]{16}-/, '5e4f84d635159ee2-')
                .replace(/\\d+-\\d+-/, '2423370300-1133523481-');
        }
        document.activeElement.blur();
        scrollTo(0, 0)";
    tab.evaluate(fixed).await?;
    tab.picture().await
}

/// Pictures that are missing or large, and pages that do not say what is to be seen.
pub fn faults(book: &Book) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for language in Language::ALL {
        for lesson in Lesson::ALL {
            let path = format!("docs/{}/{lesson}.md", language.code());
            let page = book.pages.get(&path).with_context(|| path.clone())?;
            let png = fs::read(file(lesson, language));
            let png = png.with_context(|| format!("{path}: {}", name(lesson)))?;
            ensure!(png.starts_with(b"\x89PNG\r\n"), "{} is no PNG", name(lesson));
            if png.len() > MOST {
                let wrong = format!("{} has {} bytes", name(lesson), png.len());
                faults.push(fault(page, 1, wrong));
            }
            faults.extend(words(page, &name(lesson)));
        }
    }
    Ok(faults)
}

/// What is wrong with the words for a picture of a page.
pub fn words(page: &Page, picture: &str) -> Option<String> {
    const LEAST: usize = 60;
    let Some(link) = page.links.iter().find(|link| link.target == picture) else {
        return Some(fault(page, 1, format!("{picture} is not shown")));
    };
    let shown = &page.text[link.range.clone()];
    let words =
        shown.strip_prefix("![").and_then(|rest| rest.split_once("](")?.0.into());
    let count = words.map_or(0, |words: &str| words.chars().count());
    let wrong = format!("{picture} has {count} characters that say what is to be seen");
    (count < LEAST).then(|| fault(page, link.line, wrong))
}
