//! A loopback relay in front of a lesson, for what networks do: cut, freeze, refuse, delay,
//! throttle, and hold back like a careless proxy. It counts every byte, and can show them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::{sleep, sleep_until},
};

use crate::{Target, raw::header};

/// What the relay does to the bytes that pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Network {
    /// Nothing.
    Good,
    /// Ends every connection with a reset, and each new one too.
    Down,
    /// Keeps every connection and moves no byte, as when a network vanishes.
    Frozen,
    /// Moves what clients send, and nothing that is sent to them.
    Deaf,
    /// Lets each piece wait this long before it goes on.
    Slow(Duration),
    /// Moves this many bytes a second, each way of each connection.
    Narrow(u32),
    /// Keeps the bytes of an HTTP answer back until the answer is complete or 64 KiB have
    /// gathered, as a proxy does that knows no streams.
    Buffered,
    /// Ends a connection on which no byte has moved for this long.
    Impatient(Duration),
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// Sees the bytes that pass: the connection's number, their direction, and the bytes.
pub type Tap = Arc<dyn Fn(u64, Direction, &[u8]) + Send + Sync>;

/// A running relay. Dropping it ends its connections.
pub struct Relay {
    /// Where clients connect to.
    pub address: SocketAddr,
    network: watch::Sender<Network>,
    traffic: Arc<Traffic>,
    accepting: JoinHandle<()>,
}

/// What has passed so far.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes from clients to the server.
    pub up: AtomicU64,
    /// Bytes from the server to clients.
    pub down: AtomicU64,
    /// Connections that were made.
    pub connections: AtomicU64,
}

impl Relay {
    /// Starts a relay to `server` on a free port; `tap` sees the bytes.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(server: SocketAddr, tap: Option<Tap>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (network, watched) = watch::channel(Network::Good);
        let traffic = Arc::<Traffic>::default();
        let accepting =
            tokio::spawn(accept(listener, server, watched, traffic.clone(), tap));
        Ok(Self { address, network, traffic, accepting })
    }

    /// What stands behind, through this relay.
    #[must_use]
    pub fn before(&self, target: Target) -> Target {
        Target { address: self.address, ..target }
    }

    /// Changes the network, for connections that are open and for new ones.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }

    /// What has passed so far.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.network.send_replace(Network::Down);
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    mut network: watch::Receiver<Network>,
    traffic: Arc<Traffic>,
    tap: Option<Tap>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if network.wait_for(|network| *network != Network::Frozen).await.is_err() {
            return;
        }
        if *network.borrow() == Network::Down {
            reset(&client);
            continue;
        }
        let Ok(server) = TcpStream::connect(server).await else {
            reset(&client);
            continue;
        };
        let number = traffic.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Connection {
            number,
            network: network.clone(),
            traffic: traffic.clone(),
            tap: tap.clone(),
            moved: Arc::new(Mutex::new(Instant::now())),
        };
        tokio::spawn(connection.relay(client, server));
    }
}

/// Has the kernel end the connection with a reset, not in good order.
fn reset(stream: &TcpStream) {
    // Where it cannot, the connection ends in good order: the drills notice that too.
    let _ = stream.set_zero_linger();
}

#[derive(Clone)]
struct Connection {
    number: u64,
    network: watch::Receiver<Network>,
    traffic: Arc<Traffic>,
    tap: Option<Tap>,
    /// When the last byte moved, either way.
    moved: Arc<Mutex<Instant>>,
}

impl Connection {
    async fn relay(self, client: TcpStream, server: TcpStream) {
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let mut broken = self.clone();
        let ended_well = {
            let up = self.pump(Direction::Up, &mut from_client, &mut to_server);
            let down = self.pump(Direction::Down, &mut from_server, &mut to_client);
            tokio::select! {
                // Each way ends for itself, for a client may have said all and still listen;
                // a reset by one side is one for the other.
                ended = async { tokio::try_join!(up, down) } => ended.is_ok(),
                () = broken.broken() => false,
            }
        };
        if !ended_well {
            for half in [to_client, to_server] {
                reset(half.as_ref());
                // Dropped, it would first say good-bye.
                half.forget();
            }
        }
    }

    /// Waits until the network ends the connection.
    async fn broken(&mut self) {
        loop {
            let network = *self.network.borrow_and_update();
            let deadline = match network {
                Network::Down => return,
                Network::Impatient(limit) => {
                    let moved =
                        *self.moved.lock().unwrap_or_else(PoisonError::into_inner);
                    if moved.elapsed() >= limit {
                        return;
                    }
                    moved + limit
                }
                _ => Instant::now() + Duration::from_secs(3600),
            };
            tokio::select! {
                changed = self.network.changed() => if changed.is_err() { return },
                () = sleep_until(deadline.into()) => {}
            }
        }
    }

    async fn pump(
        &self,
        direction: Direction,
        from: &mut OwnedReadHalf,
        to: &mut OwnedWriteHalf,
    ) -> Result<()> {
        let mut network = self.network.clone();
        let mut held = Held::default();
        let mut buffer = vec![0; 16 * 1024];
        let moves = |network: &Network| match network {
            Network::Frozen | Network::Down => false,
            Network::Deaf => direction == Direction::Up,
            _ => true,
        };
        loop {
            network.wait_for(moves).await?;
            let read = from.read(&mut buffer).await?;
            network.wait_for(moves).await?;
            let now = *network.borrow();
            match now {
                Network::Slow(delay) => sleep(delay).await,
                Network::Narrow(rate) => {
                    sleep(Duration::from_secs_f64(read as f64 / f64::from(rate))).await;
                }
                _ => {}
            }
            held.bytes.extend_from_slice(&buffer[..read]);
            let holds = now == Network::Buffered && direction == Direction::Down;
            if read > 0 && holds && !held.is_complete() {
                continue;
            }
            let bytes = std::mem::take(&mut held.bytes);
            let counter = match direction {
                Direction::Up => &self.traffic.up,
                Direction::Down => &self.traffic.down,
            };
            counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            if let Some(tap) = &self.tap {
                tap(self.number, direction, &bytes);
            }
            to.write_all(&bytes).await?;
            if read == 0 {
                return Ok(to.shutdown().await?);
            }
        }
    }
}

/// The bytes of an answer that a careless proxy keeps back.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    /// After 101 the connection is a tunnel, and tunnels are not held back.
    tunnel: bool,
}

impl Held {
    const MOST: usize = 64 * 1024;

    fn is_complete(&mut self) -> bool {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        if self.tunnel || self.bytes.len() >= Self::MOST {
            return true;
        }
        let Ok(httparse::Status::Complete(head)) = answer.parse(&self.bytes) else {
            return false;
        };
        match answer.code {
            Some(101) => self.tunnel = true,
            Some(204 | 304) => {}
            _ => {
                match header(answer.headers, "content-length")
                    .and_then(|length| length.parse().ok())
                {
                    Some(length) if self.bytes.len() - head >= length => {}
                    Some::<usize>(_) => return false,
                    None => return self.bytes.ends_with(b"\r\n0\r\n\r\n"),
                }
            }
        }
        true
    }
}
