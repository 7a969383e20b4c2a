//! One client of the counter as a socket and a few counters, so that thousands fit in one
//! process and every byte is seen.
//!
//! The suites talk to the lessons through well-kept libraries; here a library would cost
//! more than what is measured. What is written by hand is only what the four transports
//! need once the contract suite has proved that the server speaks them properly.

use std::{
    cell::{Cell, RefCell},
    io::{Cursor, ErrorKind},
    ops::Range,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use tokio::{net::TcpStream, time::sleep};
use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::{
    Lesson, Target,
    raw::{self, HANDSHAKE, frame, header},
};

/// What Chromium 156 says about itself with every request, whatever it asks for: in the
/// real world these bytes travel too.
pub(super) const BROWSER: &str = "Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/156.0.0.0 Safari/537.36\r\n\
    sec-ch-ua: \"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\"\r\n\
    sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n";

/// The same for the handshake of a WebSocket, where Chromium sends less.
const BROWSER_WEBSOCKET: &str = "Pragma: no-cache\r\nCache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/156.0.0.0 Safari/537.36\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n";

const TEXT: OpCode = OpCode::Data(Data::Text);

const INCREMENT: &str = r#"{"type":"increment"}"#;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speech {
    /// The transport of a lesson.
    Lesson(Lesson),
    /// The floor: lines of bytes pushed to the client, without any protocol.
    FloorPush,
    /// The floor of polling: `request` bytes are answered by a line.
    FloorAnswer {
        /// The length of each request, in bytes.
        request: usize,
    },
}

impl Speech {
    /// Whether the client has to ask.
    #[must_use]
    pub fn polls(self) -> bool {
        matches!(self, Self::Lesson(Lesson::Polling) | Self::FloorAnswer { .. })
    }
}

/// What passed over the sockets of the followers, in bytes and pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Bytes sent, without those of heads.
    pub up: u64,
    /// Bytes received, without those of heads.
    pub down: u64,
    /// Bytes of HTTP heads, and of Socket.IO's first packets, sent.
    pub head_up: u64,
    /// The same, received.
    pub head_down: u64,
    /// HTTP requests.
    pub requests: u64,
    /// Those among them that were answered by 304.
    pub not_modified: u64,
    /// Snapshots received.
    pub deliveries: u64,
}

impl Traffic {
    /// What passed since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            up: self.up - earlier.up,
            down: self.down - earlier.down,
            head_up: self.head_up - earlier.head_up,
            head_down: self.head_down - earlier.head_down,
            requests: self.requests - earlier.requests,
            not_modified: self.not_modified - earlier.not_modified,
            deliveries: self.deliveries - earlier.deliveries,
        }
    }
}

/// What arrived on a connection.
enum Piece {
    Version(u64),
    NotModified,
    /// A heartbeat, with the bytes that answer it.
    Ping(Vec<u8>),
    /// A packet or block that says nothing about the counter.
    Other,
}

/// One connection to a server, used byte by byte.
pub struct Connection {
    stream: TcpStream,
    speech: Speech,
    target: Target,
    unread: RefCell<Vec<u8>>,
    etag: RefCell<String>,
    traffic: Rc<Cell<Traffic>>,
}

impl Connection {
    /// Connects as a follower and shakes hands; counts into `traffic` what that takes.
    ///
    /// # Errors
    /// When the server does not answer as its transport wants.
    pub async fn follower(
        speech: Speech,
        target: Target,
        traffic: Rc<Cell<Traffic>>,
    ) -> Result<Self> {
        let connection = Self::open(speech, target, traffic).await?;
        match speech {
            Speech::Lesson(Lesson::Polling) | Speech::FloorAnswer { .. } => {}
            Speech::FloorPush => connection.write(b"f").await?,
            Speech::Lesson(Lesson::Sse) => {
                let head = format!("{BROWSER}Accept: text/event-stream\r\n");
                connection.ask("/events", &head, " 200 ").await?;
            }
            Speech::Lesson(Lesson::WebSocket) => connection.upgrade("/ws").await?,
            Speech::Lesson(Lesson::SocketIo) => {
                connection.upgrade("/socket.io/?EIO=4&transport=websocket").await?;
                // Engine.IO's packet 0 has come first; this is Socket.IO's connect.
                connection.write(&text_frame("40")).await?;
            }
        }
        Ok(connection)
    }

    /// Connects as one who sends commands, on a connection of its own.
    ///
    /// # Errors
    /// When the server does not answer as its transport wants.
    pub async fn commander(speech: Speech, target: Target) -> Result<Self> {
        match speech {
            Speech::Lesson(Lesson::WebSocket | Lesson::SocketIo) => {
                let commander = Self::follower(speech, target, Rc::default()).await?;
                // A command that overtakes the handshake is lost by some.
                commander.next().await?;
                Ok(commander)
            }
            _ => Self::open(speech, target, Rc::default()).await,
        }
    }

