//! A loopback relay in front of a lesson, for what networks do: cut, freeze, refuse, delay,
//! throttle, and hold back like a careless proxy. It counts every byte, and can show them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
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
    /// Delivers each piece this long after it came: pieces keep their spacing, and none
    /// waits for the one before.
    Slow(Duration),
    /// Moves this many bytes a second, each way of each connection.
    Narrow(u32),
    /// Keeps the bytes of an HTTP answer back until the answer is complete or 64 KiB have
    /// gathered, as a proxy does that knows no streams.
    Buffered,
    /// Ends a connection on which no byte has moved for this long.
    Impatient(Duration),
    /// Does not pass `Upgrade` on, as a proxy does that knows nothing of it (RFC 9110,
    /// section 7.6.1).
    NoUpgrade,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What happens on a connection.
#[derive(Clone, Copy, Debug)]
pub enum Passage<'a> {
    /// A client has connected, and the server too.
    Opened,
    /// A client has connected and was refused: the network or the server is down.
    Refused,
    /// Bytes were delivered, which had left their sender at this time.
    Bytes(Direction, Instant, &'a [u8]),
    /// One side has said all, at this time, and the other has been told.
    End(Direction, Instant),
    /// The connection was broken, both ways.
    Reset,
}

/// Sees what passes: the connection's number, and what happens on it.
pub type Tap = Arc<dyn Fn(u64, Passage) + Send + Sync>;

/// How many pieces may be under way on one way of one connection, of 16 KiB at most. One
/// that sends more waits.
const UNDER_WAY: usize = 64;

/// A running relay. Dropping it ends its connections.
pub struct Relay {
    /// Where clients connect to.
    pub address: SocketAddr,
    network: watch::Sender<Set>,
    traffic: Arc<Traffic>,
    accepting: JoinHandle<()>,
}

/// How the network is set.
#[derive(Clone, Copy)]
struct Set {
    network: Network,
    /// How often it was down: a cut ends each connection, however short it was.
    cuts: u64,
}

/// What has passed so far.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Bytes from clients to the server.
    pub up: AtomicU64,
    /// Bytes from the server to clients.
    pub down: AtomicU64,
    /// Connections that were made, those included that were refused.
    pub connections: AtomicU64,
}

impl Relay {
    /// Starts a relay to `server` on a free port; `tap` sees the bytes.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(server: SocketAddr, tap: Option<Tap>) -> Result<Self> {
        Self::start_on(Ipv4Addr::LOCALHOST.into(), server, tap).await
    }

    /// The same, on a free port of this address: 0.0.0.0 opens it to the network.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start_on(
        ip: IpAddr,
        server: SocketAddr,
        tap: Option<Tap>,
    ) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let (network, watched) =
            watch::channel(Set { network: Network::Good, cuts: 0 });
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
        self.network.send_modify(|set| {
            set.network = network;
            set.cuts += u64::from(network == Network::Down);
        });
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
        self.set(Network::Down);
    }
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    mut network: watch::Receiver<Set>,
    traffic: Arc<Traffic>,
    tap: Option<Tap>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let thawed = |set: &Set| set.network != Network::Frozen;
        let Ok(set) = network.wait_for(thawed).await.map(|set| *set) else { return };
        let connection = Connection {
            number: traffic.connections.fetch_add(1, Ordering::Relaxed) + 1,
            network: network.clone(),
            cuts: set.cuts,
            traffic: traffic.clone(),
            tap: tap.clone(),
            moved: Arc::new(Mutex::new(Instant::now())),
        };
        let reached = if set.network == Network::Down {
            None
        } else {
            TcpStream::connect(server).await.ok()
        };
        let Some(server) = reached else {
            reset(&client);
            connection.tell(Passage::Refused);
            continue;
        };
        connection.tell(Passage::Opened);
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
    network: watch::Receiver<Set>,
    /// How often the network was down before.
    cuts: u64,
    traffic: Arc<Traffic>,
    tap: Option<Tap>,
    /// When the last byte moved, either way.
    moved: Arc<Mutex<Instant>>,
}

