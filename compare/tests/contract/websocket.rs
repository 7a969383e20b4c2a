//! What only WebSocket has: a closing handshake (RFC 6455).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compare::{
    Lesson, Server,
    client::limited,
    raw::{Raw, frame},
};

/// After the close frames the server ends the connection; it does not wait for the client
/// to do so (RFC 6455, section 7.1.1).
pub async fn close_ends_the_connection(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let mut shortest = Duration::MAX;
    for _ in 0..10 {
        let mut raw = Raw::websocket(server.target()).await?;
        raw.write(&frame(0x88, &1000_u16.to_be_bytes())).await?;
        raw.read_until(&[0x88, 2, 3, 0xe8]).await?;
        let told = Instant::now();
        limited("end of the connection", raw.closed()).await?.context("end")?;
        shortest = shortest.min(told.elapsed());
    }
    // actix-http waits for 0.8 to 1 s by default: the shortest of ten tells them apart.
    ensure!(shortest < Duration::from_millis(400), "{shortest:?} each time");
    Ok(())
}
