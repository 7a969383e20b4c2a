//! The lessons from outside, on the command line. `just drill`, `just wire`, `just cluster`,
//! `just compare`, `just scale` and `just profile` call it.

use std::{
    env,
    io::{self, IsTerminal},
    net::Ipv4Addr,
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use compare::{
    Cluster, Lesson, Place, Server,
    cluster::{CONFIGURATION, Nginx, is_taken},
    measure::{self, Options, floor::Floor, scale},
    relay::Relay,
    wire,
};
#[cfg(feature = "browser")]
use compare::{
    chromium,
    drills::{Drill, Teller},
    language::Language,
};
use tokio::{runtime::Builder, task::LocalSet};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sees to it that there is a browser for the tests and the drills
    #[cfg(feature = "browser")]
    #[command(hide = true)]
    Browser,
    /// Does to a lesson what networks do, and tells step by step what happens
    #[cfg(feature = "browser")]
    Drill {
        /// Which drill
        #[arg(value_parser = drills())]
        name: &'static Drill,
        /// Which lesson
        lesson: Lesson,
    },
    /// Runs several instances of a lesson that share their counter in Redis, behind nginx,
    /// until Ctrl-C; nginx listens on `PORT`, or else on 8080
    Cluster {
        /// Which lesson
        lesson: Lesson,
        /// How many instances
        #[arg(default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=50))]
        instances: u8,
    },
    /// Runs the same workload over the four lessons, and shows what each costs
    Measure(Options),
    /// Shows what it costs to share the counter, and how long it takes to recover
    Scale(scale::Options),
    /// Counts the instructions of a lesson per delivery, by crate; needs valgrind
    #[cfg(unix)]
    Profile {
        /// Which lesson
        lesson: Lesson,
    },
    /// Writes the same bytes as a lesson, without a protocol: what `measure` compares with
    #[command(hide = true)]
    Floor {
        /// The length of what is written at each change, in bytes
        #[arg(long)]
        line: usize,
        /// The length of a request, when clients ask
        #[arg(long)]
        request: Option<usize>,
    },
    /// Shows what travels between a lesson and those who use it, until Ctrl-C
    Wire {
        /// Which lesson
        lesson: Lesson,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    // One thread: a clock and counters that all clients share, and no lock.
    let one = Builder::new_current_thread().enable_all().build()?;
    let many = || Builder::new_multi_thread().enable_all().build();
    match command {
        #[cfg(feature = "browser")]
        Command::Browser => chromium::install(),
        #[cfg(feature = "browser")]
        Command::Drill { name, lesson } => {
            many()?.block_on(unless_stopped(drill(name, lesson)))
        }
        Command::Cluster { lesson, instances } => {
            many()?.block_on(cluster(lesson, instances.into()))
        }
        Command::Wire { lesson } => many()?.block_on(wire(lesson)),
        Command::Measure(options) => {
            LocalSet::new().block_on(&one, unless_stopped(measure::run(options)))
        }
        Command::Scale(options) => {
            many()?.block_on(unless_stopped(scale::run(options)))
        }
        #[cfg(unix)]
        Command::Profile { lesson } => {
            let profile = measure::profile::profile(lesson);
            LocalSet::new().block_on(&one, unless_stopped(profile))
        }
        Command::Floor { line, request } => {
            let floor = request.map_or(Floor::Push, Floor::Answer);
            let say = |address| println!("listening on http://{address}");
            one.block_on(measure::floor::run(floor, line, say))
        }
    }
}

/// Reads the name of a drill.
#[cfg(feature = "browser")]
fn drills() -> impl clap::builder::TypedValueParser<Value = &'static Drill> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    let names = PossibleValuesParser::new(Drill::ALL.iter().map(|drill| drill.name));
    names
        .try_map(|name| Drill::named(&name).with_context(|| format!("no drill {name}")))
}

#[cfg(feature = "browser")]
async fn drill(drill: &Drill, lesson: Lesson) -> Result<()> {
    println!("{}", drill.what.of(Language::English));
    let verdict = drill.run(lesson, Teller::new(true)).await?;
    println!("Observed: {}", verdict.text().of(Language::English));
    Ok(())
}

async fn cluster(lesson: Lesson, count: usize) -> Result<()> {
    let port = env::var("PORT").ok().filter(|port| !port.is_empty());
    let port = port.map_or(Ok(8080), |port| {
        port.parse().with_context(|| format!("PORT={port} is not a number up to 65535"))
    })?;
    let address = (Ipv4Addr::LOCALHOST, port).into();
    ensure!(!is_taken(address)?, "port {port} is taken; choose another with PORT=9000");
    let stopped = stopped()?;
    let cluster = Cluster::start(lesson, count)?;
    let redis = &cluster.redis;
    println!("redis-server, process {}, listening on {}", redis.pid(), redis.url());
    for instance in &cluster.instances {
        let (process, url) = (instance.pid(), instance.target().url(""));
        println!("{lesson}, process {process}, listening on {url}");
    }
    let _nginx = match Place::Proxied.lacks() {
        None => {
            let nginx = Nginx::start_at(&cluster.addresses(), address, CONFIGURATION)?;
            println!("nginx listening on http://{address}");
            println!("open it in several tabs and click; Ctrl-C ends");
            Some(nginx)
        }
        Some(lacks) => {
            println!("nothing in front of them: {lacks}");
            println!("open several of them and click; Ctrl-C ends");
            None
        }
    };
    stopped.await;
    Ok(())
}

async fn wire(lesson: Lesson) -> Result<()> {
    let stopped = stopped()?;
    let server = Server::start(lesson)?;
    let out = io::stdout();
    let tap = wire::tap(lesson, out.is_terminal(), out);
    let relay = Relay::start(server.target().address, Some(tap)).await?;
    println!("open {} and click; Ctrl-C ends", relay.before(server.target()).url(""));
    stopped.await;
    Ok(())
}

/// Does what is to be done, unless this program is told to end before.
async fn unless_stopped(work: impl Future<Output = Result<()>>) -> Result<()> {
    let stopped = stopped()?;
    tokio::select! {
        done = work => done,
        () = stopped => bail!("told to end"),
    }
}

/// Ends when this program is told to end, by Ctrl-C or SIGTERM, from this call on: whoever
/// makes it first can end what he starts.
fn stopped() -> Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(windows)]
    {
        let mut interrupt = tokio::signal::windows::ctrl_c()?;
        Ok(async move {
            interrupt.recv().await;
        })
    }
}
