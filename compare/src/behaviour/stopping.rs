//! What a server says to its clients when it is told to end.

use anyhow::Result;
#[cfg(unix)]
use {
    crate::{Lesson, connect, contract::expect},
    futures_util::future::try_join_all,
    nix::sys::signal::Signal,
    std::time::Duration,
};

use crate::candidate::Candidate;

/// A5, A6: told to end by SIGINT.
#[cfg(unix)]
pub async fn interrupt_tells_the_clients(who: Candidate) -> Result<()> {
    stop_tells_the_clients(who, Signal::SIGINT).await
}

/// A5, A6: told to end by SIGTERM.
#[cfg(unix)]
pub async fn terminate_tells_the_clients(who: Candidate) -> Result<()> {
    stop_tells_the_clients(who, Signal::SIGTERM).await
}

/// The same, where there is nothing to tell it by.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub async fn terminate_tells_the_clients(_who: Candidate) -> Result<()> {
    anyhow::bail!("this system has no signals")
}

#[cfg(unix)]
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
