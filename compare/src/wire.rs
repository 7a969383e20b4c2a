//! What travels, in words: HTTP as it is, WebSocket frames with their kind and length, and
//! the packets of Engine.IO and Socket.IO by their names.

use std::{
    collections::{HashMap, VecDeque},
    io::Cursor,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::{
    Lesson,
    raw::header,
    relay::{Direction, Passage, Tap},
};

/// Something that happened on a connection, and when.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// The number of the connection, from one.
    pub connection: u64,
    /// When it happened, or arrived, in ms since the recording began.
    pub at: f64,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What can happen on a connection.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum What {
    /// It was made.
    Opened,
    /// It was refused, at its first byte.
    Refused,
    /// A message was delivered.
    Message {
        /// Which way.
        direction: Direction,
        /// When it had left its sender, in ms since the recording began.
        left: f64,
        /// The message.
        #[serde(flatten)]
        message: Message,
    },
    /// One side has said all.
    End {
        /// Which way.
        direction: Direction,
        /// When it had said so, in ms since the recording began.
        left: f64,
    },
    /// It was broken.
    Reset,
}

/// One message on the wire: a request or an answer of HTTP with its body, a chunk of one that
/// goes on, a frame; or as much of one as came at a time.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Message {
    /// Its bytes on the wire, headers and masks included.
    pub size: usize,
    /// What it is, in a few words.
    pub label: String,
    /// All of it, as text.
    pub text: String,
}

/// A tap that gives what happens to `sink`, decoded, with times since now.
pub fn entries(lesson: Lesson, sink: impl Fn(Entry) + Send + Sync + 'static) -> Tap {
    let began = Instant::now();
    // To the microsecond.
    let since = move |at: Instant| at.duration_since(began).as_micros() as f64 / 1000.0;
    let conversations = Mutex::new(HashMap::<_, Conversation>::new());
    Arc::new(move |connection, passage| {
        let mut conversations =
            conversations.lock().unwrap_or_else(PoisonError::into_inner);
        let at = since(Instant::now());
        let tell = |what| sink(Entry { connection, at, what });
        match passage {
            Passage::Opened => tell(What::Opened),
            Passage::Refused => tell(What::Refused),
            Passage::Bytes(direction, left, bytes) => {
                let left = since(left);
                let conversation = conversations.entry(connection).or_default();
                for message in conversation.read(lesson, direction, bytes) {
                    tell(What::Message { direction, left, message });
                }
            }
            Passage::End(direction, left) => {
                tell(What::End { direction, left: since(left) });
            }
            Passage::Reset => {
                conversations.remove(&connection);
                tell(What::Reset);
            }
        }
    })
}

impl Entry {
    /// The lines that `just wire` shows of it, in colour if wanted: none of what is neither a
    /// message nor the end of a stream.
    #[must_use]
    pub fn lines(&self, colour: bool) -> String {
        let (direction, text) = match &self.what {
            What::Message { direction, message, .. } => (direction, &*message.text),
            What::End { direction, .. } => (direction, "end of the stream"),
            What::Opened | What::Refused | What::Reset => return String::new(),
        };
        let (arrow, paint) = match direction {
            Direction::Up => ("↑", "\x1b[36m"),
            Direction::Down => ("↓", "\x1b[32m"),
        };
        let (paint, plain) = if colour { (paint, "\x1b[0m") } else { ("", "") };
        let lines = text.trim_end().lines().map(|line| {
            let line = format!("#{} {arrow} {line}", self.connection);
            format!("{paint}{}{plain}\n", line.trim_end())
        });
        lines.collect()
    }
}

/// Both directions of one connection.
#[derive(Default)]
struct Conversation {
    up: Decoder,
    down: Decoder,
    /// For each request without an answer yet, whether it was a HEAD: such an answer has no
    /// body, whatever its headers say (RFC 9110, section 9.3.2).
    heads: VecDeque<bool>,
}

impl Conversation {
    fn read(
        &mut self,
        lesson: Lesson,
        direction: Direction,
        bytes: &[u8],
    ) -> Vec<Message> {
        let decoder = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        decoder.buffer.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(message) = decoder.next(lesson, direction, &mut self.heads) {
            messages.push(message);
        }
        // A handshake that was refused: requests go on.
        let answered = direction == Direction::Down && !messages.is_empty();
        if answered && self.up.state == State::Frame && self.down.state != State::Frame
        {
            self.up.state = State::Head;
        }
        messages
    }
}

