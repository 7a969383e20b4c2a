//! The floor: what it costs to write the same bytes to the same sockets, without any
//! protocol. What a lesson costs beyond it is the price of its transport and libraries.

use std::{io::ErrorKind, net::SocketAddr};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// What the floor does with its clients.
#[derive(Clone, Copy, Debug)]
pub enum Floor {
    /// Writes a line to each at every change.
    Push,
    /// Answers every request of this many bytes with a line.
    Answer(usize),
}

/// A line of `length` bytes that carries a version.
fn line(version: u64, length: usize) -> Vec<u8> {
    let text = format!(r#"{{"version":{version}}}"#);
    // The newline too must fit; a version of a few digits leaves room.
    let mut line =
        format!("{text:<width$}", width = length.saturating_sub(1)).into_bytes();
    line.push(b'\n');
    line
}

enum Event {
    Joined(TcpStream),
    Changed(u64),
}

/// Runs the floor on a free port, for ever, on the current thread; tells `listening` where.
///
/// A connection says by its first byte what it is: `+` a commander, whose every `+` is a
/// change; `f` a follower.
///
/// # Errors
/// When no port can be opened.
pub async fn run(
    floor: Floor,
    length: usize,
    listening: impl FnOnce(SocketAddr),
) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    listening(listener.local_addr()?);
    let (events, mut happened) = mpsc::unbounded_channel();
    let (versions, version) = tokio::sync::watch::channel(0_u64);
    let joining = async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (events, version) = (events.clone(), version.clone());
            tokio::spawn(serve(stream, floor, length, events, version));
        }
        #[expect(unreachable_code, reason = "gives the block its type")]
        Ok::<_, anyhow::Error>(())
    };
    let writing = async {
        let mut followers: Vec<TcpStream> = Vec::new();
        while let Some(event) = happened.recv().await {
            match event {
                Event::Joined(follower) => {
                    let now = line(*versions.borrow(), length);
                    if write(&follower, &now) {
                        followers.push(follower);
                    }
                }
                Event::Changed(count) => {
                    versions.send_modify(|version| *version += count);
                    let now = line(*versions.borrow(), length);
                    followers.retain(|follower| write(follower, &now));
                }
            }
        }
        Ok(())
    };
    tokio::try_join!(joining, writing)?;
    Ok(())
}

/// Writes to a follower. Returns whether it is still there; one that does not read is not.
fn write(follower: &TcpStream, line: &[u8]) -> bool {
    match follower.try_write(line) {
        Ok(written) => written == line.len(),
        // A socket that was accepted just now is not yet known to be writable.
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

async fn serve(
    mut stream: TcpStream,
    floor: Floor,
    length: usize,
    events: mpsc::UnboundedSender<Event>,
    version: tokio::sync::watch::Receiver<u64>,
) -> Result<()> {
    let mut bytes = vec![0; 4096];
    let mut asked = 0;
    loop {
        let read = stream.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        if bytes[0] == b'+' {
            events.send(Event::Changed(read as u64))?;
            continue;
        }
        let Floor::Answer(request) = floor else {
            stream.writable().await?;
            events.send(Event::Joined(stream))?;
            return Ok(());
        };
        asked += read;
        while asked >= request {
            asked -= request;
            let now = line(*version.borrow(), length);
            stream.write_all(&now).await?;
        }
    }
}
