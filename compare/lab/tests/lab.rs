//! The lab, from outside: its real binary over real sockets, and its page in a real browser.
//!
//! Most trials take a lab that another one has left, for one at a time.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use chromiumoxide::cdp::browser_protocol::emulation::{
    MediaFeature, SetDeviceMetricsOverrideParams, SetFocusEmulationEnabledParams,
};
use compare::{
    Lesson, Target,
    browser::{SOON, Tab, Window},
    process::Process,
};
use futures_util::{StreamExt, stream::BoxStream};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use sse_stream::{Sse, SseByteStream};
use tokio::{
    runtime::Builder,
    time::{sleep, timeout},
};

/// How long anything may take. A lesson's client comes back within ten seconds at most, and
/// this machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

const AXE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../node_modules/axe-core/axe.min.js");

/// Labs that no trial uses now.
static IDLE: Mutex<Vec<Lab>> = Mutex::new(Vec::new());

fn main() {
    let mut arguments = Arguments::from_args();
    // Most of them wait; each has four lessons.
    arguments.test_threads = arguments.test_threads.or(Some(3));
    let mut trials = Vec::new();
    macro_rules! trial {
        ($($name:ident),* $(,)?) => {$(
            trials.push(Trial::test(stringify!($name), || run($name)));
        )*};
    }
    trial!(
        only_its_own_page_may_use_it,
        stream_resumes_without_a_gap_or_a_repeat,
        counters_are_what_passed,
        networks_do_what_they_say,
        killed_lesson_is_shown_and_recovers,
        paused_lesson_goes_on,
        drill_tells_its_verdict,
        page_works_by_keyboard,
        page_is_accessible,
        page_fits,
    );
    for step in [
        "calm", "click", "weight", "burst", "slow", "cut", "freeze", "buffer",
        "upgrade", "kill",
    ] {
        trials.push(Trial::test(format!("tour::{step}"), move || {
            run(async |lab: &Lab| tour(lab, step).await)
        }));
    }
    trials.push(Trial::test("two_labs_start_and_end_alone", || block_on(two_labs())));
    let ten = Trial::test("ten_minutes", || run(ten_minutes)).with_ignored_flag(true);
    trials.push(ten);
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(IDLE.lock().map(|mut labs| labs.drain(..).collect::<Vec<_>>()));
    conclusion.exit();
}

fn block_on(
    trial: impl Future<Output = Result<()>>,
) -> Result<(), libtest_mimic::Failed> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(trial).map_err(|error| format!("{error:#}").into())
}

/// Runs a trial with a lab that is as if it were new. One in which a trial has failed serves
/// no other.
fn run(
    trial: impl AsyncFnOnce(&Lab) -> Result<()>,
) -> Result<(), libtest_mimic::Failed> {
    let idle = || IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let left = idle().pop();
    let lab = left.map_or_else(Lab::start, Ok).map_err(|error| format!("{error:#}"))?;
    block_on(async {
        lab.settle().await?;
        trial(&lab).await
    })?;
    idle().push(lab);
    Ok(())
}

/// A running lab.
struct Lab {
    process: Process,
    address: SocketAddr,
}

