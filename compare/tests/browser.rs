//! The pages, in a real headless Chromium, Chrome or Edge, against the real binaries.

mod common;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams,
};
use common::{cannot, in_order, trial};
use compare::{
    Lesson, Server, Target,
    behaviour::counting::until,
    browser::{SOON, Window},
    connect,
    diagram::Diagram,
    judge::{Needs, Stage},
    language::Language,
    recording::{Recorder, Recording},
    relay::{Network, Relay},
};
use libtest_mimic::Arguments;
use memchr::memmem;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};

/// How long the client may take to notice what only its heartbeat, 30 s, can show.
const SILENCE: Duration = Duration::from_secs(60);

/// Well before the 30 s after which lesson 4's heartbeat shows that something broke.
const BEFORE_THE_HEARTBEAT: Duration = Duration::from_secs(15);

/// One click was made, and it was acknowledged.
const COUNTED_ONE: &str = "document.querySelector('#value').textContent === '1'
    && document.querySelector('#waiting').textContent === ''";

const AXE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/node_modules/axe-core/axe.min.js");

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let mut trials = Vec::new();
    macro_rules! trial {
        ($lesson:expr; $($name:ident),* $(,)?) => {$(
            let name = format!("{}::{}", $lesson, stringify!($name));
            trials.push(trial(name, move || $name($lesson)));
        )*};
    }
    for lesson in Lesson::ALL {
        trial!(lesson;
            pages_survive_a_restart,
            page_speaks_both_languages,
            page_says_what_became_of_a_click,
            page_wakes_up,
            page_comes_back_from_the_cache,
            page_is_accessible,
            page_fits_a_phone,
            page_runs_no_injected_script,
            foreign_page_gets_nothing,
        );
        for stage in Stage::of_page(lesson) {
            let name = format!("{lesson}::{}", stage.name);
            trials.push(match stage.needs {
                Needs::Signal if cfg!(not(unix)) => cannot(name, "no signals"),
                _ => trial(name, move || stage.run(lesson.into())),
            });
        }
    }
    trials.push(trial("diagram::labels_do_not_overlap", labels_do_not_overlap));
    trial!(Lesson::WebSocket; page_admits_an_unanswered_click);
    trial!(Lesson::SocketIo; page_notices_a_broken_upgrade, page_survives_a_failed_upgrade);
    let waits = ["notices_a_frozen_server", "notices_a_broken_upgrade", "wakes_up"];
    libtest_mimic::run(&arguments, in_order(trials, &waits)).exit();
}

/// What is hard to draw: bursts, arrows that cross, long words, long silences, and all that
/// can become of connections.
fn crowded() -> Result<Recording> {
    let mut entries = Vec::new();
    let message = |connection, up: bool, left: f64, at: f64, label: &str| {
        json!({
            "connection": connection, "at": at, "what": "message", "left": left,
            "direction": if up { "up" } else { "down" },
            "size": 123_456, "label": label, "text": "GET / HTTP/1.1\r\n\r\n",
        })
    };
    let (long, word) = ("long ".repeat(40), "w".repeat(200));
    for connection in 1..=12_u32 {
        let at = 5.0 * f64::from(connection);
        entries.push(json!({ "connection": connection, "at": at, "what": "opened" }));
        entries.push(message(connection, true, at, at + 40.0, &long));
        for up in [false, true] {
            entries.push(message(
                connection,
                up,
                at + 0.3,
                at + 40.3,
                "短い 🎈\u{0}<&>",
            ));
            entries.push(message(connection, up, at + 1.0, at + 1.1, &word));
        }
    }
    for (what, at) in [("refused", 9000.0), ("reset", 9000.1), ("reset", 123_456.0)] {
        entries.push(json!({ "connection": 13, "at": at, "what": what }));
    }
    for (direction, left) in [("up", 9000.0), ("down", 123_457.0)] {
        let end = json!({
            "connection": 1, "at": left + 60.0, "what": "end",
            "direction": direction, "left": left,
        });
        entries.push(end);
    }
    entries.push(message(14, true, 500_000.0, 520_000.0, "GET /"));
    Ok(serde_json::from_value(json!({ "lesson": "crowded", "entries": entries }))?)
}

