//! The contract, proved on every lesson: one list of behaviours, and the transport as the
//! only parameter.
//!
//! `cargo test -p compare --test contract 02-sse` runs one lesson's part, and
//! `… --test contract -- --ignored peer` that of the peers.

mod attacks;

use std::{
    collections::HashSet,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use attacks::*;
use compare::{
    Bad, Client, Lesson, Outcome, Place, Runtime, Server, Snapshot, Subject,
    client::{LIMIT, limited},
    connect,
    raw::{self, COMMAND, Raw, frame},
    relay::{Network, Relay},
};
use futures_util::future::{join_all, try_join_all};
use libtest_mimic::{Arguments, Failed, Trial};
use reqwest::{Method, StatusCode, header};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// What a transport cannot do, and why; everything else each must do.
const CANNOT: [(Lesson, &str, &str); 3] = [
    (Lesson::Polling, "heartbeat", "no connection stays open that could be silent"),
    (Lesson::Polling, "vanished_client_is_dropped", "no connection stays open"),
    (Lesson::Sse, "vanished_client_is_dropped", "only the kernel can notice: no pong"),
];

macro_rules! behaviours {
    ($trials:ident of $what:ty: $($name:ident),* $(,)?) => {
        fn $trials(subject: $what) -> Vec<Trial> {
            vec![$(trial(
                subject.into(),
                stringify!($name),
                move || Box::pin($name(subject)),
            )),*]
        }
    };
}

// What the peers that the lessons are measured beside must do as well.
behaviours![counting of Subject:
    first_snapshot_at_once,
    every_command,
    concurrent_increments,
    repeated_id_counts_once,
    a_follower_sees_the_last_value,
    stalled_client_delays_nobody,
    bad_input_changes_nothing,
    foreign_origin_is_refused,
];

// What must be so as long as the counter lives in the process.
behaviours![remembering of Subject:
    restart_matches_nothing_old,
];

behaviours![serving of Lesson:
    foreign_host_is_refused,
    own_origin_is_served,
    taken_port,
    bad_settings,
    started_from_another_folder,
    page_in_both_languages,
    page_files,
    odd_requests_are_refused,
    wire_shows_what_travels,
    heartbeat,
    vanished_client_is_dropped,
    last_command_counts,
    every_request_is_answered,
    head_ends_at_its_head,
    borrowed_names_are_refused,
    mapped_loopback_is_loopback,
    unread_log_delays_nobody,
    fault_half_a_head_is_held,
];

#[cfg(unix)]
behaviours![waking of Lesson: stopped_server_blames_nobody];

#[cfg(target_os = "linux")]
behaviours![writing of Lesson: full_disk_stops_nobody];

// The contract names a time for these, so nothing else may run on the machine meanwhile.
#[cfg(unix)]
behaviours![stopping of Lesson:
    interrupt_tells_the_clients,
    terminate_tells_the_clients,
];

/// Well before the first heartbeat, which on some transports brings a snapshot too and
/// would hide that one was lost.
const AT_ONCE: Duration = Duration::from_secs(5);

type Behaviour = futures_util::future::LocalBoxFuture<'static, Result<()>>;

fn trial(
    subject: Subject,
    name: &'static str,
    run: impl FnOnce() -> Behaviour + Send + 'static,
) -> Trial {
    if subject.runtime != Runtime::Rust {
        let trial = Trial::test(format!("peer {subject}::{name}"), || block_on(run()));
        return trial.with_ignored_flag(true);
    }
    let cannot = CANNOT.iter().find(|(l, n, _)| (*l, *n) == (subject.lesson, name));
    if let Some((_, _, why)) = cannot {
        let title = format!("{subject}::{name} (cannot: {why})");
        return Trial::test(title, || Ok(())).with_ignored_flag(true);
    }
    Trial::test(format!("{subject}::{name}"), || block_on(run()))
}

/// A peer does what the lessons do, or is named as missing. `--ignored peer` runs these.
fn peer(subject: Subject, asked: bool) -> Vec<Trial> {
    match subject.command() {
        Ok(_) => alone(subject),
        Err(reason) => {
            if asked {
                println!("missing: peer {subject}: {reason}");
            }
            Vec::new()
        }
    }
}

fn alone(subject: Subject) -> Vec<Trial> {
    counting(subject).into_iter().chain(remembering(subject)).collect()
}

/// What a lesson does alone it does with several instances, or a line says what is missing.
fn together(place: Place) -> Vec<Trial> {
    let lacks = place.lacks();
    if let Some(lacks) = &lacks {
        println!("not run: the contract with {}: {lacks}", place.name());
    }
    let subjects = Lesson::ALL.map(|lesson| Subject { place, ..lesson.into() });
    let trials = subjects.into_iter().flat_map(counting);
    trials.map(|trial| trial.with_ignored_flag(lacks.is_some())).collect()
}

fn block_on(behaviour: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(behaviour).map_err(|error| format!("{error:#}").into())
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Most of these wait for a server or a clock, not for a core.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let lessons = Lesson::ALL.into_iter();
    let mut all: Vec<Trial> = lessons
        .flat_map(|lesson| alone(lesson.into()).into_iter().chain(serving(lesson)))
        .chain([Place::Shared, Place::Proxied].into_iter().flat_map(together))
        .chain(Subject::peers().flat_map(|subject| peer(subject, arguments.ignored)))
        .collect();
    macro_rules! push {
        ($name:literal, $run:expr) => {
            all.push(Trial::test($name, || block_on($run)))
        };
    }
    push!("01-polling::not_modified", not_modified());
    push!("01-polling::media_types", media_types(Lesson::Polling));
    push!("02-sse::head_and_ids", head_and_ids());
    push!("02-sse::media_types", media_types(Lesson::Sse));
    push!("03-websocket::close_ends_the_connection", close_ends_the_connection());
    push!("04-socketio::engine_errors", engine_errors());
    push!(
        "04-socketio::failed_upgrade_ends_the_session",
        failed_upgrade_ends_the_session()
    );
    push!("relay::disturbs", relay_disturbs());
    #[cfg(unix)]
    all.extend(Lesson::ALL.into_iter().flat_map(waking));
    #[cfg(unix)]
    push!(
        "04-socketio::stop_is_not_told_before_joining",
        stop_is_not_told_before_joining()
    );
    #[cfg(target_os = "linux")]
    {
        all.extend(Lesson::ALL.into_iter().flat_map(writing));
        push!("02-sse::fault_pipelining_spins", fault_pipelining_spins());
    }
    for (name, bytes, code) in RUDE {
        let run = move || block_on(rude(bytes(), code));
        all.push(Trial::test(format!("03-websocket::{name}"), run));
    }
    let together = libtest_mimic::run(&arguments, all);
    arguments.test_threads = Some(1);
    #[cfg(unix)]
    let alone = Lesson::ALL.into_iter().flat_map(stopping).collect();
    #[cfg(not(unix))]
    let alone = Vec::new();
    let alone = libtest_mimic::run(&arguments, alone);
    together.exit_if_failed();
    alone.exit();
}

async fn first_snapshot_at_once(subject: Subject) -> Result<()> {
    let server = Server::start(subject)?;
    let mut first = connect(&server).await?;
    let snapshot =
        timeout(AT_ONCE, first.next()).await.context("nothing at once")??;
    ensure!(snapshot == Snapshot::new(0, 0));
    first.send("increment").await?;
    until(&mut *first, 1).await?;
    let snapshot = timeout(AT_ONCE, newest(subject, &server, 1))
        .await
        .context("nothing at once")??;
    ensure!(snapshot == Snapshot::new(1, 1));
    Ok(())
}

async fn every_command(subject: Subject) -> Result<()> {
    let server = Server::start(subject)?;
    let mut client = connect(&server).await?;
    let steps = [
        ("increment", 1),
        ("increment", 2),
        ("decrement", 1),
        ("reset", 0),
        ("reset", 0),
        ("decrement", -1),
    ];
    for (version, (command, value)) in (1..).zip(steps) {
        client.send(command).await?;
        let snapshot = until(&mut *client, version).await?;
        ensure!(snapshot == Snapshot::new(value, version), "{command}: {snapshot:?}");
    }
    Ok(())
}

/// What a new client sees, once the instance that it reached knows of `version`: it may be
/// a moment behind another.
async fn newest(subject: Subject, server: &Server, version: u64) -> Result<Snapshot> {
    let mut client = connect(server).await?;
    match subject.place {
        Place::Alone => client.next().await,
        Place::Shared | Place::Proxied => until(&mut *client, version).await,
    }
}

/// Reads snapshots until `version`, and checks that none goes back.
async fn until(client: &mut dyn Client, version: u64) -> Result<Snapshot> {
    let mut last = client.next().await?;
    while last.version < version {
        let newer = async {
            loop {
                let next = client.next().await?;
                ensure!(next.version >= last.version, "{next:?} after {last:?}");
                if next.version > last.version {
                    return Ok(next);
                }
            }
        };
        last = limited("newer version", newer).await??;
    }
    ensure!(last.version == version, "{last:?} is past version {version}");
    Ok(last)
}

async fn concurrent_increments(subject: Subject) -> Result<()> {
    const CLIENTS: u64 = 20;
    const EACH: u64 = 50;
    let server = Server::start(subject)?;
    let clients = join_all((0..CLIENTS).map(|_| connect(&server))).await;
    let finished = clients.into_iter().map(async |client| {
        let mut client = client?;
        for _ in 0..EACH {
            client.send("increment").await?;
        }
        until(&mut *client, CLIENTS * EACH).await
    });
    for last in try_join_all(finished).await? {
        ensure!(last.value == 1000 && last.version == 1000, "{last:?}");
    }
    Ok(())
}

async fn repeated_id_counts_once(subject: Subject) -> Result<()> {
    let server = Server::start(subject)?;
    let mut clients = try_join_all((0..4).map(|_| connect(&server))).await?;
    let long = "é".repeat(32);
    for id in ["a", "b", &long] {
        for client in &mut clients {
            for _ in 0..5 {
                let command = json!({ "type": "increment", "id": id });
                client.send_text(command.to_string()).await?;
            }
        }
    }
    // An id belongs to the first command that came with it, whatever comes later.
    clients[0].send_text(json!({ "type": "reset", "id": "a" }).to_string()).await?;
    clients[0].send("decrement").await?;
    let last = until(&mut *clients[0], 4).await?;
    ensure!(last == Snapshot::new(2, 4), "{last:?}");
    Ok(())
}

async fn a_follower_sees_the_last_value(subject: Subject) -> Result<()> {
    let server = Server::start(subject)?;
    // A client that connects while the counter changes must not miss the last change: the
    // gap between reading and subscribing would lose it.
    let mut sender = connect(&server).await?;
    sender.next().await?;
    for version in 1..=100 {
        let (sent, followed) = tokio::join!(sender.send("increment"), async {
            let mut follower = connect(&server).await?;
            timeout(AT_ONCE, until(&mut *follower, version)).await?
        });
        sent?;
        followed.with_context(|| format!("version {version} never came"))?;
    }
    Ok(())
}

async fn stalled_client_delays_nobody(subject: Subject) -> Result<()> {
    const CHANGES: u64 = 2000;
    let server = Server::start(subject)?;
    let mut stalled = Raw::subscribe(&server).await?;
    let mut reader = connect(&server).await?;
    let mut sender = connect(&server).await?;
    sender.next().await?;
    let (sent, read) = tokio::join!(
        async {
            for _ in 0..CHANGES {
                sender.send("increment").await?;
            }
            Ok::<_, anyhow::Error>(())
        },
        until(&mut *reader, CHANGES),
    );
    sent?;
    read?;
    // It was connected all the while, and only now reads what waited for it.
    ensure!(stalled.read_some().await? > 0, "the stalled client was not connected");
    Ok(())
}

/// How the transport's own protocol demands to end the connection after a bad input.
fn closes(lesson: Lesson, bad: Bad) -> Option<&'static str> {
    match (lesson, bad) {
        (Lesson::WebSocket, Bad::TooLong) => Some("1009"),
        (Lesson::WebSocket, Bad::Binary) => Some("1003"),
        (Lesson::WebSocket, Bad::NotUtf8) => Some("1007"),
        // A packet that cannot be read at all is an error of the protocol, not of the event.
        (Lesson::SocketIo, Bad::NotJson | Bad::TooLong | Bad::NotUtf8) => {
            Some("close frame")
        }
        _ => None,
    }
}

