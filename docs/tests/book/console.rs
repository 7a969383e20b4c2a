//! Runs the commands of a `console` block again, as it is defined for the authors.
//!
//! A block begins with fresh servers, which listen already. Its commands are `just run`,
//! `just drill`, `just wire` and `just cluster` with a lesson, and `curl` to the ports of the
//! lessons.
//! `just wire` shows one client that connects, increments, and reads version 1.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{LazyLock, OnceLock},
};

use anyhow::{Context, Result, bail, ensure};
use book::page::{Fence, Page};
use clap::ValueEnum;
use compare::{
    Lesson, Place, Server, connect,
    process::{Process, Reserved, installed},
    recording::Recorder,
    relay::Relay,
};
use regex::Regex;
use tempfile::TempDir;

use crate::{
    check::{Book, difference, fault},
    trial::block_on,
};

/// What differs from run to run, and what stands for it when two runs are compared.
const VARIES: [(&str, &str); 9] = [
    // When an answer was given, and how long a drill has taken.
    (r"(?i)\bdate: .*", "date: …"),
    (r"^ *\d+\.\d s  ", "… s  "),
    // The random part of an ETag or an event's id, and the session of a Socket.IO client.
    (r"\b[0-9a-f]{16}-(\d+)\b", "…-$1"),
    (r#"("sid":"|\bsid=)[\w-]+"#, "$1…"),
    // How long the client of a stream waits before it comes back.
    (r"\bretry: \d{4}\b", "retry: …"),
    // The free port that `just wire` listens on.
    (r"127\.0\.0\.1:\d{5}\b", "127.0.0.1:…"),
    // A process's number.
    (r"\bprocess \d+", "process …"),
    // A WebSocket handshake's random key, and the answer to it.
    (r"(?i)\b(sec-websocket-(?:key|accept)): .*", "$1: …"),
    // Which curl it is.
    (r"(?i)\buser-agent: .*", "user-agent: …"),
];

/// A line without what differs from run to run.
pub fn neutral(line: &str) -> String {
    static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let read = |pattern| Regex::new(pattern).expect("a pattern");
        VARIES.iter().map(|(varies, stands)| (read(varies), *stands)).collect()
    });
    VARYING.iter().fold(line.to_owned(), |line, (varies, stands)| {
        varies.replace_all(&line, *stands).into_owned()
    })
}

/// Where the pages find the lessons.
const PORTS: [(Lesson, &str); 4] = [
    (Lesson::Polling, ":8081"),
    (Lesson::Sse, ":8082"),
    (Lesson::WebSocket, ":8083"),
    (Lesson::SocketIo, ":8084"),
];

/// Random text that a later command may send back.
const SENT_BACK: &str = r#"\b([0-9a-f]{16})-\d|"sid":"([\w-]+)"#;

/// The blocks, of pages of one name, that run the same commands.
pub struct Blocks {
    pub name: String,
    pub shown: Vec<(Page, Fence)>,
}

impl Blocks {
    pub fn of(book: &Book) -> Result<Vec<Self>> {
        let mut all = BTreeMap::<_, Self>::new();
        for page in book.pages.values() {
            let file = page.path.rsplit('/').next().unwrap_or_default();
            for fence in page.fences.iter().filter(|it| it.language == "console") {
                let commands = commands(&fence.content);
                let commands: Vec<_> = commands.into_iter().map(|it| it.0).collect();
                let first = commands.first().copied().unwrap_or_default();
                let first: String = first.chars().take(60).collect();
                let name = format!("console::{file}::{first}");
                let key = (file.to_owned(), comparable(&commands.join("\n"))?);
                let blocks = all.entry(key).or_insert(Self { name, shown: Vec::new() });
                blocks.shown.push((page.clone(), fence.clone()));
            }
        }
        Ok(all.into_values().collect())
    }