/// What travels while two clients follow a lesson, and one of them clicks.
async fn usual(lesson: Lesson) -> Result<Recording> {
    let server = Server::start(lesson)?;
    let recorder = Recorder::new(lesson);
    let relay = Relay::start(server.target().address, Some(recorder.tap())).await?;
    relay.set(Network::Slow(Duration::from_millis(20)));
    let target = relay.before(server.target());
    let (mut one, mut two) = (connect(target).await?, connect(target).await?);
    one.send("increment").await?;
    until(&mut *two, 1).await?;
    Ok(recorder.recording())
}

/// In a diagram every word can be read: on a phone, on a desk and on a wall.
async fn labels_do_not_overlap() -> Result<()> {
    let mut recordings = vec![crowded()?];
    for lesson in Lesson::ALL {
        recordings.push(usual(lesson).await?);
    }
    let folder = tempfile::tempdir()?;
    let window = Window::open().await?;
    let page = window.blank().await?;
    for recording in &recordings {
        let svg = Diagram::new(recording, Language::French).svg();
        let file = folder.path().join("it.svg");
        fs::write(&file, svg)?;
        let path = file.display().to_string().replace('\\', "/");
        page.goto(format!("file:///{}", path.trim_start_matches('/'))).await?;
        for width in [390, 1280, 1920] {
            let size =
                SetDeviceMetricsOverrideParams::new(width, 844, 1.0, width == 390);
            page.execute(size).await?;
            let faults = "(() => {
                const texts = [...document.querySelectorAll('text')].map((text) => {
                    const { left, right, top, bottom } = text.getBoundingClientRect();
                    // The box of a line is higher than its letters.
                    const air = (bottom - top) * 0.12;
                    const size = text.getScreenCTM().a
                        * Number.parseFloat(getComputedStyle(text).fontSize);
                    return { text: text.textContent, left, right, top: top + air,
                        bottom: bottom - air, size };
                });
                const shown = document.documentElement.getBoundingClientRect();
                const faults = texts.filter(({ left, right, size }) =>
                    left < shown.left || right > shown.right || right > innerWidth
                        || size < 9).map((it) => ['outside, or too small', it]);
                texts.forEach((a, at) => texts.slice(at + 1).forEach((b) => {
                    if (a.left < b.right && b.left < a.right && a.top < b.bottom
                        && b.top < a.bottom) faults.push(['overlap', a, b]);
                }));
                return { texts: texts.length, faults: faults.slice(0, 5) };
            })()";
            // The browser takes a moment to draw the page in its new size.
            let asked = Instant::now();
            let found = loop {
                let found: Value = page.evaluate(faults).await?.into_value()?;
                if found["faults"] == json!([]) || asked.elapsed() > SOON {
                    break found;
                }
                sleep(Duration::from_millis(50)).await;
            };
            let told = format!("{} at {width}: {found:#}", recording.lesson);
            ensure!(found["faults"] == json!([]), "{told}");
            let messages = recording.messages().count();
            ensure!(found["texts"].as_u64() > Some(messages as u64), "{told}");
        }
    }
    Ok(())
}

async fn pages_survive_a_restart(lesson: Lesson) -> Result<()> {
    let mut server = Server::start(lesson)?;
    let address = server.target().address;
    let window = Window::open().await?;
    let (one, two) = (
        window.tab(server.target(), "en").await?,
        window.tab(server.target(), "fr").await?,
    );
    for tab in [&one, &two] {
        tab.page.bring_to_front().await?;
        tab.is_connected(lesson).await?;
        tab.evaluate("globalThis.before = true").await?;
        tab.click("increment").await?;
    }
    two.shows(2).await?;
    server.kill()?;
    for tab in [&one, &two] {
        tab.page.bring_to_front().await?;
        tab.is_lost(SOON).await?;
    }
    let _server = Server::start_again(lesson, address)?;
    for (tab, value) in [(&one, 1), (&two, 2)] {
        tab.page.bring_to_front().await?;
        tab.is_live().await?;
        // The new server counts from zero, and the page believes it.
        tab.shows(value - 1).await?;
        tab.click("increment").await?;
        tab.shows(value).await?;
        ensure!(
            tab.evaluate("globalThis.before").await? == true,
            "the page was reloaded"
        );
    }
    Ok(())
}

