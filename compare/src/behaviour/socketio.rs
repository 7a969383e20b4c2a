//! What only Socket.IO has: acknowledgements.

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    Snapshot,
    candidate::Candidate,
    client::socketio::event,
    contract::expect,
    raw::{Raw, frame},
};

/// An acknowledgement carries the snapshot that its command made, or, for a repeated id,
/// that of the moment; one that is not asked for does not come.
pub async fn acknowledged(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let begin = server.begins().await?;
    let mut raw = Raw::commander(server.target()).await?;
    let command =
        json!({ "type": "increment", "id": format!("{:x}", fastrand::u64(..)) });
    let first = Snapshot::new(begin.value + 1, begin.version + 1);
    let other = r#"{"type":"increment"}"#;
    let second = Snapshot::new(begin.value + 2, begin.version + 2);
    let silent = format!(r#"42["command",{other}]"#);
    let third = Snapshot::new(begin.value + 3, begin.version + 3);
    let steps = [
        (event(7, &command.to_string()), Some((7, first))),
        (event(8, other), Some((8, second))),
        (event(9, &command.to_string()), Some((9, second))),
        (silent, None),
    ];
    for (packet, answer) in steps {
        raw.write(&frame(0x81, packet.as_bytes())).await?;
        let (from, to, expected) = match answer {
            Some((id, snapshot)) => (format!("43{id}["), "]", snapshot),
            // All are told, and nothing is acknowledged.
            None => (r#"42["counter","#.to_owned(), "]", third),
        };
        let sent = || packet.replace(command["id"].as_str().unwrap_or_default(), "ID");
        let mut told =
            raw.between(from.as_bytes(), to.as_bytes()).await.with_context(sent)?;
        // The announcements of the changes before may be on their way still.
        while answer.is_none() && Snapshot::read(&told)?.version < third.version {
            told =
                raw.between(from.as_bytes(), to.as_bytes()).await.with_context(sent)?;
        }
        expect(expected, Snapshot::read(&told)?).with_context(sent)?;
    }
    Ok(())
}
