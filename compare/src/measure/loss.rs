//! What distance and lost packets do to each transport.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{Lesson, process::installed, report::loss::Loss};

/// The round trips, in milliseconds.
const ROUND_TRIPS: [u64; 2] = [40, 200];

/// The shares of the packets that are lost.
const LOSSES: [f64; 3] = [0.0, 0.01, 0.05];

/// Clients that click, on each link: enough for the rare slow click to be in the figures.
const CLICKERS: usize = 3;

/// What is done to a lesson.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Plan {
    /// Clients that follow the counter, on each link.
    pub clients: usize,
    /// Clients that click, on each link.
    pub clickers: usize,
    /// Changes of the counter that is followed.
    pub changes: u64,
    /// The time between two of them.
    pub every: Duration,
    /// The links: the round trip in milliseconds, and the share of the packets that is lost,
    /// each way.
    pub links: Vec<(u64, f64)>,
}

impl Plan {
    /// Ten changes a second for so long, on all links.
    #[must_use]
    pub fn lasting(seconds: u64, clients: usize) -> Self {
        let links =
            ROUND_TRIPS.iter().flat_map(|&trip| LOSSES.map(|loss| (trip, loss)));
        Self {
            clients,
            clickers: CLICKERS,
            changes: 10 * seconds,
            every: Duration::from_millis(100),
            links: links.collect(),
        }
    }
}

/// What this machine lacks for a network of its own, or does not allow.
#[must_use]
pub fn lacks() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("a network that loses packets takes Linux".to_owned());
    }
    // Opened for reading first: a shell that writes makes the file that is missing.
    let open = "exec 3</dev/net/tun 3>>/dev/net/tun";
    let tried = apart().map(|mut unshare| unshare.args(["sh", "-c", open]).output());
    let why = match tried {
        Err(error) => return Some(error.to_string()),
        Ok(Ok(output)) if output.status.success() => return None,
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Ok(Err(error)) => error.to_string(),
    };
    Some(format!("no network of its own, with a TUN device, can be made here: {why}"))
}

/// A command that runs another in namespaces of its own, of which it is the administrator:
/// without this, a network cannot be made. What runs there ends with it.
fn apart() -> Result<std::process::Command> {
    let mut unshare = installed("unshare")?;
    unshare.args(["--user", "--map-root-user", "--net", "--pid", "--kill-child"]);
    unshare.stdin(Stdio::null());
    Ok(unshare)
}

/// Measures a lesson on all links at once, by this binary of `compare`.
///
/// # Errors
/// When no network can be made, or the lesson does not do what its transport asks.
pub async fn loss(compare: &Path, lesson: Lesson, plan: &Plan) -> Result<Loss> {
    let mut measuring = Command::from(apart()?);
    measuring.arg(compare).args([
        "apart",
        lesson.name(),
        &serde_json::to_string(plan)?,
    ]);
    let output = measuring.kill_on_drop(true).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", errors.trim());
    serde_json::from_slice(&output.stdout).context("no measurement")
}
