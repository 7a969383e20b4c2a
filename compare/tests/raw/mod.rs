//! Bytes on a socket, for what no library would send or leave unread.

use anyhow::{Context, Result, ensure};
use compare::{Lesson, Server, client::limited, connect};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Small, so that what a client does not read fills it soon.
const RECEIVE_BUFFER: u32 = 4096;

const COMMAND: &str = r#"{"type":"reset"}"#;

/// The key is the one of RFC 6455, section 1.3; a server must take any.
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub struct Raw {
    stream: TcpStream,
    /// What was read and not yet looked for.
    unread: Vec<u8>,
}

impl Raw {
    pub async fn connect(server: &Server) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let stream = limited("connection", socket.connect(server.address)).await??;
        Ok(Self { stream, unread: Vec::new() })
    }

    /// Follows the counter, without reading a byte of what the server sends.
    pub async fn subscribe(server: &Server) -> Result<Self> {
        let mut raw = Self::connect(server).await?;
        let get = |path, headers| request(server, "GET", path, headers, "");
        match server.lesson {
            Lesson::Polling => {
                let polls = get("/counter", "").repeat(500);
                raw.write(polls.as_bytes()).await?;
            }
            Lesson::Sse => raw.write(get("/events", "").as_bytes()).await?,
            Lesson::WebSocket => raw.write(get("/ws", HANDSHAKE).as_bytes()).await?,
            Lesson::SocketIo => {
                let path = "/socket.io/?EIO=4&transport=websocket";
                raw.write(get(path, HANDSHAKE).as_bytes()).await?;
                raw.write(&frame(0x81, b"40")).await?;
            }
        }
        Ok(raw)
    }

    /// A WebSocket that has shaken hands and read the first snapshot.
    async fn websocket(server: &Server) -> Result<Self> {
        let mut raw = Self::subscribe(server).await?;
        raw.read_until(b"\r\n\r\n").await?;
        raw.read_until(br#"{"value":0,"version":0}"#).await?;
        Ok(raw)
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        limited("room to write", self.stream.write_all(bytes)).await?.context("write")
    }

    /// Reads what there is and returns how much it was: 0 when the server has closed.
    pub async fn read_some(&mut self) -> Result<usize> {
        match self.stream.read_buf(&mut self.unread).await {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(0),
            read => Ok(read?),
        }
    }

    /// Reads until `expected` has come, and drops all up to its end.
    pub async fn read_until(&mut self, expected: &[u8]) -> Result<()> {
        let found = async {
            loop {
                let mut windows = self.unread.windows(expected.len());
                if let Some(at) = windows.position(|window| window == expected) {
                    self.unread.drain(..at + expected.len());
                    return Ok(());
                }
                let read = self.read_some().await?;
                ensure!(read > 0, "closed after {}", self.unread.escape_ascii());
            }
        };
        limited(&expected.escape_ascii().to_string(), found).await?
    }
}

fn request(
    server: &Server,
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
    let host = server.address;
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{length}{headers}\r\n{body}")
}

/// The status of one request, with a command as the body of a POST, and as a handshake when
/// the path is one of a WebSocket.
pub async fn status(
    server: &Server,
    method: &str,
    path: &str,
    origin: Option<&str>,
) -> Result<u16> {
    let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
    let websocket = path.ends_with("/ws") || path.ends_with("=websocket");
    let handshake = if websocket { HANDSHAKE } else { "" };
    let body = if method == "POST" { COMMAND } else { "" };
    let mut raw = Raw::connect(server).await?;
    let headers = format!("{origin}{handshake}");
    raw.write(request(server, method, path, &headers, body).as_bytes()).await?;
    raw.read_until(b"HTTP/1.1 ").await?;
    while raw.unread.len() < 3 {
        ensure!(limited("status", raw.read_some()).await?? > 0, "closed");
    }
    Ok(std::str::from_utf8(&raw.unread[..3])?.parse()?)
}

/// The id of the first event of a new stream.
pub async fn first_event_id(server: &Server) -> Result<String> {
    let mut stream = Raw::subscribe(server).await?;
    stream.read_until(b"\nid: ").await?;
    while !stream.unread.contains(&b'\n') {
        ensure!(limited("id", stream.read_some()).await?? > 0, "closed");
    }
    let line = stream.unread.split(|byte| *byte == b'\n').next().context("no line")?;
    Ok(String::from_utf8(line.to_vec())?)
}

/// A masked frame (RFC 6455, section 5.2) whose first byte is `first`. The mask is zero,
/// which leaves the payload readable and is as valid as any.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short payload");
    let mut frame = vec![first];
    match payload.len() {
        0..=125 => frame.push(0x80 | payload.len() as u8),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

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
    let mut raw = Raw::websocket(&server).await?;
    raw.write(&bytes).await?;
    let Some(code) = code else {
        raw.write(&frame(0x81, COMMAND.as_bytes())).await?;
        return raw.read_until(br#"{"value":0,"version":"#).await;
    };
    let [high, low] = code.to_be_bytes();
    raw.read_until(&[0x88, 2, high, low]).await?;
    let closed = async {
        while raw.read_some().await? > 0 {}
        Ok::<_, anyhow::Error>(())
    };
    limited("end of the connection", closed).await??;
    // Everybody else is served as before.
    connect(&server).await?.next().await?;
    Ok(())
}
