//! The diagrams of the chapters: a short scene of each lesson, played by clients through a
//! relay, recorded in `docs/recordings`. The picture and the table of a page are drawn from
//! the recording, which stays until something else travels.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use compare::{
    Client, Lesson, Server, Target, connect,
    diagram::Diagram,
    language::{Language, Text, text},
    raw::{self, HANDSHAKE, Raw},
    recording::{Recorder, Recording},
    relay::{Network, Relay},
    report::chapter::{folder, stands_between, write_between},
    wire::What,
};
use tokio::time::{sleep, timeout};

use crate::{console::neutral, trial::block_on};

/// How long each way takes: long enough for arrows to slant, and for the lessons to do in
/// between what they do in any order.
const WAY: Duration = Duration::from_millis(20);

/// Longer than any heartbeat.
const SILENCE: Duration = Duration::from_secs(60);

/// Who acts in the scene of a lesson, by the numbers of their connections.
fn cast(lesson: Lesson) -> Text {
    match lesson {
        Lesson::Polling => text(
            "Un client suit le compteur sur la connexion #1 ; un autre clique, sur la #2.",
            "One client follows the counter on connection #1; another clicks, on #2.",
        ),
        Lesson::Sse => text(
            "Deux clients suivent le compteur, sur les connexions #1 et #2 ; le premier \
             clique,\nsur la #3, qu’il ferme après 4 s d’inactivité.",
            "Two clients follow the counter, on connections #1 and #2; the first clicks, \
             on #3,\nwhich it closes after 4 s without using it.",
        ),
        Lesson::WebSocket => text(
            "Deux clients suivent le compteur, sur les connexions #1 et #2 ; le premier \
             clique,\nsur la sienne.",
            "Two clients follow the counter, on connections #1 and #2; the first clicks, \
             on its\nown.",
        ),
        Lesson::SocketIo => text(
            "Un client commence en long polling sur la connexion #1, passe à WebSocket \
             sur la #2,\npuis clique.",
            "A client begins with long polling on connection #1, moves to WebSocket on #2, \
             then\nclicks.",
        ),
    }
}

