//! What only WebSocket has: frames that a server must bear or refuse (RFC 6455).

use anyhow::{Context, Result};

use crate::{
    Snapshot, Target,
    candidate::Candidate,
    client::limited,
    connect,
    contract::{Broken, expect},
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
        || {
            let (start, end) = COMMAND.as_bytes().split_at(7);
            [frame(0x01, start), frame(0x89, b"p"), frame(0x80, end)].concat()
        },
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

/// What a client's bytes must lead to, tried on one server.
pub async fn rude(who: Candidate, bytes: Vec<u8>, code: Option<u16>) -> Result<()> {
    let server = who.start().await?;
    try_bytes(server.target(), &bytes, code).await
}

/// Messages in parts, and what must be refused with a code: the part of [`RUDE`] in which
/// libraries agree. What a close without a code is answered with, and what is done with
/// reserved bits, they settle for their users.
pub async fn frames_are_borne_or_refused(who: Candidate) -> Result<()> {
    let agreed = [
        "fragments",
        "ping_between_fragments",
        "unmasked",
        "announced_gigabyte",
        "too_long_in_fragments",
        "fragmented_binary",
        "broken_utf8_in_fragments",
    ];
    let server = who.start().await?;
    for (name, bytes, code) in RUDE.iter().filter(|(name, ..)| agreed.contains(name)) {
        try_bytes(server.target(), &bytes(), *code).await.context(*name)?;
    }
    Ok(())
}

/// Sends `bytes` on a WebSocket and checks that the server closes with `code`, or goes on.
async fn try_bytes(target: Target, bytes: &[u8], code: Option<u16>) -> Result<()> {
    let mut raw = Raw::websocket(target).await?;
    raw.write(bytes).await?;
    let Some(code) = code else {
        raw.write(&frame(0x81, COMMAND.as_bytes())).await?;
        let reset = async {
            loop {
                let text = raw.frame(0x81).await?;
                let snapshot = Snapshot::read(&String::from_utf8_lossy(&text));
                if snapshot.is_ok_and(|it| it.value == 0 && it.version > 0) {
                    return Ok(());
                }
            }
        };
        return limited("snapshot with the value 0", reset).await?;
    };
    let expected = format!("close {code}");
    // A sentence may follow the code (RFC 6455, section 5.5.1).
    let close = limited("close frame", raw.frame(0x88)).await?;
    let close = close.map_err(|error| Broken::new(&expected, error))?;
    let code = close.first_chunk().map(|code| u16::from_be_bytes(*code).to_string());
    expect(expected, format!("close {}", code.unwrap_or_default()))?;
    limited("end of the connection", raw.closed()).await??;
    // Everybody else is served as before.
    connect(target).await?.next().await?;
    Ok(())
}
