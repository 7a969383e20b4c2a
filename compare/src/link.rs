//! A network of links on which IP packets take their time and are lost, in a network
//! namespace of this process's own. Linux only.
//!
//! A server in it listens at [`HOME`]; each link has an address of its own. What is sent to
//! that address comes out of a TUN device, which is to say here, with its IP header. Source
//! and destination are exchanged, and it goes in again: so who connects to a link reaches
//! the server, and the server sees him come from the link, through which its answer goes
//! back. The checksums stay right, for a sum does not depend on the order of what is added
//! (RFC 1071, section 2).
//!
//! So TCP itself meets the loss, and does about it what the system does.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_tun::Tun;

use crate::Target;

/// Where servers listen.
pub const HOME: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// The network's mask.
const MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

/// The last number of the first link's address.
const FIRST: u8 = 2;

/// How many links there can be: the last address of the network is for all.
const MOST: usize = (u8::MAX - FIRST) as usize;

/// The links. When it is dropped, they deliver nothing more.
#[derive(Debug)]
pub struct Links {
    links: Arc<[Link]>,
    /// What the system calls the device.
    device: String,
    carrying: JoinHandle<()>,
}

/// A way between clients and servers.
#[derive(Debug)]
pub struct Link {
    address: Ipv4Addr,
    /// How long a packet is under way.
    delay: Duration,
    /// The share of the packets that are lost, on the way there as on the way back.
    loss: f64,
    passed: AtomicU64,
    dropped: AtomicU64,
}

impl Link {
    /// What listens at [`HOME`], over this link.
    #[must_use]
    pub fn before(&self, target: Target) -> Target {
        Target { address: (self.address, target.address.port()).into(), ..target }
    }

    /// How many packets it has delivered so far, both ways.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Relaxed)
    }

    /// How many it has lost so far, both ways.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl Links {
    /// Makes a link for each round trip, with the share of the packets that is lost, each
    /// way for itself; in the network namespace that this process is in.
    ///
    /// # Errors
    /// When the system refuses the device, and when there are too many links.
    pub fn new(ways: &[(Duration, f64)]) -> Result<Self> {
        ensure!(ways.len() <= MOST, "{} links are too many", ways.len());
        let links = (FIRST..).zip(ways).map(|(last, &(round_trip, loss))| Link {
            address: Ipv4Addr::new(10, 0, 0, last),
            delay: round_trip / 2,
            loss,
            passed: AtomicU64::default(),
            dropped: AtomicU64::default(),
        });
        let links: Arc<[Link]> = links.collect();
        let device = Tun::builder().address(HOME).netmask(MASK).up().build();
        let device = device.context("cannot make a TUN device")?.remove(0);
        let name = device.name().to_owned();
        let carrying = tokio::spawn(carry(device, links.clone()));
        Ok(Self { links, device: name, carrying })
    }

    /// The links, in the order in which they were asked for.
    #[must_use]
    pub fn all(&self) -> &[Link] {
        &self.links
    }

    /// How many packets came to no link, because the device's queue was full: the machine
    /// was too busy.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn overflow(&self) -> Result<u64> {
        let devices = fs::read_to_string("/proc/net/dev")?;
        let name = format!("{}:", self.device);
        let numbers = devices.lines().find_map(|line| line.trim().strip_prefix(&*name));
        // Eight of what was received, then bytes, packets, errors and drops of what was sent.
        let drops = numbers.and_then(|numbers| numbers.split_whitespace().nth(11));
        Ok(drops.with_context(|| format!("no {name} in /proc/net/dev"))?.parse()?)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

/// A packet under way: when it arrives, its number, its link, and its bytes. By the number
/// those stay in order that arrive at the same moment.
type Packet = Reverse<(Instant, u64, usize, Vec<u8>)>;

/// Carries packets over the links, as long as there is a device.
async fn carry(device: Tun, links: Arc<[Link]>) {
    let mut buffer = [0; 1 << 16];
    let mut number = 0;
    let mut waiting = BinaryHeap::<Packet>::new();
    loop {
        let next = waiting.peek().map(|Reverse((due, ..))| *due);
        if next.is_some_and(|due| due <= Instant::now()) {
            let Some(Reverse((_, _, at, packet))) = waiting.pop() else { continue };
            let counter = match device.send(&packet).await {
                Ok(_) => &links[at].passed,
                Err(_) => &links[at].dropped,
            };
            counter.fetch_add(1, Relaxed);
            continue;
        }
        let comes = device.recv(&mut buffer);
        let came = match next {
            Some(due) => timeout_at(due, comes).await,
            None => Ok(comes.await),
        };
        // Something is due.
        let Ok(came) = came else { continue };
        let Ok(length) = came else { return };
        let Some((at, packet)) = turned(&buffer[..length]) else { continue };
        let Some(link) = links.get(at) else { continue };
        if fastrand::f64() < link.loss {
            link.dropped.fetch_add(1, Relaxed);
            continue;
        }
        number += 1;
        waiting.push(Reverse((Instant::now() + link.delay, number, at, packet)));
    }
}

/// The number of the link that a packet takes, and the packet as it comes out of it; nothing
/// when it is none of IPv4, for the system also asks whether there are routers for IPv6.
fn turned(packet: &[u8]) -> Option<(usize, Vec<u8>)> {
    let mut packet = packet.to_vec();
    // The version, and both addresses (RFC 791, section 3.1).
    if packet.first()? >> 4 != 4 || packet.len() < 20 {
        return None;
    }
    let at = packet[19].checked_sub(FIRST)?;
    let (source, rest) = packet[12..].split_at_mut(4);
    source.swap_with_slice(&mut rest[..4]);
    Some((at.into(), packet))
}
