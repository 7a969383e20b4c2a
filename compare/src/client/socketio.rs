//! Socket.IO protocol 5 over Engine.IO protocol 4, on a WebSocket from the start, or on HTTP
//! long-polling alone.
//!
//! A packet begins with a digit for Engine.IO (0 open, 1 close, 2 ping, 3 pong, 4 message);
//! a message with another for Socket.IO (0 connect, 1 disconnect, 2 event, 3 ack, 4 error,
//! 5 binary event).

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::{
    Client, limited, refusal,
    websocket::{WebSocket, raw_text},
};
use crate::{Bad, Outcome, Snapshot, Target, contract::Broken};

/// The server's heartbeat (Engine.IO protocol 4, "Heartbeat").
const PING: &str = "2";

/// A command as an event that asks for the acknowledgement `id` (Socket.IO protocol 5,
/// "Event").
pub fn event(id: u64, command: &str) -> String {
    let comma = if command.is_empty() { "" } else { "," };
    format!(r#"42{id}["command"{comma}{command}]"#)
}

/// What carries the packets.
enum Way {
    Frames(Box<WebSocket>),
    Polls(Polls),
}

/// Packets over requests: one waits for what the server sends, one carries each that is sent.
struct Polls {
    http: reqwest::Client,
    url: String,
    received: mpsc::Receiver<String>,
    /// Asks again and again: an answer must not be lost because nobody waits for it now.
    _asking: JoinSet<()>,
}

impl Polls {
    async fn open(target: Target) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let url = target.url("/socket.io/?EIO=4&transport=polling");
        let opened = limited("open packet", ask(&http, &url)).await??;
        let open = opened.strip_prefix('0').context("no open packet")?;
        let open: Value = serde_json::from_str(open)?;
        let url = format!("{url}&sid={}", open["sid"].as_str().context("no sid")?);
        let (sender, received) = mpsc::channel(1024);
        let (asker, address) = (http.clone(), url.clone());
        let mut asking = JoinSet::new();
        asking.spawn(async move {
            while let Ok(packets) = ask(&asker, &address).await {
                for packet in packets.split('\u{1e}') {
                    if sender.send(packet.to_owned()).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Self { http, url, received, _asking: asking })
    }

    async fn read(&mut self) -> Result<String> {
        self.received.recv().await.context("connection lost")
    }

    async fn write(&self, packet: &str) -> Result<()> {
        let request = self.http.post(&self.url).body(packet.to_owned());
        limited("answer", request.send()).await??.error_for_status()?;
        Ok(())
    }
}

async fn ask(http: &reqwest::Client, url: &str) -> Result<String> {
    Ok(http.get(url).send().await?.error_for_status()?.text().await?)
}

pub(super) struct Packets {
    way: Way,
    acks: u64,
    early: VecDeque<Snapshot>,
    /// The `pid` of a server that recovers connections: such a server adds an offset to the
    /// arguments of each event. Empty for others.
    pub(super) session: String,
    /// Packets that came before the connection was confirmed: what a server that recovers it
    /// has kept, or a change of that moment. The official client keeps them too.
    missed: VecDeque<String>,
    /// How the connection ended.
    end: &'static str,
}

impl Packets {
    pub(super) async fn connect(target: Target) -> Result<Self> {
        Self::open(target, "").await
    }

    /// Connects with this text as the data of the connect packet ("auth").
    pub(super) async fn open(target: Target, auth: &str) -> Result<Self> {
        let query = "EIO=4&transport=websocket";
        let url = format!("ws://{}/socket.io/?{query}", target.address);
        let (socket, _) = limited("handshake", connect_async(url)).await??;
        let mut client = Self::over(Way::Frames(Box::new(socket)));
        let open = limited("open packet", client.packet()).await??.context("closed")?;
        ensure!(open.starts_with('0'), "{open}");
        client.join(auth).await
    }

    /// Over HTTP alone (Engine.IO protocol 4, "HTTP long-polling").
    pub(super) async fn connect_by_polling(target: Target) -> Result<Self> {
        Self::over(Way::Polls(Polls::open(target).await?)).join("").await
    }

    fn over(way: Way) -> Self {
        let (early, missed) = (VecDeque::new(), VecDeque::new());
        Self { way, acks: 0, early, session: String::new(), missed, end: "" }
    }

    async fn join(self, auth: &str) -> Result<Self> {
        let mut client = self;
        client.write(&format!("40{auth}")).await?;
        let mut early = VecDeque::new();
        let connected = loop {
            let packet = limited("connect packet", client.packet()).await??;
            let packet = packet.context("closed")?;
            if !packet.starts_with("42") {
                break packet;
            }
            early.push_back(packet);
        };
        let data = connected.strip_prefix("40").filter(|data| data.starts_with('{'));
        let data: Value = serde_json::from_str(data.context(connected.clone())?)?;
        data["pid"].as_str().unwrap_or_default().clone_into(&mut client.session);
        client.missed = early;
        Ok(client)
    }

    pub(super) async fn write(&mut self, packet: &str) -> Result<()> {
        match &mut self.way {
            Way::Frames(socket) => Ok(socket.send(Message::text(packet)).await?),
            Way::Polls(polls) => polls.write(packet).await,
        }
    }

    /// Sends what is no packet.
    async fn write_raw(&mut self, message: Message) -> Result<()> {
        match &mut self.way {
            Way::Frames(socket) => Ok(socket.send(message).await?),
            Way::Polls(_) => bail!("no frame can be sent by long polling"),
        }
    }

    /// The next packet that is not a heartbeat; nothing when the server has closed.
    pub(super) async fn packet(&mut self) -> Result<Option<String>> {
        loop {
            match self.sign().await? {
                Some(packet) if packet == PING => {}
                packet => return Ok(packet),
            }
        }
    }

    /// The next packet, a heartbeat included, which is answered; nothing when the server has
    /// closed.
    async fn sign(&mut self) -> Result<Option<String>> {
        if let Some(packet) = self.missed.pop_front() {
            return Ok(Some(packet));
        }
        let socket = match &mut self.way {
            Way::Frames(socket) => socket,
            Way::Polls(polls) => {
                let packet = polls.read().await?;
                if packet == PING {
                    self.write("3").await?;
                }
                return Ok(Some(packet));
            }
        };
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    if text == PING {
                        // A server that has closed takes no pong; how it closed is still to
                        // be read.
                        socket.send(Message::text("3")).await.ok();
                    }
                    return Ok(Some(text.to_string()));
                }
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
        self.write(&event(id, argument)).await?;
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
                self.early.extend(self.snapshot(&packet)?);
            }
            Ok(None)
        };
        limited("acknowledgement", answer).await?
    }

    fn snapshot(&self, packet: &str) -> Result<Option<Snapshot>> {
        let Some(event) = packet.strip_prefix("42") else { return Ok(None) };
        let read = if self.session.is_empty() {
            serde_json::from_str::<(String, Snapshot)>(event)
        } else {
            serde_json::from_str::<(String, Snapshot, String)>(event)
                .map(|(name, snapshot, _offset)| (name, snapshot))
        };
        match read {
            Ok((name, snapshot)) if name == "counter" => Ok(Some(snapshot)),
            _ => {
                let expected = r#"42["counter",{"value":0,"version":0}]"#;
                Err(Broken::new(expected, packet).into())
            }
        }
    }
}

