//! Rooms: each has a counter of its own, and its clients hear of no other.

use anyhow::{Context, Result};

use crate::{
    Snapshot, Target,
    candidate::Candidate,
    client::{Line, limited},
    contract::expect,
};

/// E1: a room hears nothing of another, lives on without clients, and is found again after
/// the server's restart.
pub async fn rooms_are_apart(who: Candidate) -> Result<()> {
    let mut server = who.start().await?;
    apart(server.target()).await?;
    server.kill()?;
    server.start_again().await?;
    apart(server.target()).await.context("after a restart")
}

async fn apart(target: Target) -> Result<()> {
    // Where the server runs already, it may have rooms.
    let name = |room: &str| format!("{room}{:x}", fastrand::u32(..));
    let (a, b) = (name("a"), name("b"));
    let mut one = enter(target, &a, Snapshot::new(0, 0)).await?;
    let mut two = enter(target, &a, Snapshot::new(0, 0)).await?;
    let mut other = enter(target, &b, Snapshot::new(0, 0)).await?;
    for _ in 0..3 {
        one.send("increment").await?;
    }
    let made = Snapshot::new(3, 3);
    expect(made, until(&mut two, 3).await?).context("room A, after three commands")?;
    other.send("decrement").await?;
    let said = until(&mut other, 1).await.context("room B, after its first command")?;
    expect(Snapshot::new(-1, 1), said).context("room B, after its first command")?;
    drop((one, two));
    enter(target, &a, made).await.context("room A again").map(drop)
}

/// Connects to a room, and checks its first snapshot.
async fn enter(target: Target, room: &str, expected: Snapshot) -> Result<Line> {
    let mut line = Line::open(target, &[("room", room)]).await?;
    let first = line.next().await?.context("the connection ended")?;
    expect(expected, first.snapshot()?)?;
    Ok(line)
}

/// Reads snapshots up to this version or a later one.
async fn until(line: &mut Line, version: u64) -> Result<Snapshot> {
    let reached = async {
        loop {
            let said = line.next().await?.context("the connection ended")?;
            let snapshot = said.snapshot()?;
            if snapshot.version >= version {
                return Ok(snapshot);
            }
        }
    };
    limited("newer snapshot", reached).await?
}