/// What a peer's Socket.IO library settles before the peer sees the event: its JSON parser
/// keeps the last of two fields with one name, and python-socketio drops a packet that it
/// cannot parse.
fn unseen(subject: Subject, bad: Bad) -> bool {
    subject.lesson == Lesson::SocketIo
        && match subject.runtime {
            Runtime::Node | Runtime::Bun => bad == Bad::Twice,
            Runtime::Python => matches!(bad, Bad::Twice | Bad::NotJson | Bad::Nested),
            Runtime::Rust | Runtime::Floor => false,
        }
}

async fn bad_input_changes_nothing(subject: Subject) -> Result<()> {
    let server = Server::start(subject)?;
    let mut accepted = 0;
    for bad in Bad::ALL.into_iter().filter(|&bad| !unseen(subject, bad)) {
        let mut client = connect(&server).await?;
        client.next().await?;
        let outcome = client.send_bad(bad).await.with_context(|| format!("{bad:?}"))?;
        match (closes(subject.lesson, bad), outcome) {
            (Some(expected), Outcome::Closed(how)) => {
                ensure!(how == expected, "{bad:?} closed with {how:?}");
            }
            (None, Outcome::Refused(sentence)) => {
                ensure!(sentence.contains(' '), "{bad:?} says only {sentence:?}");
                // The connection is as good as before.
                client.send("reset").await.with_context(|| format!("after {bad:?}"))?;
                accepted += 1;
                until(&mut *client, accepted)
                    .await
                    .with_context(|| format!("{bad:?}"))?;
            }
            (_, outcome) => bail!("{bad:?}: {outcome:?}"),
        }
        let now = newest(subject, &server, accepted).await?;
        ensure!(now == Snapshot::new(0, accepted), "{bad:?} made {now:?}");
    }
    Ok(())
}

