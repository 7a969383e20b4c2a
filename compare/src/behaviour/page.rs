//! What every page of the counter does, in a real browser, whoever serves it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    time::{sleep, timeout},
};

use crate::{
    browser::{SOON, Window},
    candidate::Candidate,
};

/// How long a page may take to notice a server that says nothing: the lessons' heartbeats
/// are 15 s apart, and a page waits for more than two.
#[cfg(unix)]
const SILENCE: Duration = Duration::from_secs(60);

/// G3: two pages see the same number, and what travels.
pub async fn pages_see_each_other(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let window = Window::open().await?;
    let (one, two) = (
        window.tab(server.target(), "en").await?,
        window.tab(server.target(), "fr").await?,
    );
    one.is_live().await?;
    two.is_live().await?;
    let steps = [
        (&one, "increment", 1),
        (&two, "increment", 2),
        (&one, "decrement", 1),
        (&two, "reset", 0),
    ];
    for (tab, button, value) in steps {
        tab.page.bring_to_front().await?;
        tab.click(button).await?;
        tab.shows(value).await?;
        for other in [&one, &two] {
            other.page.bring_to_front().await?;
            other.shows(value).await?;
        }
    }
    // The log shows what travelled, both ways.
    for direction in ["up", "down"] {
        let line = format!("#wire li[data-direction={direction}]");
        one.until(SOON, &format!("document.querySelector('{line}') !== null")).await?;
    }
    one.no_trouble()?;
    two.no_trouble()
}

/// A proxy answers 503 while the server behind it is away. One such answer ends an
/// `EventSource` for ever.
pub async fn page_survives_a_503(who: Candidate) -> Result<()> {
    let mut server = who.start().await?;
    let address = server.target().address;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "en").await?;
    tab.is_connected(who.lesson).await?;
    server.kill()?;
    tab.is_lost(SOON).await?;
    let watch = "globalThis.states = new Set(); setInterval(() =>
        states.add(document.querySelector('#status').dataset.state), 5); 1";
    tab.evaluate(watch).await?;
    let proxy = TcpListener::bind(address).await?;
    for _answer in 0..2 {
        let (mut client, _) =
            timeout(SOON, proxy.accept()).await.context("no request")??;
        let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\
            Connection: close\r\n\r\n";
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await?;
    }
    // The second 503 was answered after the page had seen the first.
    let states = tab.evaluate("[...states].join()").await?;
    ensure!(states == "lost", "between two times 503 the page was {states}");
    drop(proxy);
    server.start_again().await?;
    tab.is_live().await?;
    tab.click("increment").await?;
    tab.shows(1).await
}

/// A stopped process looks like a broken network: connected, and silent.
#[cfg(unix)]
pub async fn page_notices_a_frozen_server(who: Candidate) -> Result<()> {
    use nix::sys::signal::Signal;

    let server = who.start().await?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "en").await?;
    tab.is_live().await?;
    server.signal(Signal::SIGSTOP)?;
    tab.is_lost(SILENCE).await?;
    server.signal(Signal::SIGCONT)?;
    tab.is_live().await?;
    tab.click("increment").await?;
    tab.shows(1).await
}

/// The same, where nothing can stop a process.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub async fn page_notices_a_frozen_server(_who: Candidate) -> Result<()> {
    anyhow::bail!("this system has no signals")
}

/// T2: a page that nobody sees asks nothing.
pub async fn hidden_page_does_not_poll(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "en").await?;
    tab.is_live().await?;
    tab.hide(&window).await?;
    let polls = "document.querySelectorAll('#wire [data-direction=up]').length";
    // The poll that was under way when the tab was hidden may still end.
    sleep(Duration::from_millis(1500)).await;
    let before = tab.evaluate(polls).await?;
    sleep(Duration::from_secs(4)).await;
    ensure!(tab.evaluate(polls).await? == before, "a hidden tab went on polling");
    tab.show().await?;
    tab.until(SOON, &format!("{polls} > {before}")).await
}
