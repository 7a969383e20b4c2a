//! The lessons from outside, on the command line. `just check`, `just drill`, `just wire`, `just cluster`,
//! `just compare`, `just scale` and `just profile` call it.

use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{self, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};
use compare::{
    Cluster, Lesson, Place, Server,
    cluster::{CONFIGURATION, Nginx, is_taken},
    diagram::Diagram,
    exercise::{self, Code, Exercise, Kind},
    grade::grade,
    judge::{self, Stage, Status},
    language::{Language, Sentence, sentence},
    measure::{self, Options, floor::Floor, scale},
    questions,
    recording::{Recorder, Recording},
    relay::Relay,
    submission, wire,
};
#[cfg(feature = "browser")]
use compare::{
    chromium,
    drills::{Drill, Teller},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    runtime::Builder,
    task::LocalSet,
};

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
    /// Judges anybody's server by the contract, stage by stage. Exit code 0 when every stage
    /// passes, 1 when one fails, 2 when there is nothing that can be judged
    Check {
        /// Whose transport it serves
        lesson: Lesson,
        /// Goes on after a stage that fails
        #[arg(long)]
        all: bool,
        /// Tries the stage of an extension too, such as rooms, after those of the contract
        #[arg(long, value_name = "EXTENSION")]
        also: Vec<String>,
        /// Prints one JSON document instead of text; docs/en/practical.md says what is in it
        #[arg(long)]
        json: bool,
        /// Tries the page that it serves, in a browser, instead of the server
        #[cfg(feature = "browser")]
        #[arg(long)]
        page: bool,
        /// Draws what travelled in the first stage that fails, as SVG
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// French or English, instead of the system's language
        #[arg(long)]
        lang: Option<Language>,
        /// A folder, a program with its arguments, or the address of one that runs already,
        /// such as http://127.0.0.1:3000; without it, the lesson itself
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Lists the exercises, or writes the starter of one into `my`
    Exercise {
        /// Which exercise, such as 02-sse/heartbeat
        name: Option<String>,
        /// For Node.js, instead of Rust
        #[arg(long)]
        js: bool,
        /// Begins anew, over what is there
        #[arg(long)]
        overwrite: bool,
        /// French or English, instead of the system's language
        #[arg(long)]
        lang: Option<Language>,
    },
    /// Shows a hint for an exercise: the first, or the one of this number
    Hint {
        /// Which exercise, such as 02-sse/heartbeat
        name: String,
        /// Which hint: the later, the more it tells
        #[arg(default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
        number: u8,
        /// French or English, instead of the system's language
        #[arg(long)]
        lang: Option<Language>,
    },
    /// Shows what separates the file in `my` from the lesson, which is the solution
    Solution {
        /// Which exercise, such as 02-sse/heartbeat
        name: String,
        /// For Node.js, instead of Rust
        #[arg(long)]
        js: bool,
    },
    /// Judges the work of a class: each sub-folder is a student's, and has a folder for each
    /// lesson, such as 02-sse, or 02-sse-js. Writes a table and a page for each student
    Grade {
        /// The folder of the class
        folder: PathBuf,
        /// Where the table and the pages go
        #[arg(long, default_value = "grades")]
        to: PathBuf,
        /// Which lessons are asked for
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "01-polling,02-sse,03-websocket"
        )]
        lessons: Vec<Lesson>,
        /// What the oral questions are drawn by
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// French or English, instead of the system's language
        #[arg(long)]
        lang: Option<Language>,
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
    /// Measures a lesson on links that lose packets, in the network namespace that this is
    /// run in: what `measure --loss` starts
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Apart {
        /// Which lesson
        lesson: Lesson,
        /// The plan, as JSON
        plan: String,
    },
    /// Shows what travels between a lesson and those who use it, until Ctrl-C
    Wire {
        /// Which lesson
        lesson: Lesson,
        /// Draws at the end what has travelled, as SVG
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Writes at the end what has travelled, as JSON
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// French or English, instead of the system's language
        #[arg(long)]
        lang: Option<Language>,
    },
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let language = command.language();
    match run(command) {
        Ok(code) => code,
        Err(error) => {
            complain(&error, language);
            ExitCode::FAILURE
        }
    }
}

impl Command {
    /// In which language it is answered.
    fn language(&self) -> Language {
        let asked = match self {
            Self::Check { lang, .. }
            | Self::Exercise { lang, .. }
            | Self::Hint { lang, .. }
            | Self::Grade { lang, .. }
            | Self::Wire { lang, .. } => *lang,
            _ => None,
        };
        asked.unwrap_or_else(Language::of_the_system)
    }
}