/// What another site's page could try: each command and each handshake.
fn sensitive(lesson: Lesson) -> &'static [(&'static str, &'static str)] {
    match lesson {
        Lesson::Polling => &[("GET", "/counter"), ("POST", "/counter")],
        Lesson::Sse => &[("GET", "/events"), ("POST", "/counter")],
        Lesson::WebSocket => &[("GET", "/ws")],
        Lesson::SocketIo => &[
            ("GET", "/socket.io/?EIO=4&transport=polling"),
            ("GET", "/socket.io/?EIO=4&transport=websocket"),
        ],
    }
}

async fn foreign_origin_is_refused(subject: Subject) -> Result<()> {
    let server = Server::start(subject)?;
    let port = server.address.port();
    let foreign = [
        "http://example.org".to_owned(),
        format!("http://example.org:{port}"),
        "http://127.0.0.1".to_owned(),
        format!("http://127.0.0.1:{port}.example.org"),
        "null".to_owned(),
        String::new(),
    ];
    for (method, path) in sensitive(subject.lesson) {
        for origin in &foreign {
            let status = raw::status(&server, method, path, Some(origin)).await?;
            ensure!(status == 403, "{method} {path} from {origin:?}: {status}");
        }
    }
    let now = connect(&server).await?.next().await?;
    ensure!(now == Snapshot::new(0, 0), "{now:?}");
    Ok(())
}

