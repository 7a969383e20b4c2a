//! What only AJAX polling has: conditional requests, and bodies of JSON.

use anyhow::{Context, Result, ensure};
use compare::{
    Lesson, Server,
    client::limited,
    connect,
    raw::{self, COMMAND, Raw},
};
use reqwest::{StatusCode, header};

use super::serving::get;

/// RFC 9110, section 13.1.2.
pub async fn not_modified(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let first = get(server.target(), "/counter", &[]).await?;
    let etag =
        first.headers().get(header::ETAG).context("no ETag")?.to_str()?.to_owned();
    ensure!(etag.starts_with('"'), "{etag} is not strong");
    let other = "\"other\"";
    let unchanged = [
        etag.clone(),
        format!("W/{etag}"),
        format!("{other}, {etag}"),
        format!("{other} ,\tW/{etag},"),
        format!("\"with, comma\", {etag}"),
        "*".to_owned(),
    ];
    for tags in &unchanged {
        let answer =
            get(server.target(), "/counter", &[("if-none-match", tags)]).await?;
        ensure!(answer.status() == StatusCode::NOT_MODIFIED, "{tags}: {answer:?}");
        ensure!(answer.headers()[header::ETAG] == etag, "{answer:?}");
        ensure!(answer.headers()[header::CACHE_CONTROL] == "no-cache", "{answer:?}");
        ensure!(answer.bytes().await?.is_empty(), "{tags}: a 304 with a body");
    }
    let bare = etag.trim_matches('"');
    // What cannot be read among the tags is skipped.
    let beside = format!("rubbish, {etag}");
    let answer =
        get(server.target(), "/counter", &[("if-none-match", &beside)]).await?;
    ensure!(answer.status() == StatusCode::NOT_MODIFIED, "{answer:?}");
    for tags in [other, bare, "", "\"", "W/", &format!("w/{etag}")] {
        let answer =
            get(server.target(), "/counter", &[("if-none-match", tags)]).await?;
        ensure!(answer.status() == StatusCode::OK, "{tags}: {answer:?}");
    }
    let mut client = connect(server.target()).await?;
    client.send("reset").await?;
    let answer = get(server.target(), "/counter", &[("if-none-match", &etag)]).await?;
    ensure!(answer.status() == StatusCode::OK, "{answer:?}");
    ensure!(answer.headers()[header::ETAG] != etag, "{answer:?}");
    // A poll is short: what only a page needs, such as its security policy, is not in it.
    let mut raw = Raw::connect(server.target()).await?;
    let poll = raw::request(server.target(), "GET", "/counter", "", "");
    let (answer, _) = raw.exchange(poll.as_bytes(), b"\"version\":1}", 1).await?;
    ensure!(answer.len() < 230, "{} bytes: {}", answer.len(), answer.escape_ascii());
    Ok(())
}

/// Which media types are JSON, and that no other is read.
pub async fn media_types(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let types = [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/problem+json", 200),
        ("text/json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
    ];
    for (media_type, status) in types {
        let mut post = http.post(server.target().url("/counter")).body(COMMAND);
        if !media_type.is_empty() {
            post = post.header(header::CONTENT_TYPE, media_type);
        }
        let answer = limited("answer", post.send()).await??;
        ensure!(answer.status() == status, "{media_type:?}: {answer:?}");
    }
    Ok(())
}
