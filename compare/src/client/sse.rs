//! Server-Sent Events: one answer that never ends, and a POST for each command.

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::header;
use sse_stream::{Sse, SseByteStream};

use super::{Client, limited, polling::Post};
use crate::{Bad, Outcome, Snapshot, Target};

pub(super) struct Events {
    post: Post,
    events: BoxStream<'static, Result<Sse>>,
}

impl Events {
    pub(super) async fn connect(target: Target) -> Result<Self> {
        let post = Post::new(target)?;
        let request = post.http.get(target.url("/events"));
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
