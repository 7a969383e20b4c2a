//! An answer word by word: read again after a cut or a reload, and stopped by a command.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, Response};
use serde::Deserialize;

use crate::{
    Target,
    candidate::Candidate,
    client::{Events, limited},
    contract::{Broken, expect},
    relay::{Network, Relay},
};

/// More answers than a server may keep.
const MANY: usize = 150;

/// The answer to `POST /answers`.
#[derive(Deserialize)]
struct Begun {
    id: String,
}

/// A piece of an answer: the name of its event, its id and its word.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Piece {
    name: String,
    id: String,
    word: String,
}

/// E7: an answer reaches whoever reads it, each word once and in order, however often the
/// connection is cut; it is written on while nobody reads, and a command alone stops it.
pub async fn answer_survives_its_reader(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let target = server.target();
    let first = begin(target).await?;
    // Nobody reads these until the first one is written.
    let mut alone = Vec::new();
    for _ in 0..3 {
        alone.push(begin(target).await?);
    }
    let begun = Instant::now();
    let whole = through_cuts(target, &first).await?;
    let took = begun.elapsed();
    let end = whole.last().context("no event")?;
    expect("done", &end.name).context("the end of an answer")?;
    let again = status_of(target, Method::GET, &first, Some(&end.id)).await?;
    expect(204, again).context("whoever has the end, and comes back")?;
    // As after a reload, which has forgotten the id.
    let reloaded = read(target, &first, None).await.context("after a reload")?;
    same(&whole, &reloaded)?;
    let mut fastest = Duration::MAX;
    for id in &alone {
        let begun = Instant::now();
        same(&whole, &read(target, id, None).await.context("nobody read it")?)?;
        fastest = fastest.min(begun.elapsed());
    }
    // A busy machine is slow once, not three times.
    let at_once =
        || Broken::new("words that were written meanwhile", "a new beginning");
    ensure!(fastest < took / 2, at_once());
    stops(target, &whole).await.context("DELETE /answers/ID")?;
    let unknown = status_of(target, Method::GET, "0123", None).await?;
    expect(404, unknown).context("an answer that nobody asked for")?;
    are_bounded(target, &first).await
}

/// Asks for an answer.
async fn begin(target: Target) -> Result<String> {
    let answer = ask(target, Method::POST, "/answers", None).await?;
    expect(201, answer.status().as_u16()).context("POST /answers")?;
    let text = answer.text().await?;
    let begun: Result<Begun, _> = serde_json::from_str(&text);
    Ok(begun.map_err(|_| Broken::new(r#"{"id":"…"}"#, text))?.id)
}

async fn ask(
    target: Target,
    method: Method,
    path: &str,
    last: Option<&str>,
) -> Result<Response> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request = http.request(method, target.url(path));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    Ok(limited("answer", request.send()).await??)
}

async fn status_of(
    target: Target,
    method: Method,
    id: &str,
    last: Option<&str>,
) -> Result<u16> {
    let path = format!("/answers/{id}");
    Ok(ask(target, method, &path, last).await?.status().as_u16())
}

/// One stream of an answer.
struct Reading(Events);

impl Reading {
    async fn open(target: Target, id: &str, last: Option<&str>) -> Result<Self> {
        Ok(Self(Events::open(target, &format!("/answers/{id}"), last).await?))
    }

    /// The next piece; nothing when the stream has ended.
    async fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            let Some(event) = limited("piece", self.0.event()).await?? else {
                return Ok(None);
            };
            // The first block has the field `retry` alone.
            let Some(word) = event.data else { continue };
            let name = event.event.unwrap_or_default();
            let id = event.id.unwrap_or_default();
            ensure!(!id.is_empty(), Broken::new("an id with each event", "none"));
            return Ok(Some(Piece { name, id, word }));
        }
    }

    async fn until_the_end(mut self) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        while let Some(piece) = self.next().await? {
            pieces.push(piece);
        }
        Ok(pieces)
    }
}

async fn read(target: Target, id: &str, last: Option<&str>) -> Result<Vec<Piece>> {
    Reading::open(target, id, last).await?.until_the_end().await
}

/// Reads an answer beside another reader, and is cut off from it twice.
async fn through_cuts(target: Target, id: &str) -> Result<Vec<Piece>> {
    const CUTS: [usize; 2] = [5, 20];
    /// How many words are written during a cut.
    const MISSED: usize = 5;
    let relay = Relay::start(target.address, None).await?;
    let mut witness = Reading::open(target, id, None).await?;
    let (mut seen, mut pieces) = (Vec::new(), Vec::<Piece>::new());
    let mut last = None;
    for cut in CUTS {
        let mut reading =
            Reading::open(relay.before(target), id, last.as_deref()).await?;
        while pieces.len() < cut {
            pieces.push(reading.next().await?.context("the stream ended")?);
        }
        relay.set(Network::Down);
        while seen.len() < pieces.len() + MISSED {
            seen.push(witness.next().await?.context("the stream ended")?);
        }
        relay.set(Network::Good);
        last = pieces.last().map(|piece| piece.id.clone());
    }
    pieces.extend(read(relay.before(target), id, last.as_deref()).await?);
    seen.extend(witness.until_the_end().await?);
    same(&seen, &pieces).context("two cuts")?;
    Ok(pieces)
}

/// The same pieces, in the same order.
fn same(expected: &[Piece], received: &[Piece]) -> Result<()> {
    let told = |pieces: &[Piece]| {
        let words = pieces.iter().map(|piece| match piece.name.as_str() {
            "word" => piece.word.clone(),
            name => format!("({name})"),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    ensure!(expected == received, Broken::new(told(expected), told(received)));
    Ok(())
}

/// A command stops an answer for both who read it, and whoever comes later.
async fn stops(target: Target, whole: &[Piece]) -> Result<()> {
    // One that is written before the command arrives, on a busy machine, proves nothing.
    for _ in 0..5 {
        let id = begin(target).await?;
        let mut one = Reading::open(target, &id, None).await?;
        let two = Reading::open(target, &id, None).await?;
        let first = one.next().await?.context("the stream ended")?;
        let status = status_of(target, Method::DELETE, &id, None).await?;
        expect(204, status)?;
        let mut ended = vec![first];
        ended.extend(one.until_the_end().await?);
        same(&ended, &two.until_the_end().await?).context("the other reader")?;
        if ended == whole {
            continue;
        }
        let (end, words) = ended.split_last().context("no event")?;
        expect("stopped", &end.name)?;
        same(&whole[..words.len()], words)?;
        same(&ended, &read(target, &id, None).await?).context("a reader after it")?;
        let again = status_of(target, Method::GET, &id, Some(&end.id)).await?;
        return expect(204, again).context("whoever has the end, and comes back");
    }
    bail!(Broken::new("stopped", "done"))
}

/// Either an old answer is forgotten, or a new one is refused.
async fn are_bounded(target: Target, first: &str) -> Result<()> {
    for _ in 0..MANY {
        match ask(target, Method::POST, "/answers", None).await?.status().as_u16() {
            201 => {}
            503 => return Ok(()),
            other => bail!(Broken::new("201, or 503", other)),
        }
    }
    let status = status_of(target, Method::GET, first, None).await?;
    let kept = format!("{MANY} answers, and the first is still kept");
    ensure!(status == 404, Broken::new("100 answers are kept", kept));
    Ok(())
}
