//! What polling and SSE cost over HTTP/2, beside HTTP/1.1, both over TLS through nginx.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{task::spawn_blocking, time::sleep};

use super::traffic::BROWSER;
use crate::{
    Lesson, Server,
    client::{connect, limited},
    cluster::Nginx,
    process::{Process, installed},
    relay::Relay,
    report::network::Http,
};

/// What has to be installed.
pub const PROGRAMS: [&str; 3] = ["nginx", "openssl", "curl"];

/// Of how many requests, or events, the mean is taken.
const TIMES: u64 = 20;

/// The heartbeat of lesson 2, in seconds.
const HEARTBEAT: u64 = 15;

/// How many streams are opened at once: more than a browser opens connections.
const TABS: usize = 9;

/// Measures both, with curl as the client, which says what Chromium says.
///
/// # Errors
/// When nginx, openssl or curl is not installed, or one of them fails.
pub async fn http(tell: impl Fn(&str)) -> Result<Vec<Http>> {
    let mut measured = Vec::new();
    for version in ["1.1", "2"] {
        tell(&format!("HTTP/{version}"));
        let (unchanged, changed) =
            (polls(version, true).await?, polls(version, false).await?);
        let [event, heartbeat] = events(version).await?;
        measured.push(Http {
            version: version.to_owned(),
            unchanged,
            changed,
            event,
            idle_polling: 60.0 * unchanged,
            idle_stream: heartbeat * (60 / HEARTBEAT) as f64,
            connections: streams(version).await?,
            tabs: TABS,
        });
    }
    Ok(measured)
}

/// A lesson behind nginx, and a relay in front of both that counts.
struct Secured {
    server: Server,
    _nginx: Nginx,
    relay: Relay,
}

impl Secured {
    async fn start(lesson: Lesson) -> Result<Self> {
        let server = Server::start(lesson)?;
        let nginx = Nginx::start_secured(&[server.target().address])?;
        let relay = Relay::start(nginx.address, None).await?;
        Ok(Self { server, _nginx: nginx, relay })
    }

    fn bytes(&self) -> u64 {
        let traffic = self.relay.traffic();
        traffic.up.load(Relaxed) + traffic.down.load(Relaxed)
    }

    /// A curl that asks for `path`, in this version of HTTP.
    fn curl(&self, version: &str, paths: &[&str]) -> Result<Command> {
        let mut curl = installed("curl")?;
        curl.args(["-q", "--noproxy", "*", "--silent", "--insecure", "--no-buffer"]);
        curl.arg(format!("--http{version}"));
        // HTTP/2 has no such header (RFC 9113, section 8.2.2).
        let own = BROWSER.lines().filter(|line| !line.starts_with("Connection"));
        curl.args(own.flat_map(|line| ["--header", line]));
        curl.args(
            paths.iter().map(|path| format!("https://{}{path}", self.relay.address)),
        );
        Ok(curl)
    }
}

/// The bytes of a poll and its answer on a connection that is open.
async fn polls(version: &str, unchanged: bool) -> Result<f64> {
    let secured = Secured::start(Lesson::Polling).await?;
    let tag = tag(&secured).await?;
    let mut counted = Vec::new();
    for times in [1, 1 + TIMES] {
        let before = secured.bytes();
        let mut curl = secured.curl(version, &[&format!("/counter?[1-{times}]")])?;
        if unchanged {
            curl.args(["--header", &format!("If-None-Match: {tag}")]);
        }
        let answers = printed(curl).await?.matches('{').count() as u64;
        ensure!(answers == if unchanged { 0 } else { times }, "{answers} of {times}");
        counted.push(settled(&secured).await - before);
    }
    Ok((counted[1] - counted[0]) as f64 / TIMES as f64)
}

/// The tag of the counter as it is.
async fn tag(secured: &Secured) -> Result<String> {
    let mut curl = secured.curl("1.1", &["/counter"])?;
    curl.arg("--include");
    let head = printed(curl).await?.to_ascii_lowercase();
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: "));
    Ok(tag.with_context(|| format!("no ETag in {head:?}"))?.to_owned())
}

/// What curl prints. It has a thread of its own, for the relay runs in this one.
async fn printed(mut curl: Command) -> Result<String> {
    let output = spawn_blocking(move || curl.output()).await??;
    ensure!(output.status.success(), "curl: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The bytes so far, once no more have come for a moment.
async fn settled(secured: &Secured) -> u64 {
    let mut last = secured.bytes();
    loop {
        sleep(Duration::from_millis(200)).await;
        let now = secured.bytes();
        if now == last {
            return now;
        }
        last = now;
    }
}

/// The bytes of one event with a snapshot, and of one heartbeat.
async fn events(version: &str) -> Result<[f64; 2]> {
    let secured = Secured::start(Lesson::Sse).await?;
    let mut curl = Process::spawn(
        secured
            .curl(version, &["/events"])?
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    )?;
    let output = BufReader::new(curl.stdout().context("no standard output")?);
    let (came, mut coming) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // Nobody listens any more when it was measured.
            let _ = came.send(line);
        }
    });
    let mut next = async |start: &str| {
        let line = async {
            while let Some(line) = coming.recv().await {
                if line.starts_with(start) {
                    return Ok(());
                }
            }
            anyhow::bail!("curl ended")
        };
        limited("event", line).await?
    };
    next("data: {").await?;
    let before = settled(&secured).await;
    let mut commander = connect(secured.server.target()).await?;
    for _ in 0..TIMES {
        commander.send("increment").await?;
        next("data: {").await?;
    }
    let events = settled(&secured).await - before;
    let before = secured.bytes();
    next("event: heartbeat").await?;
    let heartbeat = settled(&secured).await - before;
    Ok([events as f64 / TIMES as f64, heartbeat as f64])
}

/// How many connections it takes to follow the counter nine times at once.
async fn streams(version: &str) -> Result<u64> {
    const SOON: Duration = Duration::from_secs(20);
    let secured = Secured::start(Lesson::Sse).await?;
    let mut curl = secured.curl(version, &["/events"; TABS])?;
    curl.args(["--parallel", "--parallel-max", "50"]);
    let mut curl = Process::spawn(
        curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()),
    )?;
    let output = BufReader::new(curl.stdout().context("no standard output")?);
    let began = Instant::now();
    let opened = spawn_blocking(move || {
        let first =
            output.lines().map_while(Result::ok).filter(|it| it.starts_with("id:"));
        first.take(TABS).count()
    });
    while !opened.is_finished() && began.elapsed() < SOON {
        sleep(Duration::from_millis(20)).await;
    }
    ensure!(opened.is_finished(), "not all streams begin within {SOON:?}");
    Ok(secured.relay.traffic().connections.load(Relaxed))
}
