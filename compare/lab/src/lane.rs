//! One lesson behind its relay: its process, its network, and who clicks.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

#[cfg(not(unix))]
use anyhow::bail;
use anyhow::{Context, Result};
use compare::{Lesson, Server, Target, connect, process::Reserved, relay::Relay, wire};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, block_in_place},
    time::{sleep, timeout},
};

use crate::{
    follower::{self, Click},
    network::Change,
    screen::{Process, Screen, Seen, Status, lock},
};

/// How long a lesson may take to end when it is told to; it promises a second and a half.
const FAREWELL: Duration = Duration::from_secs(5);

/// How many clicks may wait to be sent.
const CLICKS: u64 = 1000;

/// One lesson behind its relay.
pub struct Lane {
    /// The lesson.
    pub lesson: Lesson,
    /// Where clients reach it, through the relay.
    pub port: u16,
    ip: IpAddr,
    home: Reserved,
    server: tokio::sync::Mutex<Option<Server>>,
    /// Follows the counter of the process that runs, not through the relay.
    observer: Mutex<JoinSet<()>>,
    relay: Relay,
    /// What had passed when the counters were cleared: up, down, connections.
    cleared: Mutex<[u64; 3]>,
    screen: Arc<Screen>,
    clicks: mpsc::UnboundedSender<Click>,
    every: watch::Sender<Option<Duration>>,
    /// Who follows the counter, and who clicks by themselves.
    clients: Mutex<JoinSet<()>>,
}

impl Lane {
    /// The lane of a lesson, which it starts.
    ///
    /// # Errors
    /// When the lesson does not start, or no port can be opened.
    pub async fn open(lesson: Lesson, ip: IpAddr) -> Result<Arc<Self>> {
        let home = Reserved::any()?;
        let screen = Arc::<Screen>::default();
        let written = screen.clone();
        let tap = wire::entries(lesson, move |entry| written.passed(entry));
        let relay = Relay::start_on(ip, home.address, Some(tap)).await?;
        let port = relay.address.port();
        let (clicks, clicked) = mpsc::unbounded_channel();
        let (every, asked) = watch::channel(None);
        screen.change(|status| status.network = json!("good"));
        let lane = Self {
            lesson,
            port,
            ip,
            home,
            server: tokio::sync::Mutex::default(),
            observer: Mutex::default(),
            relay,
            cleared: Mutex::default(),
            screen: screen.clone(),
            clicks: clicks.clone(),
            every,
            clients: Mutex::default(),
        };
        lane.start().await?;
        let target = Target::new(lesson, (Ipv4Addr::LOCALHOST, port).into());
        let mut clients = lock(&lane.clients);
        clients.spawn(follower::follow(target, screen.clone(), clicked));
        clients.spawn(by_itself(asked, screen, clicks));
        drop(clients);
        Ok(Arc::new(lane))
    }

    /// What is there to see.
    pub fn seen(&self) -> Seen {
        let mut seen = self.screen.seen();
        // In this order: what has passed is never less than what had.
        let cleared = *lock(&self.cleared);
        let passed = self.passed();
        let since = |which: usize| passed[which] - cleared[which];
        seen.status.up = since(0);
        seen.status.down = since(1);
        seen.status.connections = since(2);
        seen
    }

