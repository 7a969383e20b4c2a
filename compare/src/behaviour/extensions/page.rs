//! What the pages of extensions do, in a real browser.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::{
    Target,
    behaviour::page::page_survives_a_503,
    browser::{SOON, Tab, Window},
    candidate::Candidate,
    client::Line,
    contract::{Broken, expect},
    recording::Recorder,
    relay::{Network, Relay},
};

/// A tab that shows the page at this address, such as `/?room=blue`.
async fn tab(window: &Window, target: Target, path: &str) -> Result<Tab> {
    let tab = window.tab(target, "en").await?;
    tab.is_live().await?;
    tab.page.goto(target.url(path)).await?;
    let there =
        format!("location.pathname + location.search + location.hash === '{path}'");
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

/// E8: a page reads its stream with a header, and does itself what `EventSource` did: it
/// comes back after a cut, with its last id, and after a 503.
pub async fn page_reads_with_a_header(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let recorder = Recorder::new(who.lesson);
    let relay = Relay::start(server.target().address, Some(recorder.tap())).await?;
    // The newest request for the stream that has this header, in small letters.
    let brought = |name: &str| {
        let recording = recorder.recording();
        let streams = recording.messages();
        let streams = streams.filter(|(.., it)| it.label.starts_with("GET /events"));
        let lines = streams.flat_map(|(.., it)| it.text.lines()).map(str::to_lowercase);
        let own = lines.filter(|line| line.starts_with(&format!("{name}: ")));
        own.last().unwrap_or_else(|| "nothing".to_owned())
    };
    let window = Window::open().await?;
    let tab = tab(&window, relay.before(server.target()), "/?lang=en#course").await?;
    expect("authorization: bearer course".to_owned(), brought("authorization"))?;
    tab.click("increment").await?;
    tab.shows(1).await?;
    let mut line = Line::open(server.target(), &[]).await?;
    let last = line.next().await?.context("the connection ended")?.id;
    relay.set(Network::Down);
    tab.is_lost(SOON).await?;
    relay.set(Network::Good);
    tab.is_live().await?;
    let last = format!("last-event-id: {}", last.to_lowercase());
    expect(last, brought("last-event-id")).context("after a cut")?;
    tab.click("increment").await?;
    tab.shows(2).await?;
    page_survives_a_503(who).await.context("after a 503")
}
