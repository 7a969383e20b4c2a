//! How a crowd comes back to a server that was killed and started again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Server, Subject,
    client::{Chance, Met, follow},
    report::network::Storm,
};

/// How long the server is away.
const AWAY: Duration = Duration::from_secs(3);

/// How long is waited for clients: the longest pause of a page is 10 s.
const SOON: Duration = Duration::from_secs(60);

/// The time in which attempts are counted as simultaneous.
const SLOT: Duration = Duration::from_millis(100);

/// How many clients connect at the same time at first: it is not their arrival that is
/// measured.
const TOGETHER: usize = 50;

/// What all clients did.
#[derive(Default)]
struct Seen {
    /// Who has a snapshot, and since when; nothing after a loss.
    held: Vec<Option<Instant>>,
    /// When each attempt to connect began.
    attempts: Vec<Instant>,
}

/// Kills the server of a crowd, starts it again after three seconds, and says how the crowd
/// came back.
///
/// # Errors
/// When the server does not start, or not every client connects at first.
pub async fn storm(subject: Subject, clients: usize, chance: Chance) -> Result<Storm> {
    let mut server = Server::start(subject)?;
    let target = server.target();
    let seen = Seen { held: vec![None; clients], ..Seen::default() };
    let seen = Arc::new(Mutex::new(seen));
    let look = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    let held = || look().held.iter().flatten().count();
    let mut followers = JoinSet::new();
    for client in 0..clients {
        let seen = seen.clone();
        followers.spawn(follow(target, chance, move |met| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            match met {
                Met::Trying => seen.attempts.push(now),
                Met::Snapshot(_) => {
                    seen.held[client].get_or_insert(now);
                }
                Met::Lost => seen.held[client] = None,
            }
        }));
        let asked = Instant::now();
        while client + 1 >= held() + TOGETHER && asked.elapsed() < SOON {
            sleep(Duration::from_millis(2)).await;
        }
    }
    let asked = Instant::now();
    while held() < clients && asked.elapsed() < SOON {
        sleep(Duration::from_millis(20)).await;
    }
    ensure!(held() == clients, "{} of {clients} clients connect", held());

    server.kill()?;
    let killed = Instant::now();
    sleep(AWAY).await;
    let _server = Server::start_again(subject, target.address)?;
    let back = Instant::now();
    while held() < clients && back.elapsed() < SOON {
        sleep(Duration::from_millis(20)).await;
    }
    let (held, attempts) = {
        let seen = look();
        (seen.held.clone(), seen.attempts.clone())
    };
    drop(followers);
    let mut returned: Vec<f64> = held
        .into_iter()
        .flatten()
        .map(|at| at.saturating_duration_since(back).as_secs_f64())
        .collect();
    returned.sort_by(f64::total_cmp);
    let share = |share: f64| {
        let at = (share * clients as f64).ceil() as usize;
        returned.get(at.max(1) - 1).copied()
    };
    let mut after: Vec<Instant> =
        attempts.into_iter().filter(|at| *at >= killed).collect();
    after.sort();
    Ok(Storm {
        clients,
        half: share(0.5),
        most: share(0.95),
        all: share(1.0),
        never: clients - returned.len(),
        peak: busiest(&after),
        attempts: after.len(),
    })
}

/// The most attempts within one [`SLOT`], wherever it begins.
fn busiest(attempts: &[Instant]) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (last, at) in attempts.iter().enumerate() {
        while *at - attempts[first] > SLOT {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}
