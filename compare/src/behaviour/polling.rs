//! What only AJAX polling has: conditional requests.

use anyhow::{Context, Result, ensure};
use reqwest::header::{CACHE_CONTROL, ETAG};

use super::serving::get;
use crate::{
    Target,
    candidate::Candidate,
    connect,
    contract::{Broken, expect},
};

/// What a poll with this `If-None-Match` is answered: its status, `ETag`, `Cache-Control`
/// and body.
async fn poll(
    target: Target,
    tags: Option<&str>,
) -> Result<(u16, String, String, String)> {
    let headers: Vec<_> =
        tags.map(|tags| ("if-none-match", tags)).into_iter().collect();
    let answer = get(target, "/counter", &headers).await?;
    let header = |name| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or("none").to_owned()
    };
    let (etag, cache) = (header(ETAG), header(CACHE_CONTROL));
    Ok((answer.status().as_u16(), etag, cache, answer.text().await?))
}

/// RFC 9110, section 13.1.2.
pub async fn not_modified(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let target = server.target();
    let (_, etag, _, _) = poll(target, None).await?;
    ensure!(etag.starts_with('"'), Broken::new("a strong ETag", &etag));
    let other = "\"other\"";
    let unchanged = [
        etag.clone(),
        format!("W/{etag}"),
        format!("{other}, {etag}"),
        format!("{other} ,\tW/{etag},"),
        format!("\"with, comma\", {etag}"),
        "*".to_owned(),
        // What cannot be read among the tags is skipped.
        format!("rubbish, {etag}"),
    ];
    for tags in &unchanged {
        let sent = || format!("If-None-Match: {}", tags.replace(&etag, "ETAG"));
        let (status, same, cache, body) = poll(target, Some(tags)).await?;
        expect(304, status).with_context(sent)?;
        ensure!(same == etag, Broken::new("the same ETag", same));
        expect("Cache-Control: no-cache", &*format!("Cache-Control: {cache}"))?;
        ensure!(body.is_empty(), Broken::new("no body", body));
    }
    let bare = etag.trim_matches('"');
    for tags in [other, bare, "", "\"", "W/", &format!("w/{etag}")] {
        let sent = || format!("If-None-Match: {}", tags.replace(bare, "tag"));
        expect(200, poll(target, Some(tags)).await?.0).with_context(sent)?;
    }
    let mut client = connect(target).await?;
    client.send("reset").await?;
    let (status, new, _, _) = poll(target, Some(&etag)).await?;
    expect(200, status).context("If-None-Match of the state before")?;
    ensure!(new != etag, Broken::new("a new ETag", "the same"));
    Ok(())
}