impl Lab {
    fn start() -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.env_remove("HOST").env("PORT", "0").stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command)?;
        let mut line = String::new();
        let output = process.stdout().context("no standard output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim_end().strip_prefix("lab listening on http://");
        let address = address.with_context(|| format!("it began with {line:?}"))?;
        Ok(Self { address: address.parse()?, process })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What the browser opens.
    fn target(&self) -> Target {
        Target::new(Lesson::Polling, self.address)
    }

    async fn order(&self, order: Value) -> Result<reqwest::StatusCode> {
        let request = client()?.post(self.url("/do")).json(&order);
        Ok(timeout(LIMIT, request.send()).await??.status())
    }

    /// Has something done, in all lanes or in one.
    async fn does(&self, lanes: Value, what: Value) -> Result<()> {
        let status = self.order(json!({ "lanes": lanes, "do": what })).await?;
        ensure!(status == 204, "{what}: {status}");
        Ok(())
    }

    async fn all(&self, what: Value) -> Result<()> {
        self.does(json!([]), what).await
    }

    /// Brings it back to a state in which all is well and nothing was counted.
    async fn settle(&self) -> Result<()> {
        self.all(json!({ "every": null })).await?;
        self.all(json!({ "network": "good" })).await?;
        self.all(json!({ "server": "start" })).await?;
        let mut stream = Stream::open(self, None).await?;
        let calm = |it: &Value| {
            it["link"] == "live" && it["process"] == "running" && it["waiting"] == 0
        };
        stream.until("calm", |state| each(state, calm)).await?;
        // What a network held may still be delivered, and count.
        let cleared = |it: &Value| it["clicks"] == 0 && it["counted"] == 0;
        let clear = async {
            loop {
                self.all(json!("clear")).await?;
                let told = stream.until("clear", |state| each(state, cleared));
                if let Ok(told) = timeout(Duration::from_secs(1), told).await {
                    return told;
                }
            }
        };
        timeout(LIMIT, clear).await?
    }

    /// Ends it as `kill` does, and checks that it ends well and leaves no process behind.
    #[cfg(unix)]
    async fn end(mut self, pids: &[i32]) -> Result<()> {
        use nix::{sys::signal, unistd::Pid};
        self.process.signal(signal::Signal::SIGTERM)?;
        let status = self.process.ended(LIMIT).await?;
        ensure!(status.success(), "{status}");
        for pid in pids {
            ensure!(signal::kill(Pid::from_raw(*pid), None).is_err(), "{pid} is left");
        }
        Ok(())
    }
}

/// Lessons of a lab that is killed would be left behind.
impl Drop for Lab {
    fn drop(&mut self) {
        #[cfg(unix)]
        if self.process.signal(nix::sys::signal::Signal::SIGTERM).is_ok() {
            let ended = async { self.process.ended(LIMIT).await.map(drop) };
            let _ = std::thread::scope(|scope| scope.spawn(|| block_on(ended)).join());
        }
    }
}

fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// Whether it is so in each lane.
fn each(state: &Value, is: impl Fn(&Value) -> bool) -> bool {
    Lesson::ALL.iter().all(|lesson| is(&state["lanes"][lesson.name()]["status"]))
}

/// The lab's event stream, and the state that it tells.
struct Stream {
    events: BoxStream<'static, Result<Sse>>,
    state: Value,
    last: String,
    /// The names of the events that came, without the heartbeats.
    kinds: Vec<String>,
}

impl Stream {
    async fn open(lab: &Lab, last: Option<&str>) -> Result<Self> {
        let mut request = client()?.get(lab.url("/events"));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let answer = request.send().await?.error_for_status()?;
        let events = SseByteStream::new(answer.bytes_stream());
        Ok(Self {
            events: events.map(|event| Ok(event?)).boxed(),
            state: json!({ "lanes": {} }),
            last: String::new(),
            kinds: Vec::new(),
        })
    }

    async fn next(&mut self) -> Result<()> {
        let event = self.events.next().await.context("the stream has ended")??;
        let (Some(kind), Some(id), Some(data)) = (event.event, event.id, event.data)
        else {
            return Ok(());
        };
        self.last = id;
        let mut news: Value = serde_json::from_str(&data)?;
        if kind == "state" {
            self.state = news;
        } else {
            for (name, change) in news["lanes"].as_object_mut().into_iter().flatten() {
                let lane = &mut self.state["lanes"][name];
                if let Some(status) = change.get_mut("status") {
                    lane["status"] = status.take();
                }
                let rows = change["rows"].as_array().cloned().unwrap_or_default();
                if let Some(known) = lane["rows"].as_array_mut() {
                    known.extend(rows);
                }
            }
            for name in ["drills", "tour"] {
                if let Some(now) = news.get_mut(name) {
                    self.state[name] = now.take();
                }
            }
        }
        self.kinds.push(kind);
        Ok(())
    }

