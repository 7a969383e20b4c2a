//! What travels, in words: HTTP as it is, WebSocket frames with their kind and length, and
//! the packets of Engine.IO and Socket.IO by their names.

use std::{
    collections::HashMap,
    io::{self, Cursor, Write},
    sync::{Arc, Mutex, PoisonError},
};

use tokio_tungstenite::tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use crate::{
    Lesson,
    relay::{Direction, Tap},
};

/// A tap that writes what travels to `out`, a line each, in colour if wanted.
pub fn tap(lesson: Lesson, colour: bool, out: impl Write + Send + 'static) -> Tap {
    let state = Mutex::new((HashMap::<_, Decoder>::new(), out));
    Arc::new(move |connection, direction, bytes| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (decoders, out) = &mut *state;
        let decoder =
            decoders.entry((connection, direction == Direction::Up)).or_default();
        let (arrow, paint) = match direction {
            Direction::Up => ("↑", "\x1b[36m"),
            Direction::Down => ("↓", "\x1b[32m"),
        };
        let (paint, plain) = if colour { (paint, "\x1b[0m") } else { ("", "") };
        for line in decoder.read(lesson, bytes) {
            let line = format!("#{connection} {arrow} {line}");
            // Nobody reads any more: that is no reason to disturb the connection.
            let _ = writeln!(out, "{paint}{}{plain}", line.trim_end());
        }
        let _ = out.flush();
    })
}

/// What was written, for whoever reads it later.
#[derive(Clone, Default)]
pub struct Transcript(Arc<Mutex<Vec<u8>>>);

impl Transcript {
    /// All of it so far.
    #[must_use]
    pub fn text(&self) -> String {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&written).into_owned()
    }
}

impl Write for Transcript {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One direction of one connection.
#[derive(Default)]
struct Decoder {
    /// Bytes of a frame, or of a head, that is not complete.
    buffer: Vec<u8>,
    /// After the handshake the bytes are frames.
    frames: bool,
}

impl Decoder {
    fn read(&mut self, lesson: Lesson, bytes: &[u8]) -> Vec<String> {
        if bytes.is_empty() {
            return vec!["end of the stream".to_owned()];
        }
        self.buffer.extend_from_slice(bytes);
        let mut lines = Vec::new();
        if !self.frames {
            let head = String::from_utf8_lossy(&self.buffer).to_ascii_lowercase();
            let upgrade = head.starts_with("http/1.1 101")
                || head.starts_with("get ") && head.contains("\r\nupgrade: websocket");
            let end = head.find("\r\n\r\n").map(|end| end + 4).filter(|_| upgrade);
            let text: Vec<u8> =
                self.buffer.drain(..end.unwrap_or(self.buffer.len())).collect();
            let text = String::from_utf8_lossy(&text);
            lines.extend(text.trim_end().lines().map(str::to_owned));
            self.frames = end.is_some();
        }
        while self.frames
            && let Some(frame) = self.frame(lesson)
        {
            lines.push(frame);
        }
        lines
    }

    fn frame(&mut self, lesson: Lesson) -> Option<String> {
        let mut cursor = Cursor::new(&self.buffer[..]);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(header) => header?,
            Err(error) => {
                self.buffer.clear();
                return Some(format!("[not a frame: {error}]"));
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
        let part = if header.is_final { "" } else { ", more to come" };
        let head = |kind| format!("[{kind}, {start} + {length} bytes{part}]");
        Some(match header.opcode {
            OpCode::Data(Data::Text) => {
                let text = String::from_utf8_lossy(&payload);
                let packet = match lesson {
                    Lesson::SocketIo => packet(&text),
                    _ => "",
                };
                format!("{} {text}{packet}", head("text"))
            }
            OpCode::Control(Control::Close) => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                format!(
                    "{} {}",
                    head("close"),
                    code.map_or(String::new(), |c| c.to_string())
                )
            }
            OpCode::Control(Control::Ping) => head("ping"),
            OpCode::Control(Control::Pong) => head("pong"),
            opcode => format!("{} {opcode} {}", head("data"), payload.escape_ascii()),
        })
    }
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
