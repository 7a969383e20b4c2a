//! A client of the counter for each transport, behind one trait.
//!
//! Polling and SSE stand on reqwest, and WebSocket on tokio-tungstenite. Socket.IO stands
//! on tokio-tungstenite too: its protocol is a few digits before the JSON, written out
//! here, and the Rust client libraries for it need OpenSSL to build. The official client is
//! tried against the lesson by the suite `interop`.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt, stream::BoxStream};
use reqwest::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use sse_stream::{Sse, SseByteStream};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message,
};

use crate::{Lesson, Server};

/// How long a client waits for anything before it gives up: far more than a slow machine
/// needs, and less than for ever.
pub const LIMIT: Duration = Duration::from_secs(20);

/// How often the polling client asks.
const POLL: Duration = Duration::from_millis(50);

/// The state of the counter, as the contract has it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The number shown.
    pub value: i64,
    /// How many commands were accepted since the counter began.
    pub version: u64,
    /// Whether this is the last known state of a counter that the server has lost.
    #[serde(default)]
    pub stale: bool,
}

impl Snapshot {
    /// A state that is up to date.
    #[must_use]
    pub fn new(value: i64, version: u64) -> Self {
        Self { value, version, stale: false }
    }
}

/// A kind of bad input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bad {
    /// Text that is not JSON.
    NotJson,
    /// JSON that is not an object.
    WrongType,
    /// An object with a command that does not exist.
    Unknown,
    /// A command with a field too many.
    ExtraField,
    /// A command whose field stands twice.
    Twice,
    /// An id of 65 bytes.
    LongId,
    /// An id that is not text.
    NumberId,
    /// Nothing.
    Empty,
    /// Longer than 4 KiB.
    TooLong,
    /// Bytes where the transport tells text from bytes; else bytes that are not text.
    Binary,
    /// Text with a byte that is not UTF-8.
    NotUtf8,
    /// JSON nested a thousand levels deep.
    Nested,
}

impl Bad {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::NotJson,
        Self::WrongType,
        Self::Unknown,
        Self::ExtraField,
        Self::Twice,
        Self::LongId,
        Self::NumberId,
        Self::Empty,
        Self::TooLong,
        Self::Binary,
        Self::NotUtf8,
        Self::Nested,
    ];

    /// An input of this kind.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::NotJson => b"increment".to_vec(),
            Self::WrongType => br#"["increment"]"#.to_vec(),
            Self::Unknown => br#"{"type":"double"}"#.to_vec(),
            Self::ExtraField => br#"{"type":"increment","by":2}"#.to_vec(),
            Self::Twice => br#"{"type":"increment","type":"reset"}"#.to_vec(),
            Self::LongId => {
                format!(r#"{{"type":"increment","id":"{}"}}"#, "x".repeat(65))
                    .into_bytes()
            }
            Self::NumberId => br#"{"type":"increment","id":1}"#.to_vec(),
            Self::Empty => Vec::new(),
            Self::TooLong => {
                format!(r#"{{"type":"increment"{}}}"#, " ".repeat(5000)).into_bytes()
            }
            Self::Binary => vec![0, 159, 146, 150],
            Self::NotUtf8 => b"{\"type\":\"incr\xffment\"}".to_vec(),
            Self::Nested => ("[".repeat(1000) + &"]".repeat(1000)).into_bytes(),
        }
    }
}

/// What became of a bad input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The server said what was wrong, in this sentence; the connection goes on.
    Refused(String),
    /// The server closed the connection, for this reason.
    Closed(String),
}

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

    /// The next snapshot that the server sends.
    async fn next(&mut self) -> Result<Snapshot>;

    /// Sends a bad input and waits for what becomes of it.
    async fn send_bad(&mut self, bad: Bad) -> Result<Outcome>;

    /// Waits until the server ends the connection, and returns how it said so.
    async fn farewell(&mut self) -> Result<String>;
}

/// Connects to a lesson over its own transport.
///
/// # Errors
/// When the server does not answer as the transport's protocol wants.
pub async fn connect(server: &Server) -> Result<Box<dyn Client>> {
    let server = server.next_instance();
    Ok(match server.lesson {
        Lesson::Polling => Box::new(Polling::connect(server)?),
        Lesson::Sse => Box::new(Events::connect(server).await?),
        Lesson::WebSocket => Box::new(Frames::connect(server).await?),
        Lesson::SocketIo => Box::new(Packets::connect(server).await?),
    })
}