    async fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
        let met = async {
            while !is(&self.state) {
                self.next().await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        if let Ok(met) = timeout(LIMIT, met).await {
            return met;
        }
        let lanes = Lesson::ALL.map(|lesson| self.status(lesson).to_string());
        bail!("not {what} within {LIMIT:?}: {}", lanes.join("\n"))
    }

    fn status(&self, lesson: Lesson) -> &Value {
        &self.state["lanes"][lesson.name()]["status"]
    }
}

async fn only_its_own_page_may_use_it(lab: &Lab) -> Result<()> {
    let foreign = |request: reqwest::RequestBuilder| {
        request.header("Origin", "http://evil.example").send()
    };
    let order = client()?.post(lab.url("/do")).json(&json!({ "do": "clear" }));
    ensure!(foreign(order).await?.status() == 403);
    ensure!(foreign(client()?.get(lab.url("/events"))).await?.status() == 403);
    let rebound = client()?.get(lab.url("/")).header("Host", "evil.example");
    ensure!(rebound.send().await?.status() == 421);
    for bad in [json!({ "do": "explode" }), json!({ "lanes": ["05"], "do": "clear" })] {
        ensure!(lab.order(bad.clone()).await? == 400, "{bad}");
    }
    let page = client()?.get(lab.url("/?lang=fr")).send().await?;
    let policy = page.headers().get("content-security-policy").context("no policy")?;
    ensure!(policy.to_str()?.contains("script-src 'self'; style-src 'self';"));
    let code = client()?.get(lab.url("/qr/02-sse")).send().await?.text().await?;
    ensure!(code.contains("<svg"), "{code}");
    Ok(())
}

async fn stream_resumes_without_a_gap_or_a_repeat(lab: &Lab) -> Result<()> {
    let mut whole = Stream::open(lab, None).await?;
    let mut cut = Stream::open(lab, None).await?;
    let clicked = |clicks: u64| {
        move |state: &Value| {
            each(state, |it| it["counted"] == clicks && it["clicks"] == clicks)
        }
    };
    lab.all(json!({ "click": "increment" })).await?;
    cut.until("told of a click", clicked(1)).await?;
    let (last, state) = (cut.last.clone(), cut.state.clone());
    drop(cut);
    for _ in 0..5 {
        lab.all(json!({ "click": "increment" })).await?;
    }
    whole.until("told of all", clicked(6)).await?;
    let mut resumed = Stream::open(lab, Some(&last)).await?;
    resumed.state = state;
    resumed.until("told of all", clicked(6)).await?;
    ensure!(!resumed.kinds.contains(&"state".to_owned()), "{:?}", resumed.kinds);
    for lesson in Lesson::ALL {
        let rows = resumed.state["lanes"][lesson.name()]["rows"].as_array().cloned();
        let numbers: Vec<_> =
            rows.iter().flatten().filter_map(|row| row["n"].as_u64()).collect();
        let follow = numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        ensure!(follow && !numbers.is_empty(), "{lesson}: {numbers:?}");
    }
    let mut anew = Stream::open(lab, Some("other-1")).await?;
    anew.until("told anew", |state| state["lanes"]["02-sse"].is_object()).await?;
    ensure!(anew.kinds[0] == "state", "{:?}", anew.kinds);
    Ok(())
}

/// What the lanes count is what the rows that they show add up to.
async fn counters_are_what_passed(lab: &Lab) -> Result<()> {
    let mut stream = Stream::open(lab, None).await?;
    stream.until("told", |state| each(state, Value::is_object)).await?;
    let nothing = |it: &Value| {
        ["up", "down", "messages_up", "messages_down"].iter().all(|of| it[of] == 0)
    };
    let quiet = async |stream: &mut Stream, time| {
        while timeout(time, stream.next()).await.is_ok() {}
    };
    let begin = async {
        loop {
            for lesson in Lesson::ALL {
                stream.state["lanes"][lesson.name()]["rows"] = json!([]);
            }
            lab.all(json!("clear")).await?;
            quiet(&mut stream, Duration::from_millis(200)).await;
            // No question of lesson 1 was on its way meanwhile.
            let rows = |lesson: &Lesson| &stream.state["lanes"][lesson.name()]["rows"];
            if Lesson::ALL.iter().all(|lesson| rows(lesson) == &json!([]))
                && each(&stream.state, nothing)
            {
                return anyhow::Ok(());
            }
        }
    };
    timeout(LIMIT, begin).await??;
    for _ in 0..3 {
        lab.all(json!({ "click": "increment" })).await?;
    }
    // Nothing passes any more while it is looked at.
    let done = |it: &Value| it["counted"] == 3 && it["waiting"] == 0;
    stream.until("counted", |state| each(state, done)).await?;
    lab.all(json!({ "network": "frozen" })).await?;
    sleep(Duration::from_millis(500)).await;
    quiet(&mut stream, Duration::from_millis(500)).await;
    for lesson in Lesson::ALL {
        let rows = stream.state["lanes"][lesson.name()]["rows"].as_array();
        let passed = |direction: &str| {
            let rows = rows.into_iter().flatten();
            let way = rows.filter(|row| row["direction"] == direction);
            let sizes = way.filter_map(|row| row["size"].as_u64());
            (sizes.clone().sum::<u64>(), sizes.count() as u64)
        };
        let status = stream.status(lesson);
        for (way, messages) in [("up", "messages_up"), ("down", "messages_down")] {
            let (bytes, count) = passed(way);
            ensure!(bytes > 0, "{lesson} {way}: {status}");
            ensure!(status[way] == bytes, "{lesson} {way}: {bytes}, {status}");
            ensure!(status[messages] == count, "{lesson} {way}: {count}, {status}");
        }
    }
    Ok(())
}

async fn networks_do_what_they_say(lab: &Lab) -> Result<()> {
    let mut stream = Stream::open(lab, None).await?;
    let only = json!(["03-websocket"]);
    let lanes = |state: &Value, is: &dyn Fn(&Value) -> bool| {
        is(&state["lanes"]["03-websocket"]["status"])
            && state["lanes"]["02-sse"]["status"]["losses"] == 0
    };
    for (network, name) in [
        (json!("cut"), "lost"),
        (json!("good"), "live"),
        (json!({ "impatient": 1 }), "lost"),
        (json!("no-upgrade"), "lost"),
        (json!("good"), "live"),
    ] {
        lab.does(only.clone(), json!({ "network": network })).await?;
        let is = |it: &Value| it["link"] == name && it["network"] == network;
        stream.until(&format!("{name} by {network}"), |it| lanes(it, &is)).await?;
    }
    // 50 bytes a second: a click's frame of 26 bytes takes half a second.
    for network in [json!({ "narrow": 50 }), json!({ "slow": 300 })] {
        lab.does(only.clone(), json!("clear")).await?;
        lab.does(only.clone(), json!({ "network": network })).await?;
        lab.does(only.clone(), json!({ "click": "increment" })).await?;
        let late = |it: &Value| it["delay"].as_f64() >= Some(500.0);
        stream.until(&format!("late by {network}"), |it| lanes(it, &late)).await?;
    }
    Ok(())
}

#[cfg(unix)]
fn signal(pid: &Value, signal: nix::sys::signal::Signal) -> Result<()> {
    let pid = nix::unistd::Pid::from_raw(pid.as_i64().context("no pid")?.try_into()?);
    Ok(nix::sys::signal::kill(pid, signal)?)
}

#[cfg(not(unix))]
async fn killed_lesson_is_shown_and_recovers(_lab: &Lab) -> Result<()> {
    Ok(())
}

/// From outside, as an administrator would, or a lack of memory.
#[cfg(unix)]
async fn killed_lesson_is_shown_and_recovers(lab: &Lab) -> Result<()> {
    let mut stream = Stream::open(lab, None).await?;
    stream.until("told", |state| each(state, Value::is_object)).await?;
    let pid = stream.status(Lesson::Sse)["pid"].clone();
    signal(&pid, nix::sys::signal::Signal::SIGKILL)?;
    let is = |process: &'static str, link: &'static str| {
        move |state: &Value| {
            let it = &state["lanes"]["02-sse"]["status"];
            it["process"] == process && it["link"] == link
        }
    };
    stream.until("killed", is("killed", "lost")).await?;
    lab.does(json!(["02-sse"]), json!({ "server": "start" })).await?;
    stream.until("running", is("running", "live")).await?;
    ensure!(stream.status(Lesson::Sse)["pid"] != pid);
    ensure!(stream.status(Lesson::WebSocket)["losses"] == 0);
    lab.does(json!(["02-sse"]), json!({ "server": "stop" })).await?;
    stream.until("stopped", is("stopped", "lost")).await
}

#[cfg(not(unix))]
async fn paused_lesson_goes_on(_lab: &Lab) -> Result<()> {
    Ok(())
}

/// It counts nothing while it stands still, and all that came once it goes on.
#[cfg(unix)]
async fn paused_lesson_goes_on(lab: &Lab) -> Result<()> {
    let mut stream = Stream::open(lab, None).await?;
    let only = json!(["03-websocket"]);
    let is = |process: &'static str, counted: u64| {
        move |state: &Value| {
            let it = &state["lanes"]["03-websocket"]["status"];
            it["process"] == process && it["counted"] == counted && it["clicks"] == 1
        }
    };
    lab.does(only.clone(), json!({ "server": "pause" })).await?;
    lab.does(only.clone(), json!({ "click": "increment" })).await?;
    stream.until("paused", is("paused", 0)).await?;
    lab.does(only, json!({ "server": "go-on" })).await?;
    stream.until("counted", is("running", 1)).await
}

