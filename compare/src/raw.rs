//! Bytes on a socket, for what no library would send or leave unread.

use std::{io::Cursor, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use crate::{
    Lesson, Target,
    client::{limited, socketio},
};

/// Small, so that what a client does not read fills it soon.
const RECEIVE_BUFFER: u32 = 4096;

/// A command that every lesson accepts.
pub const COMMAND: &str = r#"{"type":"reset"}"#;

/// The headers of a WebSocket handshake (RFC 6455, section 4.1).
///
/// The key is the one of RFC 6455, section 1.3; a server must take any.
pub const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A connection that is used byte by byte.
pub struct Raw {
    stream: TcpStream,
    /// What was read and not yet looked for.
    unread: Vec<u8>,
}

impl Raw {
    /// Connects, with little room for what it does not read.
    ///
    /// # Errors
    /// When the server does not accept.
    pub async fn connect(target: Target) -> Result<Self> {
        Self::reach(target.address).await
    }

    /// Connects to whatever listens there, with little room for what it does not read.
    ///
    /// # Errors
    /// When nothing accepts.
    pub async fn reach(address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let stream = limited("connection", socket.connect(address)).await??;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Connects, with as much room as the system gives.
    ///
    /// # Errors
    /// When the server does not accept.
    pub async fn roomy(target: Target) -> Result<Self> {
        let connecting = TcpStream::connect(target.address);
        let stream = limited("connection", connecting).await??;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Follows the counter, without reading what the server sends about it.
    ///
    /// # Errors
    /// When the request cannot be written.
    pub async fn subscribe(target: Target) -> Result<Self> {
        Self::connect(target).await?.follow(target).await
    }

    /// Follows the counter over this connection, without reading what the server sends
    /// about it.
    ///
    /// # Errors
    /// When the request cannot be written.
    pub async fn follow(self, target: Target) -> Result<Self> {
        let mut raw = self;
        let get = |path, headers| request(target, "GET", path, headers, "");
        match target.lesson {
            Lesson::Polling => raw.write(get("/counter", "").as_bytes()).await?,
            Lesson::Sse => raw.write(get("/events", "").as_bytes()).await?,
            Lesson::WebSocket => raw.write(get("/ws", HANDSHAKE).as_bytes()).await?,
            Lesson::SocketIo => {
                let path = "/socket.io/?EIO=4&transport=websocket";
                raw.write(get(path, HANDSHAKE).as_bytes()).await?;
                // What comes before the answer is lost by some of the peers.
                raw.read_until(b"\r\n\r\n").await?;
                raw.write(&frame(0x81, b"40")).await?;
            }
        }
        Ok(raw)
    }

    /// A connection over which a [`command`] can go.
    ///
    /// # Errors
    /// When the server does not let this client in.
    pub async fn commander(target: Target) -> Result<Self> {
        let mut raw = Self::roomy(target).await?;
        match target.lesson {
            Lesson::Polling | Lesson::Sse => {}
            Lesson::WebSocket => {
                raw = raw.follow(target).await?;
                raw.read_until(b"\"version\":").await?;
            }
            Lesson::SocketIo => {
                raw = raw.follow(target).await?;
                raw.read_until(b"40{").await?;
            }
        }
        Ok(raw)
    }

    /// A WebSocket that has shaken hands and read the first snapshot.
    ///
    /// # Errors
    /// When the server does neither.
    pub async fn websocket(target: Target) -> Result<Self> {
        let mut raw = Self::subscribe(target).await?;
        raw.read_until(b"\r\n\r\n").await?;
        raw.read_until(b"\"version\":").await?;
        raw.read_until(b"}").await?;
        Ok(raw)
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When the server has closed, or does not read.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        limited("room to write", self.stream.write_all(bytes)).await?.context("write")
    }

    /// Ends what this side says, and still listens.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn finish(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Reads what there is and returns how much it was: 0 when the server has closed.
    ///
    /// # Errors
    /// When the connection cannot be read for another reason.
    pub async fn read_some(&mut self) -> Result<usize> {
        match self.stream.read_buf(&mut self.unread).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(0),
            read => Ok(read?),
        }
    }

    /// The first bytes that come, or none when the server closes.
    ///
    /// # Errors
    /// When the connection cannot be read for another reason.
    pub async fn some(&mut self) -> Result<Vec<u8>> {
        self.read_some().await?;
        Ok(std::mem::take(&mut self.unread))
    }

    /// Reads until the server has closed, for as long as it takes.
    ///
    /// # Errors
    /// When the connection cannot be read for another reason.
    pub async fn closed(&mut self) -> Result<()> {
        while self.read_some().await? > 0 {}
        Ok(())
    }

    /// Reads until `expected` has come, and drops all up to its end.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn read_until(&mut self, expected: &[u8]) -> Result<()> {
        limited(&expected.escape_ascii().to_string(), self.found(expected)).await?
    }

    /// Reads what stands between `start` and `end`, which is text.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn between(&mut self, start: &[u8], end: &[u8]) -> Result<String> {
        self.read_until(start).await?;
        while memmem::find(&self.unread, end).is_none() {
            ensure!(limited("rest", self.read_some()).await?? > 0, "closed");
        }
        let length = memmem::find(&self.unread, end).unwrap_or_default();
        Ok(String::from_utf8(self.unread.drain(..length).collect())?)
    }

    /// Reads whole frames from a server (RFC 6455, section 5.2) until one begins with
    /// `first`, and returns its payload. What was read before must end with a frame.
    ///
    /// # Errors
    /// When the server closes first, with its code if there is one.
    pub async fn frame(&mut self, first: u8) -> Result<Vec<u8>> {
        loop {
            let mut cursor = Cursor::new(&self.unread[..]);
            let header = FrameHeader::parse(&mut cursor)?;
            let start = usize::try_from(cursor.position())?;
            let end = header.map(|(_, length)| start.saturating_add(length as usize));
            match end.filter(|end| *end <= self.unread.len()) {
                Some(end) => {
                    let frame: Vec<u8> = self.unread.drain(..end).collect();
                    let payload = frame[start..].to_vec();
                    if frame[0] == first {
                        return Ok(payload);
                    }
                    let code =
                        payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    ensure!(frame[0] != 0x88, "close {}", code.unwrap_or(1005));
                }
                None => ensure!(self.read_some().await? > 0, "the connection ended"),
            }
        }
    }

    /// As [`Raw::read_until`], for as long as it takes.
    ///
    /// # Errors
    /// When the server closes first.
    pub async fn found(&mut self, expected: &[u8]) -> Result<()> {
        loop {
            if let Some(at) = memmem::find(&self.unread, expected) {
                self.unread.drain(..at + expected.len());
                return Ok(());
            }
            let read = self.read_some().await?;
            ensure!(read > 0, "closed after {}", self.unread.escape_ascii());
        }
    }

    /// Writes `bytes` and reads meanwhile, until `expected` has come `times` times or the
    /// server has closed. Returns all that came, and whether the server has closed.
    ///
    /// # Errors
    /// When neither happens.
    pub async fn exchange(
        &mut self,
        bytes: &[u8],
        expected: &[u8],
        times: usize,
    ) -> Result<(Vec<u8>, bool)> {
        let (mut from, mut to) = self.stream.split();
        let writing = async { to.write_all(bytes).await.or_else(ignore_closed) };
        let reading = async {
            let mut all = Vec::new();
            let (mut seen, mut found) = (0, 0);
            while found < times {
                match from
                    .read_buf(&mut all)
                    .await
                    .or_else(|e| ignore_closed(e).map(|()| 0))
                {
                    Ok(0) => return Ok((all, true)),
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
                while let Some(at) = memmem::find(&all[seen..], expected) {
                    seen += at + expected.len();
                    found += 1;
                }
            }
            Ok((all, false))
        };
        let both = async { tokio::try_join!(writing, reading) };
        Ok(limited("answers", both).await??.1)
    }
}

fn ignore_closed(error: std::io::Error) -> std::io::Result<()> {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset => Ok(()),
        _ => Err(error),
    }
}

