//! The relay does what it says, and the decoder says what it sees: without that, nothing
//! that the drills and `just wire` show means anything.

use std::{
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use compare::{
    Lesson, Server, Snapshot, Target,
    behaviour::counting::until,
    client::limited,
    connect,
    diagram::Diagram,
    language::Language,
    recording::{Recorder, Recording},
    relay::{Direction, Network, Relay},
    wire::What,
};
use futures_util::{SinkExt, StreamExt};
#[cfg(target_os = "linux")]
use tokio::net::TcpSocket;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

/// A port on which a server was killed waits for the same server.
#[cfg(target_os = "linux")]
pub async fn killed_server_keeps_its_port() -> Result<()> {
    let mut server = Server::start(Lesson::Polling)?;
    let address = server.target().address;
    server.kill()?;
    ensure!(TcpStream::connect(address).await.is_err(), "somebody listens");
    ensure!(TcpSocket::new_v4()?.bind(address).is_err(), "anybody gets the port");
    let again = Server::start_again(Lesson::Polling, address)?;
    connect(again.target()).await?.next().await?;
    Ok(())
}

/// What a Socket.IO server sends before it confirms the connection is read after that.
pub async fn early_event_is_kept() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = async {
        let (stream, _) = listener.accept().await?;
        let mut socket = tokio_tungstenite::accept_async(stream).await?;
        socket.send(Message::text(r#"0{"sid":"one"}"#)).await?;
        socket.next().await.context("no connect packet")??;
        let early = r#"42["counter",{"value":7,"version":8}]"#;
        for packet in [early, r#"40{"sid":"two"}"#] {
            socket.send(Message::text(packet)).await?;
        }
        anyhow::Ok(socket)
    };
    let connecting = connect(Target::new(Lesson::SocketIo, address));
    let (_socket, mut client) = tokio::try_join!(serving, connecting)?;
    let first = client.next().await?;
    ensure!(first == Snapshot::new(7, 8), "{first}");
    Ok(())
}

/// The relay does what it says, so that a drill that passes means something.
pub async fn relay_disturbs() -> Result<()> {
    let echo = TcpListener::bind("127.0.0.1:0").await?;
    let address = echo.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    let relay = Relay::start(address, None).await?;
    let mut client = TcpStream::connect(relay.address).await?;
    let mut echoed = async |bytes: &[u8]| -> Result<Duration> {
        let started = Instant::now();
        client.write_all(bytes).await?;
        let mut answer = vec![0; bytes.len()];
        limited("echo", client.read_exact(&mut answer)).await??;
        ensure!(answer == bytes);
        Ok(started.elapsed())
    };
    echoed(&[1; 1000]).await?;
    let traffic = relay.traffic();
    ensure!(traffic.up.load(Ordering::Relaxed) == 1000, "{traffic:?}");
    ensure!(traffic.down.load(Ordering::Relaxed) == 1000, "{traffic:?}");
    relay.set(Network::Slow(Duration::from_millis(100)));
    let slow = echoed(b"slow").await?;
    ensure!(slow >= Duration::from_millis(200), "{slow:?}");
    relay.set(Network::Narrow(10_000));
    let narrow = echoed(&[2; 2000]).await?;
    ensure!(narrow >= Duration::from_millis(400), "{narrow:?}");
    relay.set(Network::Frozen);
    let frozen = timeout(Duration::from_millis(300), echoed(b"frozen")).await;
    ensure!(frozen.is_err(), "a frozen network moved bytes: {frozen:?}");
    relay.set(Network::Good);
    let mut late = [0; 6];
    limited("late echo", client.read_exact(&mut late)).await??;
    ensure!(&late == b"frozen");
    // However short a cut is.
    relay.set(Network::Down);
    relay.set(Network::Good);
    let error = limited("reset", client.read(&mut late)).await?;
    ensure!(error.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    relay.set(Network::Down);
    // The reset may come before the system says that it has connected.
    let refused = async {
        let mut refused = TcpStream::connect(relay.address).await?;
        refused.read(&mut late).await
    };
    let error = limited("reset", refused).await?;
    ensure!(error.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    Ok(())
}

/// A reset by one side is one for the other, once what was under way has arrived; it is
/// told once.
pub async fn reset_is_passed_on() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let recorder = Recorder::new(Lesson::Polling);
    let relay = Relay::start(listener.local_addr()?, Some(recorder.tap())).await?;
    relay.set(Network::Slow(Duration::from_millis(100)));
    let mut client = TcpStream::connect(relay.address).await?;
    let (mut server, _) = limited("connection", listener.accept()).await??;
    client.write_all(b"last").await?;
    client.set_zero_linger()?;
    drop(client);
    let mut last = [0; 4];
    limited("last bytes", server.read_exact(&mut last)).await??;
    ensure!(&last == b"last");
    let error = limited("reset", server.read(&mut last)).await?;
    ensure!(error.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    let is_reset =
        |it: &Recording| it.entries.last().is_some_and(|it| it.what == What::Reset);
    let all = recorded(&recorder, is_reset).await?;
    let resets = all.entries.iter().filter(|entry| entry.what == What::Reset);
    ensure!(resets.count() == 1, "{all:?}");
    Ok(())
}

pub async fn wire_shows_what_travels(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let recorder = Recorder::new(lesson);
    let relay = Relay::start(server.target().address, Some(recorder.tap())).await?;
    let mut client = connect(relay.before(server.target())).await?;
    client.send("increment").await?;
    until(&mut *client, 1).await?;
    let text = recorder.recording().text();
    let expected: &[&str] = match lesson {
        Lesson::Polling => {
            &["↑ POST /counter HTTP/1.1", r#"↓ {"value":1,"version":1}"#]
        }
        Lesson::Sse => {
            &["↑ GET /events HTTP/1.1", r#"↓ data: {"value":1,"version":1}"#]
        }
        Lesson::WebSocket => &[
            "↓ HTTP/1.1 101 Switching Protocols",
            r#"↑ [text, 6 + 20 bytes] {"type":"increment"}"#,
            r#"↓ [text, 2 + 23 bytes] {"value":1,"version":1}"#,
        ],
        Lesson::SocketIo => &[
            r#"↑ [text, 6 + 2 bytes] 40  (Socket.IO connect)"#,
            r#"↑ [text, 6 + 35 bytes] 420["command",{"type":"increment"}]  (Socket.IO event)"#,
            r#"↓ [text, 2 + 28 bytes] 430[{"value":1,"version":1}]  (Socket.IO acknowledgement)"#,
        ],
    };
    for line in expected {
        ensure!(text.contains(line), "no {line} in\n{text}");
    }
    Ok(())
}

/// A slow way is a delay line: pieces keep their spacing, and none waits for the one before.
pub async fn slow_way_keeps_the_spacing() -> Result<()> {
    const DELAY: f64 = 300.0;
    const APART: Duration = Duration::from_millis(100);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let mut clients = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            clients.push(client);
        }
    });
    let mut seen = Vec::new();
    // A machine that stands still delays a piece, but not each of five.
    for _ in 0..5 {
        let recorder = Recorder::new(Lesson::Polling);
        let relay = Relay::start(address, Some(recorder.tap())).await?;
        relay.set(Network::Slow(Duration::from_millis(DELAY as u64)));
        let mut client = TcpStream::connect(relay.address).await?;
        client.set_nodelay(true)?;
        client.write_all(b"one").await?;
        tokio::time::sleep(APART).await;
        client.write_all(b"two").await?;
        let both = recorded(&recorder, |it| it.bytes(Direction::Up) == 6).await?;
        let times = both.entries.iter().filter_map(|entry| match entry.what {
            What::Message { left, .. } => Some((left, entry.at)),
            _ => None,
        });
        let times: Vec<_> = times.collect();
        let [(left, at), (next_left, next_at)] = times[..] else { continue };
        ensure!(at - left >= DELAY && next_at - next_left >= DELAY, "{times:?}");
        // Had the second waited for the first, it would have come so much later.
        if next_at - at >= 20.0 && next_at - at < DELAY {
            return Ok(());
        }
        seen.push(times);
    }
    bail!("never well apart: {seen:?}")
}

/// Waits until what was recorded is so.
async fn recorded(
    recorder: &Recorder,
    is: impl Fn(&Recording) -> bool,
) -> Result<Recording> {
    let looks = async {
        loop {
            let recording = recorder.recording();
            if is(&recording) {
                return recording;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    limited("what travels", looks).await
}

/// As many arrows as messages, and as many bytes as the relay has counted.
pub async fn diagram_shows_what_travels(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let recorder = Recorder::new(lesson);
    let relay = Relay::start(server.target().address, Some(recorder.tap())).await?;
    let target = relay.before(server.target());
    let mut clients = [connect(target).await?, connect(target).await?];
    for client in &mut clients {
        client.next().await?;
    }
    clients[0].send("increment").await?;
    for client in &mut clients {
        until(&mut **client, 1).await?;
    }
    drop(clients);
    relay.set(Network::Down);
    // Connected or reset: the relay has counted it either way.
    let _ = TcpStream::connect(relay.address).await;
    let traffic = relay.traffic();
    let recording = recorded(&recorder, |recording| {
        let is = |what: fn(&What) -> bool| {
            recording.entries.iter().any(|entry| what(&entry.what))
        };
        recording.bytes(Direction::Up) as u64 == traffic.up.load(Ordering::Relaxed)
            && recording.bytes(Direction::Down) as u64
                == traffic.down.load(Ordering::Relaxed)
            && is(|what| matches!(what, What::Refused))
    })
    .await?;
    let connections = traffic.connections.load(Ordering::Relaxed);
    ensure!(recording.connections().len() as u64 == connections, "{connections}");
    let again: Recording = serde_json::from_str(&recording.json()?)?;
    ensure!(again == recording, "{again:#?}");
    let messages = recording.messages().count();
    for language in Language::ALL {
        let diagram = Diagram::new(&recording, language);
        let svg = diagram.svg();
        let arrows = svg.matches("class=\"arrow ").count();
        ensure!(arrows == messages, "{arrows} arrows, {messages} messages: {svg}");
        // All that happened, below two lines of header; a request may have no answer.
        let told = recording.entries.len() + recording.unanswered().len();
        let rows = diagram.table().lines().count() - 2;
        ensure!(rows == told, "{rows} rows, {told} entries");
        for (_, _, message) in recording.messages() {
            ensure!(svg.contains(&format!(">{}\u{a0}", message.size)), "{message:?}");
        }
    }
    Ok(())
}

/// Ctrl-C ends `just wire`, and what has travelled is then written.
#[cfg(unix)]
pub async fn wire_draws_at_ctrl_c() -> Result<()> {
    use std::{
        io::{BufRead, BufReader, Read},
        process::{Command, Stdio},
    };

    use compare::{Target, process::Process};
    use nix::sys::signal::Signal;

    let folder = tempfile::tempdir()?;
    let (svg, json) = (folder.path().join("it.svg"), folder.path().join("it.json"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(["wire", "03-websocket", "--lang", "en", "--svg"]).arg(&svg);
    command.arg("--json").arg(&json).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut wire = Process::spawn(&mut command)?;
    let mut lines = BufReader::new(wire.stdout().context("no output")?);
    let mut first = String::new();
    lines.read_line(&mut first)?;
    let address = first.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
    let address = address.context(first.clone())?.parse()?;
    let mut client = connect(Target::new(Lesson::WebSocket, address)).await?;
    client.send("increment").await?;
    until(&mut *client, 1).await?;
    wire.signal(Signal::SIGINT)?;
    let status = wire.ended(compare::client::LIMIT).await?;
    ensure!(status.success(), "{status}");
    let mut rest = String::new();
    lines.read_to_string(&mut rest)?;
    ensure!(rest.contains(r#"{"type":"increment"}"#), "{rest}");
    let recording = Recording::read(&json)?;
    let has = |label: &str| recording.messages().any(|(.., it)| it.label == label);
    ensure!(has("GET /ws") && has(r#"{"value":1,"version":1}"#), "{recording:#?}");
    let drawn = std::fs::read_to_string(&svg)?;
    ensure!(drawn == Diagram::new(&recording, Language::English).svg(), "{drawn}");

    let nowhere = folder.path().join("no such folder/it.svg");
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    let refused =
        command.args(["wire", "03-websocket", "--svg"]).arg(&nowhere).output()?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(refused.status.code() == Some(1), "{}", refused.status);
    ensure!(refused.stdout.is_empty(), "it began");
    ensure!(said.starts_with("cannot write") && said.contains("it.svg"), "{said}");
    Ok(())
}

/// `just check` draws the exchange of the first stage that fails.
pub async fn check_draws_what_failed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let svg = folder.path().join("it.svg");
    let other = Lesson::Polling.command()?;
    let mut check = tokio::process::Command::new(env!("CARGO_BIN_EXE_compare"));
    check.args(["check", "02-sse", "--lang", "en", "--svg"]).arg(&svg);
    check.arg(other.get_program()).kill_on_drop(true);
    let judged = limited("judgement", check.output()).await??;
    let told = String::from_utf8_lossy(&judged.stdout).into_owned();
    ensure!(judged.status.code() == Some(1), "{}: {told}", judged.status);
    let drawn = std::fs::read_to_string(&svg)?;
    ensure!(
        drawn.contains("GET /events") && drawn.contains("404 Not Found"),
        "{drawn}"
    );
    Ok(())
}