    /// What has passed since the relay was started: bytes up, bytes down, connections.
    fn passed(&self) -> [u64; 3] {
        let traffic = self.relay.traffic();
        [&traffic.up, &traffic.down, &traffic.connections]
            .map(|counter| counter.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Makes a click.
    pub fn click(&self, kind: &str) {
        click(&self.screen, &self.clicks, kind);
    }

    /// Clicks by itself as often as this, or no more.
    pub fn click_every(&self, every: Option<Duration>) {
        self.every.send_replace(every);
        let ms =
            every.map(|every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
        self.screen.change(|status| status.every = ms);
    }

    /// Changes the network.
    pub fn network(&self, network: Change) {
        self.relay.set(network.into());
        self.screen.change(|status| status.network = json!(network));
    }

    /// Counts from here on.
    pub fn clear(&self) {
        *lock(&self.cleared) = self.passed();
        self.screen.clear();
    }

    /// Starts the lesson, unless it runs.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(&self) -> Result<()> {
        let mut server = self.server.lock().await;
        if server.is_some() {
            return Ok(());
        }
        self.screen.change(|status| status.process = Process::Starting);
        let home = self.home.address;
        let mut command = self.lesson.command()?;
        command.env("PORT", home.port().to_string());
        // The relay passes `Host` on as it is, and a lesson for this machine alone would
        // refuse a phone's.
        if !self.ip.to_canonical().is_loopback() {
            command.env("HOST", Ipv4Addr::UNSPECIFIED.to_string());
        }
        let started = block_in_place(|| Server::start_by(self.lesson, &mut command))?;
        self.screen.anew();
        self.screen.change(|status| {
            status.process = Process::Running;
            status.pid = Some(started.pid());
        });
        let observed = observe(Target::new(self.lesson, home), self.screen.clone());
        lock(&self.observer).spawn(observed);
        *server = Some(started);
        Ok(())
    }

    /// Kills the lesson, as a crash would.
    pub async fn kill(&self) {
        let mut server = self.server.lock().await;
        self.ended(&mut server, Process::Killed);
    }

    /// Tells the lesson to end.
    ///
    /// # Errors
    /// When it does not run, or does not end; on systems without signals.
    pub async fn stop(&self) -> Result<()> {
        let mut server = self.server.lock().await;
        let running = server.as_mut().context("the server does not run")?;
        signal(running, Signal::Terminate)?;
        // One that is paused would hear of it when it goes on.
        signal(running, Signal::Continue)?;
        let ended = running.ended(FAREWELL).await;
        self.ended(&mut server, Process::Stopped);
        ended.map(|_| ())
    }

    /// Makes the lesson stand still, or go on.
    ///
    /// # Errors
    /// When it does not run; on systems without signals.
    pub async fn pause(&self, pause: bool) -> Result<()> {
        let mut server = self.server.lock().await;
        let running = server.as_mut().context("the server does not run")?;
        signal(running, if pause { Signal::Stop } else { Signal::Continue })?;
        let process = if pause { Process::Paused } else { Process::Running };
        self.screen.change(|status| status.process = process);
        Ok(())
    }

    /// Notices whether the lesson has ended by itself, or was killed from outside.
    pub async fn watch(&self) {
        let Ok(mut server) = self.server.try_lock() else { return };
        let Some(running) = server.as_mut() else { return };
        if running.ended(Duration::ZERO).await.is_ok() {
            self.ended(&mut server, Process::Killed);
        }
    }

    fn ended(&self, server: &mut Option<Server>, process: Process) {
        let Some(mut running) = server.take() else { return };
        *lock(&self.observer) = JoinSet::new();
        if let Err(error) = running.kill() {
            eprintln!("lab: {error:#}");
        }
        self.screen.change(|status| {
            status.process = process;
            status.pid = None;
        });
    }

    /// Waits until the state is like this, but not for ever. Returns whether it was.
    pub async fn until(&self, limit: Duration, is: impl Fn(&Status) -> bool) -> bool {
        let met = async {
            while !is(&self.screen.status()) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(limit, met).await.is_ok()
    }
}

/// Follows the counter at the lesson itself: what the server has counted does not depend on
/// the network.
async fn observe(target: Target, screen: Arc<Screen>) {
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        if let Ok(mut client) = connect(target).await {
            while let Ok(heard) = client.hear().await {
                if let Some(snapshot) = heard {
                    screen.counted(snapshot.version);
                }
                if target.lesson == Lesson::Polling {
                    sleep(PAUSE).await;
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// Clicks on +1 as often as asked for.
async fn by_itself(
    mut asked: watch::Receiver<Option<Duration>>,
    screen: Arc<Screen>,
    clicks: mpsc::UnboundedSender<Click>,
) {
    loop {
        let every = *asked.borrow_and_update();
        tokio::select! {
            changed = asked.changed() => if changed.is_err() { return },
            () = sleep(every.unwrap_or_default()), if every.is_some() => {
                click(&screen, &clicks, "increment");
            }
        }
    }
}

fn click(screen: &Screen, clicks: &mpsc::UnboundedSender<Click>, kind: &str) {
    if screen.status().waiting < CLICKS {
        screen.clicked();
        // Its receiver lives as long as the lane.
        let _ = clicks.send(Click::new(kind));
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Terminate,
    Stop,
    Continue,
}

#[cfg(unix)]
fn signal(server: &Server, signal: Signal) -> Result<()> {
    use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGTERM};
    server.signal(match signal {
        Signal::Terminate => SIGTERM,
        Signal::Stop => SIGSTOP,
        Signal::Continue => SIGCONT,
    })
}

#[cfg(not(unix))]
fn signal(_server: &Server, _signal: Signal) -> Result<()> {
    bail!("this system has no signals")
}
