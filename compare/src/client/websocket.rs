//! WebSocket: text frames both ways.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

use super::{Client, limited, sentence};
use crate::{Bad, Outcome, Snapshot, Target};

pub(crate) type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) struct Frames {
    pub(super) socket: WebSocket,
    /// Snapshots that came while something else was waited for.
    early: VecDeque<Snapshot>,
}

impl Frames {
    pub(super) async fn connect(target: Target) -> Result<Self> {
        Self::open(target, "").await
    }

    /// Connects with this query.
    pub(super) async fn open(target: Target, query: &str) -> Result<Self> {
        let url = format!("ws://{}/ws{query}", target.address);
        let (socket, _) = limited("handshake", connect_async(url)).await??;
        Ok(Self { socket, early: VecDeque::new() })
    }

    pub(super) async fn frame(&mut self) -> Result<Message> {
        self.socket.next().await.context("no close frame")?.map_err(Into::into)
    }
}

#[async_trait]
impl Client for Frames {
    async fn send_text(&mut self, command: String) -> Result<()> {
        Ok(self.socket.send(Message::text(command)).await?)
    }

    async fn hear(&mut self) -> Result<Option<Snapshot>> {
        if let Some(snapshot) = self.early.pop_front() {
            return Ok(Some(snapshot));
        }
        match self.frame().await? {
            Message::Text(text) => Snapshot::read(&text).map(Some),
            Message::Ping(_) | Message::Pong(_) => Ok(None),
            other => bail!("unexpected {other:?}"),
        }
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
                    Message::Text(text) => match sentence(&text) {
                        Some(error) => return Ok(Outcome::Refused(error)),
                        None => self.early.push_back(Snapshot::read(&text)?),
                    },
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
        let close = async {
            loop {
                if let Message::Close(why) = self.frame().await? {
                    return Ok(why
                        .map_or(String::new(), |why| u16::from(why.code).to_string()));
                }
            }
        };
        limited("close frame", close).await?
    }
}

pub(super) fn raw_text(bytes: Vec<u8>) -> Message {
    Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true))
}
