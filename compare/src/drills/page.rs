//! What a page does when the network, its server or Redis goes away.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::time::{sleep, timeout};

use super::verdict::{Teller, Verdict};
use crate::{
    Cluster, Lesson, Running, Server, Snapshot, Subject, Target,
    browser::{SOON, Tab, Window},
    client::LIMIT,
    connect,
    relay::{Network, Relay},
};

/// A lesson behind a relay, and its page open in a browser.
struct Page {
    running: Running,
    relay: Relay,
    view: View,
}

impl Page {
    async fn open(subject: Subject, network: Network, tell: &Teller) -> Result<Self> {
        let running = Running::start(subject)?;
        let target = running.target();
        let relay = Relay::start(target.address, None).await?;
        relay.set(network);
        let view = View::open(relay.before(target)).await?;
        tell.say(&format!(
            "{subject} runs behind a relay; its page is open in a browser"
        ));
        Ok(Self { running, relay, view })
    }

    /// Another client makes a change, and waits until it counts: over WebSocket only the
    /// snapshot says so.
    async fn change(&self) -> Result<Snapshot> {
        // A new one each time: it would not answer pings meanwhile.
        let mut other = connect(self.running.target()).await?;
        let mut now = other.next().await?;
        let version = now.version + 1;
        other.send("increment").await?;
        while now.version < version {
            now = other.next().await?;
        }
        Ok(now)
    }

    /// Whether changes arrive on the page within 15 s.
    async fn what_arrives(&self, tell: &Teller) -> Result<Verdict> {
        let shown = async {
            loop {
                let now = self.change().await?;
                sleep(Duration::from_secs(2)).await;
                if self.view.text("value").await? == now.value.to_string() {
                    return Ok::<_, anyhow::Error>(());
                }
            }
        };
        let arrived = timeout(Duration::from_secs(15), shown).await;
        Ok(if arrived.is_ok() {
            tell.say("a change arrives on the page");
            Verdict::Works
        } else {
            tell.say("in 15 s no change arrives on the page");
            Verdict::NothingArrives
        })
    }

    /// Waits until the page shows `value` and says that it is connected.
    async fn right_again(&self, value: i64, tell: &Teller) -> Result<()> {
        let shown = Instant::now();
        self.view.tab.shows(value).await?;
        self.view.tab.is_live().await?;
        let took = shown.elapsed().as_secs_f32();
        tell.say(&format!("it shows {value} {took:.1} s after it is shown again"));
        Ok(())
    }
}

/// A page open in a browser.
struct View {
    tab: Tab,
    window: Window,
}

impl View {
    /// Opens it, and waits until it is connected.
    async fn open(target: Target) -> Result<Self> {
        let window = Window::open().await?;
        let tab = window.tab(target, "en").await?;
        tab.is_connected(target.lesson).await?;
        Ok(Self { tab, window })
    }

    async fn click(&self, times: u64, tell: &Teller) -> Result<()> {
        for _ in 0..times {
            self.tab.click("increment").await?;
        }
        let clicks = if times == 1 { "click" } else { "clicks" };
        tell.say(&format!("{times} {clicks} on +1"));
        Ok(())
    }

