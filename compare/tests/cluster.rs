//! Several instances that share their counter: what the contract does not say, because one
//! process cannot show it. The contract itself runs over two instances in its own suite.

mod common;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
#[cfg(not(unix))]
use common::cannot;
use common::{placed, trial};
use compare::{
    Bad, Client, Cluster, Lesson, Outcome, Place, Redis, Server, Snapshot, Target,
    browser::{SOON, Window},
    client::limited,
    cluster::{CONFIGURATION, Nginx},
    connect,
    process::Reserved,
    raw::{self, Raw},
    relay::{Network, Relay},
};
use futures_util::future::try_join_all;
use libtest_mimic::Arguments;
use reqwest::{StatusCode, header};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// Between two attempts at what will work in a moment.
const PAUSE: Duration = Duration::from_millis(20);

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(10));
    let mut shared = Vec::new();
    let mut proxied = Vec::new();
    macro_rules! trial {
        ($trials:ident, $lesson:expr; $($name:ident),* $(,)?) => {$(
            let name = format!("{}::{}", $lesson, stringify!($name));
            $trials.push(trial(name, move || $name($lesson)));
        )*};
    }
    for lesson in Lesson::ALL {
        trial!(shared, lesson;
            counter_outlives_an_instance,
            redis_comes_back_empty,
            redis_comes_back_older,
            lost_answer_counts_once,
            redis_refuses,
            refused_repeat_proves_nothing,
            bad_name_of_a_run_is_replaced,
            bad_redis,
            errors_without_end,
        );
        #[cfg(unix)]
        trial!(shared, lesson; redis_hangs, fate_is_unknown);
        #[cfg(not(unix))]
        for name in ["redis_hangs", "fate_is_unknown"] {
            shared.push(cannot(format!("{lesson}::{name}"), "no signals"));
        }
        trial!(proxied, lesson;
            instance_dies,
            pages_see_each_other,
            page_says_that_the_counter_is_lost,
        );
    }
    for lesson in [Lesson::Polling, Lesson::Sse] {
        trial!(shared, lesson; half_closed_post_counts);
    }
    for lesson in [Lesson::WebSocket, Lesson::SocketIo] {
        trial!(shared, lesson; one_client_is_served_in_order);
    }
    trial!(shared, Lesson::Sse;
        one_counter_on_four_transports,
        value_saturates_and_ids_are_forgotten,
        foreign_publication_is_ignored,
    );
    trial!(shared, Lesson::Polling; own_command_is_seen);
    trial!(proxied, Lesson::SocketIo; long_polling_needs_stickiness);
    let mut trials = placed("the suite", Place::Shared, shared);
    trials.extend(placed("the suite", Place::Proxied, proxied));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Reads snapshots until one is as wanted.
async fn until(
    client: &mut dyn Client,
    wanted: impl Fn(Snapshot) -> bool,
) -> Result<Snapshot> {
    let found = async {
        loop {
            let snapshot = client.next().await?;
            if wanted(snapshot) {
                return Ok(snapshot);
            }
        }
    };
    limited("wanted snapshot", found).await?
}

/// Reads snapshots until this one.
async fn sees(client: &mut dyn Client, value: i64, version: u64) -> Result<()> {
    let expected = Snapshot::new(value, version);
    until(client, |snapshot| snapshot == expected)
        .await
        .with_context(|| format!("{expected:?}"))?;
    Ok(())
}

/// The instance's newest state, with its name where the transport gives it one.
async fn state(target: Target) -> Result<(Snapshot, String)> {
    let id = match target.lesson {
        Lesson::Polling => {
            let answer = reqwest::get(target.url("/counter")).await?;
            let etag = answer.headers().get(header::ETAG).context("no ETag")?;
            etag.to_str()?.to_owned()
        }
        Lesson::Sse => raw::first_event_id(target).await?,
        Lesson::WebSocket | Lesson::SocketIo => String::new(),
    };
    Ok((connect(target).await?.next().await?, id))
}

