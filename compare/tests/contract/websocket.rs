//! What only WebSocket has: frames that a server must bear or refuse, and a closing
//! handshake (RFC 6455).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use compare::{
    Lesson, Server,
    client::limited,
    connect,
    raw::{COMMAND, Raw, frame},
};

fn close(code: u16) -> Vec<u8> {
    frame(0x88, &code.to_be_bytes())
}

/// A name, what a client sends, and the code that the server must close with, if any.
type Rude = (&'static str, fn() -> Vec<u8>, Option<u16>);

/// What the server must do with a client's bytes: go on, or close with a code.
pub const RUDE: [Rude; 18] = [
    // The header of a frame of 1 GiB, and nothing of its payload.
    (
        "announced_gigabyte",
        || [&[0x81, 0xff], &(1_u64 << 30).to_be_bytes()[..]].concat(),
        Some(1009),
    ),
    ("empty_ping", || frame(0x89, b""), None),
    ("unasked_pong", || frame(0x8a, b"unasked"), None),
    (
        "fragments",
        || [frame(0x01, b"{\"type\":"), frame(0x80, b"\"reset\"}")].concat(),
        None,
    ),
    (
        "ping_between_fragments",
        || [frame(0x01, b"{"), frame(0x89, b"p"), frame(0x80, b"}")].concat(),
        None,
    ),
    ("close_is_echoed", || close(1000), Some(1000)),
    ("own_code_is_echoed", || close(4321), Some(4321)),
    ("close_without_code", || frame(0x88, b""), Some(1000)),
    ("impossible_close_code", || close(1005), Some(1002)),
    ("unmasked", || vec![0x81, 2, b'{', b'}'], Some(1002)),
    ("reserved_bit", || frame(0xc1, b"{}"), Some(1002)),
    ("unknown_opcode", || frame(0x83, b"{}"), Some(1002)),
    ("long_ping", || frame(0x89, &[0; 126]), Some(1002)),
    ("lonely_continuation", || frame(0x80, b"{}"), Some(1002)),
    ("fragmented_ping", || frame(0x09, b""), Some(1002)),
    (
        "fragmented_binary",
        || [frame(0x02, b"a"), frame(0x80, b"b")].concat(),
        Some(1003),
    ),
    (
        "broken_utf8_in_fragments",
        || [frame(0x01, b"\xc3"), frame(0x80, b"(")].concat(),
        Some(1007),
    ),
    (
        "too_long_in_fragments",
        || [frame(0x01, &[b' '; 4000]), frame(0x80, &[b' '; 4000])].concat(),
        Some(1009),
    ),
];

/// Sends `bytes` on a WebSocket and checks that the server closes with `code`, or goes on.
pub async fn rude(bytes: Vec<u8>, code: Option<u16>) -> Result<()> {
    let server = Server::start(Lesson::WebSocket)?;
    let mut raw = Raw::websocket(server.target()).await?;
    raw.write(&bytes).await?;
    let Some(code) = code else {
        raw.write(&frame(0x81, COMMAND.as_bytes())).await?;
        return raw.read_until(br#"{"value":0,"version":"#).await;
    };
    let [high, low] = code.to_be_bytes();
    raw.read_until(&[0x88, 2, high, low]).await?;
    limited("end of the connection", raw.closed()).await??;
    // Everybody else is served as before.
    connect(server.target()).await?.next().await?;
    Ok(())
}

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
