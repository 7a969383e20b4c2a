//! What only Socket.IO has: sessions of Engine.IO, their errors, and a move from one
//! transport to another.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use compare::{
    Lesson, Server, Target,
    behaviour::serving::get,
    client::limited,
    raw::{HANDSHAKE, Raw, frame, request},
};
use reqwest::{Method, StatusCode};
use tokio::time::sleep;

/// Opens a session of Engine.IO by long polling, and returns its id.
async fn open_session(target: Target) -> Result<String> {
    let open = get(target, "/socket.io/?EIO=4&transport=polling", &[]).await?;
    let open = open.text().await?;
    Ok(open.split('"').nth(3).context("no sid")?.to_owned())
}

/// How Engine.IO's errors are told: by JSON over HTTP, hardly at all over WebSocket.
pub async fn engine_errors(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let session =
        format!("EIO=4&transport=polling&sid={}", open_session(server.target()).await?);
    let told = [
        (Method::GET, "EIO=4&transport=carrier-pigeon", Some("0")),
        (Method::GET, "EIO=4", Some("0")),
        (Method::GET, "EIO=4&transport=polling&sid=unknown", Some("1")),
        (Method::POST, "EIO=4&transport=polling", Some("2")),
        (Method::GET, "EIO=3&transport=polling", Some("5")),
        (Method::PUT, "EIO=4&transport=polling", Some("2")),
        (Method::POST, session.as_str(), None),
    ];
    for (method, query, code) in told {
        let url = server.target().url(&format!("/socket.io/?{query}"));
        let request = http.request(method.clone(), url).body("no packet");
        let answer = limited("answer", request.send()).await??;
        ensure!(answer.status() == StatusCode::BAD_REQUEST, "{query}: {answer:?}");
        let text = answer.text().await?;
        match code {
            Some(code) => ensure!(
                text.starts_with(&format!(r#"{{"code":"{code}","message":""#)),
                "{method} {query}: {text}"
            ),
            None => ensure!(text.is_empty(), "{method} {query}: {text}"),
        }
    }
    // A handshake is granted before engineioxide looks for the session.
    let path = "/socket.io/?EIO=4&transport=websocket";
    let unknown = request(
        server.target(),
        "GET",
        &format!("{path}&sid=0T6ujmLDlkMVCVui"),
        HANDSHAKE,
        "",
    );
    let (answer, closed) = Raw::connect(server.target())
        .await?
        .exchange(unknown.as_bytes(), b"never", 1)
        .await?;
    ensure!(
        closed && answer.starts_with(b"HTTP/1.1 101 "),
        "{}",
        answer.escape_ascii()
    );
    ensure!(answer.ends_with(b"\r\n\r\n"), "{}", answer.escape_ascii());
    let old = request(server.target(), "GET", &path.replace('4', "3"), HANDSHAKE, "");
    let mut raw = Raw::connect(server.target()).await?;
    raw.write(old.as_bytes()).await?;
    raw.read_until(b"HTTP/1.1 400 ").await?;
    raw.read_until(b"text/plain").await
}

/// A WebSocket that breaks while a session moves to it ends the session: it could neither
/// move again nor rest.
pub async fn failed_upgrade_ends_the_session(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = server.target().url("/socket.io/?EIO=4&transport=polling");
    let sid = open_session(server.target()).await?;
    let url = format!("{url}&sid={sid}");
    let mut path = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
    for packet in ["40", "3"] {
        limited("ok", http.post(&url).body(packet).send())
            .await??
            .error_for_status()?;
    }
    let mut raw = Raw::connect(server.target()).await?;
    path = request(server.target(), "GET", &path, HANDSHAKE, "");
    raw.write(path.as_bytes()).await?;
    raw.read_until(b"\r\n\r\n").await?;
    raw.write(&frame(0x81, b"2probe")).await?;
    raw.read_until(b"3probe").await?;
    drop(raw);
    let ended = async {
        loop {
            let answer = http.get(&url).send().await?;
            if answer.status() == StatusCode::BAD_REQUEST {
                return anyhow::Ok(answer.text().await?);
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = limited("end of the session", ended).await?.context("polls")?;
    ensure!(ended.contains(r#""code":"1""#), "{ended}");
    Ok(())
}

/// Only who has joined the namespace is told that the server stops.
#[cfg(unix)]
pub async fn stop_is_not_told_before_joining(lesson: Lesson) -> Result<()> {
    use nix::sys::signal::Signal;

    let server = Server::start(lesson)?;
    let mut raw = Raw::connect(server.target()).await?;
    let path = "/socket.io/?EIO=4&transport=websocket";
    raw.write(request(server.target(), "GET", path, HANDSHAKE, "").as_bytes()).await?;
    raw.read_until(b"\"maxPayload\":4096}").await?;
    server.signal(Signal::SIGTERM)?;
    let (rest, closed) = raw.exchange(b"", &[0x81, 1, b'1'], 1).await?;
    ensure!(closed, "told: {}", rest.escape_ascii());
    ensure!(!rest.contains(&0x88), "a close frame: {}", rest.escape_ascii());
    Ok(())
}