/// DNS rebinding: the name of another site was made to point to this machine.
async fn foreign_host_is_refused(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let port = server.address.port();
    let hosts = [
        (format!("rebound.example:{port}"), 421),
        (format!("127.0.0.1.rebound.example:{port}"), 421),
        ("10.0.0.1".to_owned(), 421),
        ("not a host".to_owned(), 421),
        (format!("127.0.0.1:{port}"), 200),
        ("LOCALHOST".to_owned(), 200),
        (format!("[::1]:{port}"), 200),
    ];
    for (host, expected) in hosts {
        let mut raw = Raw::connect(&server).await?;
        let origin = format!("Origin: http://{host}\r\n");
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
        raw.write(request.as_bytes()).await?;
        let status = format!("HTTP/1.1 {expected}");
        raw.read_until(status.as_bytes()).await.with_context(|| host.clone())?;
    }
    Ok(())
}

async fn own_origin_is_served(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let own = server.url("");
    for (method, path) in sensitive(lesson) {
        for origin in [None, Some(own.as_str())] {
            let status = raw::status(&server, method, path, origin).await?;
            let websocket = path.ends_with("ws") || path.ends_with("websocket");
            let expected = if websocket { 101 } else { 200 };
            ensure!(status == expected, "{method} {path} from {origin:?}: {status}");
        }
    }
    Ok(())
}

async fn restart_matches_nothing_old(subject: Subject) -> Result<()> {
    let server = Server::start(subject)?;
    let address = server.address;
    let mut ids = Vec::new();
    let mut next = Some(server);
    for _run in 0..2 {
        let mut server = next.take().context("no server")?;
        let mut client = connect(&server).await?;
        ensure!(client.next().await? == Snapshot::new(0, 0));
        client.send("increment").await?;
        until(&mut *client, 1).await?;
        match subject.lesson {
            Lesson::Polling => {
                // Version 1 of this run is not version 1 of the last one.
                let old = ids.last().map_or("", String::as_str);
                let answer =
                    get(&server, "/counter", &[("if-none-match", old)]).await?;
                ensure!(answer.status() == StatusCode::OK, "{answer:?}");
                let etag = answer.headers().get(header::ETAG).context("no ETag")?;
                ids.push(etag.to_str()?.to_owned());
            }
            Lesson::Sse => ids.push(raw::first_event_id(&server).await?),
            // These two have no ids: the first snapshot after the handshake is the newest.
            Lesson::WebSocket | Lesson::SocketIo => {
                ids.push(format!("run {}", ids.len()))
            }
        }
        server.kill()?;
        next = Some(Server::start_again(subject, address)?);
    }
    ensure!(ids[0] != ids[1], "{ids:?}");
    Ok(())
}