    /// What the commands need that this machine lacks.
    pub fn lack(&self) -> Option<String> {
        let (_, block) = self.shown.first()?;
        let needs = |command| block.content.contains(command);
        let curl = needs("$ curl").then(|| installed("curl").err()).flatten();
        let cluster = needs("$ just cluster").then(|| Place::Proxied.lacks()).flatten();
        cluster.or(curl.map(|lack| lack.to_string()))
    }

    pub fn are_same(&self) -> bool {
        self.shown.windows(2).all(|pair| pair[0].1.content == pair[1].1.content)
    }

    /// Runs the commands: the block as it is now, and what is not so on the pages.
    pub fn run(&self) -> Result<(String, Vec<String>)> {
        let (first, block) = self.shown.first().context("no block")?;
        let now = block_on(run(&block.content))
            .with_context(|| fault(first, block.line, "cannot be run"))?;
        let (_, prints) = comparable(&now)?;
        let mut faults = Vec::new();
        for (page, block) in &self.shown {
            let (numbers, shows) = comparable(&block.content)?;
            if let Some(at) = difference(&shows, &prints) {
                let line = numbers.get(at).or(numbers.last()).unwrap_or(&0);
                let (shows, prints) = (shows.get(at), prints.get(at));
                let wrong = format!("shows {shows:?}, the command prints {prints:?}");
                faults.push(fault(page, block.line + 1 + line, wrong));
            }
        }
        Ok((now, faults))
    }
}

/// The commands of a block, each with what it prints there.
fn commands(block: &str) -> Vec<(&str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, String::new())),
            (None, Some((_, output))) => *output += &format!("{line}\n"),
            (None, None) => commands.push(("", format!("{line}\n"))),
        }
    }
    commands
}

