//! What a lesson says to its clients when it is told to end.
#![cfg(unix)]

use std::time::Duration;

use anyhow::{Result, ensure};
use compare::{Lesson, Server, connect};
use futures_util::future::try_join_all;
use nix::sys::signal::Signal;

pub async fn interrupt_tells_the_clients(lesson: Lesson) -> Result<()> {
    stop_tells_the_clients(lesson, Signal::SIGINT).await
}

pub async fn terminate_tells_the_clients(lesson: Lesson) -> Result<()> {
    stop_tells_the_clients(lesson, Signal::SIGTERM).await
}

async fn stop_tells_the_clients(lesson: Lesson, signal: Signal) -> Result<()> {
    const WITHIN: Duration = Duration::from_millis(1500);
    let mut server = Server::start(lesson)?;
    let mut clients = try_join_all((0..50).map(|_| connect(server.target()))).await?;
    for client in &mut clients {
        client.next().await?;
    }
    server.signal(signal)?;
    let (ended, farewells) = tokio::join!(
        server.ended(WITHIN),
        try_join_all(clients.iter_mut().map(|client| client.farewell())),
    );
    ensure!(ended?.success(), "exit code");
    let expected = match lesson {
        Lesson::Polling => "no answer",
        Lesson::Sse => "end of the stream",
        Lesson::WebSocket => "1001",
        Lesson::SocketIo => "close frame",
    };
    for farewell in farewells? {
        ensure!(farewell == expected, "{farewell}");
    }
    Ok(())
}