#[cfg(unix)]
async fn interrupt_tells_the_clients(lesson: Lesson) -> Result<()> {
    stop_tells_the_clients(lesson, nix::sys::signal::Signal::SIGINT).await
}

#[cfg(unix)]
async fn terminate_tells_the_clients(lesson: Lesson) -> Result<()> {
    stop_tells_the_clients(lesson, nix::sys::signal::Signal::SIGTERM).await
}

#[cfg(unix)]
async fn stop_tells_the_clients(
    lesson: Lesson,
    signal: nix::sys::signal::Signal,
) -> Result<()> {
    const WITHIN: Duration = Duration::from_millis(1500);
    let mut server = Server::start(lesson)?;
    let mut clients = try_join_all((0..50).map(|_| connect(&server))).await?;
    for client in &mut clients {
        client.next().await?;
    }
    server.signal(signal)?;
    let (ended, farewells) = tokio::join!(
        server.ended(WITHIN),
        try_join_all(clients.iter_mut().map(|client| client.farewell())),
    );
    ensure!(ended?.success(), "exit code");
    let expected = match lesson {
        Lesson::Polling => "no answer",
        Lesson::Sse => "end of the stream",
        Lesson::WebSocket => "1001",
        Lesson::SocketIo => "close frame",
    };
    for farewell in farewells? {
        ensure!(farewell == expected, "{farewell}");
    }
    Ok(())
}

async fn taken_port(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let port = server.address.port().to_string();
    let output = lesson.command()?.env("PORT", &port).output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{:?}", output.status);
    ensure!(output.stdout.is_empty());
    ensure!(said.lines().count() == 1 && said.contains(&port), "{said}");
    ensure!(said.contains("taken") && said.contains("PORT="), "{said}");
    Ok(())
}

async fn bad_settings(lesson: Lesson) -> Result<()> {
    for (name, value) in [("PORT", "99999"), ("PORT", "http"), ("HOST", "nowhere")] {
        let output = lesson.command()?.env(name, value).output()?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{name}={value}: {:?}", output.status);
        ensure!(said.contains(&format!("{name}={value}")), "{said}");
    }
    Ok(())
}

async fn started_from_another_folder(lesson: Lesson) -> Result<()> {
    let mut command = lesson.command()?;
    command.current_dir(std::env::temp_dir());
    let server = Server::spawn(lesson, &mut command)?;
    for path in ["/", "/client.js", "/style.css"] {
        get(&server, path, &[]).await?.error_for_status()?;
    }
    if lesson == Lesson::SocketIo {
        get(&server, "/socket.io.js", &[]).await?.error_for_status()?;
    }
    Ok(())
}

async fn page_in_both_languages(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let asked = [
        ("/", "fr-FR,fr;q=0.9,en;q=0.5", "fr"),
        ("/", "en-GB,fr;q=0.5", "en"),
        ("/", "de,fr;q=0.2", "fr"),
        ("/", "de", "en"),
        ("/", "not a language;;", "en"),
        ("/?lang=fr", "en", "fr"),
        ("/?lang=en", "fr", "en"),
        ("/?lang=xx", "fr", "fr"),
    ];
    for (path, accepted, lang) in asked {
        let answer = get(&server, path, &[("accept-language", accepted)]).await?;
        let page = answer.error_for_status()?.text().await?;
        let tag = format!("<html lang=\"{lang}\"");
        ensure!(page.contains(&tag), "{path} for {accepted}: {:?}", page.get(..80));
        for id in ["value", "increment", "decrement", "reset", "status", "wire"] {
            ensure!(page.contains(&format!("id=\"{id}\"")), "no #{id} in {path}");
        }
    }
    Ok(())
}

