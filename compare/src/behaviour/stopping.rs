//! What a server says to its clients when it is told to end.
#![cfg(unix)]

use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;
use nix::sys::signal::Signal;

use crate::{Lesson, candidate::Candidate, connect, contract::expect};

/// A5, A6: told to end by SIGINT.
pub async fn interrupt_tells_the_clients(who: Candidate) -> Result<()> {
    stop_tells_the_clients(who, Signal::SIGINT).await
}

/// A5, A6: told to end by SIGTERM.
pub async fn terminate_tells_the_clients(who: Candidate) -> Result<()> {
    stop_tells_the_clients(who, Signal::SIGTERM).await
}

async fn stop_tells_the_clients(who: Candidate, signal: Signal) -> Result<()> {
    const WITHIN: Duration = Duration::from_millis(1500);
    let mut server = who.start().await?;
    let target = server.target();
    let mut clients = try_join_all((0..50).map(|_| connect(target))).await?;
    for client in &mut clients {
        client.next().await?;
    }
    server.signal(signal)?;
    let (ended, farewells) = tokio::join!(
        server.ended(WITHIN),
        try_join_all(clients.iter_mut().map(|client| client.farewell())),
    );
    ended?;
    let expected = match who.lesson {
        Lesson::Polling => "no answer",
        Lesson::Sse => "end of the stream",
        Lesson::WebSocket => "1001",
        Lesson::SocketIo => "close frame",
    };
    for farewell in farewells? {
        expect(expected, &*farewell)?;
    }
    Ok(())
}