#[async_trait]
impl Client for Packets {
    async fn send_text(&mut self, command: String) -> Result<()> {
        let answer = self.emit(&command).await?.context("closed")?;
        Snapshot::read(&answer.to_string())?;
        Ok(())
    }

    async fn hear(&mut self) -> Result<Option<Snapshot>> {
        if let Some(snapshot) = self.early.pop_front() {
            return Ok(Some(snapshot));
        }
        let packet = self.sign().await?.context("closed")?;
        self.snapshot(&packet)
    }

    async fn send_bad(&mut self, bad: Bad) -> Result<Outcome> {
        let answer = match (bad, String::from_utf8(bad.bytes())) {
            (Bad::Binary, _) => {
                let id = self.acks;
                self.acks += 1;
                let placeholder = r#"{"_placeholder":true,"num":0}"#;
                self.write(&format!(r#"451-{id}["command",{placeholder}]"#)).await?;
                self.write_raw(Message::binary(bad.bytes())).await?;
                self.ack(id).await?
            }
            (_, Ok(text)) => self.emit(&text).await?,
            (_, Err(error)) => {
                self.write_raw(raw_text(error.into_bytes())).await?;
                self.ack(self.acks).await?
            }
        };
        Ok(match answer {
            Some(answer) => Outcome::Refused(refusal(&answer.to_string())?),
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