async fn page_speaks_both_languages(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "fr-FR,fr;q=0.9").await?;
    let lang = |lang, live| {
        let status =
            format!("document.querySelector('#status').textContent === '{live}'");
        format!("document.documentElement.lang === '{lang}' && {status}")
    };
    tab.until(SOON, &lang("fr", "En direct")).await?;
    tab.page.find_element("nav a[hreflang=en]").await?.click().await?;
    tab.until(SOON, &lang("en", "Live")).await?;
    tab.page.find_element("nav a[hreflang=fr]").await?.click().await?;
    tab.until(SOON, &lang("fr", "En direct")).await?;
    tab.no_trouble()
}

async fn page_says_what_became_of_a_click(lesson: Lesson) -> Result<()> {
    let mut server = Server::start(lesson)?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "en").await?;
    tab.is_connected(lesson).await?;
    server.kill()?;
    tab.is_lost(SOON).await?;
    tab.click("increment").await?;
    let (id, text) = match lesson {
        Lesson::Polling | Lesson::Sse => ("notice", "(the request failed)"),
        Lesson::WebSocket => ("notice", "(no connection, nothing was sent)"),
        // It keeps the click and sends it later.
        Lesson::SocketIo => ("waiting", "Clicks waiting: 1"),
    };
    let said =
        format!("document.querySelector('#{id}').textContent.endsWith('{text}')");
    tab.until(SOON, &said).await
}

/// A click that was sent on a connection that then broke: nobody knows, and the page says
/// so in its own language.
async fn page_admits_an_unanswered_click(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let relay = Relay::start(server.target().address, None).await?;
    let window = Window::open().await?;
    let tab = window.tab(relay.before(server.target()), "fr").await?;
    tab.is_live().await?;
    relay.set(Network::Frozen);
    tab.click("increment").await?;
    let sent = "document.querySelector('#wire [data-direction=up]') !== null";
    tab.until(SOON, sent).await?;
    relay.set(Network::Down);
    let said = "document.querySelector('#notice').textContent ===
        'Le clic n’est pas parti, ou son résultat est inconnu. ' +
        '(connexion perdue avant toute réponse)'";
    tab.until(SOON, said).await
}

/// How long a page that was asleep may say what it does not know, by its own clock: a
/// machine that stands still stops that too.
const AWAKE: &str = "globalThis.awake = () => new Promise((resolve) => {
    let ticks = 0;
    const clock = setInterval(() => {
        ticks += 1;
        const value = document.querySelector('#value').textContent;
        const { state } = document.querySelector('#status').dataset;
        if (value !== '0' || state !== 'live') {
            clearInterval(clock);
            resolve(ticks);
        }
    }, 100);
}); 1";

/// A page that the browser froze, as on a phone that slept, while its connection died and
/// the counter changed.
async fn page_wakes_up(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let relay = Relay::start(server.target().address, None).await?;
    let window = Window::open().await?;
    let tab = window.tab(relay.before(server.target()), "en").await?;
    tab.is_connected(lesson).await?;
    tab.shows(0).await?;
    tab.evaluate(AWAKE).await?;
    tab.hide(&window).await?;
    tab.lives(false).await?;
    relay.set(Network::Frozen);
    connect(server.target()).await?.send("increment").await?;
    // As long as a page must have slept to doubt its connection, and then some.
    sleep(Duration::from_secs(8)).await;
    tab.lives(true).await?;
    tab.show().await?;
    let ticks = tab.evaluate("awake()").await?.as_u64().context("no ticks")?;
    ensure!(
        ticks <= 20,
        "for {ticks} tenths of a second it showed what it did not know"
    );
    // What was open before stays dead; what is opened now works.
    relay.set(Network::Down);
    relay.set(Network::Good);
    tab.is_live().await?;
    tab.shows(1).await
}

/// A page that the browser kept while another one was looked at, and shows again.
async fn page_comes_back_from_the_cache(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "en").await?;
    tab.is_connected(lesson).await?;
    tab.shows(0).await?;
    tab.page.goto("about:blank").await?;
    connect(server.target()).await?.send("increment").await?;
    let _ = tab.evaluate("history.back(); 1").await;
    tab.until(SOON, "location.pathname === '/'").await?;
    tab.is_live().await?;
    tab.shows(1).await
}

