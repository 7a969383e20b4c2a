//! Clients that this project did not write, against the real binaries: the npm packages
//! eventsource, ws and socket.io-client, in Node.js.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use compare::{Lesson, Server};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let trials = Lesson::ALL.map(|lesson| {
        Trial::test(format!("{lesson}::interop"), move || {
            interop(lesson).map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

fn interop(lesson: Lesson) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop.mjs");
    let server = Server::start(lesson)?;
    let mut node = Command::new("node");
    node.args([script, lesson.name(), &server.url("")]);
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