    /// The same client on a new connection, as browsers do when the server has ended one
    /// that was idle (RFC 9112, section 9.5).
    async fn again(&self) -> Result<Self> {
        let mut new =
            Self::open(self.speech, self.target, self.traffic.clone()).await?;
        new.etag = self.etag.clone();
        Ok(new)
    }

    async fn open(
        speech: Speech,
        target: Target,
        traffic: Rc<Cell<Traffic>>,
    ) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (unread, etag) = Default::default();
        Ok(Self { stream, speech, target, unread, etag, traffic })
    }

    async fn upgrade(&self, path: &str) -> Result<()> {
        let origin = format!("Origin: http://{}\r\n", self.target.address);
        let head = format!("{HANDSHAKE}{BROWSER_WEBSOCKET}{origin}");
        self.ask(path, &head, " 101 ").await
    }

    /// Sends the head of a GET and reads the head of its answer.
    async fn ask(&self, path: &str, headers: &str, status: &str) -> Result<()> {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            self.target.address
        );
        self.write(head.as_bytes()).await?;
        self.count(|t| {
            t.up -= head.len() as u64;
            t.head_up += head.len() as u64;
            t.requests += 1;
        });
        let head = loop {
            if let Some(end) = memmem::find(&self.unread.borrow(), b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let head: Vec<u8> = self.unread.borrow_mut().drain(..head).collect();
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned() + " ";
        ensure!(line.contains(status), "GET {path}: {line}");
        self.count(|t| {
            t.down -= head.len() as u64;
            t.head_down += head.len() as u64;
        });
        Ok(())
    }

    fn count(&self, change: impl FnOnce(&mut Traffic)) {
        let mut traffic = self.traffic.get();
        change(&mut traffic);
        self.traffic.set(traffic);
    }

    async fn write(&self, bytes: &[u8]) -> Result<()> {
        self.send(bytes).await?;
        self.count(|t| t.up += bytes.len() as u64);
        Ok(())
    }

    /// Writes without counting.
    async fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(())
    }

    async fn read(&self) -> Result<()> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_read_buf(&mut *self.unread.borrow_mut()) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => {
                    self.count(|t| t.down += read as u64);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("read"),
            }
        }
    }

    /// Sends `count` commands, all at once.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn increment(&self, count: usize) -> Result<()> {
        let one = match self.speech {
            Speech::FloorPush | Speech::FloorAnswer { .. } => b"+".to_vec(),
            Speech::Lesson(_) => raw::command(self.target, INCREMENT),
        };
        self.write(&one.repeat(count)).await
    }

    /// Waits for the next snapshot that the server pushes, and returns its version.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn next(&self) -> Result<u64> {
        loop {
            match self.take()? {
                Some(Piece::Version(version)) => return Ok(version),
                Some(Piece::Ping(answer)) => self.write(&answer).await?,
                Some(Piece::NotModified | Piece::Other) => {}
                None => self.read().await?,
            }
        }
    }

    /// Asks once. Returns the version when there is a new one.
    ///
    /// # Errors
    /// When the connection is lost, or the answer is neither 200 nor 304.
    pub async fn poll(&self) -> Result<Option<u64>> {
        let request = match self.speech {
            Speech::FloorAnswer { request } => vec![b'f'; request],
            _ => {
                let etag = self.etag.borrow();
                let known = match etag.as_str() {
                    "" => String::new(),
                    etag => {
                        format!("Cache-Control: max-age=0\r\nIf-None-Match: {etag}\r\n")
                    }
                };
                format!(
                    "GET /counter HTTP/1.1\r\nHost: {}\r\n{BROWSER}Accept: */*\r\n{known}\r\n",
                    self.target.address
                )
                .into_bytes()
            }
        };
        self.send(&request).await?;
        let version = loop {
            match self.take()? {
                Some(Piece::Version(version)) => break Some(version),
                Some(Piece::NotModified) => break None,
                Some(Piece::Ping(_) | Piece::Other) => {}
                None => self.read().await?,
            }
        };
        // Only now: what was sent on a connection that had ended was no request.
        self.count(|t| {
            t.head_up += request.len() as u64;
            t.requests += 1;
        });
        Ok(version)
    }

    /// Reads and drops what comes, and answers pings: what a commander does that follows
    /// nothing.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn drain(&self) -> Result<()> {
        loop {
            match self.speech {
                Speech::Lesson(Lesson::WebSocket | Lesson::SocketIo) => {
                    self.next().await?;
                }
                _ => {
                    if self.read().await.is_err() {
                        // A server ends a kept connection that nobody uses.
                        return std::future::pending().await;
                    }
                    self.unread.borrow_mut().clear();
                }
            }
        }
    }

    /// The next whole piece of what was read.
    fn take(&self) -> Result<Option<Piece>> {
        let mut unread = self.unread.borrow_mut();
        let (length, piece) = match self.speech {
            Speech::Lesson(Lesson::Polling) => {
                let Some((head, length, piece)) = self.answer(&unread)? else {
                    return Ok(None);
                };
                self.count(|t| {
                    t.down -= head as u64;
                    t.head_down += head as u64;
                    t.not_modified += u64::from(matches!(piece, Piece::NotModified));
                });
                (length, piece)
            }
            Speech::Lesson(Lesson::Sse) => {
                let Some(end) = memmem::find(&unread, b"\n\n") else { return Ok(None) };
                (end + 2, version(&unread[..end]).map_or(Piece::Other, Piece::Version))
            }
            Speech::Lesson(Lesson::WebSocket | Lesson::SocketIo) => {
                let Some((opcode, payload)) = server_frame(&unread)? else {
                    return Ok(None);
                };
                let text = &unread[payload.clone()];
                let piece = match (opcode, text) {
                    (OpCode::Control(Control::Ping), _) => {
                        Piece::Ping(frame(0x8a, text))
                    }
                    (TEXT, b"2") => Piece::Ping(text_frame("3")),
                    (TEXT, _) if !text.starts_with(b"43") => {
                        version(text).map_or(Piece::Other, Piece::Version)
                    }
                    (OpCode::Control(Control::Close), _) => {
                        bail!("the server closed: {}", text.escape_ascii())
                    }
                    _ => Piece::Other,
                };
                (payload.end, piece)
            }
            Speech::FloorPush | Speech::FloorAnswer { .. } => {
                let Some(end) = memmem::find(&unread, b"\n") else { return Ok(None) };
                (end + 1, version(&unread[..end]).map_or(Piece::Other, Piece::Version))
            }
        };
        unread.drain(..length);
        if matches!(piece, Piece::Version(_)) {
            self.count(|t| t.deliveries += 1);
        }
        Ok(Some(piece))
    }

    /// An HTTP answer: the length of its head, its whole length, and what it says.
    fn answer(&self, bytes: &[u8]) -> Result<Option<(usize, usize, Piece)>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = answer.parse(bytes)? else {
            return Ok(None);
        };
        let header = |name| header(answer.headers, name);
        match answer.code {
            Some(304) => Ok(Some((head, head, Piece::NotModified))),
            Some(200) => {
                let length: usize =
                    header("content-length").context("no length")?.parse()?;
                let Some(body) = bytes.get(head..head + length) else {
                    return Ok(None);
                };
                let version = version(body).context("no version")?;
                *self.etag.borrow_mut() = header("etag").unwrap_or_default().to_owned();
                Ok(Some((head, head + length, Piece::Version(version))))
            }
            code => bail!("GET /counter: {code:?}"),
        }
    }
}

