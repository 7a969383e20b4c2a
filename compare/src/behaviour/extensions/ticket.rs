//! A ticket that expires: asked for by who has a token, and the end of its stream.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Response;
use serde::Deserialize;
use tokio::time::sleep;

use crate::{
    Lesson, Target,
    candidate::Candidate,
    client::{Line, limited},
    contract::{Broken, expect},
};

/// The token that the given `ticket.rs` takes where no other is set.
const TOKEN: &str = "course";

/// How long the ticket is good for.
const GOOD: Duration = Duration::from_secs(2);

/// A second after its expiry, and what a slow machine takes.
const LATE: Duration = Duration::from_secs(1 + 4);

/// The answer to `POST /ticket`.
#[derive(Deserialize)]
struct Ticket {
    ticket: String,
}

/// E5: a ticket is for who has the token, good for one use, and ends what it opened within a
/// second of its expiry, in the transport's own way.
pub async fn ticket_ends_its_stream(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let target = server.target();
    for token in [None, Some("wrong")] {
        let status = ask(target, token).await?.status().as_u16();
        expect(401, status).context("POST /ticket without the token")?;
    }
    let asked = Instant::now();
    let good = ticket(target).await?;
    let given = Instant::now();
    match target.lesson {
        Lesson::Polling => poll_until_refused(target, &good).await?,
        _ => follow_until_the_end(target, &good).await?,
    }
    let ended = Instant::now();
    let after = |since: Instant| format!("{:.1} s", (ended - since).as_secs_f64());
    ensure!(ended - asked >= GOOD, Broken::new("an end after 2 s", after(asked)));
    let late = || Broken::new("an end within a second of 2 s", after(given));
    ensure!(ended - given <= GOOD + LATE, late());
    refused(target, "0123").await.context("a ticket that nobody gave")?;
    let new = ticket(target).await?;
    match target.lesson {
        Lesson::Polling => expect(200, poll(target, &new).await?.status().as_u16()),
        _ => open(target, &new).await.map(drop),
    }
    .context("a new ticket")
}

/// Asks for a ticket that is good for [`GOOD`].
async fn ask(target: Target, token: Option<&str>) -> Result<Response> {
    let url = target.url(&format!("/ticket?seconds={}", GOOD.as_secs()));
    let mut request = reqwest::Client::builder().no_proxy().build()?.post(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Ok(limited("answer", request.send()).await??)
}

async fn ticket(target: Target) -> Result<String> {
    let answer = ask(target, Some(TOKEN)).await?;
    expect(200, answer.status().as_u16()).context("POST /ticket")?;
    let text = answer.text().await?;
    let ticket: Result<Ticket, _> = serde_json::from_str(&text);
    Ok(ticket.map_err(|_| Broken::new(r#"{"ticket":"…"}"#, text))?.ticket)
}

async fn poll(target: Target, ticket: &str) -> Result<Response> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let request = http.get(target.url("/counter")).bearer_auth(ticket);
    Ok(limited("answer", request.send()).await??)
}

/// Polls with the ticket, and waits for a 401 that says what it takes.
async fn poll_until_refused(target: Target, ticket: &str) -> Result<()> {
    expect(200, poll(target, ticket).await?.status().as_u16())
        .context("the first poll")?;
    let refused = async {
        loop {
            let answer = poll(target, ticket).await?;
            match answer.status().as_u16() {
                200 => sleep(Duration::from_millis(50)).await,
                401 if answer.headers().contains_key("www-authenticate") => {
                    return Ok(());
                }
                401 => {
                    bail!(Broken::new("401 with WWW-Authenticate", "401 without it"))
                }
                other => bail!(Broken::new("200, or 401 in the end", other)),
            }
        }
    };
    limited("401", refused).await?
}

/// Connects with a ticket, and reads the first snapshot.
async fn open(target: Target, ticket: &str) -> Result<Line> {
    let mut line = Line::open(target, &[("ticket", ticket)]).await?;
    line.next().await?.context("the connection ended")?.snapshot()?;
    Ok(line)
}

/// Opens a stream with the ticket, checks that it opens no second one, and waits for its end.
async fn follow_until_the_end(target: Target, ticket: &str) -> Result<()> {
    let mut line = open(target, ticket).await.context("the first use of a ticket")?;
    refused(target, ticket).await.context("the second use of a ticket")?;
    let mut last = String::new();
    while let Some(said) = line.next().await? {
        last = said.event;
    }
    let (expected, end) = match target.lesson {
        Lesson::WebSocket => ("1008".to_owned(), line.end),
        Lesson::SocketIo => {
            ("expired, disconnect".to_owned(), format!("{last}, {}", line.end))
        }
        _ => ("expired, end of the stream".to_owned(), format!("{last}, {}", line.end)),
    };
    expect(expected, end).context("the end of its stream")
}

/// Whoever brings this ticket is told nothing.
async fn refused(target: Target, ticket: &str) -> Result<()> {
    if target.lesson == Lesson::Polling {
        return expect(401, poll(target, ticket).await?.status().as_u16());
    }
    let Ok(mut line) = Line::open(target, &[("ticket", ticket)]).await else {
        return Ok(());
    };
    while let Some(said) = line.next().await? {
        ensure!(said.snapshot().is_err(), Broken::new("a refusal", said.data));
    }
    Ok(())
}