/// Waits for `future`, but not for ever.
///
/// # Errors
/// After [`LIMIT`], saying that it waited for `what`.
pub async fn limited<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    timeout(LIMIT, future).await.with_context(|| format!("no {what} within {LIMIT:?}"))
}

fn error_of(message: &Value) -> Option<String> {
    let error = message.as_object().filter(|fields| fields.len() == 1)?.get("error")?;
    Some(error.as_str()?.to_owned())
}

/// The commands of the first two lessons: `POST /counter`.
struct Post {
    http: reqwest::Client,
    url: String,
}

impl Post {
    fn new(server: &Server) -> Result<Self> {
        let http = reqwest::Client::builder()
            // Without the proxy settings of the environment: this is the machine itself.
            .no_proxy()
            // Servers end an idle connection after 5 s, maybe while a request is on its way.
            .pool_idle_timeout(Duration::from_secs(4))
            .build()?;
        Ok(Self { http, url: server.url("/counter") })
    }

    async fn send(&self, body: Vec<u8>) -> Result<(StatusCode, Value)> {
        let request = self.http.post(&self.url).body(body);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let response = limited("answer", request.send()).await??;
        Ok((response.status(), response.json().await?))
    }

    async fn command(&self, command: String) -> Result<()> {
        let (status, answer) = self.send(command.into()).await?;
        ensure!(status == StatusCode::OK, "{status} {answer}");
        serde_json::from_value::<Snapshot>(answer)?;
        Ok(())
    }

    async fn bad(&self, bad: Bad) -> Result<Outcome> {
        let (status, answer) = self.send(bad.bytes()).await?;
        let expected = if bad == Bad::TooLong { 413 } else { 400 };
        ensure!(status == expected, "{status} {answer}");
        let error =
            error_of(&answer).with_context(|| format!("not a refusal: {answer}"))?;
        Ok(Outcome::Refused(error))
    }
}

struct Polling {
    post: Post,
    etag: Option<header::HeaderValue>,
    /// The newest version seen, where each poll may reach another instance, and one of them
    /// may be a moment behind.
    newest: Option<u64>,
}

impl Polling {
    fn connect(server: &Server) -> Result<Self> {
        let newest = server.is_proxied().then_some(0);
        Ok(Self { post: Post::new(server)?, etag: None, newest })
    }
}

#[async_trait]
impl Client for Polling {
    async fn send_text(&mut self, command: String) -> Result<()> {
        self.post.command(command).await
    }

    async fn next(&mut self) -> Result<Snapshot> {
        let changed = async {
            loop {
                let mut request = self.post.http.get(&self.post.url);
                if let Some(etag) = &self.etag {
                    request = request.header(header::IF_NONE_MATCH, etag);
                }
                let response = request.send().await?.error_for_status()?;
                if response.status() == StatusCode::OK {
                    self.etag = response.headers().get(header::ETAG).cloned();
                    let snapshot: Snapshot = response.json().await?;
                    match &mut self.newest {
                        Some(newest) if snapshot.version < *newest => {}
                        Some(newest) => {
                            *newest = snapshot.version;
                            return Ok(snapshot);
                        }
                        None => return Ok(snapshot),
                    }
                }
                sleep(POLL).await;
            }
        };
        limited("snapshot", changed).await?
    }

    async fn send_bad(&mut self, bad: Bad) -> Result<Outcome> {
        self.post.bad(bad).await
    }

    async fn farewell(&mut self) -> Result<String> {
        let gone = async {
            while self.post.http.get(&self.post.url).send().await.is_ok() {
                sleep(POLL).await;
            }
        };
        limited("end of the server", gone).await?;
        Ok("no answer".to_owned())
    }
}

struct Events {
    post: Post,
    events: BoxStream<'static, Result<Sse>>,
}

impl Events {
    async fn connect(server: &Server) -> Result<Self> {
        let post = Post::new(server)?;
        let request = post.http.get(server.url("/events"));
        let response = limited("answer", request.send()).await??.error_for_status()?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        ensure!(kind.is_some_and(|kind| kind == "text/event-stream"), "{kind:?}");
        let events = SseByteStream::new(response.bytes_stream());
        Ok(Self { post, events: events.map(|event| Ok(event?)).boxed() })
    }
}

