//! Clients that this project did not write, against the real binaries: the npm packages
//! eventsource, ws and socket.io-client, in Node.js.

mod common;

use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::{placed, trial};
use compare::{Lesson, Place, Running, Subject};
use libtest_mimic::Arguments;

fn main() {
    let mut trials = Vec::new();
    for place in [Place::Alone, Place::Shared] {
        let subjects = Lesson::ALL.map(|lesson| Subject::placed(lesson, place));
        let all = subjects.map(|subject| {
            trial(format!("{subject}::interop"), async move || interop(subject))
        });
        trials.extend(placed("interop", place, all.into()));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn interop(subject: Subject) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop.mjs");
    let server = Running::start(subject)?;
    let mut node = Command::new("node");
    node.args([script, subject.lesson.name(), &server.target().url("")]);
    let output = node.output().context("cannot run node")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}{errors}");
    ensure!(
        said.lines().any(|line| line.starts_with("ok - ")),
        "no check was made: {said}"
    );
    Ok(())
}
