//! Lesson 3, WebSocket, on axum. It follows axum's documentation: `extract::ws`.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
    routing::any,
};
use counter::{Counter, MAX_BYTES, Refusal};
use serde_json::json;
use tokio::time::{Instant, interval_at};
use tungstenite::Error;

const HEARTBEAT: Duration = Duration::from_secs(15);

/// `GET /ws`: the upgrade.
async fn upgrade(
    ws: WebSocketUpgrade,
    State(counter): State<Arc<Counter>>,
) -> Response {
    ws.max_message_size(MAX_BYTES)
        .max_frame_size(MAX_BYTES)
        .on_upgrade(|socket| updates(socket, counter))
}

/// The newest snapshot at once, then one text frame after each change.
async fn updates(mut socket: WebSocket, counter: Arc<Counter>) {
    let mut updates = counter.subscribe();
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    loop {
        let frame = tokio::select! {
            Ok(()) = updates.changed() => {
                Message::Text(updates.borrow_and_update().text.clone())
            }
            _ = heartbeat.tick() => Message::Ping(Bytes::new()),
            frame = socket.recv() => match frame {
                None => return,
                Some(frame) => match command(frame, &counter) {
                    None => continue,
                    Some(answer) => answer,
                },
            },
        };
        if socket.send(frame).await.is_err() {
            return;
        }
    }
}

/// A frame from the client: applies the command in it. Returns what to answer, if anything.
fn command(frame: Result<Message, axum::Error>, counter: &Counter) -> Option<Message> {
    let close =
        |code| Some(Message::Close(Some(CloseFrame { code, reason: "".into() })));
    match frame {
        Ok(Message::Text(text)) => match serde_json::from_str(&text) {
            Ok(command) => {
                counter.apply(command);
                None
            }
            Err(error) => Some(Message::text(json!(Refusal::new(error)).to_string())),
        },
        Ok(Message::Binary(_)) => close(close_code::UNSUPPORTED),
        // Pings and closes were answered already.
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => None,
        Err(error) => match error.into_inner().downcast_ref() {
            Some(Error::Capacity(_)) => close(close_code::SIZE),
            Some(Error::Utf8(_)) => close(close_code::INVALID),
            _ => close(close_code::PROTOCOL),
        },
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().route("/ws", any(upgrade));
    counter::serve(app.with_state(Arc::new(Counter::default()))).await
}