async fn drill_tells_its_verdict(lab: &Lab) -> Result<()> {
    let mut stream = Stream::open(lab, None).await?;
    lab.does(json!(["03-websocket"]), json!({ "drill": "cut" })).await?;
    ensure!(lab.order(json!({ "do": { "drill": "cut" } })).await? == 409);
    let verdict = |state: &Value| {
        let drilled = &state["drills"]["03-websocket"];
        drilled["verdict"].is_object() || drilled["failed"].is_string()
    };
    stream.until("judged", verdict).await?;
    let drilled = &stream.state["drills"]["03-websocket"];
    let cell = "back by itself; the clicks are lost, and the page says so";
    ensure!(drilled["verdict"]["en"] == cell, "{drilled:#}");
    ensure!(drilled["steps"].as_array().is_some_and(|steps| steps.len() > 3));
    Ok(())
}

/// Takes a step of the tour, and checks what it claims of each lane.
async fn tour(lab: &Lab, step: &str) -> Result<()> {
    let mut stream = Stream::open(lab, None).await?;
    stream.until("there", |state| state.get("tour").is_some()).await?;
    // This step may have been taken before.
    stream.state["tour"].take();
    lab.all(json!({ "step": step })).await?;
    if step == "calm" {
        // It goes on for seconds.
        ensure!(lab.order(json!({ "do": { "step": "click" } })).await? == 409);
    }
    let over =
        |state: &Value| state["tour"]["step"] == step && state["tour"]["over"] == true;
    stream.until("over", over).await?;
    let seen = &stream.state["tour"]["lanes"];
    let [polling, sse, websocket, socketio] =
        Lesson::ALL.map(|lesson| &seen[lesson.name()]);
    let all = [polling, sse, websocket, socketio];
    let number = |it: &Value, fact: &str| it[fact].as_f64().unwrap_or(-1.0);
    let facts = |name: &str| all.map(|it| it[name].clone());
    let holds = match step {
        "calm" => all[1..].iter().all(|it| number(it, "up") < number(polling, "up")),
        "click" => {
            facts("counted") == [1, 1, 1, 1] && facts("given_up") == [0, 0, 0, 0]
        }
        "weight" => {
            let up = all.map(|it| number(it, "up"));
            facts("counted") == [5, 5, 5, 5]
                && up[2] < up[3]
                && up[3] < up[1]
                && up[1] < up[0]
        }
        "burst" => {
            let some = |it: &&Value| (1.0..=20.0).contains(&number(it, "numbers"));
            facts("counted") == [20, 20, 20, 20] && all.iter().all(some)
        }
        "slow" => all.iter().all(|it| number(it, "delay") >= 590.0),
        "cut" => {
            facts("counted") == [0, 0, 0, 3]
                && facts("given_up") == [3, 3, 3, 0]
                && facts("during") == ["lost"; 4]
        }
        "freeze" => {
            facts("during") == ["lost", "live", "live", "live"]
                && websocket["counted"] == 3
                && socketio["counted"] == 3
                && sse["given_up"] == 3
        }
        "buffer" => {
            facts("during") == ["live", "lost", "live", "live"]
                && facts("counted") == [1, 1, 1, 1]
                && sse["delay"].is_null()
        }
        "upgrade" => {
            facts("during") == ["live", "live", "lost", "live"]
                && facts("counted") == [1, 1, 0, 1]
        }
        "kill" => facts("value") == [0, 0, 0, 2] && facts("given_up") == [2, 2, 2, 0],
        _ => false,
    };
    ensure!(holds, "{seen:#}");
    Ok(())
}