#[async_trait]
impl Client for Events {
    async fn send_text(&mut self, command: String) -> Result<()> {
        self.post.command(command).await
    }

    async fn next(&mut self) -> Result<Snapshot> {
        let next = async {
            loop {
                let event = self.events.next().await.context("end of the stream")??;
                // A heartbeat is an event of its own name.
                if let (Some(data), None) = (event.data, event.event) {
                    return Ok(serde_json::from_str(&data)?);
                }
            }
        };
        limited("event", next).await?
    }

    async fn send_bad(&mut self, bad: Bad) -> Result<Outcome> {
        self.post.bad(bad).await
    }

    async fn farewell(&mut self) -> Result<String> {
        let ended = async {
            while let Some(event) = self.events.next().await {
                event?;
            }
            Ok("end of the stream".to_owned())
        };
        limited("end of the stream", ended).await?
    }
}

type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Frames {
    socket: WebSocket,
    /// Snapshots that came while something else was waited for.
    early: VecDeque<Snapshot>,
}

impl Frames {
    async fn connect(server: &Server) -> Result<Self> {
        let url = format!("ws://{}/ws", server.address);
        let (socket, _) = limited("handshake", connect_async(url)).await??;
        Ok(Self { socket, early: VecDeque::new() })
    }

    async fn frame(&mut self) -> Result<Message> {
        self.socket.next().await.context("no close frame")?.map_err(Into::into)
    }
}

#[async_trait]
impl Client for Frames {
    async fn send_text(&mut self, command: String) -> Result<()> {
        Ok(self.socket.send(Message::text(command)).await?)
    }

    async fn next(&mut self) -> Result<Snapshot> {
        if let Some(snapshot) = self.early.pop_front() {
            return Ok(snapshot);
        }
        let snapshot = async {
            loop {
                match self.frame().await? {
                    Message::Text(text) => return Ok(serde_json::from_str(&text)?),
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => bail!("unexpected {other:?}"),
                }
            }
        };
        limited("snapshot", snapshot).await?
    }

    async fn send_bad(&mut self, bad: Bad) -> Result<Outcome> {
        let frame = match (bad, String::from_utf8(bad.bytes())) {
            (Bad::Binary, _) => Message::binary(bad.bytes()),
            (_, Ok(text)) => Message::text(text),
            // A library cannot be made to send what is not UTF-8 as text; a frame can.
            (_, Err(error)) => raw_text(error.into_bytes()),
        };
        self.socket.send(frame).await?;
        let outcome = async {
            loop {
                match self.frame().await? {
                    Message::Text(text) => {
                        match error_of(&serde_json::from_str(&text)?) {
                            Some(error) => return Ok(Outcome::Refused(error)),
                            None => self.early.push_back(serde_json::from_str(&text)?),
                        }
                    }
                    Message::Close(Some(why)) => {
                        return Ok(Outcome::Closed(u16::from(why.code).to_string()));
                    }
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => bail!("unexpected {other:?}"),
                }
            }
        };
        limited("answer", outcome).await?
    }

    async fn farewell(&mut self) -> Result<String> {
        loop {
            if let Message::Close(why) = self.frame().await? {
                return Ok(
                    why.map_or(String::new(), |why| u16::from(why.code).to_string())
                );
            }
        }
    }
}

fn raw_text(bytes: Vec<u8>) -> Message {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true))
}

/// Socket.IO protocol 5 over Engine.IO protocol 4, on a WebSocket from the start.
///
/// A packet begins with a digit for Engine.IO (0 open, 1 close, 2 ping, 3 pong, 4 message);
/// a message with another for Socket.IO (0 connect, 1 disconnect, 2 event, 3 ack, 4 error,
/// 5 binary event).
struct Packets {
    socket: WebSocket,
    acks: u64,
    early: VecDeque<Snapshot>,
    /// How the connection ended.
    end: &'static str,
}

