//! Server-Sent Events: one answer that never ends, and a POST for each command.

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::header;
use sse_stream::{Sse, SseByteStream};

use super::{Client, limited, polling::Post};
use crate::{Bad, Outcome, Snapshot, Target, contract::expect};

/// A stream of events, over one answer.
pub(crate) struct Events {
    post: Post,
    events: BoxStream<'static, Result<Sse>>,
}

impl Events {
    pub(super) async fn connect(target: Target) -> Result<Self> {
        Self::open(target, "/events", None).await
    }

    /// Connects at this path, and with the id of the last event that was received.
    pub(crate) async fn open(
        target: Target,
        path: &str,
        last: Option<&str>,
    ) -> Result<Self> {
        let post = Post::new(target)?;
        let mut request = post.http.get(target.url(path));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = limited("answer", request.send()).await??;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind =
            kind.and_then(|kind| kind.to_str().ok()).unwrap_or("no Content-Type");
        let kind = format!("{}, {kind}", response.status());
        // Parameters may follow (RFC 9110, section 8.3.1).
        let kind = kind.split(';').next().unwrap_or_default().trim_end();
        expect("200 OK, text/event-stream", kind)?;
        let events = SseByteStream::new(response.bytes_stream());
        Ok(Self { post, events: events.map(|event| Ok(event?)).boxed() })
    }

    /// The next event, heartbeats too; nothing when the stream has ended.
    pub(crate) async fn event(&mut self) -> Result<Option<Sse>> {
        self.events.next().await.transpose()
    }
}

#[async_trait]
impl Client for Events {
    async fn send_text(&mut self, command: String) -> Result<()> {
        self.post.command(command).await
    }

    async fn hear(&mut self) -> Result<Option<Snapshot>> {
        let event = self.event().await?.context("end of the stream")?;
        // A heartbeat is an event of its own name.
        match (event.data, event.event) {
            (Some(data), None) => Snapshot::read(&data).map(Some),
            _ => Ok(None),
        }
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