/// The page, once it shows what the lab tells.
async fn page(lab: &Lab, window: &Window, language: &str) -> Result<Tab> {
    let tab = window.tab(lab.target(), language).await?;
    tab.is_live().await?;
    let rows = "[...document.querySelectorAll('.diagram')]
        .every((it) => it.querySelector('[data-direction]'))";
    lab.all(json!({ "click": "increment" })).await?;
    tab.until(SOON, rows).await?;
    Ok(tab)
}

/// In both languages, by keyboard alone: +1 in a lane, the text of a message, the network of
/// all lanes, a step of the tour.
async fn page_works_by_keyboard(lab: &Lab) -> Result<()> {
    let window = Window::open().await?;
    let tab = page(lab, &window, "fr").await?;
    // Other trials have windows too, and only one is in front.
    tab.page.execute(SetFocusEmulationEnabledParams::new(true)).await?;
    let press = async |selector: &str| {
        // At once: what is first in a drawing is soon another.
        let focus = format!(
            "(it => {{ it.focus(); return document.activeElement === it; }})(
                document.querySelector(`{selector}`))"
        );
        ensure!(tab.evaluate(&focus).await? == true, "{selector} takes no focus");
        tab.page.find_element(":focus").await?.press_key("Enter").await?;
        anyhow::Ok(())
    };
    let sse = "[data-lane=\"02-sse\"]";
    press(&format!("{sse} .clicks button:nth-child(2)")).await?;
    let counted =
        format!("document.querySelector('{sse} .counted').textContent === '2'");
    tab.until(SOON, &counted).await?;
    press(&format!("{sse} .diagram button")).await?;
    let text = "document.querySelector('#raw').open
        && document.querySelector('#raw code').textContent.length > 0";
    tab.until(SOON, text).await?;
    press("#raw form button").await?;
    tab.until(SOON, "!document.querySelector('#raw').open").await?;
    // Each announcement takes the place of the one before, however late that is read here.
    let listen = "globalThis.announced = ''; new MutationObserver((changes) =>
        changes.forEach((it) => { announced += it.target.textContent; })
    ).observe(document.querySelector('#announcement'), { childList: true }); 1";
    tab.evaluate(listen).await?;
    // A change is told even if another one follows at once.
    lab.all(json!({ "network": { "slow": 20 } })).await?;
    let slow = "document.querySelector('.all [data-do*=slow]').ariaPressed === 'true'";
    tab.until(SOON, slow).await?;
    press(".all [data-do*=cut]").await?;
    tab.until(
        SOON,
        "announced.includes('réseau lent') && announced.includes('réseau coupé')",
    )
    .await?;
    let lost = "[...document.querySelectorAll('.lane')]
        .every((it) => it.dataset.link === 'lost')
        && document.querySelector('.link').textContent === 'Connexion perdue'
        && document.querySelector('.all [data-do*=cut]').ariaPressed === 'true'";
    tab.until(SOON, lost).await?;
    press("nav a[hreflang=en]").await?;
    let english = "document.documentElement.lang === 'en'
        && document.querySelector('.link').textContent === 'Connection lost'";
    tab.until(SOON, english).await?;
    press("#tour summary").await?;
    press("#tour [data-step=calm] .next").await?;
    press("#tour [data-step=click] .act").await?;
    let seen = "document.querySelectorAll('[data-step=click] td[data-fact=counted]')
        .length === 4 && !document.querySelector('[data-step=click] .seen').hidden";
    tab.until(LIMIT, seen).await?;
    tab.no_trouble()
}

