//! What actix-ws leaves open: a size limit that holds before a frame is buffered, the close
//! code that each error deserves, and clocks that are fair to both sides.

use std::{future::ready, time::Duration};

use actix_http::{
    BoxedPayloadStream,
    ws::{CloseCode, ProtocolError},
};
use actix_web::{
    FromRequest, HttpRequest,
    error::PayloadError,
    web::{self, Bytes},
};
use actix_ws::{Message, Session};
use futures_util::{SinkExt, StreamExt};
use shared::MAX_BYTES;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// How long a frame may wait for a client that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The three bits that only a negotiated extension may set (RFC 6455, section 5.2).
const RESERVED_BITS: u8 = 0b0111_0000;

/// Refuses a frame longer than [`MAX_BYTES`] as soon as its header says so.
///
/// actix-ws looks at the length of a frame once the whole frame has arrived: a header that
/// announces 1 GiB makes it buffer what follows. This reads the headers as they pass.
///
/// When the client closes its connection, actix-http ends the payload with an error, and
/// actix-ws drops what it has read and not decoded. Here the payload just ends: the commands
/// that arrived before the end count.
pub fn limit(request: &HttpRequest, payload: web::Payload) -> web::Payload {
    let mut header = FrameHeader::default();
    let limited = payload
        .into_inner()
        .take_while(|chunk| ready(!matches!(chunk, Err(PayloadError::Incomplete(_)))))
        .map(move |chunk| chunk.and_then(|bytes| header.check(bytes)));
    let limited: BoxedPayloadStream = Box::pin(limited);
    let mut payload = limited.into();
    web::Payload::from_request(request, &mut payload).into_inner().expect("infallible")
}

/// Where in a frame the stream is.
#[derive(Default)]
struct FrameHeader {
    /// The bytes of the current header that have arrived, up to the payload length.
    seen: Vec<u8>,
    /// How many bytes of the current frame are still to come after those.
    rest: u64,
}

impl FrameHeader {
    fn check(&mut self, bytes: Bytes) -> Result<Bytes, PayloadError> {
        let mut left = &bytes[..];
        while let Some((&byte, after)) = left.split_first() {
            if self.rest > 0 {
                let skipped =
                    left.len().min(usize::try_from(self.rest).unwrap_or(usize::MAX));
                self.rest -= skipped as u64;
                left = &left[skipped..];
                continue;
            }
            left = after;
            self.seen.push(byte);
            if self.seen[0] & RESERVED_BITS != 0 {
                return Err(PayloadError::EncodingCorrupted);
            }
            if let Some((payload, mask)) = lengths(&self.seen) {
                if payload > MAX_BYTES as u64 {
                    return Err(PayloadError::Overflow);
                }
                self.rest = payload + mask;
                self.seen.clear();
            }
        }
        Ok(bytes)
    }
}

/// The lengths of the payload and of the masking key, once the header holds the first.
fn lengths(header: &[u8]) -> Option<(u64, u64)> {
    let [_, second, extended @ ..] = header else { return None };
    let payload = match second & 0x7f {
        126 => u16::from_be_bytes(extended.try_into().ok()?).into(),
        127 => u64::from_be_bytes(extended.try_into().ok()?),
        short => short.into(),
    };
    Some((payload, if second & 0x80 == 0 { 0 } else { 4 }))
}

/// The close code (RFC 6455, section 7.4.1) for what was wrong with a client's frames:
/// 1009 too long, 1007 not UTF-8, 1002 everything else.
pub fn close_code(error: &ProtocolError) -> CloseCode {
    match error {
        ProtocolError::Overflow => CloseCode::Size,
        ProtocolError::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            CloseCode::Invalid
        }
        ProtocolError::Io(error) => {
            match error.get_ref().and_then(|e| e.downcast_ref()) {
                Some(PayloadError::EncodingCorrupted) => CloseCode::Protocol,
                // The limits of this module and of actix-ws's aggregation end here.
                _ => CloseCode::Size,
            }
        }
        _ => CloseCode::Protocol,
    }
}

/// Ticks every `period`, the first time after one.
///
/// A server that stood still, as when its machine slept, missed ticks. They do not come all
/// at once when it goes on: its client could not answer between two of them.
pub fn heartbeat(period: Duration) -> Interval {
    let mut heartbeat = interval_at(Instant::now() + period, period);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// Sends one frame. Returns whether the conversation goes on: not after a close frame, nor
/// when the connection has closed or the client has not read for 5 seconds.
///
/// Without a limit a send waits for as long as the client does not read.
pub async fn send(session: &mut Session, frame: Message) -> bool {
    let last = matches!(frame, Message::Close(_));
    let sent = timeout(SEND_TIMEOUT, SinkExt::send(session, frame)).await;
    matches!(sent, Ok(Ok(()))) && !last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as RFC 6455, section 5.2 has it; its length may be written longer than it
    /// must be.
    fn frame(first: u8, masked: bool, payload: u16, width: usize) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match width {
            0 if payload < 126 => bytes.push(mask_bit | payload.to_be_bytes()[1]),
            0 | 1 => {
                bytes.push(mask_bit | 126);
                bytes.extend(payload.to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend(u64::from(payload).to_be_bytes());
            }
        }
        let rest = usize::from(payload) + if masked { 4 } else { 0 };
        // Bytes that would be refused if they were taken for a header.
        bytes.resize(bytes.len() + rest, 0xff);
        bytes
    }

    proptest! {
        /// However the bytes are cut into pieces, all pass when every frame is short and
        /// plain; else the error names the first frame that is not.
        #[test]
        fn frames_pass_or_are_refused(
            frames in prop::collection::vec(
                (prop::bool::weighted(0.1), 0..=0xf_u8, any::<bool>(), 0..5000_u16, 0..3_usize),
                1..8,
            ),
            cuts in prop::collection::vec(1..3000_usize, 1..8),
        ) {
            let mut bytes = Vec::new();
            let mut expected = None;
            for (reserved, opcode, masked, payload, width) in frames {
                let first = if reserved { 0xc0 | opcode } else { 0x80 | opcode };
                if expected.is_none() && reserved {
                    expected = Some("reserved bits");
                } else if expected.is_none() && usize::from(payload) > MAX_BYTES {
                    expected = Some("too long");
                }
                bytes.extend(frame(first, masked, payload, width));
            }
            let mut header = FrameHeader::default();
            let mut found = None;
            let mut left = &bytes[..];
            for cut in cuts.into_iter().cycle() {
                let (piece, after) = left.split_at(cut.min(left.len()));
                match header.check(Bytes::copy_from_slice(piece)) {
                    Ok(passed) => prop_assert_eq!(&passed[..], piece),
                    Err(error) => found = Some(error),
                }
                left = after;
                if left.is_empty() || found.is_some() {
                    break;
                }
            }
            let found = found.map(|error| match error {
                PayloadError::EncodingCorrupted => "reserved bits",
                PayloadError::Overflow => "too long",
                _ => "another error",
            });
            prop_assert_eq!(found, expected);
        }
    }
}
