//! What a lesson does as a server of HTTP: whom it lets in, what it serves, what it says
//! when it cannot start, and whom it drops.

use anyhow::{Context, Result, ensure};
use compare::{
    Lesson, Server, Snapshot,
    behaviour::serving::{get, sensitive},
    client::{LIMIT, limited},
    connect,
    raw::{self, Raw},
};
use reqwest::{StatusCode, header};
use tokio::time::timeout;

/// DNS rebinding: the name of another site was made to point to this machine.
pub async fn foreign_host_is_refused(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let port = server.target().address.port();
    let hosts = [
        (format!("rebound.example:{port}"), 421),
        (format!("127.0.0.1.rebound.example:{port}"), 421),
        ("10.0.0.1".to_owned(), 421),
        ("not a host".to_owned(), 421),
        (format!("127.0.0.1:{port}"), 200),
        ("LOCALHOST".to_owned(), 200),
        (format!("[::1]:{port}"), 200),
    ];
    for (host, expected) in hosts {
        let mut raw = Raw::connect(server.target()).await?;
        let origin = format!("Origin: http://{host}\r\n");
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
        raw.write(request.as_bytes()).await?;
        let status = format!("HTTP/1.1 {expected}");
        raw.read_until(status.as_bytes()).await.with_context(|| host.clone())?;
    }
    Ok(())
}

pub async fn own_origin_is_served(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let own = server.target().url("");
    for (method, path) in sensitive(lesson) {
        for origin in [None, Some(own.as_str())] {
            let status = raw::status(server.target(), method, path, origin).await?;
            let websocket = path.ends_with("ws") || path.ends_with("websocket");
            let expected = if websocket { 101 } else { 200 };
            ensure!(status == expected, "{method} {path} from {origin:?}: {status}");
        }
    }
    Ok(())
}

pub async fn taken_port(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let port = server.target().address.port().to_string();
    let output = lesson.command()?.env("PORT", &port).output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{:?}", output.status);
    ensure!(output.stdout.is_empty());
    ensure!(said.lines().count() == 1 && said.contains(&port), "{said}");
    ensure!(said.contains("taken") && said.contains("PORT="), "{said}");
    Ok(())
}

pub async fn bad_settings(lesson: Lesson) -> Result<()> {
    for (name, value) in [("PORT", "99999"), ("PORT", "http"), ("HOST", "nowhere")] {
        let output = lesson.command()?.env(name, value).output()?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{name}={value}: {:?}", output.status);
        ensure!(said.contains(&format!("{name}={value}")), "{said}");
    }
    Ok(())
}

pub async fn started_from_another_folder(lesson: Lesson) -> Result<()> {
    let mut command = lesson.command()?;
    command.current_dir(std::env::temp_dir());
    let server = Server::start_by(lesson, &mut command)?;
    for path in ["/", "/client.js", "/style.css"] {
        get(server.target(), path, &[]).await?.error_for_status()?;
    }
    if lesson == Lesson::SocketIo {
        get(server.target(), "/socket.io.js", &[]).await?.error_for_status()?;
    }
    Ok(())
}

pub async fn page_in_both_languages(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let asked = [
        ("/", "fr-FR,fr;q=0.9,en;q=0.5", "fr"),
        ("/", "en-GB,fr;q=0.5", "en"),
        ("/", "de,fr;q=0.2", "fr"),
        ("/", "de", "en"),
        ("/", "not a language;;", "en"),
        ("/?lang=fr", "en", "fr"),
        ("/?lang=en", "fr", "en"),
        ("/?lang=xx", "fr", "fr"),
    ];
    for (path, accepted, lang) in asked {
        let answer =
            get(server.target(), path, &[("accept-language", accepted)]).await?;
        let page = answer.error_for_status()?.text().await?;
        let tag = format!("<html lang=\"{lang}\"");
        ensure!(page.contains(&tag), "{path} for {accepted}: {:?}", page.get(..80));
        for id in ["value", "increment", "decrement", "reset", "status", "wire"] {
            ensure!(page.contains(&format!("id=\"{id}\"")), "no #{id} in {path}");
        }
    }
    Ok(())
}

pub async fn page_files(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let files = [
        ("/", "text/html"),
        ("/client.js", "text/javascript"),
        ("/page.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ];
    for (path, kind) in files {
        let answer = get(server.target(), path, &[]).await?.error_for_status()?;
        let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok());
        let content_type = header(header::CONTENT_TYPE).unwrap_or_default();
        ensure!(content_type.starts_with(kind), "{path} is {content_type}");
        if path == "/" {
            let policy = header(header::CONTENT_SECURITY_POLICY).unwrap_or_default();
            ensure!(
                policy.starts_with("default-src 'none'; script-src 'self';"),
                "{policy}"
            );
            ensure!(!policy.contains("unsafe"), "{policy}");
            ensure!(header(header::REFERRER_POLICY) == Some("no-referrer"));
        } else {
            ensure!(header(header::CONTENT_SECURITY_POLICY).is_none(), "{path}");
        }
        ensure!(header(header::X_CONTENT_TYPE_OPTIONS) == Some("nosniff"));
        ensure!(header(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
    }
    let http = reqwest::Client::builder().no_proxy().build()?;
    let head = limited("answer", http.head(server.target().url("/")).send()).await??;
    ensure!(head.status() == StatusCode::OK, "{head:?}");
    ensure!(head.headers().contains_key(header::CONTENT_LENGTH), "{head:?}");
    let absent = get(server.target(), "/../Cargo.toml", &[]).await?;
    ensure!(absent.status() == StatusCode::NOT_FOUND);
    Ok(())
}

/// Paths that try to leave the page's files, and heads and bodies beyond any limit.
pub async fn odd_requests_are_refused(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let paths = [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2fCargo.toml",
        "/client.js/../../Cargo.toml",
        "//etc/passwd",
        "/style.css%00",
    ];
    for path in paths {
        let status = raw::status(server.target(), "GET", path, None).await?;
        ensure!((400..=404).contains(&status), "{path}: {status}");
    }
    let long = "x".repeat(1 << 20);
    let requests = [
        format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        raw::request(server.target(), "POST", "/counter", "", &long),
        raw::request(
            server.target(),
            "POST",
            "/socket.io/?EIO=4&transport=polling",
            "",
            &long,
        ),
    ];
    for request in requests {
        let mut raw = Raw::connect(server.target()).await?;
        let (answer, closed) =
            raw.exchange(request.as_bytes(), b"HTTP/1.1 4", 1).await?;
        ensure!(!answer.is_empty() || closed, "neither an answer nor an end");
        ensure!(!answer.starts_with(b"HTTP/1.1 2"), "{}", answer.escape_ascii());
        ensure!(!answer.starts_with(b"HTTP/1.1 5"), "{}", answer.escape_ascii());
    }
    ensure!(connect(server.target()).await?.next().await? == Snapshot::new(0, 0));
    Ok(())
}

pub async fn vanished_client_is_dropped(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    // It reads all it gets and never answers a ping, like a machine behind a proxy that
    // has not noticed that the machine is gone.
    let mut vanished = Raw::subscribe(server.target()).await?;
    timeout(3 * LIMIT, vanished.closed()).await.context("still connected")?
}