/// Sends a command that must be refused because the counter cannot be reached, with these
/// words about what became of it.
async fn is_refused(target: Target, fate: &str) -> Result<()> {
    let refusal = format!(r#"{{"error":"the counter cannot be reached; {fate}"}}"#);
    refusal_of_command(target).await?.read_until(refusal.as_bytes()).await
}

/// Sends a command that Redis must refuse with this code.
async fn is_refused_by_redis(target: Target, code: &str) -> Result<()> {
    let mut raw = refusal_of_command(target).await?;
    raw.read_until(format!(r#"{{"error":"Redis refused it ({code} "#).as_bytes())
        .await?;
    raw.read_until(format!(r#"); {NOT_APPLIED}"}}"#).as_bytes()).await
}

/// Sends a command that must be refused, and reads up to the refusal.
async fn refusal_of_command(target: Target) -> Result<Raw> {
    let mut raw = Raw::commander(target).await?;
    raw.write(&raw::command(target, r#"{"type":"increment"}"#)).await?;
    if matches!(target.lesson, Lesson::Polling | Lesson::Sse) {
        raw.read_until(b"HTTP/1.1 503 ").await?;
    }
    Ok(raw)
}

const NOT_APPLIED: &str = "the command was not applied";
const UNKNOWN: &str = "nobody knows whether the command was applied";

/// Whatever the one instance names its states, the other knows; and a restart changes
/// neither the value nor the name.
async fn counter_outlives_an_instance(lesson: Lesson) -> Result<()> {
    let mut cluster = Cluster::start(lesson, 2)?;
    let [one, two] = &mut cluster.instances[..] else { bail!("two were started") };
    let mut client = connect(two.target()).await?;
    let mut other = connect(one.target()).await?;
    other.send("increment").await?;
    sees(&mut *other, 1, 1).await?;
    sees(&mut *client, 1, 1).await?;
    let before = state(one.target()).await?;
    ensure!(state(two.target()).await? == before, "{before:?}");
    one.kill()?;
    client.send("increment").await?;
    sees(&mut *client, 2, 2).await?;
    *one = cluster.redis.instance(lesson)?;
    let after = state(one.target()).await?;
    ensure!(
        after == state(two.target()).await? && after.0 == Snapshot::new(2, 2),
        "{after:?}"
    );
    ensure!(
        before.1.is_empty() || after.1 != before.1,
        "two states, one id: {after:?}"
    );
    if lesson == Lesson::Polling {
        for instance in &cluster.instances {
            let asked = reqwest::Client::new().get(instance.target().url("/counter"));
            let answer = asked.header(header::IF_NONE_MATCH, &after.1).send().await?;
            ensure!(answer.status() == StatusCode::NOT_MODIFIED, "{answer:?}");
        }
    }
    Ok(())
}

/// While Redis is away both instances show what they knew, and say that it is old.
async fn redis_comes_back_empty(lesson: Lesson) -> Result<()> {
    let mut cluster = Cluster::start(lesson, 2)?;
    let mut clients =
        try_join_all(cluster.instances.iter().map(|it| connect(it.target()))).await?;
    clients[0].send("increment").await?;
    for client in &mut clients {
        sees(&mut **client, 1, 1).await?;
    }
    let before = state(cluster.instances[0].target()).await?;
    cluster.redis.kill();
    for (client, instance) in clients.iter_mut().zip(&cluster.instances) {
        let lost = until(&mut **client, |snapshot| snapshot.stale).await?;
        ensure!((lost.value, lost.version) == (1, 1), "{lost:?}");
        is_refused(instance.target(), NOT_APPLIED).await?;
        // Whoever comes now is told as well, and told apart from those who know better.
        let now = state(instance.target()).await?;
        ensure!(now.0 == lost, "{now:?}");
        ensure!(before.1.is_empty() || now.1 != before.1, "{now:?}");
    }
    cluster.redis.start_again()?;
    for client in &mut clients {
        sees(&mut **client, 0, 0).await?;
    }
    clients[1].send("increment").await?;
    for client in &mut clients {
        sees(&mut **client, 1, 1).await?;
    }
    // Version 1 of this run is not version 1 of the one that was lost.
    let after = state(cluster.instances[0].target()).await?;
    ensure!(after == state(cluster.instances[1].target()).await?, "{after:?}");
    ensure!(before.1.is_empty() || after.1 != before.1, "{after:?}");
    Ok(())
}

/// What Redis saved a while ago is another history: its versions come a second time, and no
/// name of the first may mean one of them.
async fn redis_comes_back_older(lesson: Lesson) -> Result<()> {
    let cluster = Cluster::start(lesson, 2)?;
    let mut clients =
        try_join_all(cluster.instances.iter().map(|it| connect(it.target()))).await?;
    let mut names = Vec::new();
    for version in 1..=3 {
        clients[0].send("increment").await?;
        for client in &mut clients {
            sees(&mut **client, version, version.try_into()?).await?;
        }
        names.push(state(cluster.instances[0].target()).await?.1);
    }
    cluster.redis.say("HSET {counter} version 1 value 1")?;
    clients[1].send("decrement").await?;
    for (client, instance) in clients.iter_mut().zip(&cluster.instances) {
        sees(&mut **client, 0, 2).await?;
        let (_, name) = state(instance.target()).await?;
        ensure!(name.is_empty() || !names.contains(&name), "{name} again: {names:?}");
    }
    Ok(())
}

/// Redis keeps its connections and answers nothing, as a machine does that has stopped.
#[cfg(unix)]
async fn redis_hangs(lesson: Lesson) -> Result<()> {
    use nix::sys::signal::Signal;
    let cluster = Cluster::start(lesson, 1)?;
    let instance = &cluster.instances[0];
    let mut client = connect(instance.target()).await?;
    client.send("increment").await?;
    sees(&mut *client, 1, 1).await?;
    cluster.redis.signal(Signal::SIGSTOP)?;
    // No command is needed to notice it.
    until(&mut *client, |snapshot| snapshot.stale).await?;
    is_refused(instance.target(), NOT_APPLIED).await?;
    cluster.redis.signal(Signal::SIGCONT)?;
    until(&mut *client, |snapshot| !snapshot.stale).await?;
    client.send("increment").await?;
    sees(&mut *client, 2, 2).await
}

/// The command was with Redis when it stopped: nobody can know. When it goes on, the command
/// counts, and once.
#[cfg(unix)]
async fn fate_is_unknown(lesson: Lesson) -> Result<()> {
    use nix::sys::signal::Signal;
    let cluster = Cluster::start(lesson, 1)?;
    let instance = &cluster.instances[0];
    let mut client = connect(instance.target()).await?;
    client.next().await?;
    cluster.redis.signal(Signal::SIGSTOP)?;
    is_refused(instance.target(), UNKNOWN).await?;
    is_refused(instance.target(), NOT_APPLIED).await?;
    cluster.redis.signal(Signal::SIGCONT)?;
    sees(&mut *client, 1, 1).await?;
    client.send("increment").await?;
    sees(&mut *client, 2, 2).await
}

/// Redis applies a command, and its answer never comes: nobody can know, so it is sent
/// again, and counts once.
async fn lost_answer_counts_once(lesson: Lesson) -> Result<()> {
    let redis = Redis::start()?;
    let relay = Relay::start(redis.address, None).await?;
    let url = format!("redis://{}", relay.address);
    let far = Server::start_by(lesson, lesson.command()?.env("REDIS_URL", url))?;
    let near = redis.instance(lesson)?;
    let (mut sender, mut witness) =
        (connect(far.target()).await?, connect(near.target()).await?);
    sender.next().await?;
    relay.set(Network::Deaf);
    let cut = async {
        sees(&mut *witness, 1, 1).await?;
        relay.set(Network::Down);
        until(&mut *connect(far.target()).await?, |snapshot| snapshot.stale).await?;
        relay.set(Network::Good);
        Ok::<_, anyhow::Error>(())
    };
    let (sent, cut) = tokio::join!(sender.send("increment"), cut);
    cut?;
    sent?;
    sees(&mut *sender, 1, 1).await?;
    // The next one shows that there was no other between.
    sender.send("increment").await?;
    let last = until(&mut *witness, |snapshot| snapshot.version > 1).await?;
    ensure!(last == Snapshot::new(2, 2), "{last:?}");
    Ok(())
}

/// An error that Redis gives before anything is changed leaves nothing open.
async fn redis_refuses(lesson: Lesson) -> Result<()> {
    let nobody = Reserved::any()?;
    let replica = format!("REPLICAOF 127.0.0.1 {}", nobody.address.port());
    // Its code, what makes Redis give it, and what ends that.
    let errors: [(&str, &[&str], &[&str]); 6] = [
        ("OOM", &["CONFIG SET maxmemory 1"], &["CONFIG SET maxmemory 0"]),
        ("READONLY", &[&replica], &["REPLICAOF NO ONE"]),
        (
            "MASTERDOWN",
            &["CONFIG SET replica-serve-stale-data no", &replica],
            &["REPLICAOF NO ONE"],
        ),
        (
            "NOREPLICAS",
            &["CONFIG SET min-replicas-to-write 1"],
            &["CONFIG SET min-replicas-to-write 0"],
        ),
        (
            "WRONGTYPE",
            &["RENAME {counter} kept", "SET {counter} text"],
            &["RENAME kept {counter}"],
        ),
        (
            "WRONGTYPE",
            &["RENAME {counter}:ids kept", "SET {counter}:ids text"],
            &["RENAME kept {counter}:ids"],
        ),
    ];
    let cluster = Cluster::start(lesson, 1)?;
    let instance = &cluster.instances[0];
    let mut client = connect(instance.target()).await?;
    client.send("increment").await?;
    sees(&mut *client, 1, 1).await?;
    // Before version 7 an error inside the script has no code.
    let is_old = Redis::version()?.starts_with("Redis 6.");
    let errors = errors.iter().filter(|(code, ..)| !is_old || *code == "MASTERDOWN");
    for (count, (code, causes, cures)) in (2..).zip(errors) {
        causes.iter().try_for_each(|cause| cluster.redis.say(cause).map(drop))?;
        is_refused_by_redis(instance.target(), code).await.context(*code)?;
        until(&mut *client, |snapshot| snapshot.stale).await.context(*code)?;
        cures.iter().try_for_each(|cure| cluster.redis.say(cure).map(drop))?;
        until(&mut *client, |snapshot| !snapshot.stale).await.context(*code)?;
        client.send("increment").await?;
        sees(&mut *client, count, count.try_into()?).await?;
    }
    Ok(())
}

/// Redis lives, and answers each command with an error that says nothing of its fate: the
/// client is told so, and other commands count afterwards.
async fn errors_without_end(lesson: Lesson) -> Result<()> {
    let cluster = Cluster::start(lesson, 1)?;
    let instance = &cluster.instances[0];
    cluster.redis.say("ACL SETUSER default -zadd")?;
    is_refused(instance.target(), UNKNOWN).await?;
    cluster.redis.say("ACL SETUSER default +zadd")?;
    let counted = async {
        loop {
            let mut client = connect(instance.target()).await?;
            // Until the instance has noticed it refuses, each transport in its own way.
            let _ = client.send("increment").await;
            while let Ok(Ok(now)) = timeout(Duration::from_secs(1), client.next()).await
            {
                if now.version > 0 && !now.stale {
                    return anyhow::Ok(());
                }
            }
        }
    };
    limited("command that counts", counted).await?
}

/// Redis applies a command, its answer is lost, and the repeat is refused: that says nothing
/// about the first time, so the command is not refused as not applied.
async fn refused_repeat_proves_nothing(lesson: Lesson) -> Result<()> {
    let redis = Redis::start()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("redis://{}", listener.local_addr()?);
    let commands = Arc::new(AtomicU8::new(0));
    tokio::spawn(lose_then_refuse(listener, redis.address, commands.clone()));
    let instance = Server::start_by(lesson, lesson.command()?.env("REDIS_URL", url))?;
    let mut client = connect(instance.target()).await?;
    client.send("increment").await?;
    sees(&mut *client, 1, 1).await?;
    let sent = commands.load(Ordering::Relaxed);
    ensure!(sent >= 3, "sent {sent} times");
    Ok(())
}

/// Passes on what goes to Redis and comes from it; but the answer to the first command is
/// lost with the connection, and the second command is answered here, with an error.
async fn lose_then_refuse(
    listener: TcpListener,
    redis: SocketAddr,
    commands: Arc<AtomicU8>,
) -> Result<()> {
    loop {
        let (near, _) = listener.accept().await?;
        let far = TcpStream::connect(redis).await?;
        tokio::spawn(lose_or_refuse(near, far, commands.clone()));
    }
}

async fn lose_or_refuse(
    mut near: TcpStream,
    mut far: TcpStream,
    commands: Arc<AtomicU8>,
) -> Result<()> {
    let (mut question, mut answer) = (vec![0; 4096], vec![0; 4096]);
    loop {
        tokio::select! {
            length = near.read(&mut question) => {
                let question = &question[..length?];
                ensure!(!question.is_empty());
                let is_command = question.ends_with(b"\r\nincrement\r\n");
                let before = commands.fetch_add(is_command.into(), Ordering::Relaxed);
                if (is_command, before) == (true, 1) {
                    near.write_all(b"-OOM not now\r\n").await?;
                    continue;
                }
                far.write_all(question).await?;
                if (is_command, before) == (true, 0) {
                    far.readable().await?;
                    return Ok(());
                }
            }
            length = far.read(&mut answer) => {
                let answer = &answer[..length?];
                ensure!(!answer.is_empty());
                near.write_all(answer).await?;
            }
        }
    }
}

/// Whatever stands where the name of the run should, clients get names as ever.
async fn bad_name_of_a_run_is_replaced(lesson: Lesson) -> Result<()> {
    let mut cluster = Cluster::start(lesson, 2)?;
    let mut clients =
        try_join_all(cluster.instances.iter().map(|it| connect(it.target()))).await?;
    let bad = [
        r#"'a"b'"#,
        "''",
        "0123456789abcde",
        "0123456789abcdef0",
        "0123456789ABCDEF",
        "'0123456789abcd 1'",
        r#""0123456789abcde\n""#,
    ];
    for (count, bad) in (1..).zip(bad) {
        cluster.redis.say(&format!("HSET {{counter}} run {bad}"))?;
        // It may be the first that an instance finds.
        cluster.instances[1] = cluster.redis.instance(lesson)?;
        clients[1] = connect(cluster.instances[1].target()).await?;
        clients[0].send("increment").await.context(bad)?;
        let mut names = Vec::new();
        for (client, instance) in clients.iter_mut().zip(&cluster.instances) {
            sees(&mut **client, count, count.try_into()?).await.context(bad)?;
            names.push(state(instance.target()).await.context(bad)?.1);
        }
        ensure!(names[0] == names[1], "{bad}: {names:?}");
        let Some((run, _)) = names[0].trim_matches('"').split_once('-') else {
            ensure!(names[0].is_empty(), "{bad}: {names:?}");
            continue;
        };
        let is_digit = |it: char| matches!(it, '0'..='9' | 'a'..='f');
        ensure!(run.len() == 16 && run.chars().all(is_digit), "{bad}: {names:?}");
    }
    Ok(())
}

/// Who sends a command and closes his side may get no answer: it counts all the same, and a
/// repeat under the same id has the answer.
async fn half_closed_post_counts(lesson: Lesson) -> Result<()> {
    let cluster = Cluster::start(lesson, 2)?;
    let [one, two] = &cluster.instances[..] else { bail!("two were started") };
    let mut witness = connect(two.target()).await?;
    for count in 1..=10 {
        let command = json!({ "type": "increment", "id": count.to_string() });
        let post =
            raw::request(one.target(), "POST", "/counter", "", &command.to_string());
        let mut half_closed = TcpStream::connect(one.target().address).await?;
        half_closed.write_all(post.as_bytes()).await?;
        half_closed.shutdown().await?;
        sees(&mut *witness, count, count.try_into()?).await?;
        let mut again = Raw::connect(one.target()).await?;
        again.write(post.as_bytes()).await?;
        again.read_until(b"HTTP/1.1 200 ").await?;
        let snapshot = json!({ "value": count, "version": count });
        again.read_until(snapshot.to_string().as_bytes()).await?;
    }
    Ok(())
}

/// A line that says what is wrong with Redis, before anything listens.
async fn bad_redis(lesson: Lesson) -> Result<()> {
    let reserved = Reserved::any()?;
    let nobody = reserved.address;
    let said = |url: &str| -> Result<String> {
        let output = lesson.command()?.env("REDIS_URL", url).output()?;
        ensure!(output.status.code() == Some(1), "{url}: {:?}", output.status);
        ensure!(output.stdout.is_empty(), "{url}: it listens");
        let said = String::from_utf8(output.stderr)?;
        ensure!(said.lines().count() == 1 && said.starts_with(lesson.name()), "{said}");
        Ok(said)
    };
    let refused = said(&format!("redis://user:secret@{nobody}"))?;
    ensure!(refused.contains(&format!("cannot reach Redis at {nobody}")), "{refused}");
    ensure!(!refused.contains("secret"), "{refused}");
    for url in ["nowhere", "http://127.0.0.1", "redis://127.0.0.1/?protocol=4"] {
        let refused = said(url)?;
        ensure!(refused.contains("REDIS_URL is not"), "{refused}");
    }
    // Something that listens and is no Redis.
    let other = Server::start(lesson)?;
    let refused = said(&format!("redis://{}", other.target().address))?;
    ensure!(refused.contains("cannot reach Redis"), "{refused}");
    Ok(())
}

/// Every command of clients that repeat what was not answered counts once, although one of
/// the instances dies meanwhile.
async fn instance_dies(lesson: Lesson) -> Result<()> {
    const CLIENTS: usize = 4;
    const EACH: usize = 50;
    let mut cluster = Cluster::start(lesson, 2)?.with_nginx()?;
    let entrance = cluster.target();
    let sending = try_join_all((0..CLIENTS).map(async |client| {
        let mut connection = None;
        for count in 0..EACH {
            let id = format!("{client}-{count}");
            let command = json!({ "type": "increment", "id": id }).to_string();
            let sent = async {
                while let Err(error) = send(entrance, &mut connection, &command).await {
                    ensure!(!error.is::<serde_json::Error>(), "{error}");
                    connection = None;
                    sleep(PAUSE).await;
                }
                Ok(())
            };
            limited("acknowledgement", sent).await??;
        }
        Ok(())
    }));
    let (dying, others) = cluster.instances.split_first_mut().context("no instance")?;
    let mut witness = connect(others[0].target()).await?;
    let killing = async {
        until(&mut *witness, |snapshot| snapshot.version > 20).await?;
        dying.kill()?;
        until(&mut *witness, |snapshot| snapshot.version >= 200).await
    };
    let (_, last) = tokio::try_join!(sending, killing)?;
    ensure!(last == Snapshot::new(200, 200), "{last:?}");
    // Nothing comes after the last acknowledgement.
    let (now, _) = state(others[0].target()).await?;
    ensure!(now == last, "{now:?}");
    Ok(())
}

/// Sends a command, over a new connection if there is none, until it is known to have been
/// applied.
async fn send(
    target: Target,
    connection: &mut Option<Box<dyn Client>>,
    command: &str,
) -> Result<()> {
    let client = match connection {
        Some(client) => client,
        none => none.insert(connect(target).await?),
    };
    client.send_text(command.to_owned()).await?;
    if target.lesson == Lesson::WebSocket {
        // It acknowledges nothing, but takes one frame after the other: who is refused the
        // next one knows that this one has been applied.
        let answer = client.send_bad(Bad::Unknown).await?;
        let Outcome::Refused(sentence) = &answer else { bail!("{answer:?}") };
        ensure!(sentence.contains("unknown variant"), "{sentence}");
    }
    Ok(())
}

/// Commands that cannot change places: after each pair the counter is at zero.
async fn one_client_is_served_in_order(lesson: Lesson) -> Result<()> {
    const PAIRS: u64 = 300;
    let cluster = Cluster::start(lesson, 2)?;
    let one = cluster.instances[0].target();
    let encode = |kind: &str| raw::command(one, &json!({ "type": kind }).to_string());
    let pair = [encode("increment"), encode("reset")].concat();
    let mut raw = Raw::commander(one).await?;
    raw.write(&[pair.repeat(PAIRS as usize), encode("increment").repeat(3)].concat())
        .await?;
    let mut witness = connect(cluster.instances[1].target()).await?;
    let last = until(&mut *witness, |now| now.version >= 2 * PAIRS + 3).await?;
    ensure!(last == Snapshot::new(3, 2 * PAIRS + 3), "{last:?}");
    Ok(())
}

/// Whoever has an answer finds what it says when he asks the same instance.
async fn own_command_is_seen(lesson: Lesson) -> Result<()> {
    const TIMES: usize = 300;
    let redis = Redis::start()?;
    let instance = &redis.instance(lesson)?;
    let increment = r#"{"type":"increment"}"#;
    let post = raw::request(instance.target(), "POST", "/counter", "", increment);
    let get = raw::request(instance.target(), "GET", "/counter", "", "");
    let both = format!("{post}{get}").repeat(TIMES);
    let mut raw = Raw::roomy(instance.target()).await?;
    let (answers, _) =
        raw.exchange(both.as_bytes(), br#""version":"#, 2 * TIMES).await?;
    let answers = String::from_utf8(answers)?;
    let values = answers.split(r#"{"value":"#).skip(1);
    let values: Vec<i64> = values
        .map(|rest| Ok(rest.split(',').next().unwrap_or_default().parse()?))
        .collect::<Result<_>>()?;
    for (pair, count) in values.chunks(2).zip(1..) {
        ensure!(pair == [count, count], "{pair:?} is not {count} twice");
    }
    Ok(())
}

/// One Redis makes one counter of four lessons.
async fn one_counter_on_four_transports(_: Lesson) -> Result<()> {
    let redis = Redis::start()?;
    let lessons: Vec<_> = Lesson::ALL
        .map(|lesson| redis.instance(lesson))
        .into_iter()
        .collect::<Result<_>>()?;
    let mut clients =
        try_join_all(lessons.iter().map(|it| connect(it.target()))).await?;
    for (count, sender) in (1..).zip(0..clients.len()) {
        clients[sender].send("increment").await?;
        for client in &mut clients {
            sees(&mut **client, count, count.try_into()?).await?;
        }
    }
    Ok(())
}

async fn value_saturates_and_ids_are_forgotten(lesson: Lesson) -> Result<()> {
    let redis = Redis::start()?;
    for (value, command) in [(i32::MAX, "increment"), (i32::MIN, "decrement")] {
        redis.say("FLUSHALL")?;
        redis.say(&format!(
            "HSET {{counter}} run a version 9007199254740000 value {value}"
        ))?;
        let instance = redis.instance(lesson)?;
        let mut client = connect(instance.target()).await?;
        client.send(command).await?;
        sees(&mut *client, value.into(), 9_007_199_254_740_001).await?;
    }
    // As many ids as are remembered, and some more.
    let fill = "for i = 1, 100005 do redis.call('ZADD', KEYS[1], i, i) end";
    redis.say(&format!("EVAL \"{fill}\" 1 {{counter}}:ids"))?;
    let instance = redis.instance(lesson)?;
    let mut client = connect(instance.target()).await?;
    client.send("reset").await?;
    let remembered = redis.say("ZCARD {counter}:ids")?;
    ensure!(remembered == ":100000", "{remembered}");
    Ok(())
}

/// All databases of a Redis share its channels, and so does whoever else uses it.
async fn foreign_publication_is_ignored(lesson: Lesson) -> Result<()> {
    let redis = Redis::start()?;
    let mut other = lesson.command()?;
    let other = Server::start_by(lesson, other.env("REDIS_URL", redis.url() + "/1"))?;
    let mut instance = redis.instance(lesson)?;
    let mut client = connect(instance.target()).await?;
    let run = "0123456789abcdef";
    let texts = [
        "''",
        "nonsense",
        &format!("'{run} 1 2 3'"),
        &format!("'{run} -1 0'"),
        &format!("'{run} 1 4294967296'"),
        r#"'a"b 7 7'"#,
        "'0123456789ABCDEF 7 7'",
    ];
    for text in texts {
        redis.say(&format!("PUBLISH {{counter}}@0 {text}"))?;
    }
    let mut apart = connect(other.target()).await?;
    for version in 1..=3 {
        apart.send("decrement").await?;
        sees(&mut *apart, -version, version.try_into()?).await?;
    }
    client.send("increment").await?;
    let first = until(&mut *client, |snapshot| snapshot.version > 0).await?;
    ensure!(first == Snapshot::new(1, 1), "{first:?}");
    instance.kill()
}

async fn pages_see_each_other(lesson: Lesson) -> Result<()> {
    let cluster = Cluster::start(lesson, 2)?.with_nginx()?;
    let entrance = cluster.target();
    let window = Window::open().await?;
    let tabs = [window.tab(entrance, "en").await?, window.tab(entrance, "fr").await?];
    for (value, clicked) in (1..).zip([0, 1, 1, 0]) {
        tabs[clicked].page.bring_to_front().await?;
        tabs[clicked].is_live().await?;
        tabs[clicked].click("increment").await?;
        for tab in &tabs {
            tab.page.bring_to_front().await?;
            tab.shows(value).await?;
        }
    }
    tabs.iter().try_for_each(|tab| tab.no_trouble())
}

async fn page_says_that_the_counter_is_lost(lesson: Lesson) -> Result<()> {
    let mut cluster = Cluster::start(lesson, 2)?.with_nginx()?;
    let entrance = cluster.target();
    let window = Window::open().await?;
    let tab = window.tab(entrance, "fr").await?;
    tab.is_live().await?;
    tab.click("increment").await?;
    tab.shows(1).await?;
    cluster.redis.kill();
    let says = |id: &str, text: &str| {
        format!("document.querySelector('#{id}').textContent.includes('{text}')")
    };
    tab.until(SOON, &says("status", "dernière valeur connue")).await?;
    tab.click("increment").await?;
    tab.until(SOON, &says("notice", "the counter cannot be reached")).await?;
    tab.until(SOON, "document.querySelector('#waiting').textContent === ''").await?;
    tab.shows(1).await?;
    cluster.redis.start_again()?;
    // The page is live by one instance, and its next click may come to the other.
    for instance in &cluster.instances {
        until(&mut *connect(instance.target()).await?, |snapshot| !snapshot.stale)
            .await?;
    }
    tab.is_live().await?;
    tab.shows(0).await?;
    tab.click("increment").await?;
    tab.shows(1).await
}

/// A session of Engine.IO lives in one instance, and with long polling each of its requests
/// is on its own.
async fn long_polling_needs_stickiness(lesson: Lesson) -> Result<()> {
    let cluster = Cluster::start(lesson, 2)?;
    let start = |configuration: &str| -> Result<(Target, Nginx)> {
        let nginx = Nginx::start(&cluster.addresses(), configuration)?;
        Ok((nginx.target(lesson), nginx))
    };
    let taking_turns = CONFIGURATION.replace("http://sticky", "http://instances");
    ensure!(taking_turns != CONFIGURATION);
    let ((sticky, _one), (turns, _two)) =
        (start(CONFIGURATION)?, start(&taking_turns)?);
    for _ in 0..10 {
        let answer = long_poll(sticky).await?;
        ensure!(answer.starts_with("200 ") && answer.contains("40{"), "{answer}");
        let answer = long_poll(turns).await?;
        ensure!(
            answer.starts_with("400 ") && answer.contains("Session ID unknown"),
            "{answer}"
        );
    }
    // A WebSocket is one connection, and stays where it is.
    let mut clients = try_join_all([turns, turns, sticky].map(connect)).await?;
    for (count, sender) in (1..).zip(0..clients.len()) {
        clients[sender].send("increment").await?;
        for client in &mut clients {
            sees(&mut **client, count, count.try_into()?).await?;
        }
    }
    // A browser behind a proxy that knows no WebSocket: all it has is long polling.
    let (long_polls, _three) =
        start(&CONFIGURATION.replace("proxy_set_header Upgrade", "#"))?;
    let upgrade = "/socket.io/?EIO=4&transport=websocket";
    let status = raw::status(long_polls, "GET", upgrade, None).await?;
    ensure!(status == 400, "{status}");
    let window = Window::open().await?;
    let tab = window.tab(long_polls, "en").await?;
    tab.is_live().await?;
    for value in 4..14 {
        tab.click("increment").await?;
        tab.shows(value).await?;
    }
    sees(&mut *clients[0], 13, 13).await
}

/// Opens a session by long polling and joins it: the status of the last answer, and what it
/// says.
async fn long_poll(target: Target) -> Result<String> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = target.url("/socket.io/?EIO=4&transport=polling");
    let opened = http.get(&url).send().await?;
    let cookie = opened.headers().get(header::SET_COOKIE).cloned();
    let cookie = cookie.context("no cookie")?.to_str()?.to_owned();
    let opened = opened.text().await?;
    let sid = opened.split('"').nth(3).context("no session")?;
    let session = format!("{url}&sid={sid}");
    let with_cookie = |request: reqwest::RequestBuilder| {
        let pair = cookie.split(';').next().unwrap_or_default();
        request.header(header::COOKIE, pair).send()
    };
    let mut answer = with_cookie(http.post(&session).body("40")).await?;
    loop {
        let (status, text) = (answer.status(), answer.text().await?);
        // The first heartbeat may come before all else.
        if status != StatusCode::OK || text.contains("40{") {
            return Ok(format!("{} {text}", status.as_u16()));
        }
        answer = limited("answer", with_cookie(http.get(&session))).await??;
    }
}