/// Plays the scene of a lesson.
async fn play(lesson: Lesson) -> Result<Recording> {
    let server = Server::start(lesson)?;
    let recorder = Recorder::new(lesson);
    let relay = Relay::start(server.target().address, Some(recorder.tap())).await?;
    relay.set(Network::Slow(WAY));
    let target = relay.before(server.target());
    if lesson == Lesson::SocketIo {
        move_to_websocket(target, &recorder).await?;
        return Ok(recorder.recording());
    }
    let mut one = connect(target).await?;
    one.next().await?;
    let mut two = connect(target).await?;
    match lesson {
        Lesson::Polling => {
            let mut change = one.next();
            tokio::select! {
                change = &mut change => { change?; }
                seen = seen(&recorder, |label| label.starts_with("304"), 1) => seen?,
            }
            // The first client waits meanwhile, as between two questions.
            two.send("increment").await?;
            change.await?;
        }
        _ => {
            two.next().await?;
            one.send("increment").await?;
            for client in [&mut one, &mut two] {
                while client.next().await?.version < 1 {}
            }
            let heartbeat =
                |label: &str| label == "pong" || label.contains("heartbeat");
            let told = |label: &str| label.contains(r#""version":1}"#);
            // With its ping, a server of WebSocket says again what the counter is.
            let times = if lesson == Lesson::WebSocket { 4 } else { 0 };
            let quiet = async {
                seen(&recorder, heartbeat, 2).await?;
                seen(&recorder, told, times).await
            };
            tokio::select! {
                seen = quiet => seen?,
                () = listen(&mut *one) => {}
                () = listen(&mut *two) => {}
            }
        }
    }
    Ok(recorder.recording())
}

/// Reads, and so answers pings, while somebody waits for something else.
async fn listen(client: &mut dyn Client) {
    while client.next().await.is_ok() {}
}

/// Waits until so many messages have been delivered whose label is such.
async fn seen(
    recorder: &Recorder,
    is: impl Fn(&str) -> bool,
    times: usize,
) -> Result<()> {
    let looks = async {
        let seen = |recording: &Recording| {
            recording.messages().filter(|(.., message)| is(&message.label)).count()
        };
        while seen(&recorder.recording()) < times {
            sleep(Duration::from_millis(5)).await;
        }
    };
    Ok(timeout(SILENCE, looks).await?)
}

/// As the client of Socket.IO does (Engine.IO protocol 4, "Upgrade").
async fn move_to_websocket(target: Target, recorder: &Recorder) -> Result<()> {
    let mut path = "/socket.io/?EIO=4&transport=polling".to_owned();
    let get = |path: &str| raw::request(target, "GET", path, "", "");
    let mut polling = Raw::roomy(target).await?;
    polling.write(get(&path).as_bytes()).await?;
    let sid = polling.between(b"\"sid\":\"", b"\"").await?;
    polling.read_until(b"}").await?;
    path += &format!("&sid={sid}");
    polling.write(raw::request(target, "POST", &path, "", "40").as_bytes()).await?;
    polling.read_until(b"\r\n\r\nok").await?;
    polling.write(get(&path).as_bytes()).await?;
    polling.read_until(b"\"version\":0}]").await?;
    polling.write(get(&path).as_bytes()).await?;
    let path = path.replace("=polling", "=websocket");
    let mut websocket = Raw::roomy(target).await?;
    let handshake = raw::request(target, "GET", &path, HANDSHAKE, "");
    websocket.write(handshake.as_bytes()).await?;
    websocket.read_until(b"\r\n\r\n").await?;
    websocket.write(&raw::frame(0x81, b"2probe")).await?;
    websocket.read_until(b"3probe").await?;
    polling.read_until(b"\r\n\r\n6").await?;
    websocket.write(&raw::frame(0x81, b"5")).await?;
    websocket.write(&raw::command(target, r#"{"type":"increment"}"#)).await?;
    let both = |label: &str| {
        label.starts_with("430[") || label.starts_with(r#"42["counter",{"value":1"#)
    };
    seen(recorder, both, 2).await
}

/// The recording that the pictures are drawn from.
fn file(lesson: Lesson) -> PathBuf {
    book::root().join("docs/recordings").join(lesson.name()).with_extension("json")
}

/// The picture of a language, as its page names it.
fn picture(lesson: Lesson) -> String {
    format!("images/wire-{lesson}.svg")
}

/// What has travelled, without times and what is random, each way of each connection for
/// itself: in which order they come is the system's choice. So is when Engine.IO sends its
/// first heartbeat, alone or before another packet.
fn compared(recording: &Recording) -> Vec<String> {
    let mut told = Vec::new();
    for entry in &recording.entries {
        let number = entry.connection;
        told.push(match &entry.what {
            What::Message { message, .. } if message.label == "2  (Engine.IO ping)" => {
                continue;
            }
            What::Message { direction, message, .. } => {
                let label = neutral(&message.label)
                    .replace(" OK 2 40{", " OK 40{")
                    .replace("(Engine.IO ping)", "(Socket.IO connect)");
                let size = match label.contains(" OK 40{") {
                    true => String::new(),
                    false => format!(", {} bytes", message.size),
                };
                format!("#{number} {direction:?} {label}{size}")
            }
            What::End { direction, .. } => format!("#{number} {direction:?} end"),
            what => format!("#{number} {what:?}"),
        });
    }
    told.sort();
    told
}

/// What the page shows between its markers.
fn shown(recording: &Recording, lesson: Lesson, language: Language) -> String {
    let diagram = Diagram::new(recording, language);
    let (title, cast) = (diagram.title(), cast(lesson));
    let way = format!("{} ms", WAY.as_millis());
    let (delay, table) = match language {
        Language::French => (
            format!("Le trajet dure {way} dans chaque sens."),
            "Les mêmes faits en tableau",
        ),
        Language::English => {
            (format!("Each way takes {way}."), "The same facts as a table")
        }
    };
    let cast = language.spaced(&format!("{} {delay}", cast.of(language)));
    format!(
        "![{}]({})\n\n{cast}\n\n<details>\n<summary>{table}</summary>\n\n{}\n\
         </details>\n",
        title,
        picture(lesson),
        diagram.table(),
    )
}

/// What travels now and is not in the recording, and what a page shows that is not drawn
/// from it.
pub fn faults(lesson: Lesson) -> Result<Vec<String>> {
    let stored = Recording::read(&file(lesson))?;
    for language in Language::ALL {
        let path = folder(language).join(picture(lesson));
        let svg =
            fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let now = Diagram::new(&stored, language).svg();
        ensure!(svg == now, "{} is old: `just refresh`", path.display());
    }
    stands_between(lesson.name(), "recording", |language| {
        shown(&stored, lesson, language)
    })?;
    let stored = compared(&stored);
    let mut faults = Vec::new();
    // A machine that stands still can make one answer of two, or two of one.
    for _ in 0..3 {
        let now = compared(&block_on(play(lesson))?);
        let only = |a: &[String], b: &[String], what: &str| {
            let only = a.iter().filter(|line| !b.contains(line));
            only.map(|line| format!("{lesson}: {what}: {line}")).collect::<Vec<_>>()
        };
        faults = only(&now, &stored, "travels and is not recorded");
        faults.extend(only(&stored, &now, "is recorded and does not travel"));
        if faults.is_empty() {
            break;
        }
    }
    Ok(faults)
}

/// Records anew what travels otherwise now.
pub fn record(lesson: Lesson) -> Result<()> {
    let now = block_on(play(lesson))?;
    let same = |stored: &Recording| compared(stored) == compared(&now);
    if !Recording::read(&file(lesson)).is_ok_and(|stored| same(&stored)) {
        fs::write(file(lesson), now.json()?)?;
        println!("{}: recorded", file(lesson).display());
    }
    Ok(())
}

/// Draws what is recorded into the pages.
pub fn draw(lesson: Lesson) -> Result<()> {
    let recording = Recording::read(&file(lesson))?;
    for language in Language::ALL {
        let svg = Diagram::new(&recording, language).svg();
        fs::write(folder(language).join(picture(lesson)), svg)?;
    }
    write_between(lesson.name(), "recording", |language| {
        shown(&recording, lesson, language)
    })
}
