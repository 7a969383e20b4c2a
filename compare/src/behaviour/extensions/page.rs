//! What the pages of extensions do, in a real browser.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::{
    Target,
    browser::{SOON, Tab, Window},
    candidate::Candidate,
    contract::Broken,
};

/// A tab that shows the page at this address, such as `/?room=blue`.
async fn tab(window: &Window, target: Target, path: &str) -> Result<Tab> {
    let tab = window.tab(target, "en").await?;
    tab.is_live().await?;
    tab.page.goto(target.url(path)).await?;
    let there = format!("location.pathname + location.search === '{path}'");
    tab.until(SOON, &there).await?;
    tab.is_live().await?;
    Ok(tab)
}

/// E1: a page counts for the room in its address, and is in it again after a restart.
pub async fn page_is_back_in_its_room(who: Candidate) -> Result<()> {
    let mut server = who.start().await?;
    let window = Window::open().await?;
    let blue = tab(&window, server.target(), "/?room=blue").await?;
    let red = tab(&window, server.target(), "/?room=red").await?;
    for _again in 0..2 {
        for (one, clicks, other, shown) in [(&blue, 2, &red, 0), (&red, 1, &blue, 2)] {
            one.page.bring_to_front().await?;
            for _ in 0..clicks {
                one.click("increment").await?;
            }
            one.shows(clicks).await?;
            other.page.bring_to_front().await?;
            other.shows(shown).await?;
        }
        server.kill()?;
        for page in [&blue, &red] {
            page.is_lost(SOON).await?;
        }
        server.start_again().await?;
        for page in [&blue, &red] {
            page.is_live().await?;
            page.shows(0).await?;
        }
    }
    Ok(())
}

/// E5: a page that has the token asks for a new ticket when the last one expires, and loses
/// no click.
pub async fn page_renews_its_ticket(who: Candidate) -> Result<()> {
    const CLICKS: i64 = 12;
    /// Two expiries fall between the first click and the last one.
    const PAUSE: Duration = Duration::from_millis(500);
    let server = who.start().await?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "en").await?;
    tab.is_live().await?;
    // The page would ask for tickets of a minute.
    let short = "
        const fetched = globalThis.fetch;
        globalThis.tickets = 0;
        globalThis.fetch = (url, options) => {
            if (url === '/ticket') { globalThis.tickets += 1; url += '?seconds=2'; }
            return fetched(url, options);
        };";
    tab.page.evaluate_on_new_document(short).await?;
    tab.page.goto(server.target().url("/?lang=fr#course")).await?;
    tab.until(SOON, "globalThis.tickets !== undefined").await?;
    tab.is_live().await?;
    for _ in 0..CLICKS {
        tab.click("increment").await?;
        sleep(PAUSE).await;
    }
    tab.shows(CLICKS).await?;
    let asked = tab.evaluate("globalThis.tickets").await?.as_i64().unwrap_or_default();
    ensure!(asked >= 3, Broken::new("3 tickets in 6 s, or more", asked));
    Ok(())
}
