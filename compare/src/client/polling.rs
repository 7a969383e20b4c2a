//! AJAX polling: a GET every now and then, and a POST for each command.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use reqwest::{StatusCode, header};
use tokio::time::sleep;

use super::{Client, limited, refusal};
use crate::{Bad, Outcome, Snapshot, Target, contract::Broken};

/// How often a client asks that is not told how often.
const POLL: Duration = Duration::from_millis(50);

/// The commands of the first two lessons: `POST /counter`.
pub(super) struct Post {
    pub(super) http: reqwest::Client,
    url: String,
}

impl Post {
    pub(super) fn new(target: Target) -> Result<Self> {
        let http = reqwest::Client::builder()
            // Without the proxy settings of the environment: this is the machine itself.
            .no_proxy()
            // Servers end an idle connection after 5 s, maybe while a request is on its way.
            .pool_idle_timeout(Duration::from_secs(4))
            .build()?;
        Ok(Self { http, url: target.url("/counter") })
    }

    async fn send(&self, body: Vec<u8>) -> Result<(StatusCode, String)> {
        let request = self.http.post(&self.url).body(body);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let response = limited("answer", request.send()).await??;
        let status = response.status();
        Ok((status, limited("body", response.text()).await??))
    }

    pub(super) async fn command(&self, command: String) -> Result<()> {
        let (status, answer) = self.send(command.into()).await?;
        expect_status(StatusCode::OK, status, &answer)?;
        Snapshot::read(&answer)?;
        Ok(())
    }

    pub(super) async fn bad(&self, bad: Bad) -> Result<Outcome> {
        let (status, answer) = self.send(bad.bytes()).await?;
        let expected = match bad {
            Bad::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        expect_status(expected, status, &answer)?;
        Ok(Outcome::Refused(refusal(&answer)?))
    }
}

fn expect_status(expected: StatusCode, status: StatusCode, body: &str) -> Result<()> {
    if status == expected {
        return Ok(());
    }
    Err(Broken::new(expected, format!("{status} {body}")).into())
}

pub(super) struct Polling {
    post: Post,
    etag: Option<header::HeaderValue>,
    /// The newest version seen, where each poll may reach another instance, and one of them
    /// may be a moment behind.
    newest: Option<u64>,
    /// How long it waits after an answer.
    pub(super) every: Duration,
}

impl Polling {
    pub(super) fn connect(target: Target) -> Result<Self> {
        let newest = target.several.then_some(0);
        Ok(Self { post: Post::new(target)?, etag: None, newest, every: POLL })
    }
}

#[async_trait]
impl Client for Polling {
    async fn send_text(&mut self, command: String) -> Result<()> {
        self.post.command(command).await
    }

    async fn hear(&mut self) -> Result<Option<Snapshot>> {
        let mut request = self.post.http.get(&self.post.url);
        if let Some(etag) = &self.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let response = request.send().await?;
        let status = response.status();
        if status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let etag = response.headers().get(header::ETAG).cloned();
        let text = response.text().await?;
        expect_status(StatusCode::OK, status, &text)?;
        let snapshot = Snapshot::read(&text)?;
        self.etag = etag;
        if let Some(newest) = &mut self.newest {
            if snapshot.version < *newest {
                return Ok(None);
            }
            *newest = snapshot.version;
        }
        Ok(Some(snapshot))
    }

    async fn next(&mut self) -> Result<Snapshot> {
        let changed = async {
            loop {
                if let Some(snapshot) = self.hear().await? {
                    return Ok(snapshot);
                }
                sleep(self.every).await;
            }
        };
        limited("snapshot", changed).await?
    }

    async fn send_bad(&mut self, bad: Bad) -> Result<Outcome> {
        self.post.bad(bad).await
    }

    async fn farewell(&mut self) -> Result<String> {
        // hyper may lose a request whose connection breaks at that moment, and wait for ever
        // (<https://github.com/hyperium/hyper/issues/2312>): seen in one run of 80.
        const ANSWER: Duration = Duration::from_secs(5);
        let poll = || self.post.http.get(&self.post.url).timeout(ANSWER).send();
        let gone = async {
            while poll().await.is_ok() {
                sleep(POLL).await;
            }
        };
        limited("end of the server", gone).await?;
        Ok("no answer".to_owned())
    }
}