    async fn text(&self, id: &str) -> Result<String> {
        let text = format!("document.querySelector('#{id}').textContent");
        Ok(self.tab.evaluate(&text).await?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until no click waits for its answer any more, and the page is connected.
    async fn settled(&self) -> Result<()> {
        self.tab.is_live().await?;
        let waiting = "document.querySelector('#waiting').textContent === ''";
        self.tab.until(Duration::from_secs(60), waiting).await
    }

    /// What became of `clicks` clicks, of which the counter knows `counted`.
    async fn fate(&self, clicks: u64, counted: u64, tell: &Teller) -> Result<Verdict> {
        let said = self.text("notice").await?;
        tell.say(&format!(
            "{counted} of {clicks} clicks count; the page says {said:?}"
        ));
        Ok(match (counted, said.is_empty()) {
            (counted, true) if counted == clicks => Verdict::CountsOnce,
            (0, false) => Verdict::Lost,
            (counted, false) if counted <= clicks => Verdict::Unknown,
            _ => bail!("{counted} of {clicks} clicks count and the page says {said:?}"),
        })
    }
}

/// The state of the counter, asked of whoever holds it.
pub(super) async fn state(running: &Running) -> Result<Snapshot> {
    match running.redis() {
        Some(redis) => redis.counter(),
        None => connect(running.target()).await?.next().await,
    }
}

pub(super) async fn restart(subject: Subject, tell: Teller) -> Result<Verdict> {
    let mut page = Page::open(subject, Network::Good, &tell).await?;
    page.view.click(1, &tell).await?;
    page.view.tab.shows(1).await?;
    let Running::Alone(server) = &mut page.running else {
        bail!("one lesson is killed")
    };
    let address = server.target().address;
    server.kill()?;
    tell.say("the server is killed");
    page.view.tab.is_lost(LIMIT).await?;
    page.view.click(3, &tell).await?;
    sleep(Duration::from_secs(2)).await;
    page.running = Running::Alone(Server::start_again(subject, address)?);
    tell.say("the server runs again, and counts from zero");
    page.view.settled().await?;
    let counted = state(&page.running).await?.version;
    page.view.tab.shows(counted.try_into()?).await?;
    page.view.fate(3, counted, &tell).await
}

/// Two instances behind nginx, and their page open in a browser.
async fn behind_nginx(lesson: Lesson, tell: &Teller) -> Result<(Cluster, View)> {
    let cluster = Cluster::start(lesson, 2)?.with_nginx()?;
    let view = View::open(cluster.target()).await?;
    tell.say(&format!(
        "two instances of {lesson} run behind nginx; their page is open in a browser"
    ));
    view.click(1, tell).await?;
    view.tab.shows(1).await?;
    Ok((cluster, view))
}

pub(super) async fn instance(lesson: Lesson, tell: Teller) -> Result<Verdict> {
    let (mut cluster, view) = behind_nginx(lesson, &tell).await?;
    for (killed, name) in ["first", "second"].into_iter().enumerate() {
        cluster.instances[killed].kill()?;
        tell.say(&format!("the {name} instance is killed"));
        // Until a page that was connected to it has noticed.
        sleep(Duration::from_secs(3)).await;
        view.settled().await?;
        view.click(3, &tell).await?;
        view.settled().await?;
        let address = cluster.instances[killed].target().address;
        cluster.instances[killed] = cluster.redis.instance_at(lesson, address)?;
        tell.say(&format!("the {name} instance runs again"));
    }
    let counted = cluster.redis.counter()?.version;
    view.tab.shows(counted.try_into()?).await?;
    let fate = view.fate(6, counted - 1, &tell).await?;
    // One of the two was always there.
    ensure!(fate == Verdict::CountsOnce, "{fate:?}: {:?}", view.text("notice").await?);
    Ok(fate)
}

pub(super) async fn redis(lesson: Lesson, tell: Teller) -> Result<Verdict> {
    let (mut cluster, view) = behind_nginx(lesson, &tell).await?;
    cluster.redis.kill();
    tell.say("Redis is killed");
    let stale = "document.querySelector('#status').dataset.state === 'stale'";
    view.tab.until(LIMIT, stale).await?;
    tell.say(&format!("the page says {:?}", view.text("status").await?));
    view.click(3, &tell).await?;
    sleep(Duration::from_secs(2)).await;
    cluster.redis.start_again()?;
    tell.say("Redis runs again, and is empty");
    view.settled().await?;
    let counted = cluster.redis.counter()?.version;
    view.tab.shows(counted.try_into()?).await?;
    view.fate(3, counted, &tell).await
}

pub(super) async fn cut(subject: Subject, tell: Teller) -> Result<Verdict> {
    let page = Page::open(subject, Network::Good, &tell).await?;
    page.relay.set(Network::Down);
    tell.say("the network is cut");
    page.view.tab.is_lost(LIMIT).await?;
    page.view.click(5, &tell).await?;
    sleep(Duration::from_secs(3)).await;
    page.relay.set(Network::Good);
    tell.say("the network is back");
    page.view.settled().await?;
    let counted = state(&page.running).await?.version;
    page.view.tab.shows(counted.try_into()?).await?;
    page.view.fate(5, counted, &tell).await
}

pub(super) async fn freeze(subject: Subject, tell: Teller) -> Result<Verdict> {
    let page = Page::open(subject, Network::Good, &tell).await?;
    page.relay.set(Network::Frozen);
    tell.say("the network moves no byte any more, and nobody is told");
    page.view.click(5, &tell).await?;
    // Less than the 15 s of the heartbeats: longer, and it would be chance whether lesson 3's
    // server gives the page up before.
    sleep(Duration::from_secs(10)).await;
    page.relay.set(Network::Good);
    tell.say("the network moves again");
    page.view.settled().await?;
    // What the network held is delivered late, and may count although the page gave up.
    sleep(Duration::from_secs(1)).await;
    let counted = state(&page.running).await?.version;
    page.view.tab.shows(counted.try_into()?).await?;
    // Some or none of them: that is what unknown means.
    Ok(match page.view.fate(5, counted, &tell).await? {
        Verdict::Lost => Verdict::Unknown,
        fate => fate,
    })
}

pub(super) async fn buffer(subject: Subject, tell: Teller) -> Result<Verdict> {
    let page = Page::open(subject, Network::Good, &tell).await?;
    page.relay.set(Network::Down);
    page.view.tab.is_lost(LIMIT).await?;
    page.relay.set(Network::Buffered);
    tell.say("a proxy now keeps answers back until they are complete");
    page.what_arrives(&tell).await
}

pub(super) async fn no_upgrade(subject: Subject, tell: Teller) -> Result<Verdict> {
    let page = Page::open(subject, Network::Good, &tell).await?;
    page.relay.set(Network::Down);
    page.view.tab.is_lost(LIMIT).await?;
    page.relay.set(Network::NoUpgrade);
    tell.say("a proxy is now in the way that does not pass `Upgrade` on");
    let verdict = page.what_arrives(&tell).await?;
    // Whatever Socket.IO brings now, it brings by HTTP.
    Ok(match (verdict, subject.lesson) {
        (Verdict::Works, Lesson::SocketIo) => Verdict::LongPolling,
        _ => verdict,
    })
}

pub(super) async fn asleep(subject: Subject, tell: Teller) -> Result<Verdict> {
    let page = Page::open(subject, Network::Good, &tell).await?;
    let tab = &page.view.tab;
    tab.hide(&page.view.window).await?;
    tab.lives(false).await?;
    tell.say("the browser freezes the hidden page for 60 s; one change meanwhile");
    page.change().await?;
    sleep(Duration::from_secs(60)).await;
    tab.lives(true).await?;
    tab.show().await?;
    page.right_again(1, &tell).await?;
    tab.page.goto("about:blank").await?;
    tell.say("the page is left for another one; one change meanwhile");
    page.change().await?;
    sleep(Duration::from_secs(2)).await;
    // The answer may be lost with the page that gives it.
    let _ = tab.evaluate("history.back(); 1").await;
    tab.until(SOON, "location.pathname === '/'").await?;
    page.right_again(2, &tell).await?;
    Ok(Verdict::RightAgain)
}

pub(super) async fn idle(subject: Subject, tell: Teller) -> Result<Verdict> {
    let network = Network::Impatient(Duration::from_secs(20));
    let page = Page::open(subject, network, &tell).await?;
    let watch = "globalThis.states = new Set(); setInterval(() =>
        states.add(document.querySelector('#status').dataset.state), 50); 1";
    page.view.tab.evaluate(watch).await?;
    tell.say("45 s without a change, behind a proxy that ends what is silent for 20 s");
    sleep(Duration::from_secs(45)).await;
    let states = page.view.tab.evaluate("[...states].join()").await?;
    ensure!(states == "live", "the page was {states}");
    tell.say("the page was connected all the time");
    page.view.click(1, &tell).await?;
    page.view.tab.shows(1).await?;
    Ok(Verdict::StaysConnected)
}