/// One HTTP/1.1 request; a body is sent as JSON.
pub fn request(
    target: Target,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> String {
    let length = match body.len() {
        0 => String::new(),
        length => {
            format!("Content-Type: application/json\r\nContent-Length: {length}\r\n")
        }
    };
    let host = target.address;
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}{headers}\r\n{body}")
}

/// The bytes of a command on the target's transport. With Socket.IO it asks for the
/// acknowledgement 0.
#[must_use]
pub fn command(target: Target, command: &str) -> Vec<u8> {
    match target.lesson {
        Lesson::Polling | Lesson::Sse => {
            request(target, "POST", "/counter", "", command).into()
        }
        Lesson::WebSocket => frame(0x81, command.as_bytes()),
        Lesson::SocketIo => frame(0x81, socketio::event(0, command).as_bytes()),
    }
}

/// The value of a header, if it is text.
#[must_use]
pub fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    std::str::from_utf8(found?.value).ok()
}

/// The status of one request, with a command as the body of a POST, and as a handshake when
/// the path is one of a WebSocket.
///
/// # Errors
/// When there is no answer.
pub async fn status(
    target: Target,
    method: &str,
    path: &str,
    origin: Option<&str>,
) -> Result<u16> {
    let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
    let websocket = path.ends_with("/ws") || path.ends_with("=websocket");
    let handshake = if websocket { HANDSHAKE } else { "" };
    let body = if method == "POST" { COMMAND } else { "" };
    let mut raw = Raw::connect(target).await?;
    let headers = format!("{origin}{handshake}");
    raw.write(request(target, method, path, &headers, body).as_bytes()).await?;
    raw.read_until(b"HTTP/1.1 ").await?;
    while raw.unread.len() < 3 {
        ensure!(limited("status", raw.read_some()).await?? > 0, "closed");
    }
    Ok(std::str::from_utf8(&raw.unread[..3])?.parse()?)
}

/// The id of the first event of a new stream.
///
/// # Errors
/// When none comes.
pub async fn first_event_id(target: Target) -> Result<String> {
    first_line_after(target, b"\nid:").await
}

/// The rest of the first line of a new stream that begins with `start`.
///
/// # Errors
/// When none comes.
pub async fn first_line_after(target: Target, start: &[u8]) -> Result<String> {
    let mut stream = Raw::subscribe(target).await?;
    stream.read_until(start).await?;
    while !stream.unread.contains(&b'\n') {
        ensure!(limited("line", stream.read_some()).await?? > 0, "closed");
    }
    let line = stream.unread.split(|byte| *byte == b'\n').next().context("no line")?;
    Ok(String::from_utf8(line.to_vec())?.trim().to_owned())
}

/// A masked frame (RFC 6455, section 5.2) of up to 65 535 bytes, whose first byte is
/// `first`. The mask is zero, which leaves the payload readable and is as valid as any.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..=125) => frame.push(0x80 | short),
        _ => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