/// One direction of one connection.
#[derive(Default)]
struct Decoder {
    /// Bytes that are not told yet, or not all.
    buffer: Vec<u8>,
    /// How many of them are told already: the beginning of a head that is not complete.
    told: usize,
    state: State,
}

/// What comes next.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum State {
    /// The head of a request or an answer.
    #[default]
    Head,
    /// So many bytes of a body; zero of them are none.
    Body(usize),
    /// A chunk (RFC 9112, section 7.1).
    Chunk,
    /// A body that ends with the connection, or what is no HTTP at all.
    Rest,
    /// A frame (RFC 6455, section 5.2): the connection has changed its protocol.
    Frame,
}

/// The head of a request or an answer.
struct Head {
    length: usize,
    label: String,
    then: State,
}

impl Decoder {
    fn next(
        &mut self,
        lesson: Lesson,
        direction: Direction,
        heads: &mut VecDeque<bool>,
    ) -> Option<Message> {
        if self.buffer.len() == self.told {
            return None;
        }
        match self.state {
            State::Head => {
                let Ok(parsed) = head(&self.buffer, direction, heads) else {
                    self.state = State::Rest;
                    return self.next(lesson, direction, heads);
                };
                let Some(head) = parsed else {
                    // What has come so far is shown: the rest may never come.
                    let text = lossy(&self.buffer[self.told..]);
                    let size = self.buffer.len() - self.told;
                    self.told = self.buffer.len();
                    return Some(Message { size, label: "…".to_owned(), text });
                };
                self.state = head.then;
                let body = match head.then {
                    State::Body(length) => self.body(length, head.length),
                    State::Rest => self.buffer.len() - head.length,
                    _ => 0,
                };
                Some(self.tell(lesson, &head.label, head.length, body))
            }
            State::Body(length) => {
                let body = self.body(length, 0);
                Some(self.tell(lesson, "", 0, body))
            }
            State::Rest => Some(self.tell(lesson, "", 0, self.buffer.len())),
            State::Chunk => match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((start, length))) => {
                    let length = usize::try_from(length).ok()?.checked_add(2)?;
                    if self.buffer.len().checked_sub(start)? < length {
                        return None;
                    }
                    let last = length == 2;
                    if last {
                        self.state = State::Head;
                    }
                    let label = if last { "last chunk" } else { "" };
                    Some(self.tell(lesson, label, start, length))
                }
                Ok(httparse::Status::Partial) => None,
                Err(_) => {
                    self.state = State::Rest;
                    self.next(lesson, direction, heads)
                }
            },
            State::Frame => self.frame(lesson),
        }
    }

    /// How much of a body of this length is here, from this byte on. The rest comes later.
    fn body(&mut self, length: usize, from: usize) -> usize {
        let here = length.min(self.buffer.len() - from);
        let rest = length - here;
        self.state = if rest == 0 { State::Head } else { State::Body(rest) };
        here
    }

    /// Takes a head, or what else says how long the body is, and the body.
    fn tell(
        &mut self,
        lesson: Lesson,
        label: &str,
        head: usize,
        body: usize,
    ) -> Message {
        let bytes: Vec<u8> = self.buffer.drain(..head + body).collect();
        let told = std::mem::take(&mut self.told);
        let said = said(lesson, &bytes[head..]);
        Message {
            size: bytes.len() - told,
            label: format!("{label} {said}").trim().to_owned(),
            text: lossy(&bytes[told..]),
        }
    }

    fn frame(&mut self, lesson: Lesson) -> Option<Message> {
        let mut cursor = Cursor::new(&self.buffer[..]);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(header) => header?,
            Err(error) => {
                let size = self.buffer.len();
                self.buffer.clear();
                let label = "not a frame".to_owned();
                return Some(Message {
                    size,
                    label,
                    text: format!("[not a frame: {error}]"),
                });
            }
        };
        let start = usize::try_from(cursor.position()).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        let mut payload = self.buffer.get(start..end)?.to_vec();
        self.buffer.drain(..end);
        if let Some(mask) = header.mask {
            payload
                .iter_mut()
                .zip(mask.iter().cycle())
                .for_each(|(byte, key)| *byte ^= key);
        }
        let (kind, said) = match header.opcode {
            OpCode::Data(Data::Text) => ("text", lossy(&payload)),
            OpCode::Control(Control::Close) => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                ("close", code.map_or(String::new(), |code| code.to_string()))
            }
            OpCode::Control(Control::Ping) => ("ping", String::new()),
            OpCode::Control(Control::Pong) => ("pong", String::new()),
            opcode => ("data", format!("{opcode} {}", payload.escape_ascii())),
        };
        let packet = match (lesson, kind) {
            (Lesson::SocketIo, "text") => packet(&said),
            _ => "",
        };
        let part = if header.is_final { "" } else { ", more to come" };
        let text = format!("[{kind}, {start} + {length} bytes{part}] {said}{packet}");
        let label = match kind {
            "text" => format!("{said}{packet}"),
            _ => format!("{kind} {said}"),
        };
        Some(Message { size: end, label: label.trim_end().to_owned(), text })
    }
}

