//! What a hostile, careless or unlucky client sends, and what must become of it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use compare::{
    Lesson, Server, Snapshot,
    behaviour::{counting::until, serving::get},
    client::{LIMIT, limited},
    connect,
    process::Process,
    raw::{COMMAND, HANDSHAKE, Raw, command, request},
};
use futures_util::future::try_join_all;
use tokio::time::timeout;

/// A request that every lesson answers with 200.
const STYLE: &str = "GET /style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// What has arrived counts, even when the connection ends right behind it.
pub async fn last_command_counts(lesson: Lesson) -> Result<()> {
    const TIMES: u64 = 30;
    let server = Server::start(lesson)?;
    let target = server.target();
    let farewells: &[&[u8]] = match lesson {
        Lesson::WebSocket => &[b"", &[0x88, 0x80, 0, 0, 0, 0]],
        _ => &[b""],
    };
    let mut sent = 0;
    for farewell in farewells {
        for _ in 0..TIMES {
            let mut raw = Raw::commander(target).await?;
            raw.write(&[&command(target, COMMAND), *farewell].concat()).await?;
            raw.finish().await?;
            if matches!(lesson, Lesson::Polling | Lesson::Sse) {
                raw.read_until(b"{\"value\":0").await.context("no answer")?;
            }
            limited("end of the connection", raw.closed()).await?.context("end")?;
            sent += 1;
        }
    }
    let last = until(&mut *connect(server.target()).await?, sent).await?;
    ensure!(last.version == sent, "{last:?} after {sent} commands");
    Ok(())
}

/// Every request is answered, or its connection ended: also one that asks for an upgrade
/// that is none, and one whose body never comes.
pub async fn every_request_is_answered(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let upgrade = "Upgrade: websocket\r\n";
    let connected = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let late = "Content-Length: 10\r\nContent-Type: application/json\r\n";
    let path = match lesson {
        Lesson::Polling | Lesson::Sse => "/counter",
        Lesson::WebSocket => "/ws",
        Lesson::SocketIo => "/socket.io/?EIO=4&transport=polling",
    };
    let mut tried = vec![
        (request(server.target(), "POST", path, upgrade, COMMAND), "400"),
        (request(server.target(), "POST", path, connected, COMMAND), "400"),
        (request(server.target(), "GET", "/", connected, ""), "200"),
    ];
    tried.push(match lesson {
        // Nothing is read where nothing is expected.
        Lesson::WebSocket => (request(server.target(), "POST", path, late, ""), "405"),
        _ => (request(server.target(), "POST", path, late, ""), "408"),
    });
    if matches!(lesson, Lesson::WebSocket | Lesson::SocketIo) {
        let path = path.replace("polling", "websocket");
        tried.push((request(server.target(), "HEAD", &path, HANDSHAKE, ""), "400"));
    }
    if lesson == Lesson::SocketIo {
        tried.push((
            request(server.target(), "GET", "/socket.io/?EIO=4", connected, ""),
            "400",
        ));
    }
    let trying = tried.into_iter().map(async |(request, status)| {
        let mut raw = Raw::connect(server.target()).await?;
        raw.write(request.as_bytes()).await?;
        let status = format!("HTTP/1.1 {status} ");
        let answered = raw.found(status.as_bytes());
        let answered = timeout(3 * LIMIT, answered).await;
        answered.with_context(|| format!("no {status} for {request}"))??;
        raw.read_until(b"x-content-type-options: nosniff\r\n").await
    });
    try_join_all(trying).await?;
    let now = connect(server.target()).await?.next().await?;
    ensure!(now == Snapshot::new(0, 0), "{now:?}");
    Ok(())
}

/// An answer to HEAD ends with its head: the next request on the connection is answered.
pub async fn head_ends_at_its_head(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let path = match lesson {
        Lesson::Polling => "/counter",
        Lesson::Sse => "/events",
        Lesson::WebSocket | Lesson::SocketIo => "/",
    };
    let mut raw = Raw::connect(server.target()).await?;
    let head = request(server.target(), "HEAD", path, "", "");
    raw.write((head + STYLE).as_bytes()).await?;
    raw.read_until(b"HTTP/1.1 200 OK\r\n").await?;
    raw.read_until(b"\r\n\r\nHTTP/1.1 200 OK\r\n").await.context("the next answer")?;
    raw.read_until(b"text/css").await
}

/// The time in which the server did not run is not the silence of its clients.
#[cfg(unix)]
pub async fn stopped_server_blames_nobody(lesson: Lesson) -> Result<()> {
    use futures_util::future::try_join;
    use nix::sys::signal::Signal;
    use tokio::time::sleep;

    // Well before the first heartbeat; and then past the second.
    const RUNS: Duration = Duration::from_secs(3);
    const STOPPED: Duration = Duration::from_secs(29);
    let server = Server::start(lesson)?;
    let mut clients = try_join_all((0..4).map(|_| connect(server.target()))).await?;
    for client in &mut clients {
        client.next().await?;
    }
    // There is nothing to see, but a heartbeat may want its answer.
    let answering = try_join_all(clients.iter_mut().map(|client| client.next()));
    let seen = timeout(RUNS, answering).await;
    ensure!(seen.is_err() || lesson == Lesson::WebSocket, "a change from nowhere");
    server.signal(Signal::SIGSTOP)?;
    sleep(STOPPED).await;
    server.signal(Signal::SIGCONT)?;
    let mut sender = connect(server.target()).await?;
    let seeing = try_join_all(clients.iter_mut().map(async |client| {
        while client.next().await.context("dropped")?.version < 1 {}
        anyhow::Ok(())
    }));
    try_join(sender.send("increment"), seeing).await?;
    Ok(())
}

