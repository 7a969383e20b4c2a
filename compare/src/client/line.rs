//! A client of what extensions add to lessons 2 to 4: it asks for more than a lesson gives,
//! and tells each message with the name and the id that it came with.

use anyhow::{Result, bail};
use futures_util::SinkExt;
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{limited, socketio::Packets, sse::Events, websocket::Frames};
use crate::{Lesson, Snapshot, Target};

/// One connection.
pub struct Line {
    over: Over,
    /// How the server has ended it, in the transport's own way.
    pub end: String,
}

enum Over {
    Sse(Events),
    WebSocket(Box<Frames>),
    SocketIo(Packets),
}

/// What a server says over a [`Line`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Said {
    /// The name of the event; empty where it has none, or is the lesson's own.
    pub event: String,
    /// Its id; empty where it has none.
    pub id: String,
    /// What it carries.
    pub data: Value,
}

impl Said {
    /// The snapshot that it carries.
    ///
    /// # Errors
    /// When it carries anything else.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::read(&self.data.to_string())
    }
}

impl Line {
    /// Connects, and asks for this: in the query, or in `auth` of Socket.IO. What is asked
    /// `after` goes in the header that SSE has for it.
    ///
    /// # Errors
    /// When the server does not answer as the transport's protocol wants, and over AJAX
    /// polling, which has no connection.
    pub async fn open(target: Target, asked: &[(&str, &str)]) -> Result<Self> {
        let after = asked.iter().find(|(name, _)| *name == "after");
        let after = after.map(|(_, id)| *id).filter(|id| !id.is_empty());
        let is_sse = target.lesson == Lesson::Sse;
        let query = asked.iter().filter(|(name, _)| !(is_sse && *name == "after"));
        let query: Vec<_> =
            query.map(|(name, value)| format!("{name}={value}")).collect();
        let query = format!("?{}", query.join("&"));
        let over = match target.lesson {
            Lesson::Polling => bail!("polling has no connection"),
            Lesson::Sse => {
                let path = format!("/events{query}");
                Over::Sse(Events::open(target, &path, after).await?)
            }
            Lesson::WebSocket => {
                Over::WebSocket(Box::new(Frames::open(target, &query).await?))
            }
            Lesson::SocketIo => {
                let asked = asked
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
                let auth = Value::Object(asked.collect::<Map<_, _>>()).to_string();
                Over::SocketIo(Packets::open(target, &auth).await?)
            }
        };
        Ok(Self { over, end: String::new() })
    }

    /// The session that a Socket.IO server recovers; empty where there is none.
    #[must_use]
    pub fn session(&self) -> &str {
        match &self.over {
            Over::SocketIo(packets) => &packets.session,
            Over::Sse(_) | Over::WebSocket(_) => "",
        }
    }

    /// The next message; nothing when the server has ended the connection.
    ///
    /// # Errors
    /// When none comes, the connection breaks, or what comes is no message.
    pub async fn next(&mut self) -> Result<Option<Said>> {
        limited("message", self.said()).await?
    }

    async fn said(&mut self) -> Result<Option<Said>> {
        loop {
            let mut said = match &mut self.over {
                Over::Sse(events) => {
                    let Some(event) = events.event().await? else {
                        self.end = "end of the stream".to_owned();
                        return Ok(None);
                    };
                    // The first block has the field `retry` alone.
                    let Some(data) = event.data else { continue };
                    let data = serde_json::from_str(&data).unwrap_or(Value::Null);
                    let (event, id) = (event.event, event.id);
                    Said {
                        event: event.unwrap_or_default(),
                        id: id.unwrap_or_default(),
                        data,
                    }
                }
                Over::WebSocket(frames) => match frames.frame().await? {
                    Message::Text(text) => framed(serde_json::from_str(&text)?),
                    Message::Close(why) => {
                        self.end = why.map_or(1005, |why| why.code.into()).to_string();
                        return Ok(None);
                    }
                    _ => continue,
                },
                Over::SocketIo(packets) => match packets.packet().await? {
                    Some(packet) if packet.starts_with("42") => {
                        let mut event: Vec<Value> = serde_json::from_str(&packet[2..])?;
                        event.resize(3, Value::Null);
                        let text = |value: &Value| value.as_str().map(str::to_owned);
                        Said {
                            event: text(&event[0]).unwrap_or_default(),
                            id: text(&event[2]).unwrap_or_default(),
                            data: event.swap_remove(1),
                        }
                    }
                    Some(packet) if packet.starts_with("41") => {
                        self.end = "disconnect".to_owned();
                        return Ok(None);
                    }
                    Some(_) => continue,
                    None => {
                        self.end = "end of the connection".to_owned();
                        return Ok(None);
                    }
                },
            };
            if said.event == "counter" {
                said.event.clear();
            }
            if said.event != "heartbeat" {
                return Ok(Some(said));
            }
        }
    }

    /// Sends a command such as `increment`, where the connection carries commands, and waits
    /// for no answer.
    ///
    /// # Errors
    /// When the connection is broken, or carries none.
    pub async fn send(&mut self, kind: &str) -> Result<()> {
        self.emit("command", &json!({ "type": kind })).await
    }

    /// Sends an event: over WebSocket what it carries alone.
    ///
    /// # Errors
    /// When the connection is broken, or carries none.
    pub async fn emit(&mut self, event: &str, data: &Value) -> Result<()> {
        match &mut self.over {
            Over::Sse(_) => bail!("a stream of events goes one way"),
            Over::WebSocket(frames) => {
                Ok(frames.socket.send(Message::text(data.to_string())).await?)
            }
            Over::SocketIo(packets) => {
                packets.write(&format!("42{}", json!([event, data]))).await
            }
        }
    }
}

/// A frame that carries more than a snapshot has it in the field `snapshot`, beside `event`
/// and `id`.
fn framed(mut frame: Value) -> Said {
    let text = |name: &str| {
        frame.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (event, id) = (text("event"), text("id"));
    let snapshot = frame.get_mut("snapshot").map(Value::take);
    Said { event, id, data: snapshot.unwrap_or(frame) }
}