/// Reads a head, if it is complete.
fn head(
    bytes: &[u8],
    direction: Direction,
    heads: &mut VecDeque<bool>,
) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let (length, label, headers, then) = match direction {
        Direction::Up => {
            let mut request = httparse::Request::new(&mut headers);
            let httparse::Status::Complete(length) = request.parse(bytes)? else {
                return Ok(None);
            };
            let method = request.method.unwrap_or_default();
            heads.push_back(method == "HEAD");
            let label = format!("{method} {}", request.path.unwrap_or_default());
            let then = match header(request.headers, "upgrade") {
                Some(protocol) if protocol.eq_ignore_ascii_case("websocket") => {
                    Some(State::Frame)
                }
                _ => None,
            };
            (length, label, request.headers, then)
        }
        Direction::Down => {
            let mut answer = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(length) = answer.parse(bytes)? else {
                return Ok(None);
            };
            let code = answer.code.unwrap_or_default();
            let label = format!("{code} {}", answer.reason.unwrap_or_default());
            let then = match code {
                101 => Some(State::Frame),
                100..200 => Some(State::Body(0)),
                _ if heads.pop_front() == Some(true) => Some(State::Body(0)),
                204 | 304 => Some(State::Body(0)),
                _ => None,
            };
            (length, label, answer.headers, then)
        }
    };
    let then = then.unwrap_or_else(|| {
        let chunked = header(headers, "transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"));
        let body =
            header(headers, "content-length").and_then(|it| it.trim().parse().ok());
        match (chunked, body, direction) {
            (true, ..) => State::Chunk,
            (false, Some(body), _) => State::Body(body),
            (false, None, Direction::Up) => State::Body(0),
            (false, None, Direction::Down) => State::Rest,
        }
    });
    Ok(Some(Head { length, label, then }))
}

/// A body in a few words, if it has few.
fn said(lesson: Lesson, body: &[u8]) -> String {
    const MOST: usize = 160;
    let text = lossy(body);
    let text = text.split(['\n', '\r', '\u{1e}']).map(str::trim);
    let text = text.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let packet = match lesson {
        Lesson::SocketIo => packet(&text),
        _ => "",
    };
    if text.len() > MOST { String::new() } else { format!("{text}{packet}") }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The name of a packet of Engine.IO protocol 4 and Socket.IO protocol 5.
fn packet(text: &str) -> &'static str {
    let mut digits = text.chars();
    match (digits.next(), digits.next()) {
        (Some('0'), _) => "  (Engine.IO open)",
        (Some('1'), _) => "  (Engine.IO close)",
        (Some('2'), Some('p')) => "  (Engine.IO ping, a probe of the new transport)",
        (Some('3'), Some('p')) => "  (Engine.IO pong, the new transport works)",
        (Some('2'), _) => "  (Engine.IO ping)",
        (Some('3'), _) => "  (Engine.IO pong)",
        (Some('4'), Some('0')) => "  (Socket.IO connect)",
        (Some('4'), Some('1')) => "  (Socket.IO disconnect)",
        (Some('4'), Some('2')) => "  (Socket.IO event)",
        (Some('4'), Some('3')) => "  (Socket.IO acknowledgement)",
        (Some('4'), Some('4')) => "  (Socket.IO connect error)",
        (Some('5'), _) => "  (Engine.IO upgrade: from now on this transport)",
        (Some('6'), _) => "  (Engine.IO noop)",
        _ => "",
    }
}