/// The lines of a block as they are compared, after their numbers.
///
/// What varies is replaced; the headers of a message, which actix-web does not order, are
/// sorted; and what travels at the same time on a wire is sorted by connection and
/// direction, and an acknowledgement before the event of the same change. Left out are the
/// heartbeats of Engine.IO, the first of which comes at any time, and empty lines at the end
/// of an output.
fn comparable(block: &str) -> Result<(Vec<usize>, Vec<String>)> {
    let mut lines: Vec<(usize, String)> =
        block.lines().map(|line| line.trim_end().to_owned()).enumerate().collect();
    for (_, line) in &mut lines {
        *line = neutral(line);
    }
    let mut at_end = true;
    lines.reverse();
    lines.retain(|(_, line)| {
        let seen = !(at_end && line.is_empty());
        at_end = line.starts_with("$ ") || !seen;
        seen
    });
    lines.reverse();
    let wire = Regex::new(r"^#\d+ [↑↓]")?;
    let way = |line: &str| wire.find(line).map(|way| way.as_str().to_owned());
    let heartbeat = Regex::new(r"\(Engine\.IO p[io]ng\)$")?;
    lines.retain(|(_, line)| !heartbeat.is_match(line));
    // Where the bytes were split decides whether an empty line shows.
    lines.retain(|(_, line)| way(line).is_none_or(|way| way != *line));
    for run in lines.chunk_by_mut(|a, b| way(&a.1).is_some() == way(&b.1).is_some()) {
        run.sort_by_key(|(_, line)| way(line));
    }
    let version = Regex::new(r#""version":\d+"#)?;
    let version = |line: &str| version.find(line).map(|it| it.as_str().to_owned());
    for at in 1..lines.len() {
        let (before, line) = (&lines[at - 1].1, &lines[at].1);
        if before.ends_with("(Socket.IO event)")
            && line.ends_with("(Socket.IO acknowledgement)")
            && way(before) == way(line)
            && version(before) == version(line)
        {
            lines.swap(at - 1, at);
        }
    }
    let header = Regex::new(r"^(#\d+ [↑↓] )?[A-Za-z-]+: ")?;
    for message in lines.chunk_by_mut(|_, line| header.is_match(&line.1)) {
        if let [(_, first), headers @ ..] = message
            && first.contains("HTTP/1.1")
        {
            headers.sort_by(|a, b| a.1.cmp(&b.1));
        }
    }
    Ok(lines.into_iter().unzip())
}

/// An acknowledgement and the event of the same change go out in either order, and nothing
/// else changes places unseen.
pub fn either_order() -> Result<Vec<String>> {
    let event = |version| {
        format!(r#"#1 ↓ 42["counter",{{"version":{version}}}]  (Socket.IO event)"#)
    };
    let acknowledgement =
        r#"#1 ↓ 430[{"version":1}]  (Socket.IO acknowledgement)"#.to_owned();
    let [zero, one] = [event(0), event(1)];
    let lines = |lines: [&String; 3]| {
        comparable(&lines.map(String::as_str).join("\n")).map(|it| it.1)
    };
    let usual = lines([&zero, &acknowledgement, &one])?;
    ensure!(lines([&zero, &one, &acknowledgement])? == usual, "the same: {usual:#?}");
    for other in [[&acknowledgement, &zero, &one], [&one, &acknowledgement, &zero]] {
        ensure!(lines(other)? != usual, "not the same: {other:#?}");
    }
    Ok(Vec::new())
}

/// Runs the commands of a block, and returns the block as it is now.
async fn run(block: &str) -> Result<String> {
    let sent_back = Regex::new(SENT_BACK)?;
    let random = |output: &str| -> Vec<String> {
        let found = sent_back.captures_iter(output);
        let found = found.filter_map(|it| it.get(1).or(it.get(2)));
        found.map(|it| it.as_str().to_owned()).collect()
    };
    let mut shell = Shell { folder: tempfile::tempdir()?, servers: Vec::new() };
    let (mut now, mut renamed) = (String::new(), Vec::<(String, String)>::new());
    for (command, before) in commands(block) {
        let mut command = command.to_owned();
        for (old, new) in &renamed {
            command = command.replace(old, new);
        }
        let output = shell.run(&command).await.with_context(|| command.clone())?;
        renamed.extend(random(&before).into_iter().zip(random(&output)));
        let end = if output.ends_with('\n') { "" } else { "\n" };
        now += &format!("$ {command}\n{output}{end}");
    }
    Ok(now)
}

/// Where a block's commands run: a folder, and the servers that they have asked.
struct Shell {
    folder: TempDir,
    /// With the ports that the pages give them.
    servers: Vec<(&'static str, Server)>,
}

impl Shell {
    async fn run(&mut self, command: &str) -> Result<String> {
        let words = shlex::split(command).context("a quote is not closed")?;
        match &*words.iter().map(String::as_str).collect::<Vec<_>>() {
            ["just", "run", lesson] => listening(named(lesson)?),
            ["just", "wire", lesson] => watch(named(lesson)?).await,
            ["just", "cluster", lesson] => cluster(named(lesson)?).await,
            ["just", "drill", name, lesson] => {
                output(Command::new(built("compare")?).args(["drill", name, lesson]))
            }
            ["curl", arguments @ ..] => self.curl(arguments),
            _ => bail!("the book cannot run this"),
        }
    }

    fn curl(&mut self, arguments: &[&str]) -> Result<String> {
        for (lesson, page) in PORTS {
            let asked = arguments.iter().any(|argument| argument.contains(page));
            if asked && self.servers.iter().all(|(known, _)| *known != page) {
                self.servers.push((page, Server::start(lesson)?));
            }
        }
        ensure!(!self.servers.is_empty(), "it asks no lesson");
        let now = |server: &Server| format!(":{}", server.target().address.port());
        let ports: Vec<_> =
            self.servers.iter().map(|(page, server)| (*page, now(server))).collect();
        // Without the reader's settings, and not for ever.
        let mut curl = Command::new("curl");
        curl.args(["-q", "--noproxy", "*", "--no-progress-meter", "--max-time", "60"]);
        for argument in arguments {
            let replaced =
                |text: String, (page, now): &(&str, String)| text.replace(page, now);
            curl.arg(ports.iter().fold((*argument).to_owned(), replaced));
        }
        let printed = output(curl.current_dir(self.folder.path()))?;
        Ok(ports.iter().fold(printed, |text, (page, now)| text.replace(now, page)))
    }
}

fn named(lesson: &str) -> Result<Lesson> {
    Lesson::from_str(lesson, false).map_err(anyhow::Error::msg)
}

/// What `just run` prints, while the port may be taken.
fn listening(lesson: Lesson) -> Result<String> {
    let server = Server::start(lesson)?;
    // To a host that is not this machine (RFC 5737) it says where it would listen.
    let elsewhere = "192.0.2.1";
    let refusal = output(lesson.command()?.env_remove("PORT").env("HOST", elsewhere))?;
    let port = refusal.split_once(&format!("{elsewhere}:"));
    let port =
        port.and_then(|(_, rest)| rest.split(':').next()).context(refusal.clone())?;
    let target = server.target();
    let usual = target.url("").replace(&target.address.port().to_string(), port);
    Ok(format!("{lesson} listening on {usual}"))
}

/// What `just cluster` prints until it waits for Ctrl-C.
async fn cluster(lesson: Lesson) -> Result<String> {
    let reserved = Reserved::any()?;
    let port = reserved.address.port().to_string();
    let mut command = Command::new(built("compare")?);
    command.args(["cluster", lesson.name()]).env("PORT", &port);
    let mut running = Process::spawn(command.stdout(Stdio::piped()))?;
    let mut printed = String::new();
    let mut output = BufReader::new(running.stdout().context("no output")?);
    while !printed.ends_with("Ctrl-C ends\n") && output.read_line(&mut printed)? > 0 {}
    ends_well(&mut running).await.context(printed.clone())?;
    Ok(printed.replace(&format!(":{port}"), ":8080"))
}

/// Ends a program by Ctrl-C.
#[cfg(unix)]
async fn ends_well(running: &mut Process) -> Result<()> {
    running.signal(nix::sys::signal::Signal::SIGINT)?;
    let status = running.ended(compare::client::LIMIT).await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Where there is no Redis there is no cluster to end.
#[cfg(not(unix))]
async fn ends_well(_running: &mut Process) -> Result<()> {
    bail!("no signals")
}

/// What a program prints: its output, then its complaints.
fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {program:?}; is it installed?"))?;
    let text = [output.stdout, output.stderr].concat();
    // The separator of Engine.IO's packets cannot be seen, nor stand in a page.
    Ok(String::from_utf8_lossy(&text).replace('\r', "").replace('\x1e', "␞"))
}

/// Cargo, for all packages: one alone would be built differently.
pub fn cargo(command: &str) -> Command {
    let mut cargo =
        Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(book::root());
    cargo.arg(command).args(["--quiet", "--workspace", "--locked"]);
    cargo.args((!cfg!(debug_assertions)).then_some("--release"));
    cargo
}

/// The path of a program of this workspace, built from the sources as they are now.
fn built(name: &str) -> Result<std::path::PathBuf> {
    static BUILT: OnceLock<bool> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let status = cargo("build").args(["--all-features", "--bin", name]).status();
        status.is_ok_and(|status| status.success())
    });
    ensure!(*built, "{name} does not build");
    let own = env::current_exe()?;
    let folder = own.ancestors().nth(2).context("a test is in target/debug/deps")?;
    Ok(folder.join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

/// What `just wire` shows while one client connects, increments, and reads version 1.
async fn watch(lesson: Lesson) -> Result<String> {
    let server = Server::start(lesson)?;
    let recorder = Recorder::new(lesson);
    let relay = Relay::start(server.target().address, Some(recorder.tap())).await?;
    let target = relay.before(server.target());
    let mut client = connect(target).await?;
    if lesson != Lesson::Polling {
        // A stream begins with the state as it is, before or after the command.
        client.next().await?;
    }
    client.send("increment").await?;
    while client.next().await?.version < 1 {}
    let first = format!("open {} and click; Ctrl-C ends", target.url(""));
    Ok(format!("{first}\n{}", recorder.recording().text()))
}
