//! The relay does what it says, and the decoder says what it sees: without that, nothing
//! that the drills and `just wire` show means anything.

use std::{
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use compare::{
    Lesson, Server,
    behaviour::counting::until,
    client::limited,
    connect,
    relay::{Network, Relay},
    wire::Transcript,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

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
    relay.set(Network::Down);
    let error = limited("reset", client.read(&mut late)).await?;
    ensure!(error.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    // The reset may come before the system says that it has connected.
    let refused = async {
        let mut refused = TcpStream::connect(relay.address).await?;
        refused.read(&mut late).await
    };
    let error = limited("reset", refused).await?;
    ensure!(error.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    Ok(())
}

pub async fn wire_shows_what_travels(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let transcript = Transcript::default();
    let tap = compare::wire::tap(lesson, false, transcript.clone());
    let relay = Relay::start(server.target().address, Some(tap)).await?;
    let mut client = connect(relay.before(server.target())).await?;
    client.send("increment").await?;
    until(&mut *client, 1).await?;
    let text = transcript.text();
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