/// Bytes under way; none of them: the end. An error: their sender has reset the connection.
struct Piece {
    left: Instant,
    due: Instant,
    bytes: io::Result<Vec<u8>>,
}

impl Connection {
    fn tell(&self, passage: Passage) {
        if let Some(tap) = &self.tap {
            tap(self.number, passage);
        }
    }

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
            self.tell(Passage::Reset);
        }
    }

    /// Waits until the network ends the connection.
    async fn broken(&mut self) {
        loop {
            let set = *self.network.borrow_and_update();
            if set.network == Network::Down || set.cuts != self.cuts {
                return;
            }
            let deadline = match set.network {
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
        let (sent, under_way) = mpsc::channel(UNDER_WAY);
        tokio::try_join!(
            self.take(direction, from, sent),
            self.deliver(direction, under_way, to),
        )?;
        Ok(())
    }

    /// Waits until the network moves bytes in this direction.
    async fn moving(&self, direction: Direction) -> Result<Network> {
        let mut network = self.network.clone();
        let moves = |set: &Set| match set.network {
            Network::Frozen | Network::Down => false,
            Network::Deaf => direction == Direction::Up,
            _ => true,
        };
        Ok(network.wait_for(moves).await?.network)
    }

    /// Takes what one side sends.
    async fn take(
        &self,
        direction: Direction,
        from: &mut OwnedReadHalf,
        sent: mpsc::Sender<Piece>,
    ) -> Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            self.moving(direction).await?;
            let read = from.read(&mut buffer).await;
            let ended = !matches!(read, Ok(1..));
            let left = Instant::now();
            let delay = match self.network.borrow().network {
                Network::Slow(delay) => delay,
                _ => Duration::ZERO,
            };
            let bytes = read.map(|read| buffer[..read].to_vec());
            sent.send(Piece { left, due: left + delay, bytes }).await?;
            if ended {
                return Ok(());
            }
        }
    }

    /// Delivers it to the other side, when it is due and the network lets it.
    async fn deliver(
        &self,
        direction: Direction,
        mut under_way: mpsc::Receiver<Piece>,
        to: &mut OwnedWriteHalf,
    ) -> Result<()> {
        let mut held = Held::default();
        let mut left = None;
        while let Some(piece) = under_way.recv().await {
            sleep_until(piece.due.into()).await;
            let network = self.moving(direction).await?;
            let bytes = piece.bytes?;
            if let Network::Narrow(rate) = network {
                let size = bytes.len() as f64;
                sleep(Duration::from_secs_f64(size / f64::from(rate))).await;
            }
            held.bytes.extend_from_slice(&bytes);
            let since = *left.get_or_insert(piece.left);
            let last = bytes.is_empty();
            let holds = network == Network::Buffered && direction == Direction::Down;
            if !last && holds && !held.is_complete() {
                continue;
            }
            let mut bytes = std::mem::take(&mut held.bytes);
            left = None;
            if network == Network::NoUpgrade && direction == Direction::Up {
                bytes = without_upgrade(bytes);
            }
            let counter = match direction {
                Direction::Up => &self.traffic.up,
                Direction::Down => &self.traffic.down,
            };
            *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            if !bytes.is_empty() {
                counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                self.tell(Passage::Bytes(direction, since, &bytes));
                to.write_all(&bytes).await?;
            }
            if last {
                self.tell(Passage::End(direction, piece.left));
            }
        }
        Ok(to.shutdown().await?)
    }
}

/// A request without `Upgrade`, and without the `Connection` that names it: both are for the
/// next hop alone, and a proxy that does not know the protocol leaves them out.
fn without_upgrade(bytes: Vec<u8>) -> Vec<u8> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = request.parse(&bytes) else {
        return bytes;
    };
    if header(request.headers, "upgrade").is_none() {
        return bytes;
    }
    let mut passed = Vec::new();
    for line in bytes[..head].split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = name.to_ascii_lowercase();
        if name != b"upgrade" && name != b"connection" {
            passed.extend_from_slice(line);
        }
    }
    passed.extend_from_slice(&bytes[head..]);
    passed
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
