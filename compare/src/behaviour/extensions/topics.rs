//! Topics: two counters over one connection.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::{
    Lesson, Snapshot, Target,
    candidate::Candidate,
    client::{Line, limited},
    contract::{Broken, expect},
};

/// The second topic. The first is the lesson's own, whose events have no name here.
const LIKES: &str = "likes";

/// E6: two topics come over one connection, each under its name, and a client that did not
/// subscribe to the second hears nothing of it.
pub async fn topics_share_a_connection(who: Candidate) -> Result<()> {
    let server = who.start().await?;
    let target = server.target();
    let first = server.begins().await?;
    let mut both = subscribe(target).await?;
    let likes = until(&mut both, LIKES, 0).await.context("after the subscription")?;
    let mut one = Line::open(target, &[]).await?;
    until(&mut one, "", first.version).await?;
    for _ in 0..2 {
        send(target, &mut both, LIKES).await?;
    }
    let made = Snapshot::new(likes.value + 2, likes.version + 2);
    let told = until(&mut both, LIKES, made.version).await;
    expect(made, told.context("two commands for likes")?)?;
    send(target, &mut both, "").await?;
    let made = Snapshot::new(first.value + 1, first.version + 1);
    let told = until(&mut both, "", made.version).await;
    expect(made, told.context("a command for the counter")?)?;
    while let Some(said) = one.next().await? {
        ensure!(said.event != LIKES, Broken::new("nothing of likes", said.data));
        if said.snapshot()? == made {
            return Ok(());
        }
    }
    Err(Broken::new(made, "the end of the connection").into())
}

/// Connects, and subscribes to both.
async fn subscribe(target: Target) -> Result<Line> {
    let mut line = Line::open(target, &[("topics", LIKES)]).await?;
    match target.lesson {
        Lesson::WebSocket => line.emit("", &json!({ "subscribe": LIKES })).await?,
        Lesson::SocketIo => line.emit("subscribe", &json!(LIKES)).await?,
        Lesson::Polling | Lesson::Sse => {}
    }
    Ok(line)
}

/// Sends an increment for a topic.
async fn send(target: Target, line: &mut Line, topic: &str) -> Result<()> {
    let command = json!({ "type": "increment" });
    match (target.lesson, topic) {
        (Lesson::Polling | Lesson::Sse, _) => {
            let query = if topic.is_empty() { "" } else { "?topic=likes" };
            let http = reqwest::Client::builder().no_proxy().build()?;
            let request = http.post(target.url(&format!("/counter{query}")));
            let answer = limited("answer", request.json(&command).send()).await??;
            expect(200, answer.status().as_u16()).context("POST /counter?topic=likes")
        }
        (_, "") => line.send("increment").await,
        (Lesson::WebSocket, _) => {
            line.emit("", &json!({ "topic": topic, "command": command })).await
        }
        (Lesson::SocketIo, _) => line.emit(topic, &command).await,
    }
}

/// Reads until this topic has this version or a later one.
async fn until(line: &mut Line, topic: &str, version: u64) -> Result<Snapshot> {
    let reached = async {
        loop {
            let said = line.next().await?.context("the connection ended")?;
            let snapshot = said.snapshot()?;
            if said.event == topic && snapshot.version >= version {
                return Ok(snapshot);
            }
        }
    };
    let what = if topic.is_empty() { "event of the counter" } else { "event of likes" };
    limited(what, reached).await?
}
