//! What becomes of what is no command, no request and no frame.

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use futures_util::future::try_join_all;
use memchr::memmem;

use super::{
    page::state,
    verdict::{Teller, Verdict},
};
use crate::{
    Lesson, Running, Subject, Target, connect,
    raw::{self, Raw},
};

/// A generator that always makes the same inputs, so that a failing run can be repeated.
struct Random(Rng);

impl Random {
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        self.0.fill(&mut bytes);
        bytes
    }

    /// JSON that looks a little like a command, and is none.
    fn no_command(&mut self) -> String {
        const VALUES: [&str; 12] = [
            "null",
            "true",
            "-1e99",
            "18446744073709551616",
            "\"increment\"",
            "\"\\u0000\"",
            "[]",
            "[\"increment\"]",
            "{}",
            "{\"type\":\"increment\"}",
            "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
            "\"é\\ud83d\\ude00\"",
        ];
        const FIELDS: [&str; 5] = ["type", "id", "Type", "", "by"];
        let mut value = || VALUES[self.0.usize(..VALUES.len())];
        let (one, two) = (value(), value());
        let mut field = || FIELDS[self.0.usize(..FIELDS.len())];
        let (name, other) = (field(), field());
        match self.0.u8(..4) {
            // An object alone could be a command; in an array it is not.
            0 => format!("[{one}]"),
            1 => format!("{{\"type\":{{\"{name}\":{one}}}}}"),
            2 => format!("{{\"type\":\"increment\",\"{other}!\":{two}}}"),
            _ => format!("{{\"type\":\"{name}\",\"id\":{two}}}"),
        }
    }
}

pub(super) async fn garbage(subject: Subject, tell: Teller) -> Result<Verdict> {
    const BATCHES: usize = 1000;
    const EACH: usize = 100;
    let running = Running::start(subject)?;
    let mut random = Random(Rng::with_seed(0x5eed));
    let mut good = connect(running.target()).await?;
    let mut accepted = 0;
    for batch in 0..BATCHES {
        let inputs: Vec<String> = (0..EACH).map(|_| random.no_command()).collect();
        refused(running.target(), &inputs)
            .await
            .with_context(|| format!("batch {batch}"))?;
        if batch % 10 == 0 {
            good.send("increment").await?;
            accepted += 1;
        }
        // A server may take a second to end a connection: many at once, and not each time.
        if batch % 100 == 0 {
            let rude = (0..50).map(|_| random.bytes());
            try_join_all(rude.map(|bytes| unreadable(running.target(), bytes))).await?;
            odd_methods(running.target())
                .await
                .with_context(|| format!("batch {batch}"))?;
        }
    }
    let sent = BATCHES * EACH;
    tell.say(&format!(
        "{sent} malformed inputs, each refused, {accepted} commands between"
    ));
    let now = state(&running).await?;
    ensure!(now.version == accepted, "{now:?} after {accepted} good commands");
    ensure!(now.value == i64::try_from(accepted)?, "{now:?}");
    // A server that has panicked is not dropped in silence.
    drop(running);
    tell.say(
        "the counter knows the good commands and no other; the server did not panic",
    );
    Ok(Verdict::Refused)
}

/// Sends the inputs as commands over one connection, and checks that each is refused.
async fn refused(target: Target, inputs: &[String]) -> Result<()> {
    let mut raw = Raw::commander(target).await?;
    let bytes: Vec<u8> =
        inputs.iter().flat_map(|input| raw::command(target, input)).collect();
    let (answers, closed) = raw.exchange(&bytes, b"{\"error\":", inputs.len()).await?;
    ensure!(!closed, "closed after {}", answers.escape_ascii());
    if matches!(target.lesson, Lesson::Polling | Lesson::Sse) {
        let refused = memmem::find_iter(&answers, b"HTTP/1.1 4").count();
        ensure!(refused == inputs.len(), "{}", answers.escape_ascii());
    }
    Ok(())
}

/// Sends requests with methods that no lesson knows, all at once over one connection, and
/// checks that each is refused.
async fn odd_methods(target: Target) -> Result<()> {
    const METHODS: [&str; 8] =
        ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "get", "X-Y.Z"];
    const PATHS: [&str; 5] = ["/counter", "/events", "/ws", "/", "/style.css"];
    let ask = |method| PATHS.map(|path| raw::request(target, method, path, "", ""));
    let requests = METHODS.map(ask).concat().concat();
    let mut raw = Raw::roomy(target).await?;
    let asked = METHODS.len() * PATHS.len();
    let refused = raw.exchange(requests.as_bytes(), b"HTTP/1.1 4", asked).await?;
    ensure!(!refused.1, "closed after {}", refused.0.escape_ascii());
    Ok(())
}

/// Sends random bytes where the protocol wants a request, a frame or a packet, and checks
/// that the server ends the connection, and without a 5xx.
async fn unreadable(target: Target, mut bytes: Vec<u8>) -> Result<()> {
    let mut raw = Raw::subscribe(target).await?;
    // Whatever the bytes were, this cannot be a frame, nor the end of a request's head.
    bytes.extend([0xff; 8192]);
    bytes.extend(b"\r\n\r\n");
    let (answers, closed) = raw.exchange(&bytes, b"HTTP/1.1 5", 1).await?;
    ensure!(closed, "{}", answers.escape_ascii());
    Ok(())
}
