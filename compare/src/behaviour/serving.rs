//! Whom a server lets in, and how it shows that it lives.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{
    Lesson, Target,
    candidate::Candidate,
    client::{LIMIT, limited, within},
    connect,
    contract::expect,
    raw::{self, Raw, frame},
};

/// What another site's page could try: each command and each handshake.
pub fn sensitive(lesson: Lesson) -> &'static [(&'static str, &'static str)] {
    match lesson {
        Lesson::Polling => &[("GET", "/counter"), ("POST", "/counter")],
        Lesson::Sse => &[("GET", "/events"), ("POST", "/counter")],
        Lesson::WebSocket => &[("GET", "/ws")],
        Lesson::SocketIo => &[
            ("GET", "/socket.io/?EIO=4&transport=polling"),
            ("GET", "/socket.io/?EIO=4&transport=websocket"),
        ],
    }
}

/// O2: another site's page is refused, with each command and each handshake.
pub async fn foreign_origin_is_refused(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let begin = server.begins().await?;
    let port = server.target().address.port();
    let foreign = [
        "http://example.org".to_owned(),
        format!("http://example.org:{port}"),
        "http://127.0.0.1".to_owned(),
        format!("http://127.0.0.1:{port}.example.org"),
        "null".to_owned(),
        String::new(),
    ];
    for (method, path) in sensitive(who.lesson) {
        for origin in &foreign {
            let status =
                raw::status(server.target(), method, path, Some(origin)).await?;
            let sent = || format!("{method} {path}, Origin: {origin}");
            expect(403, status).with_context(sent)?;
        }
    }
    expect(begin, connect(server.target()).await?.next().await?)
}

/// T1: a connection that stays open is heard at least every 15 seconds.
pub async fn heartbeat(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let mut silent = Raw::subscribe(server.target()).await?;
    match who.lesson {
        Lesson::Polling => bail!("declared as impossible"),
        Lesson::Sse => {
            let event = silent.found(b"heartbeat\ndata:");
            within(LIMIT, "event: heartbeat", event).await?
        }
        Lesson::WebSocket => {
            silent.read_until(b"\r\n\r\n").await?;
            within(LIMIT, "ping", silent.frame(0x89)).await?.map(|_payload| ())
        }
        Lesson::SocketIo => {
            let (ping, connected) = (&[0x81, 1, b'2'], Instant::now());
            within(LIMIT, "packet 2", silent.found(ping)).await??;
            if connected.elapsed() > LIMIT / 2 {
                return Ok(());
            }
            // One may come with the connection; the next one keeps the interval.
            silent.write(&frame(0x81, b"3")).await?;
            within(LIMIT, "second packet 2", silent.found(ping)).await?
        }
    }
}

/// What a GET of this path is answered.
///
/// # Errors
/// When it is not.
pub async fn get(
    target: Target,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<reqwest::Response> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request = http.get(target.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(limited("answer", request.send()).await??)
}