impl Packets {
    async fn connect(server: &Server) -> Result<Self> {
        let query = "EIO=4&transport=websocket";
        let url = format!("ws://{}/socket.io/?{query}", server.address);
        let (socket, _) = limited("handshake", connect_async(url)).await??;
        let mut client = Self { socket, acks: 0, early: VecDeque::new(), end: "" };
        let open = limited("open packet", client.packet()).await??.context("closed")?;
        ensure!(open.starts_with('0'), "{open}");
        client.write("40").await?;
        let connected = limited("connect packet", client.packet()).await??;
        let connected = connected.context("closed")?;
        ensure!(connected.starts_with("40{"), "{connected}");
        Ok(client)
    }

    async fn write(&mut self, packet: &str) -> Result<()> {
        Ok(self.socket.send(Message::text(packet)).await?)
    }

    /// The next packet that is not a heartbeat; nothing when the server has closed.
    async fn packet(&mut self) -> Result<Option<String>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if text == "2" => self.write("3").await?,
                Some(Ok(Message::Text(text))) => return Ok(Some(text.to_string())),
                Some(Ok(Message::Close(_))) => self.end = "close frame",
                Some(Ok(_)) => {}
                Some(Err(_)) if self.end.is_empty() => {
                    self.end = "connection lost";
                    return Ok(None);
                }
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }

    /// Sends an event's argument and waits for the acknowledgement; nothing when the
    /// server closes instead.
    async fn emit(&mut self, argument: &str) -> Result<Option<Value>> {
        let id = self.acks;
        self.acks += 1;
        let comma = if argument.is_empty() { "" } else { "," };
        self.write(&format!(r#"42{id}["command"{comma}{argument}]"#)).await?;
        self.ack(id).await
    }

    async fn ack(&mut self, id: u64) -> Result<Option<Value>> {
        let ack = format!("43{id}[");
        let answer = async {
            while let Some(packet) = self.packet().await? {
                if packet.starts_with(&ack) {
                    let [answer]: [Value; 1] =
                        serde_json::from_str(&packet[ack.len() - 1..])?;
                    return Ok(Some(answer));
                }
                self.early.extend(snapshot(&packet)?);
            }
            Ok(None)
        };
        limited("acknowledgement", answer).await?
    }
}

fn snapshot(packet: &str) -> Result<Option<Snapshot>> {
    let Some(event) = packet.strip_prefix("42") else { return Ok(None) };
    let (name, snapshot): (String, Snapshot) = serde_json::from_str(event)?;
    ensure!(name == "counter", "{packet}");
    Ok(Some(snapshot))
}

#[async_trait]
impl Client for Packets {
    async fn send_text(&mut self, command: String) -> Result<()> {
        let answer = self.emit(&command).await?.context("closed")?;
        serde_json::from_value::<Snapshot>(answer)?;
        Ok(())
    }

    async fn next(&mut self) -> Result<Snapshot> {
        if let Some(snapshot) = self.early.pop_front() {
            return Ok(snapshot);
        }
        let next = async {
            loop {
                let packet = self.packet().await?.context("closed")?;
                if let Some(snapshot) = snapshot(&packet)? {
                    return Ok(snapshot);
                }
            }
        };
        limited("snapshot", next).await?
    }

    async fn send_bad(&mut self, bad: Bad) -> Result<Outcome> {
        let answer = match (bad, String::from_utf8(bad.bytes())) {
            (Bad::Binary, _) => {
                let id = self.acks;
                self.acks += 1;
                let placeholder = r#"{"_placeholder":true,"num":0}"#;
                self.write(&format!(r#"451-{id}["command",{placeholder}]"#)).await?;
                self.socket.send(Message::binary(bad.bytes())).await?;
                self.ack(id).await?
            }
            (_, Ok(text)) => self.emit(&text).await?,
            (_, Err(error)) => {
                self.socket.send(raw_text(error.into_bytes())).await?;
                self.ack(self.acks).await?
            }
        };
        Ok(match answer {
            Some(answer) => {
                let error = error_of(&answer);
                Outcome::Refused(
                    error.with_context(|| format!("not a refusal: {answer}"))?,
                )
            }
            None => Outcome::Closed(self.end.to_owned()),
        })
    }

    async fn farewell(&mut self) -> Result<String> {
        let ended = async {
            while self.packet().await?.is_some() {}
            Ok(self.end.to_owned())
        };
        limited("end of the connection", ended).await?
    }
}
