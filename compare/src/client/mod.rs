//! A client of the counter for each transport, behind one trait.
//!
//! Polling and SSE stand on reqwest, and WebSocket on tokio-tungstenite. Socket.IO stands
//! on tokio-tungstenite too: its protocol is a few digits before the JSON, written out
//! here, and the Rust client libraries for it need OpenSSL to build. The official client is
//! tried against the lesson by the suite `interop`.

mod follower;
mod line;
mod polling;
pub mod socketio;
mod sse;
mod websocket;

use std::{error::Error, fmt, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
pub use follower::{Chance, Memory, Met, follow, resume};
pub use line::{Line, Said};
use polling::Polling;
use serde_json::{Value, json};
use socketio::Packets;
pub(crate) use sse::Events;
use tokio::time::timeout;
use websocket::Frames;
pub(crate) use websocket::WebSocket;

use crate::{Bad, Lesson, Outcome, Snapshot, Target, contract::Broken};

/// How long a client waits for anything before it gives up: far more than a slow machine
/// needs, and less than for ever.
pub const LIMIT: Duration = Duration::from_secs(20);

/// One client of the counter, connected.
#[async_trait]
pub trait Client: Send {
    /// Sends the text of a command, and checks that it is accepted where the transport
    /// says so.
    async fn send_text(&mut self, command: String) -> Result<()>;

    /// Sends a command such as `increment`.
    async fn send(&mut self, kind: &str) -> Result<()> {
        self.send_text(json!({ "type": kind }).to_string()).await
    }

    /// The next sign of life: a snapshot, or nothing when it was a heartbeat, or the answer
    /// that nothing has changed. Waits as long as it takes; to drop it loses nothing.
    async fn hear(&mut self) -> Result<Option<Snapshot>>;

    /// The next snapshot that the server sends.
    async fn next(&mut self) -> Result<Snapshot> {
        let next = async {
            loop {
                if let Some(snapshot) = self.hear().await? {
                    return Ok(snapshot);
                }
            }
        };
        limited("snapshot", next).await?
    }

    /// Sends a bad input and waits for what becomes of it.
    async fn send_bad(&mut self, bad: Bad) -> Result<Outcome>;

    /// Waits until the server ends the connection, and returns how it said so.
    async fn farewell(&mut self) -> Result<String>;
}

/// Connects over the target's own transport.
///
/// # Errors
/// When the server does not answer as the transport's protocol wants.
pub async fn connect(target: Target) -> Result<Box<dyn Client>> {
    Ok(match target.lesson {
        Lesson::Polling => Box::new(Polling::connect(target)?),
        Lesson::Sse => Box::new(Events::connect(target).await?),
        Lesson::WebSocket => Box::new(Frames::connect(target).await?),
        Lesson::SocketIo => Box::new(Packets::connect(target).await?),
    })
}

/// Connects to lesson 4 without a WebSocket, as its page does where a proxy refuses it.
///
/// # Errors
/// When the server does not answer as Engine.IO's protocol wants.
pub async fn connect_by_polling(target: Target) -> Result<Box<dyn Client>> {
    Ok(Box::new(Packets::connect_by_polling(target).await?))
}

/// Reads until the counter has this version.
///
/// # Errors
/// When it does not come.
pub async fn reach(client: &mut dyn Client, version: u64) -> Result<()> {
    while client.next().await?.version < version {}
    Ok(())
}

/// Whether an attempt to connect failed because no `101 Switching Protocols` came.
#[must_use]
pub fn is_refused_upgrade(error: &anyhow::Error) -> bool {
    use tokio_tungstenite::tungstenite::Error;
    matches!(error.downcast_ref(), Some(Error::Http(_)))
}

tokio::task_local! {
    static PATIENCE: Duration;
}

/// Does something in which nothing is waited for longer than `limit`, instead of [`LIMIT`].
pub async fn patient<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    PATIENCE.scope(limit, future).await
}

/// Waits for `future`, but not for ever.
///
/// # Errors
/// [`Late`] after [`LIMIT`], saying that it waited for `what`.
pub async fn limited<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    within(PATIENCE.try_with(|limit| *limit).unwrap_or(LIMIT), what, future).await
}

/// Waits for `future` no longer than `limit`.
///
/// # Errors
/// [`Late`] after that, saying that it waited for `what`.
pub async fn within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = T>,
) -> Result<T> {
    let late = |_| Late { what: what.to_owned(), limit };
    Ok(timeout(limit, future).await.map_err(late)?)
}

/// Something did not come in time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Late {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub limit: Duration,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} within {:?}", self.what, self.limit)
    }
}

impl Error for Late {}

/// The sentence of a refusal.
fn refusal(text: &str) -> Result<String> {
    sentence(text).ok_or_else(|| Broken::new(r#"{"error":"…"}"#, text).into())
}

fn sentence(text: &str) -> Option<String> {
    let message: Value = serde_json::from_str(text).ok()?;
    let error = message.as_object().filter(|fields| fields.len() == 1)?.get("error")?;
    Some(error.as_str()?.to_owned())
}