/// No violation found by axe-core, in either colour scheme, with all that opens open.
async fn page_is_accessible(lab: &Lab) -> Result<()> {
    let axe = fs::read_to_string(Path::new(AXE)).context("run `npm ci` in compare")?;
    let window = Window::open().await?;
    let tab = page(lab, &window, "fr").await?;
    lab.does(json!(["02-sse"]), json!({ "network": "cut" })).await?;
    tab.until(SOON, "document.querySelector('[data-link=lost]') !== null").await?;
    tab.evaluate(
        "document.querySelectorAll('details').forEach((it) => it.open = true); 1",
    )
    .await?;
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

/// Nothing is cut off, on a phone and on a projector, in either language.
async fn page_fits(lab: &Lab) -> Result<()> {
    let window = Window::open().await?;
    for language in ["fr", "en"] {
        let tab = page(lab, &window, language).await?;
        tab.evaluate(
            "document.querySelectorAll('details').forEach((it) => it.open = true); 1",
        )
        .await?;
        for (width, height) in [(390, 844), (1280, 800), (1920, 1080)] {
            let screen = SetDeviceMetricsOverrideParams::new(width, height, 1.0, false);
            tab.page.execute(screen).await?;
            let fits = format!(
                "innerWidth === {width} && document.documentElement.scrollWidth <= {width}"
            );
            tab.until(SOON, &fits).await?;
        }
        tab.no_trouble()?;
    }
    Ok(())
}

/// Two labs do not disturb each other, each ends all that it started, and a port that is
/// taken is refused in one line.
async fn two_labs() -> Result<()> {
    let [one, two] = [Lab::start()?, Lab::start()?];
    let mut pids = Vec::new();
    for lab in [&one, &two] {
        let mut stream = Stream::open(lab, None).await?;
        let live = |it: &Value| it["link"] == "live" && it["pid"].is_u64();
        stream.until("live", |state| each(state, live)).await?;
        let pid = |lesson| stream.status(lesson)["pid"].as_i64();
        pids.push(Lesson::ALL.map(|lesson| pid(lesson).unwrap_or_default() as i32));
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    let port = one.address.port();
    let refused = command.env_remove("HOST").env("PORT", port.to_string()).output()?;
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    let line = String::from_utf8(refused.stderr)?;
    ensure!(line.starts_with(&format!("lab: port {port} ")), "{line}");
    ensure!(line.lines().count() == 1, "{line}");
    let mut stream = Stream::open(&two, None).await?;
    one.all(json!({ "click": "increment" })).await?;
    two.all(json!({ "click": "reset" })).await?;
    stream.until("clicked", |state| each(state, |it| it["counted"] == 1)).await?;
    ensure!(each(&stream.state, |it| it["value"] == 0 && it["clicks"] == 1));
    drop(stream);
    #[cfg(unix)]
    one.end(&pids[0]).await?;
    // The other has not noticed.
    let mut stream = Stream::open(&two, None).await?;
    two.all(json!({ "click": "increment" })).await?;
    stream.until("clicked", |state| each(state, |it| it["counted"] == 2)).await?;
    drop(stream);
    #[cfg(unix)]
    two.end(&pids[1]).await?;
    Ok(())
}

/// Four lanes that move twenty messages a second, for ten minutes: no long task above 50 ms,
/// sixty frames a second, and the memory of page and lab stays what it was.
async fn ten_minutes(lab: &Lab) -> Result<()> {
    const MINUTES: u64 = 10;
    let window = Window::open().await?;
    let tab = page(lab, &window, "en").await?;
    let watch = "globalThis.long = []; new PerformanceObserver((list) =>
        long.push(...list.getEntries().map(({ duration }) => duration)))
        .observe({ type: 'longtask' });
        globalThis.frames = 0;
        const count = () => { frames += 1; requestAnimationFrame(count); };
        count(); 1";
    tab.evaluate(watch).await?;
    lab.all(json!({ "every": 100 })).await?;
    let memory = async || {
        let heap = tab.evaluate("performance.memory.usedJSHeapSize").await?;
        let (lab, _) = compare::process::footprint(lab.process.pid())?;
        anyhow::Ok((heap.as_u64().unwrap_or_default() / 1024, lab))
    };
    sleep(Duration::from_secs(60)).await;
    let before = memory().await?;
    for minute in 1..MINUTES {
        sleep(Duration::from_secs(60)).await;
        println!("{minute} min: page and lab need {:?} KiB", memory().await?);
    }
    let after = memory().await?;
    let long = tab.evaluate("long").await?;
    let frames = tab.evaluate("1000 * frames / performance.now()").await?;
    println!("long tasks, in ms: {long}; frames a second: {frames}");
    ensure!(
        after.0 < 2 * before.0 && after.1 < before.1 * 3 / 2,
        "{before:?} {after:?}"
    );
    ensure!(long == json!([]), "{long}");
    ensure!(frames.as_f64() > Some(58.0), "{frames}");
    Ok(())
}