/// Follows the counter for ever and tells `seen` each version. A client that polls does as
/// lesson 1's page: it asks at once, and again a `pause` after each answer; only the `first`
/// pause is its own, so that clients which came together do not ask together.
///
/// # Errors
/// When the connection is lost.
pub async fn follow(
    mut connection: Connection,
    pause: Duration,
    first: Duration,
    seen: impl Fn(u64),
) -> Result<()> {
    if !connection.speech.polls() {
        loop {
            seen(connection.next().await?);
        }
    }
    let mut next = first;
    loop {
        let polled = match connection.poll().await {
            Err(_) => {
                connection = connection.again().await?;
                connection.poll().await?
            }
            Ok(polled) => polled,
        };
        polled.into_iter().for_each(&seen);
        sleep(next).await;
        next = pause;
    }
}

/// The number after `"version":`.
fn version(text: &[u8]) -> Option<u64> {
    let name = br#""version":"#;
    let digits = &text[memmem::find(text, name)? + name.len()..];
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| {
        Some(number.unwrap_or(0) * 10 + u64::from(digit - b'0'))
    })
}

/// The opcode of the first frame and where its payload is, once the frame is whole.
fn server_frame(bytes: &[u8]) -> Result<Option<(OpCode, Range<usize>)>> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor)? else {
        return Ok(None);
    };
    let start = usize::try_from(cursor.position())?;
    let end = start + usize::try_from(length)?;
    Ok((bytes.len() >= end).then_some((header.opcode, start..end)))
}

fn text_frame(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}
