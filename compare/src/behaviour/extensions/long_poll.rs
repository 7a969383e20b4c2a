//! Long polling: an answer that waits until there is something new.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Response, header::ETAG};

use crate::{
    Snapshot, Target,
    candidate::Candidate,
    client::within,
    connect,
    contract::{Broken, expect},
    raw::{Raw, request},
    relay::{Network, Relay},
};

/// How long the proxy in the way waits for a byte.
const PROXY: Duration = Duration::from_secs(20);

/// How soon what has happened must show: more than a slow machine needs, and less than the
/// answer waits.
const SOON: Duration = Duration::from_secs(10);

/// E3: an answer waits for something new, as long as the client asks and a proxy bears; and
/// for nobody when the client has gone.
pub async fn answer_waits(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let target = server.target();
    let etag = tag(&poll(target, &[]).await?)?;
    let asked = Instant::now();
    let answer =
        poll(target, &[("if-none-match", &etag), ("prefer", "wait=2")]).await?;
    let waited = asked.elapsed();
    expect(304, answer.status().as_u16()).context("Prefer: wait=2")?;
    let too_soon =
        || Broken::new("an answer after 2 s", format!("one after {waited:?}"));
    ensure!(waited >= Duration::from_secs(2), too_soon());
    tokio::try_join!(survives_a_proxy(target, &etag), holds_nothing(target, &etag))?;
    news_comes_at_once(target, &etag).await
}

async fn poll(target: Target, headers: &[(&str, &str)]) -> Result<Response> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request = http.get(target.url("/counter"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(within(2 * PROXY, "answer", request.send()).await??)
}

fn tag(answer: &Response) -> Result<String> {
    Ok(answer.headers().get(ETAG).context("no ETag")?.to_str()?.to_owned())
}

/// However long the client would wait, the answer comes before the proxy gives up.
async fn survives_a_proxy(target: Target, etag: &str) -> Result<()> {
    let proxy = Relay::start(target.address, None).await?;
    proxy.set(Network::Impatient(PROXY));
    let headers = [("if-none-match", etag), ("prefer", "wait=60")];
    let answer = poll(proxy.before(target), &headers).await;
    let cut = |_| Broken::new("an answer before a proxy cuts at 20 s", "none");
    expect(304, answer.map_err(cut)?.status().as_u16()).context("Prefer: wait=60")
}

/// The connection of a client that has gone ends before the answer would come.
async fn holds_nothing(target: Target, etag: &str) -> Result<()> {
    let mut raw = Raw::connect(target).await?;
    let headers = format!("If-None-Match: {etag}\r\nPrefer: wait=15\r\n");
    raw.write(request(target, "GET", "/counter", &headers, "").as_bytes()).await?;
    raw.finish().await?;
    let ended =
        within(SOON, "end of the connection of a client that has gone", raw.closed());
    ended.await?
}

async fn news_comes_at_once(target: Target, etag: &str) -> Result<()> {
    let headers = [("if-none-match", etag), ("prefer", "wait=15")];
    let mut other = connect(target).await?;
    let before = other.next().await?;
    let (answer, sent) = tokio::join!(
        within(SOON, "answer with the change", poll(target, &headers)),
        other.send("increment"),
    );
    sent?;
    let answer = answer??;
    expect(200, answer.status().as_u16()).context("a change while the answer waits")?;
    let after = Snapshot::new(before.value + 1, before.version + 1);
    expect(after, Snapshot::read(&answer.text().await?)?)
}
