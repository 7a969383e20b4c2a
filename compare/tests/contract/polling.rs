//! What lessons 1 and 2 alone have: short polls, and bodies of JSON.

use anyhow::{Result, ensure};
use compare::{
    Lesson, Server,
    client::limited,
    raw::{self, COMMAND, Raw},
};
use reqwest::header;

/// A poll is short: what only a page needs, such as its security policy, is not in it.
pub async fn poll_is_short(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let mut raw = Raw::connect(server.target()).await?;
    let poll = raw::request(server.target(), "GET", "/counter", "", "");
    let (answer, _) = raw.exchange(poll.as_bytes(), b"\"version\":0}", 1).await?;
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