/// No violation found by axe-core, in either colour scheme.
async fn page_is_accessible(lesson: Lesson) -> Result<()> {
    let axe = fs::read_to_string(Path::new(AXE)).context("run `npm ci` in compare")?;
    let server = Server::start(lesson)?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "fr").await?;
    tab.is_live().await?;
    tab.click("increment").await?;
    tab.shows(1).await?;
    tab.page.evaluate(axe).await?;
    for scheme in ["light", "dark"] {
        let feature = MediaFeature::new("prefers-color-scheme", scheme);
        tab.page.emulate_media_features(vec![feature]).await?;
        let violations = "axe.run().then(({ violations, passes }) => ({
            passes: passes.length,
            violations: violations.flatMap(({ id, nodes }) => nodes.map((n) =>
                `${id}: ${n.html} ${n.failureSummary}`)),
        }))";
        let report = tab.evaluate(violations).await?;
        ensure!(report["passes"].as_u64() > Some(10), "axe-core did not run: {report}");
        ensure!(report["violations"] == json!([]), "{scheme}: {report:#}");
    }
    Ok(())
}

/// At 390 px nothing is cut off, and every control is at least 44 px high and wide.
async fn page_fits_a_phone(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "fr").await?;
    tab.page.execute(SetDeviceMetricsOverrideParams::new(390, 844, 1.0, true)).await?;
    tab.is_live().await?;
    tab.until(SOON, "document.documentElement.scrollWidth === 390").await?;
    let small = "[...document.querySelectorAll('button, a')].filter((control) => {
        const { width, height } = control.getBoundingClientRect();
        return width < 44 || height < 44;
    }).map((control) => control.outerHTML)";
    let small = tab.evaluate(small).await?;
    ensure!(small == json!([]), "too small: {small}");
    // Headless browsers hide scrollbars, so what a reader would see is computed.
    tab.page
        .execute(SetDeviceMetricsOverrideParams::new(1280, 800, 1.0, false))
        .await?;
    let scrolls = "const number = document.querySelector('.number');
        getComputedStyle(number).overflowY !== 'hidden'
            && number.scrollHeight > number.clientHeight";
    ensure!(tab.evaluate(scrolls).await? == false, "a scrollbar beside the number");
    Ok(())
}

/// The Content-Security-Policy is in force, not only in the header.
async fn page_runs_no_injected_script(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let window = Window::open().await?;
    let tab = window.tab(server.target(), "en").await?;
    tab.is_live().await?;
    let inject = "const script = document.createElement('script');
        script.textContent = 'globalThis.injected = true';
        document.body.append(script);
        document.body.insertAdjacentHTML('beforeend',
            '<img src=\"/absent\" onerror=\"globalThis.injected = true\">');
        let violations = 0;
        document.addEventListener('securitypolicyviolation', () => violations += 1);
        new Promise((resolve) => setInterval(() => violations && resolve(true), 20))";
    ensure!(tab.evaluate(inject).await? == true, "no violation was reported");
    ensure!(tab.evaluate("globalThis.injected === undefined").await? == true, "it ran");
    Ok(())
}

/// Another site's page tries to read and to change the counter by every means it has:
/// cross-site WebSocket hijacking, request forgery by script and by form, plain reading.
async fn foreign_page_gets_nothing(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let site = TcpListener::bind("127.0.0.1:0").await?;
    let foreign = site.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut visitor, _)) = site.accept().await {
            let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
                Content-Length: 15\r\nConnection: close\r\n\r\n<!doctype html>";
            let _ = visitor.write_all(page.as_bytes()).await;
            let _ = visitor.shutdown().await;
        }
    });
    let window = Window::open().await?;
    let page = window.blank().await?;
    page.goto(format!("http://{foreign}/")).await?;
    let attack = include_str!("attack.js")
        .replace("SERVER", &server.target().address.to_string());
    let got = page.evaluate(attack).await?.value().cloned().unwrap_or_default();
    let tries = got.as_object().context("no report")?;
    ensure!(tries.len() == 9, "{got:#}");
    for (name, outcome) in tries {
        // A request without CORS is sent, and its answer hidden; the server must refuse it.
        let expected = if name == "blind" { "opaque" } else { "blocked" };
        ensure!(outcome == expected, "{name}: {got:#}");
    }
    let now = connect(server.target()).await?.next().await?;
    ensure!(now.version == 0, "another site's page changed the counter: {now:?}");
    Ok(())
}