async fn page_files(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let files = [
        ("/", "text/html"),
        ("/client.js", "text/javascript"),
        ("/page.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ];
    for (path, kind) in files {
        let answer = get(&server, path, &[]).await?.error_for_status()?;
        let header = |name| answer.headers().get(name).and_then(|v| v.to_str().ok());
        let content_type = header(header::CONTENT_TYPE).unwrap_or_default();
        ensure!(content_type.starts_with(kind), "{path} is {content_type}");
        if path == "/" {
            let policy = header(header::CONTENT_SECURITY_POLICY).unwrap_or_default();
            ensure!(
                policy.starts_with("default-src 'none'; script-src 'self';"),
                "{policy}"
            );
            ensure!(!policy.contains("unsafe"), "{policy}");
            ensure!(header(header::REFERRER_POLICY) == Some("no-referrer"));
        } else {
            ensure!(header(header::CONTENT_SECURITY_POLICY).is_none(), "{path}");
        }
        ensure!(header(header::X_CONTENT_TYPE_OPTIONS) == Some("nosniff"));
        ensure!(header(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none());
    }
    let http = reqwest::Client::builder().no_proxy().build()?;
    let head = limited("answer", http.head(server.url("/")).send()).await??;
    ensure!(head.status() == StatusCode::OK, "{head:?}");
    ensure!(head.headers().contains_key(header::CONTENT_LENGTH), "{head:?}");
    let absent = get(&server, "/../Cargo.toml", &[]).await?;
    ensure!(absent.status() == StatusCode::NOT_FOUND);
    Ok(())
}

/// Paths that try to leave the page's files, and heads and bodies beyond any limit.
async fn odd_requests_are_refused(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let paths = [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2fCargo.toml",
        "/client.js/../../Cargo.toml",
        "//etc/passwd",
        "/style.css%00",
    ];
    for path in paths {
        let status = raw::status(&server, "GET", path, None).await?;
        ensure!((400..=404).contains(&status), "{path}: {status}");
    }
    let long = "x".repeat(1 << 20);
    let requests = [
        format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        raw::request(&server, "POST", "/counter", "", &long),
        raw::request(&server, "POST", "/socket.io/?EIO=4&transport=polling", "", &long),
    ];
    for request in requests {
        let mut raw = Raw::connect(&server).await?;
        let (answer, closed) =
            raw.exchange(request.as_bytes(), b"HTTP/1.1 4", 1).await?;
        ensure!(!answer.is_empty() || closed, "neither an answer nor an end");
        ensure!(!answer.starts_with(b"HTTP/1.1 2"), "{}", answer.escape_ascii());
        ensure!(!answer.starts_with(b"HTTP/1.1 5"), "{}", answer.escape_ascii());
    }
    ensure!(connect(&server).await?.next().await? == Snapshot::new(0, 0));
    Ok(())
}

/// The relay does what it says, so that a drill that passes means something.
async fn relay_disturbs() -> Result<()> {
    let echo = TcpListener::bind("127.0.0.1:0").await?;
    let address = echo.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    let relay = Relay::start(address, None).await?;
    let mut client = TcpStream::connect(relay.address).await?;
    let mut echoed = async |bytes: &[u8]| -> Result<Duration> {
        let started = Instant::now();
        client.write_all(bytes).await?;
        let mut answer = vec![0; bytes.len()];
        limited("echo", client.read_exact(&mut answer)).await??;
        ensure!(answer == bytes);
        Ok(started.elapsed())
    };
    echoed(&[1; 1000]).await?;
    let traffic = relay.traffic();
    ensure!(traffic.up.load(Ordering::Relaxed) == 1000, "{traffic:?}");
    ensure!(traffic.down.load(Ordering::Relaxed) == 1000, "{traffic:?}");
    relay.set(Network::Slow(Duration::from_millis(100)));
    let slow = echoed(b"slow").await?;
    ensure!(slow >= Duration::from_millis(200), "{slow:?}");
    relay.set(Network::Narrow(10_000));
    let narrow = echoed(&[2; 2000]).await?;
    ensure!(narrow >= Duration::from_millis(400), "{narrow:?}");
    relay.set(Network::Frozen);
    let frozen = timeout(Duration::from_millis(300), echoed(b"frozen")).await;
    ensure!(frozen.is_err(), "a frozen network moved bytes: {frozen:?}");
    relay.set(Network::Good);
    let mut late = [0; 6];
    limited("late echo", client.read_exact(&mut late)).await??;
    ensure!(&late == b"frozen");
    relay.set(Network::Down);
    let error = limited("reset", client.read(&mut late)).await?;
    ensure!(error.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    let mut refused = TcpStream::connect(relay.address).await?;
    let error = limited("reset", refused.read(&mut late)).await?;
    ensure!(error.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
    Ok(())
}

async fn wire_shows_what_travels(lesson: Lesson) -> Result<()> {
    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);
    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            shown.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let shown = Shown::default();
    let mut server = Server::start(lesson)?;
    let tap = compare::wire::tap(lesson, false, shown.clone());
    let relay = Relay::start(server.address, Some(tap)).await?;
    server.address = relay.address;
    let mut client = connect(&server).await?;
    client.send("increment").await?;
    until(&mut *client, 1).await?;
    let text = shown.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8(text)?;
    let expected: &[&str] = match lesson {
        Lesson::Polling => {
            &["↑ POST /counter HTTP/1.1", r#"↓ {"value":1,"version":1}"#]
        }
        Lesson::Sse => {
            &["↑ GET /events HTTP/1.1", r#"↓ data: {"value":1,"version":1}"#]
        }
        Lesson::WebSocket => &[
            "↓ HTTP/1.1 101 Switching Protocols",
            r#"↑ [text, 6 + 20 bytes] {"type":"increment"}"#,
            r#"↓ [text, 2 + 23 bytes] {"value":1,"version":1}"#,
        ],
        Lesson::SocketIo => &[
            r#"↑ [text, 6 + 2 bytes] 40  (Socket.IO connect)"#,
            r#"↑ [text, 6 + 35 bytes] 420["command",{"type":"increment"}]  (Socket.IO event)"#,
            r#"↓ [text, 2 + 28 bytes] 430[{"value":1,"version":1}]  (Socket.IO acknowledgement)"#,
        ],
    };
    for line in expected {
        ensure!(text.contains(line), "no {line} in\n{text}");
    }
    Ok(())
}

async fn heartbeat(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    let mut silent = Raw::subscribe(&server).await?;
    let expected: &[u8] = match lesson {
        Lesson::Polling => bail!("declared as impossible"),
        Lesson::Sse => b"\nevent: heartbeat\ndata:\n\n",
        Lesson::WebSocket => &[0x89, 0],
        Lesson::SocketIo => &[0x81, 1, b'2'],
    };
    silent.read_until(expected).await.context("no heartbeat")?;
    if lesson == Lesson::SocketIo {
        // That one comes with the connection; the next one keeps the interval.
        silent.write(&frame(0x81, b"3")).await?;
        silent.read_until(expected).await.context("no second heartbeat")?;
    }
    Ok(())
}

async fn vanished_client_is_dropped(lesson: Lesson) -> Result<()> {
    let server = Server::start(lesson)?;
    // It reads all it gets and never answers a ping, like a machine behind a proxy that
    // has not noticed that the machine is gone.
    let mut vanished = Raw::subscribe(&server).await?;
    timeout(3 * LIMIT, vanished.closed()).await.context("still connected")?
}

/// RFC 9110, section 13.1.2.
async fn not_modified() -> Result<()> {
    let server = Server::start(Lesson::Polling)?;
    let first = get(&server, "/counter", &[]).await?;
    let etag =
        first.headers().get(header::ETAG).context("no ETag")?.to_str()?.to_owned();
    ensure!(etag.starts_with('"'), "{etag} is not strong");
    let other = "\"other\"";
    let unchanged = [
        etag.clone(),
        format!("W/{etag}"),
        format!("{other}, {etag}"),
        format!("{other} ,\tW/{etag},"),
        format!("\"with, comma\", {etag}"),
        "*".to_owned(),
    ];
    for tags in &unchanged {
        let answer = get(&server, "/counter", &[("if-none-match", tags)]).await?;
        ensure!(answer.status() == StatusCode::NOT_MODIFIED, "{tags}: {answer:?}");
        ensure!(answer.headers()[header::ETAG] == etag, "{answer:?}");
        ensure!(answer.headers()[header::CACHE_CONTROL] == "no-cache", "{answer:?}");
        ensure!(answer.bytes().await?.is_empty(), "{tags}: a 304 with a body");
    }
    let bare = etag.trim_matches('"');
    // What cannot be read among the tags is skipped.
    let beside = format!("rubbish, {etag}");
    let answer = get(&server, "/counter", &[("if-none-match", &beside)]).await?;
    ensure!(answer.status() == StatusCode::NOT_MODIFIED, "{answer:?}");
    for tags in [other, bare, "", "\"", "W/", &format!("w/{etag}")] {
        let answer = get(&server, "/counter", &[("if-none-match", tags)]).await?;
        ensure!(answer.status() == StatusCode::OK, "{tags}: {answer:?}");
    }
    let mut client = connect(&server).await?;
    client.send("reset").await?;
    let answer = get(&server, "/counter", &[("if-none-match", &etag)]).await?;
    ensure!(answer.status() == StatusCode::OK, "{answer:?}");
    ensure!(answer.headers()[header::ETAG] != etag, "{answer:?}");
    // A poll is short: what only a page needs, such as its security policy, is not in it.
    let mut raw = Raw::connect(&server).await?;
    let poll = raw::request(&server, "GET", "/counter", "", "");
    let (answer, _) = raw.exchange(poll.as_bytes(), b"\"version\":1}", 1).await?;
    ensure!(answer.len() < 230, "{} bytes: {}", answer.len(), answer.escape_ascii());
    Ok(())
}

/// The headers that keep an event stream unbuffered, and its ids.
async fn head_and_ids() -> Result<()> {
    let server = Server::start(Lesson::Sse)?;
    let answer =
        get(&server, "/events", &[("accept-encoding", "gzip, br, zstd")]).await?;
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
    ensure!(header("content-type") == Some("text/event-stream"), "{answer:?}");
    ensure!(header("cache-control") == Some("no-cache"), "{answer:?}");
    ensure!(header("x-accel-buffering") == Some("no"), "{answer:?}");
    ensure!(header("content-encoding").is_none(), "{answer:?}");
    let before = raw::first_event_id(&server).await?;
    ensure!(raw::first_event_id(&server).await? == before, "one state, two ids");
    connect(&server).await?.send("reset").await?;
    ensure!(raw::first_event_id(&server).await? != before, "two states, one id");
    let mut pauses = HashSet::new();
    for _ in 0..8 {
        let pause = raw::first_line_after(&server, b"\nretry: ").await?;
        ensure!((1000..2000).contains(&pause.parse::<u32>()?), "retry: {pause}");
        pauses.insert(pause);
    }
    // One chance in a thousand each: eight alike would be no chance.
    ensure!(pauses.len() > 1, "every client would come back after {pauses:?} ms");
    Ok(())
}

async fn get(
    server: &Server,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<reqwest::Response> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request = http.request(Method::GET, server.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(limited("answer", request.send()).await??)
}

fn close(code: u16) -> Vec<u8> {
    frame(0x88, &code.to_be_bytes())
}

/// A name, what a client sends, and the code that the server must close with, if any.
type Rude = (&'static str, fn() -> Vec<u8>, Option<u16>);

/// What the server must do with a client's bytes: go on, or close with a code.
pub const RUDE: [Rude; 18] = [
    // The header of a frame of 1 GiB, and nothing of its payload.
    (
        "announced_gigabyte",
        || [&[0x81, 0xff], &(1_u64 << 30).to_be_bytes()[..]].concat(),
        Some(1009),
    ),
    ("empty_ping", || frame(0x89, b""), None),
    ("unasked_pong", || frame(0x8a, b"unasked"), None),
    (
        "fragments",
        || [frame(0x01, b"{\"type\":"), frame(0x80, b"\"reset\"}")].concat(),
        None,
    ),
    (
        "ping_between_fragments",
        || [frame(0x01, b"{"), frame(0x89, b"p"), frame(0x80, b"}")].concat(),
        None,
    ),
    ("close_is_echoed", || close(1000), Some(1000)),
    ("own_code_is_echoed", || close(4321), Some(4321)),
    ("close_without_code", || frame(0x88, b""), Some(1000)),
    ("impossible_close_code", || close(1005), Some(1002)),
    ("unmasked", || vec![0x81, 2, b'{', b'}'], Some(1002)),
    ("reserved_bit", || frame(0xc1, b"{}"), Some(1002)),
    ("unknown_opcode", || frame(0x83, b"{}"), Some(1002)),
    ("long_ping", || frame(0x89, &[0; 126]), Some(1002)),
    ("lonely_continuation", || frame(0x80, b"{}"), Some(1002)),
    ("fragmented_ping", || frame(0x09, b""), Some(1002)),
    (
        "fragmented_binary",
        || [frame(0x02, b"a"), frame(0x80, b"b")].concat(),
        Some(1003),
    ),
    (
        "broken_utf8_in_fragments",
        || [frame(0x01, b"\xc3"), frame(0x80, b"(")].concat(),
        Some(1007),
    ),
    (
        "too_long_in_fragments",
        || [frame(0x01, &[b' '; 4000]), frame(0x80, &[b' '; 4000])].concat(),
        Some(1009),
    ),
];

/// Sends `bytes` on a WebSocket and checks that the server closes with `code`, or goes on.
pub async fn rude(bytes: Vec<u8>, code: Option<u16>) -> Result<()> {
    let server = Server::start(Lesson::WebSocket)?;
    let mut raw = Raw::websocket(&server).await?;
    raw.write(&bytes).await?;
    let Some(code) = code else {
        raw.write(&frame(0x81, COMMAND.as_bytes())).await?;
        return raw.read_until(br#"{"value":0,"version":"#).await;
    };
    let [high, low] = code.to_be_bytes();
    raw.read_until(&[0x88, 2, high, low]).await?;
    limited("end of the connection", raw.closed()).await??;
    // Everybody else is served as before.
    connect(&server).await?.next().await?;
    Ok(())
}