/// Hosts and origins that look like the lesson's own.
pub async fn borrowed_names_are_refused(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let own = server.target().address;
    let tried = [
        // HTTP/1.0 knows no Host.
        ("GET / HTTP/1.0\r\nOrigin: http://example.org\r\n".to_owned(), 403),
        ("GET / HTTP/1.0\r\n".to_owned(), 200),
        (format!("GET / HTTP/1.1\r\nHost: {own}\r\nOrigin: http://{own}\r\n"), 200),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: {own}\r\nOrigin: http://{own}\r\n\
                 Origin: http://example.org\r\n"
            ),
            403,
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: {own}\r\nOrigin: http://example.org\r\n\
                 Origin: http://{own}\r\n"
            ),
            403,
        ),
    ];
    for (head, status) in tried {
        let mut raw = Raw::connect(server.target()).await?;
        raw.write(format!("{head}\r\n").as_bytes()).await?;
        let line = format!(" {status} ");
        raw.read_until(line.as_bytes()).await.with_context(|| head.clone())?;
    }
    let forwarded =
        [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")];
    for header in forwarded {
        let page = get(server.target(), "/", &[header]).await?.text().await?;
        ensure!(page.contains(&own.to_string()), "{header:?} hides {own}");
        ensure!(!page.contains("evil.example"), "{header:?} stands in the page");
    }
    Ok(())
}

/// An address of IPv4 written as one of IPv6 is a loopback address too.
pub async fn mapped_loopback_is_loopback(lesson: Lesson) -> Result<()> {
    let mut command = lesson.command()?;
    let server = Server::start_by(lesson, command.env("HOST", "::ffff:127.0.0.1"))?;
    let mut raw =
        Raw::reach(SocketAddr::from(([127, 0, 0, 1], server.target().address.port())))
            .await
            .context("connection")?;
    raw.write(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await?;
    raw.read_until(b"HTTP/1.1 421 ").await
}

/// A first line that cannot be written is lost, and the lesson serves.
#[cfg(target_os = "linux")]
pub async fn full_disk_stops_nobody(lesson: Lesson) -> Result<()> {
    use tokio::time::sleep;

    let reserved = compare::process::Reserved::any()?;
    let free = reserved.address;
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let mut command = lesson.command()?;
    command.env("PORT", free.port().to_string()).stdin(Stdio::null());
    command.stdout(full).stderr(Stdio::null());
    let mut spawned = Process::spawn(&mut command)?;
    let served = async {
        loop {
            ensure!(spawned.has_ended()?.is_none(), "it ended");
            if let Ok(mut raw) = Raw::reach(free).await {
                raw.write(STYLE.as_bytes()).await?;
                return raw.read_until(b"HTTP/1.1 200 OK").await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    limited("answer", served).await?
}

/// A log that nobody reads makes nobody wait.
pub async fn unread_log_delays_nobody(lesson: Lesson) -> Result<()> {
    // Each leaves a line of a hundred bytes or so: more than a pipe holds.
    const MALFORMED: usize = 2000;
    let mut command = lesson.command()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut spawned = Process::spawn(&mut command)?;
    let mut line = String::new();
    let stdout = spawned.stdout().context("no standard output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let (_, address) = line.trim_end().rsplit_once('/').context("no address")?;
    let address = address.parse()?;
    for _ in 0..MALFORMED {
        let mut raw = Raw::reach(address).await?;
        raw.write(b"no request\r\n\r\n").await?;
        raw.read_until(b"HTTP/1.1 400 ").await?;
    }
    let mut raw = Raw::reach(address).await?;
    raw.write(STYLE.as_bytes()).await?;
    raw.read_until(b"HTTP/1.1 200 OK").await
}

/// Known fault of actix-http 3.20: it waits for ever for the rest of a head, unless it is the
/// first of its connection. When this fails it is mended: say so in the protocol and in
/// the drill `slow-heads`.
pub async fn fault_half_a_head_is_held(lesson: Lesson) -> Result<()> {
    /// More than the 5 s after which half a first head is given up.
    const HELD: Duration = Duration::from_secs(8);
    let server = Server::start(lesson)?;
    let mut raw = Raw::connect(server.target()).await?;
    raw.write(STYLE.as_bytes()).await?;
    raw.read_until(b"HTTP/1.1 200 OK").await?;
    raw.write(b"GET / HTTP/1.1\r\nX-Slow: ").await?;
    match timeout(HELD, raw.closed()).await {
        Err(_) => Ok(()),
        Ok(ended) => ended.and_then(|()| bail!("mended: half a head was given up")),
    }
}

/// Known fault of actix-http 3.20: more than its read buffer holds, behind an answer that
/// does not end, makes it look again without a pause. When this fails it is mended: say so
/// in the protocol.
#[cfg(target_os = "linux")]
pub async fn fault_pipelining_spins(lesson: Lesson) -> Result<()> {
    use tokio::time::sleep;

    /// Far more than a server at rest takes.
    const SPUN: Duration = Duration::from_millis(300);
    let server = Server::start(lesson)?;
    let mut raw = Raw::subscribe(server.target()).await?;
    raw.read_until(b"\"version\":0}").await?;
    let cpu = || compare::process::cpu_time(server.pid()).context("no CPU time");
    let before = cpu()?;
    let pipelined = STYLE.repeat(20_000);
    // It does not read all of them, so the rest stays unwritten.
    let writing = timeout(Duration::from_secs(5), raw.write(pipelined.as_bytes()));
    let _ = writing.await;
    let spun = async {
        while cpu()? < before + SPUN {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    limited("spinning (mended?)", spun).await?
}