fn complain(error: &anyhow::Error, language: Language) {
    match error.downcast_ref::<Sentence>() {
        Some(sentence) => eprintln!("{}", sentence.of(language)),
        None => eprintln!("{error:#}"),
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let lang = command.language();
    // One thread: a clock and counters that all clients share, and no lock.
    let one = Builder::new_current_thread().enable_all().build()?;
    let many = || Builder::new_multi_thread().enable_all().build();
    let done = match command {
        #[cfg(feature = "browser")]
        Command::Check {
            lesson, all, also, json, page: true, svg, command, ..
        } => {
            let mut tried: Vec<_> = Stage::of_page(lesson).iter().collect();
            for name in also {
                let named = Exercise::extension(lesson, &name)?.browser;
                let own = Stage::extension_pages(lesson).iter();
                tried.extend(
                    own.filter(|stage| named.iter().any(|it| it == stage.name)),
                );
            }
            let check = Check { lesson, tried, all, json, svg, lang };
            return Ok(many()?.block_on(check.run(&command)));
        }
        Command::Check { lesson, all, also, json, svg, command, .. } => {
            let mut tried: Vec<_> = Stage::of(lesson).iter().collect();
            for name in also {
                tried.extend(Exercise::extension(lesson, &name)?.stages);
            }
            let check = Check { lesson, tried, all, json, svg, lang };
            return Ok(many()?.block_on(check.run(&command)));
        }
        Command::Exercise { name, js, overwrite, .. } => {
            let observe = |name: &str| {
                Exercise::named(name)
                    .ok()
                    .filter(|exercise| exercise.kind == Kind::Observe)
            };
            match name.as_deref().and_then(observe) {
                Some(exercise) => many()?.block_on(observed(&exercise, lang)),
                None => start(name.as_deref(), code(js), overwrite, lang),
            }
        }
        Command::Grade { folder, to, lessons, seed, .. } => {
            let tell = |name: &str, mark: f64| println!("{name}: {mark:.1} / 12");
            many()?.block_on(unless_stopped(async move {
                grade(&folder, &to, &lessons, seed, lang, tell).await
            }))
        }
        Command::Hint { name, number, .. } => {
            let exercise = Exercise::named(&name)?;
            let hint = exercise.hints.get(usize::from(number) - 1);
            println!("{}", hint.map_or("–", |hint| hint.of(lang)));
            Ok(())
        }
        Command::Solution { name, js } => solution(&Exercise::named(&name)?, code(js)),
        #[cfg(feature = "browser")]
        Command::Browser => chromium::install(),
        #[cfg(feature = "browser")]
        Command::Drill { name, lesson } => {
            many()?.block_on(unless_stopped(drill(name, lesson)))
        }
        Command::Cluster { lesson, instances } => {
            many()?.block_on(cluster(lesson, instances.into()))
        }
        Command::Wire { lesson, svg, json, .. } => {
            many()?.block_on(wire(lesson, svg.as_deref(), json.as_deref(), lang))
        }
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
        #[cfg(target_os = "linux")]
        Command::Apart { lesson, plan } => {
            let plan = serde_json::from_str(&plan)?;
            let measured = async {
                let measured = measure::apart::apart(lesson, &plan).await?;
                println!("{}", serde_json::to_string(&measured)?);
                Ok(())
            };
            many()?.block_on(unless_stopped(measured))
        }
        Command::Floor { line, request } => {
            let floor = request.map_or(Floor::Push, Floor::Answer);
            let say = |address| println!("listening on http://{address}");
            one.block_on(measure::floor::run(floor, line, say))
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn code(js: bool) -> Code {
    if js { Code::Js } else { Code::Rust }
}

fn start(
    name: Option<&str>,
    code: Code,
    overwrite: bool,
    lang: Language,
) -> Result<()> {
    let Some(name) = name else {
        print!("{}", exercise::list(lang)?);
        return Ok(());
    };
    let exercise = Exercise::named(name)?;
    exercise.start(code, &exercise::my(), overwrite)?;
    print!("{}", exercise.told(code, lang));
    Ok(())
}

/// Records what travels while a student looks at the lesson, and asks about it.
async fn observed(exercise: &Exercise, lang: Language) -> Result<()> {
    let stopped = stopped()?;
    let lesson = exercise.lesson;
    let server = Server::start(lesson)?;
    let recorder = Recorder::new(lesson);
    let relay = Relay::start(server.target().address, Some(recorder.tap())).await?;
    let url = relay.before(server.target()).url("");
    let say = |fr, en| lang.say(fr, en);
    println!("{}\n\n{}\n", exercise.title.of(lang), exercise.task.of(lang));
    println!("{} {url}", say("À ouvrir :", "Open"));
    println!("{}", say("puis Entrée, ici", "then press Enter, here"));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    tokio::select! {
        line = lines.next_line() => line?.context("no terminal")?,
        () = stopped => bail!("told to end"),
    };
    let recorded = recorder.recording().text();
    println!("{recorded}");
    let drawn = questions::draw(lesson, &recorded, fastrand::u64(..), usize::MAX);
    let Some((question, number)) =
        drawn.iter().find_map(|question| Some((question, question.number?)))
    else {
        bail!(sentence(
            "rien à demander sur cet échange : ouvrez la page, cliquez, puis Entrée",
            "nothing to ask about this exchange: open the page, click, then press Enter",
        ));
    };
    println!("{}", question.ask.of(lang));
    let answer = lines.next_line().await?.context("no answer")?;
    if answer.trim().parse() == Ok(number) {
        println!("{} {}", say("Juste.", "Right."), question.key.of(lang));
        return exercise::remember(exercise);
    }
    println!("{} {}", say("Non.", "No."), question.key.of(lang));
    Ok(())
}

fn solution(exercise: &Exercise, code: Code) -> Result<()> {
    if let (Some(patch), Code::Rust) = (&exercise.patch, code) {
        print!("{}", fs::read_to_string(patch)?);
        return Ok(());
    }
    let (solution, mine) = exercise.files(code, &exercise::my())?;
    let mut git = process::Command::new("git");
    git.args(["--no-pager", "diff", "--no-index"]).arg(mine).arg(solution);
    // Its exit code says whether they differ.
    git.status().context("cannot run git")?;
    Ok(())
}

/// How a server is judged, and what is said of it.
struct Check {
    lesson: Lesson,
    tried: Vec<&'static Stage>,
    all: bool,
    json: bool,
    svg: Option<PathBuf>,
    lang: Language,
}

impl Check {
    /// Judges, and says so in the language that is asked for.
    async fn run(&self, command: &[String]) -> ExitCode {
        const CANNOT_BE_JUDGED: u8 = 2;
        let Self { lesson, all, json, lang, .. } = *self;
        let out = io::stdout();
        let teller = judge::Teller::new(lang, out.is_terminal());
        let judged = async {
            self.svg.as_deref().map_or(Ok(()), writable)?;
            let candidate = submission::candidate(lesson, command)?;
            let stopped = stopped()?;
            if !json {
                println!("{}", teller.title(lesson, &candidate.to_string()));
            }
            let tell = |stage: &'static Stage, status: &Status| {
                if json || *status == Status::NotReached {
                    return;
                }
                println!("{}", teller.line(stage, status));
                if let Status::Failed(failure) = status {
                    println!("{}", teller.failure(stage, failure));
                }
            };
            let judgement = tokio::select! {
                judged = judge::judge(&candidate, &self.tried, all, tell) => judged?,
                () = stopped => bail!("told to end"),
            };
            if let (Some(svg), Some(failed)) = (&self.svg, &judgement.failed) {
                draw(failed, svg, lang)?;
            }
            anyhow::Ok(judgement)
        };
        match judged.await {
            Ok(judgement) => {
                if let [folder] = command
                    && let Some(exercise) = exercise::in_folder(Path::new(folder))
                    && exercise.is_done(&judgement)
                    && let Err(error) = exercise::remember(&exercise)
                {
                    eprintln!("{error:#}");
                }
                if json {
                    println!("{:#}", judge::json(&judgement, lang));
                } else {
                    println!("\n{}", teller.summary(&judgement));
                }
                ExitCode::from(u8::from(!judgement.passed()))
            }
            Err(error) => {
                complain(&error, lang);
                ExitCode::from(CANNOT_BE_JUDGED)
            }
        }
    }
}

/// Checks that a file can be written, before any work is done for it.
fn writable(path: &Path) -> Result<()> {
    let is_new = !path.exists();
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))?;
    if is_new {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Draws what has travelled.
fn draw(recording: &Recording, path: &Path, lang: Language) -> Result<()> {
    write(path, &Diagram::new(recording, lang).svg(), recording, lang)
}

/// Writes a file that holds what has travelled, and says so, not between the lines of JSON.
fn write(path: &Path, text: &str, recording: &Recording, lang: Language) -> Result<()> {
    fs::write(path, text)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let (messages, path) = (recording.messages().count(), path.display());
    eprintln!(
        "{}",
        match lang {
            Language::French => format!("{path} : {messages} messages"),
            Language::English => format!("{path}: {messages} messages"),
        }
    );
    Ok(())
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

async fn wire(
    lesson: Lesson,
    svg: Option<&Path>,
    json: Option<&Path>,
    lang: Language,
) -> Result<()> {
    svg.into_iter().chain(json).try_for_each(writable)?;
    let stopped = stopped()?;
    let server = Server::start(lesson)?;
    let out = io::stdout();
    let colour = out.is_terminal();
    let recorder = Recorder::new(lesson);
    let keeps = (svg.is_some() || json.is_some()).then(|| recorder.clone());
    let tap = wire::entries(lesson, move |entry| {
        // Nobody reads any more: that is no reason to disturb the connection.
        let _ = out.lock().write_all(entry.lines(colour).as_bytes());
        if let Some(recorder) = &keeps {
            recorder.keep(entry);
        }
    });
    let relay = Relay::start(server.target().address, Some(tap)).await?;
    println!("open {} and click; Ctrl-C ends", relay.before(server.target()).url(""));
    stopped.await;
    let recording = recorder.recording();
    if let Some(svg) = svg {
        draw(&recording, svg, lang)?;
    }
    if let Some(json) = json {
        write(json, &recording.json()?, &recording, lang)?;
    }
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