/// A WebSocket that breaks between `3probe` and `5`, while the client holds its polling back
/// for it, leaves the client without a transport. It says nothing: the next packet shows it,
/// or else the heartbeat.
async fn page_notices_a_broken_upgrade(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = listener.local_addr()?;
    tokio::spawn(breaks_the_first_upgrade(listener, server.target().address));
    let window = Window::open().await?;
    let tab = window.tab(Target::new(lesson, proxy), "en").await?;
    tab.is_live().await?;
    tab.click("increment").await?;
    tab.until(SILENCE, COUNTED_ONE).await?;
    tab.is_live().await
}

async fn breaks_the_first_upgrade(listener: TcpListener, server: SocketAddr) {
    let (joined, broken) =
        (watch::Sender::new(false), Arc::new(AtomicBool::new(false)));
    while let Ok((mut page, _)) = listener.accept().await {
        let (joined, broken) = (joined.clone(), broken.clone());
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            let head = page.peek(&mut bytes).await?;
            if memmem::find(&bytes[..head], b"transport=websocket").is_some() {
                // The page shall be live before.
                let _ = joined.subscribe().wait_for(|joined| *joined).await;
            }
            let mut server = TcpStream::connect(server).await?;
            let ((mut from_page, mut to_page), (mut from_server, mut to_server)) =
                (page.split(), server.split());
            let down = async {
                loop {
                    let read = from_server.read(&mut bytes).await?;
                    let answer = &bytes[..read];
                    let breaks = answer.ends_with(b"3probe")
                        && !broken.swap(true, Ordering::Relaxed);
                    if answer.ends_with(b"\r\n\r\n6") && broken.load(Ordering::Relaxed)
                    {
                        // Until the page knows that its WebSocket is broken.
                        sleep(Duration::from_secs(1)).await;
                    }
                    to_page.write_all(answer).await?;
                    if memmem::find(answer, b"40{\"sid\"").is_some() {
                        joined.send_replace(true);
                    }
                    if read == 0 || breaks {
                        return Ok(read as u64);
                    }
                }
            };
            tokio::select! {
                ended = copy(&mut from_page, &mut to_server) => ended,
                ended = down => ended,
            }
        });
    }
}

/// A middlebox that grants a WebSocket and then breaks it leaves the page on long polling,
/// at once and for good.
async fn page_survives_a_failed_upgrade(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = listener.local_addr()?;
    let tried = Arc::<AtomicU64>::default();
    tokio::spawn(breaks_each_websocket(
        listener,
        server.target().address,
        tried.clone(),
    ));
    let window = Window::open().await?;
    let tab = window.tab(Target::new(lesson, proxy), "en").await?;
    tab.until(SOON, "document.querySelector('#value').textContent === '0'").await?;
    for value in 1..=3 {
        tab.is_live().await?;
        tab.click("increment").await?;
        tab.shows(value).await?;
        let none = "document.querySelector('#waiting').textContent === ''";
        tab.until(BEFORE_THE_HEARTBEAT, none).await?;
    }
    let tried = tried.load(Ordering::Relaxed);
    ensure!(tried == 1, "{tried} WebSockets were tried");
    Ok(())
}

async fn breaks_each_websocket(
    listener: TcpListener,
    server: SocketAddr,
    tried: Arc<AtomicU64>,
) {
    while let Ok((mut page, _)) = listener.accept().await {
        let tried = tried.clone();
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            let head = page.peek(&mut bytes).await?;
            let mut server = TcpStream::connect(server).await?;
            if memmem::find(&bytes[..head], b"transport=websocket").is_none() {
                return tokio::io::copy_bidirectional(&mut page, &mut server).await;
            }
            tried.fetch_add(1, Ordering::Relaxed);
            let read = page.read(&mut bytes).await?;
            server.write_all(&bytes[..read]).await?;
            let read = server.read(&mut bytes).await?;
            page.write_all(&bytes[..read]).await?;
            Ok((0, 0))
        });
    }
}
