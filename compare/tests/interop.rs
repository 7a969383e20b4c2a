//! Clients that this project did not write, against the real binaries: the npm packages
//! eventsource, ws and socket.io-client, in Node.js.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use compare::{Lesson, Place, Server, Subject};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut trials = Vec::new();
    for place in [Place::Alone, Place::Shared] {
        if let Some(lacks) = place.lacks() {
            println!("not run: interop with {}: {lacks}", place.name());
            continue;
        }
        for lesson in Lesson::ALL {
            let subject = Subject { place, ..lesson.into() };
            trials.push(Trial::test(format!("{subject}::interop"), move || {
                interop(subject).map_err(|error| Failed::from(format!("{error:#}")))
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn interop(subject: Subject) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop.mjs");
    let server = Server::start(subject)?;
    let mut node = Command::new("node");
    node.args([script, subject.lesson.name(), &server.url("")]);
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
