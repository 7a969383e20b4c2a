//! What clients miss whose network is cut again and again.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::{sleep, sleep_until};

use super::followers::{Followers, Log};
use crate::{
    Lesson, Runtime, Subject, Target,
    candidate::Candidate,
    client::{Memory, connect, reach},
    exercise::{self, Exercise},
    program::CommandLine,
    relay::{Network, Relay},
    report::network::{Gap, Recovery},
    subject::peers,
    submission,
};

/// What is done to a server's clients.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Clients that follow the counter.
    pub clients: usize,
    /// Changes, numbered by their versions.
    pub changes: u64,
    /// The time between two of them.
    pub every: Duration,
    /// The time between the beginnings of two cuts; the first comes after half of it.
    pub period: Duration,
    /// How long each cut is, for all clients the same.
    pub offline: Duration,
}

impl Plan {
    /// A minute of two changes a second, with a cut of 2 s every 15 s.
    #[must_use]
    pub fn minute(clients: usize) -> Self {
        Self {
            clients,
            changes: 120,
            every: Duration::from_millis(500),
            period: Duration::from_secs(15),
            offline: Duration::from_secs(2),
        }
    }

    /// When the network is cut, since the first change.
    fn cuts(self) -> impl Iterator<Item = Duration> {
        let lasts = self.every.mul_f64(self.changes as f64);
        let cut = move |at: u32| self.period * at + self.period / 2;
        (0..).map(cut).take_while(move |cut| *cut + self.offline < lasts)
    }
}

/// A server whose clients are cut, and what they say when they come back.
#[derive(Clone)]
pub struct Case {
    /// What a report calls it.
    pub name: String,
    who: Candidate,
    memory: Memory,
}

/// A server as it is, whose clients take the state that they are given.
impl From<Subject> for Case {
    fn from(subject: Subject) -> Self {
        let name = subject.to_string();
        Self { name, who: subject.into(), memory: Memory::Nothing }
    }
}

impl Case {
    /// These servers; those lessons among them that have the extension `resume` once more
    /// with it; and Socket.IO's own server once more, as it recovers connections. And why
    /// what would be measured is not.
    ///
    /// # Errors
    /// When the extensions cannot be read or written.
    pub fn all(servers: &[Subject]) -> Result<(Vec<Self>, Vec<String>)> {
        let mut all: Vec<Self> = servers.iter().map(|&server| server.into()).collect();
        let lessons: Vec<_> = servers
            .iter()
            .filter(|server| server.runtime == Runtime::Rust)
            .map(|server| server.lesson)
            .collect();
        let (resuming, missing) = Self::resuming(&lessons)?;
        all.extend(resuming);
        let official = Subject { runtime: Runtime::Node, ..Lesson::SocketIo.into() };
        if servers.contains(&official) {
            let file = peers().join("node/04-socketio-recovery.mjs");
            let words = vec![Runtime::Node.program().into(), file.into()];
            let who = Candidate::program(Lesson::SocketIo, CommandLine::new(words));
            let name = format!("{official} + connectionStateRecovery");
            all.push(Self { name, who, memory: Memory::Session });
        }
        Ok((all, missing))
    }

    /// Those of these lessons that have the extension `resume`, with it, built from their
    /// patches as they are now; and why others are left out.
    ///
    /// # Errors
    /// When the patched lessons cannot be written, or Cargo cannot be run.
    pub fn resuming(lessons: &[Lesson]) -> Result<(Vec<Self>, Vec<String>)> {
        let extensions: Vec<_> = lessons
            .iter()
            .filter_map(|lesson| Exercise::extension(*lesson, "resume").ok())
            .collect();
        if extensions.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let my = exercise::my().join(".proof/gaps");
        let left_out = exercise::solve(&extensions, &my)?;
        let (programs, said) = submission::build_all(&my)?;
        let (mut cases, mut missing) = (Vec::new(), Vec::new());
        for extension in extensions {
            let (lesson, program) = (extension.lesson, extension.program());
            let name = format!("{lesson} + resume");
            let Some(built) = programs.get(&program) else {
                let why = left_out.iter().find(|(left_out, _)| *left_out == program);
                missing.push(format!("{name}: {}", why.map_or(&said, |(_, why)| why)));
                continue;
            };
            let line = CommandLine::new(vec![built.into()]);
            let who = Candidate::program(lesson, line);
            cases.push(Self { name, who, memory: Memory::Event });
        }
        Ok((cases, missing))
    }

    /// Starts the server, and does to its clients what [`gap`] does.
    ///
    /// # Errors
    /// When it does not start, and those of [`gap`].
    pub async fn gap(&self, plan: Plan) -> Result<Gap> {
        let started = self.who.start().await?;
        cut(started.target(), plan, self.memory).await
    }
}

/// Has clients follow the server through a network that is cut, and says what they received.
///
/// # Errors
/// When a client never connects, or the server does not take a change.
pub async fn gap(server: Target, plan: Plan) -> Result<Gap> {
    cut(server, plan, Memory::Nothing).await
}

async fn cut(server: Target, plan: Plan, memory: Memory) -> Result<Gap> {
    let relay = Relay::start(server.address, None).await?;
    let followers = Followers::start(relay.before(server), plan.clients, memory);
    let connected = followers.until_all_hold(0).await;
    ensure!(connected == plan.clients, "not every client connects");

    let mut sender = connect(server).await?;
    let mut now = sender.next().await?.version;
    let before = now;
    let began = tokio::time::Instant::now();
    let changing = async {
        for change in 1..=plan.changes {
            sleep_until(began + plan.every.mul_f64(change as f64)).await;
            sender.send("increment").await?;
            reach(&mut *sender, before + change).await?;
        }
        anyhow::Ok(())
    };
    let cutting = async {
        let mut returns = Vec::new();
        for cut in plan.cuts() {
            sleep_until(began + cut).await;
            relay.set(Network::Down);
            sleep(plan.offline).await;
            relay.set(Network::Good);
            returns.push(Instant::now());
        }
        Ok(returns)
    };
    let ((), returns) = tokio::try_join!(changing, cutting)?;
    now += plan.changes;
    let last = followers.until_all_hold(now).await;
    Ok(figures(&followers.logs(), before..now, last, &returns))
}

/// What the logs say about the versions after `changes.start`, up to `changes.end`.
fn figures(
    logs: &[Log],
    changes: std::ops::Range<u64>,
    last: usize,
    returns: &[Instant],
) -> Gap {
    let mut gap = Gap {
        clients: logs.len(),
        changes: changes.end - changes.start,
        cuts: returns.len(),
        last,
        ..Gap::default()
    };
    let mut recoveries = Vec::new();
    for log in logs {
        let mut received = 0;
        let mut newest = changes.start;
        for &(_, version) in log {
            if version > newest {
                received += 1;
                newest = version;
            } else if version < newest {
                gap.out_of_order += 1;
            } else if version > changes.start {
                gap.repeated += 1;
            }
        }
        gap.received.push(received);
        for back in returns {
            let first = log.iter().find(|(at, _)| at >= back);
            recoveries.extend(first.map(|(at, _)| at.duration_since(*back)));
        }
    }
    gap.recoveries = recoveries.iter().map(Duration::as_secs_f64).collect();
    gap.recovery = Recovery::of(recoveries);
    gap
}
