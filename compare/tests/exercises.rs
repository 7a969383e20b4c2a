//! The judge, and the exercises proved both ways: each starter builds and fails at its own
//! stages and at no other, and each solution passes them all.
//!
//! `cargo test -p compare --test exercises 02-sse` tries one lesson's.

mod common;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use common::{cannot, in_order, trial};
use compare::{
    Lesson, Target,
    browser::Window,
    candidate::Candidate,
    client::{LIMIT, patient},
    connect,
    exercise::{self, Code, Exercise},
    judge::{self, Needs, Stage, Status},
    language::Language,
    process::Process,
    program::CommandLine,
    report::chapter,
    submission,
};
use futures_util::future::join_all;
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use tokio::time::timeout;

fn main() -> Result<()> {
    let mut arguments = Arguments::from_args();
    // Most of these wait for a heartbeat, or for one that does not come.
    arguments.test_threads = arguments.test_threads.or(Some(10));
    let mut trials = Vec::new();
    for (name, words, says) in UNFIT {
        trials.push(trial(format!("judge::{name}"), move || unfit(words, says)));
    }
    trials.push(if cfg!(target_os = "linux") {
        trial("judge::nothing_stays", nothing_stays)
    } else {
        cannot("judge::nothing_stays", "only Linux tells who was started by whom")
    });
    trials.push(trial("judge::french_too", french_too));
    trials.push(trial("judge::what_runs_already", what_runs_already));
    trials.push(trial("judge::same_fault_same_json", same_fault_same_json));
    trials.push(trial("tables", tables));
    trials.push(trial("grade", grade));
    for lesson in Lesson::ALL {
        trials.push(trial(format!("{lesson}/observe"), move || observe(lesson)));
    }
    trials.extend(starters()?);
    trials.extend(steps()?);
    // One waits for a minute.
    let trials = in_order(trials, &["deaf-page"]);
    let solutions = libtest_mimic::run(&arguments, solutions());
    let others = libtest_mimic::run(&arguments, trials);
    // Each stage of these waits for answers in time, and no build runs beside them either.
    arguments.test_threads = arguments.test_threads.map(|threads| threads.min(8));
    let (extensions, stops) = extensions(&arguments)?;
    let extensions = libtest_mimic::run(&arguments, extensions);
    // And their stop has a clock in the contract.
    arguments.test_threads = Some(1);
    let stops = libtest_mimic::run(&arguments, stops);
    for conclusion in [solutions, others, extensions] {
        conclusion.exit_if_failed();
    }
    stops.exit();
}

/// The trials of extensions, and those of their stop; what they try is built when the first
/// of them begins.
fn extensions(arguments: &Arguments) -> Result<(Vec<Trial>, Vec<Trial>)> {
    let title = |exercise: &Exercise| format!("extension {}", exercise.name);
    let mut all = Exercise::all()?;
    all.retain(|exercise| exercise.patch.is_some());
    let wanted = |exercise: &&Exercise| {
        let filter = arguments.filter.as_deref().unwrap_or_default();
        title(exercise).contains(filter)
    };
    let tried: Vec<_> = all.iter().filter(wanted).cloned().collect();
    let built = Arc::new((tried, OnceLock::new()));
    let trials = all.into_iter().map(|exercise| {
        let (name, other, again) = (title(&exercise), built.clone(), exercise.clone());
        let built = built.clone();
        let all = trial(name.clone(), move || async move {
            let (tried, built) = &*built;
            extension(&exercise, built.get_or_init(|| Built::all(tried))).await
        });
        let stop = trial(format!("{name} stops"), move || async move {
            let (tried, built) = &*other;
            let built = built.get_or_init(|| Built::all(tried));
            passes_all(&built.candidate(&again)?, &again, |it| it == Needs::Signal)
                .await
        });
        (all, stop)
    });
    Ok(trials.unzip())
}

/// The solution passes the stages, of the contract and its own, that need this.
async fn passes_all(
    candidate: &Candidate,
    exercise: &Exercise,
    is_tried: impl Fn(Needs) -> bool,
) -> Result<()> {
    let stages = Stage::of(exercise.lesson).iter().chain(exercise.stages.clone());
    let stages: Vec<_> = stages.filter(|stage| is_tried(stage.needs)).collect();
    let judged = judge::judge(candidate, &stages, true, |_, _| {}).await?;
    for (stage, status) in judged.stages {
        ensure!(status.is_fine(), "with the patch: {} is {status:?}", stage.name);
    }
    Ok(())
}

/// The solutions of extensions, built at once: each build of its own would take as long.
struct Built {
    programs: Result<BTreeMap<String, PathBuf>, String>,
    /// What Cargo says about them.
    said: String,
    /// Those whose patch no longer applies, and why.
    left_out: Vec<(String, String)>,
}

impl Built {
    fn candidate(&self, exercise: &Exercise) -> Result<Candidate> {
        let (name, program) = (&exercise.name, exercise.program());
        let left_out = self.left_out.iter().find(|(left_out, _)| *left_out == program);
        ensure!(left_out.is_none(), "{}", left_out.map_or("", |(_, why)| why));
        let programs = self.programs.as_ref().map_err(|error| anyhow!("{error}"))?;
        let warned = self.said.contains(&format!("{program}/"));
        ensure!(!warned, "{name} does not build without a word: {}", self.said);
        let built = programs.get(&program);
        let built = built.with_context(|| format!("{name} does not build"))?;
        let line = CommandLine::new(vec![built.into()]);
        Ok(Candidate::program(exercise.lesson, line))
    }

    fn all(extensions: &[Exercise]) -> Self {
        let my = exercise::my().join(".proof/extensions");
        let built = exercise::solve(extensions, &my).and_then(|left_out| {
            let (programs, said) = submission::build_all(&my)?;
            Ok((programs, said, left_out))
        });
        match built {
            Ok((programs, said, left_out)) => {
                Self { programs: Ok(programs), said, left_out }
            }
            Err(error) => Self {
                programs: Err(format!("{error:#}")),
                said: String::new(),
                left_out: Vec::new(),
            },
        }
    }
}

/// The lesson fails the extension's stages; with the patch it passes them, all of the
/// contract, and shows its page.
async fn extension(exercise: &Exercise, built: &Built) -> Result<()> {
    let Exercise { name, lesson, .. } = exercise;
    let candidate = built.candidate(exercise)?;
    let own = exercise.stages.clone();
    let plain = judge::judge(&(*lesson).into(), &own, true, |_, _| {}).await?;
    for (stage, status) in plain.stages {
        let Status::Failed(failure) = status else {
            bail!("the plain lesson: {} is {status:?}", stage.name);
        };
        println!("{name}: the lesson fails {}: {}", stage.name, failure.received);
    }
    passes_all(&candidate, exercise, |needs| needs != Needs::Signal).await?;
    let sees = Stage::of_page(*lesson).first().context("no stage of the page")?;
    sees.run(candidate.clone()).await.context("the page")?;
    let own = Stage::extension_pages(*lesson).iter();
    for stage in own.filter(|stage| exercise.browser.iter().any(|it| it == stage.name))
    {
        ensure!(stage.run((*lesson).into()).await.is_err(), "the lesson's page passes");
        stage.run(candidate.clone()).await.context(stage.name)?;
    }
    Ok(())
}

/// Each lesson, and each twin, passes all stages. They have a clock in the contract, so no
/// build runs beside them.
fn solutions() -> Vec<Trial> {
    let both = |lesson: Lesson| {
        let words = vec!["node".into(), exercise::twin(lesson).display().to_string()];
        [
            trial(format!("solution {lesson}"), move || passes(lesson, vec![])),
            on_node(lesson, format!("solution {lesson} (Node.js)"), move || {
                passes(lesson, words)
            }),
        ]
    };
    Lesson::ALL.into_iter().flat_map(both).collect()
}

fn starters() -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for exercise in Exercise::all()? {
        let Exercise { name, lesson, .. } = exercise.clone();
        if exercise.hole(Code::Rust).is_some() {
            let tried = exercise.clone();
            trials.push(trial(format!("starter {name}"), move || {
                starter(tried, Code::Rust)
            }));
        }
        if exercise.hole(Code::Js).is_some() {
            let title = format!("starter {name} (Node.js)");
            trials.push(on_node(lesson, title, move || starter(exercise, Code::Js)));
        }
    }
    Ok(trials)
}

/// A trial that takes Node.js and, for two lessons, its packages.
fn on_node<F: Future<Output = Result<()>>>(
    lesson: Lesson,
    name: String,
    run: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node_modules");
    let needs = matches!(lesson, Lesson::WebSocket | Lesson::SocketIo);
    match needs && !packages.is_dir() {
        true => cannot(name, "run `npm ci` in compare/peers"),
        false => trial(name, run),
    }
}

/// What cannot be judged: its name, what is judged, and what is said about it.
const UNFIT: [(&str, &[&str], &str); 8] = [
    ("no_such_program", &["no-such-program"], "does not start"),
    (
        "no_server_in_the_folder",
        &["shared/assets"],
        "neither Cargo.toml nor server.mjs",
    ),
    ("no_address", &["http://nowhere"], "is not an address"),
    ("nobody_there", &["http://127.0.0.1:1"], "the connection fails"),
    (
        "ends_at_once",
        &["node", "-e", "console.log('I cannot'); process.exit(3)"],
        "I cannot",
    ),
    (
        "listens_elsewhere",
        &["node", "-e", "require('net').createServer().listen(0, '127.0.0.1')"],
        "does not listen on 127.0.0.1:",
    ),
    (
        "answers_garbage",
        &[
            "node",
            "-e",
            "const s = require('net').createServer((c) => { c.on('error', () => {}); \
          c.write('I am no server of HTTP') }); s.listen(process.env.PORT, process.env.HOST)",
        ],
        "I am no server of HTTP",
    ),
    (
        "never_answers",
        &[
            "node",
            "-e",
            "const s = require('net').createServer((c) => c.on('error', () => {})); \
          s.listen(process.env.PORT, process.env.HOST)",
        ],
        "nothing comes within 5 s",
    ),
];

fn check(lesson: Lesson, options: &[&str], words: &[String]) -> Result<Output> {
    let mut check = Command::new(env!("CARGO_BIN_EXE_compare"));
    check.arg("check").arg(lesson.name()).args(options).args(words);
    check.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    Ok(check.stdin(Stdio::null()).output()?)
}

/// One clear sentence, exit code 2, and soon.
async fn unfit(words: &[&str], says: &str) -> Result<()> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let started = Instant::now();
    let output = check(Lesson::Sse, &["--lang", "en"], &words)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2), "{:?} {said}", output.status);
    ensure!(said.contains(says), "{said}");
    ensure!(said.len() < 3000, "{} bytes are no sentence", said.len());
    // Ten seconds are the most that is waited; a busy machine has as many again.
    ensure!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    Ok(())
}

/// A program that starts another one, which leaves its group: both are ended.
async fn nothing_stays() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pid");
    let child = "setTimeout(() => {}, 1e9)";
    let script = format!(
        "const child = require('child_process').spawn(process.execPath, ['-e', {child:?}], \
         {{ detached: true, stdio: 'ignore' }}); child.unref(); \
         require('fs').writeFileSync({file:?}, String(child.pid)); setTimeout(() => {{}}, 1e9)"
    );
    unfit(&["node", "-e", &script], "does not listen").await?;
    let pid = fs::read_to_string(&file)?;
    let alive = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Whoever adopts it may not have buried it yet.
    ensure!(alive.is_empty() || alive.contains(") Z "), "{pid} is alive: {alive}");
    Ok(())
}

async fn french_too() -> Result<()> {
    let output =
        check(Lesson::Sse, &["--lang", "fr"], &["no-such-program".to_owned()])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(said.contains("ne démarre pas"), "{said}");
    Ok(())
}

async fn same_fault_same_json() -> Result<()> {
    let exercise = Exercise::named("01-polling/etag")?;
    let my = exercise::my().join(".proof/twice");
    let folder = exercise.start(Code::Js, &my, true)?;
    let words = [folder.display().to_string()];
    let once = || check(Lesson::Polling, &["--all", "--json", "--lang", "fr"], &words);
    let (one, two) = (once()?, once()?);
    fs::remove_dir_all(my)?;
    ensure!(one.status.code() == Some(1), "{:?}", one.status);
    ensure!(!one.stdout.is_empty() && one.stdout == two.stdout, "two documents");
    Ok(())
}

/// A server that runs already is judged, but for its end, and goes on.
async fn what_runs_already() -> Result<()> {
    let server = Candidate::from(Lesson::WebSocket).start().await?;
    for _twice in 0..2 {
        let words = vec![server.target().url("")];
        let output = check(Lesson::WebSocket, &["--json", "--lang", "en"], &words)?;
        let judged: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(output.status.success(), "{judged:#}");
        let entries = judged["stages"].as_array().context("no stages")?;
        for (entry, stage) in entries.iter().zip(Stage::of(Lesson::WebSocket)) {
            let ends = matches!(stage.needs, Needs::Process | Needs::Signal);
            let expected = if ends { "not judged" } else { "passed" };
            ensure!(entry["status"] == expected, "{entry:#}");
        }
    }
    Ok(())
}

async fn passes(lesson: Lesson, words: Vec<String>) -> Result<()> {
    let output = check(lesson, &["--all", "--json", "--lang", "en"], &words)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let judged: Value = serde_json::from_slice(&output.stdout).with_context(|| said)?;
    ensure!(output.status.success(), "{judged:#}");
    let signals = if cfg!(unix) { 24 } else { 22 };
    ensure!(judged["points"] == signals && judged["of"] == signals, "{judged:#}");
    Ok(())
}

/// A folder of its own for each starter, beside those of students.
fn folder(exercise: &Exercise, code: Code) -> PathBuf {
    let name = exercise.name.replace('/', "-");
    exercise::my().join(".proof").join(format!("{name}-{code:?}"))
}

/// Builds the starter, and returns what runs it.
fn built(exercise: &Exercise, code: Code) -> Result<CommandLine> {
    let my = folder(exercise, code);
    let started = exercise.start(code, &my, true)?;
    match code {
        Code::Js => submission::folder_command(&started),
        Code::Rust => compiled(&started, &my),
    }
}

/// Builds a server in Rust that was started in this folder of `my`, and returns what runs it.
fn compiled(started: &Path, my: &Path) -> Result<CommandLine> {
    // All of one lesson are built under one name, and copied before the next.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let program = submission::build(started)?;
    let copy = my.join(program.file_name().context("no name")?);
    fs::copy(program, &copy)?;
    Ok(CommandLine::new(vec![copy.into()]))
}

/// The steps in which a chapter builds `updates` up, each of which runs.
fn steps() -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for lesson in [Lesson::Sse, Lesson::WebSocket] {
        let exercises = Path::new(env!("CARGO_MANIFEST_DIR")).join("../exercises");
        let steps = fs::read_dir(exercises.join(lesson.name()).join("steps"))?;
        for step in steps {
            let path = step?.path();
            let number = path.file_stem().context("no name")?.display().to_string();
            trials.push(trial(format!("step {lesson}/{number}"), move || {
                step_runs(lesson, number, path)
            }));
        }
    }
    Ok(trials)
}

/// The lesson with this step in the place of its `updates` compiles, and tells a client the
/// number.
async fn step_runs(lesson: Lesson, number: String, step: PathBuf) -> Result<()> {
    let my = exercise::my().join(format!(".proof/step-{lesson}-{number}"));
    let exercise = Exercise::named(&format!("{lesson}/transport"))?;
    let started = exercise.start(Code::Rust, &my, true)?;
    let (lesson_file, file) = exercise.files(Code::Rust, &my)?;
    let (lesson_text, step) =
        (fs::read_to_string(lesson_file)?, fs::read_to_string(step)?);
    // Both begin with the address that they answer.
    let begins = step.split_inclusive('`').take(2).collect::<String>();
    let (before, updates) =
        lesson_text.split_once(&begins).context("no such address")?;
    let (_, after) = updates.split_once("\n}\n").context("updates has no end")?;
    fs::write(file, format!("{before}{step}{after}"))?;
    let line = compiled(&started, &my)?;
    let server = Candidate::program(lesson, line).start().await?;
    let first = connect(server.target()).await?.next().await?;
    ensure!(first.value == 0, "{first:?}");
    fs::remove_dir_all(my)?;
    Ok(())
}

/// The starter fails exactly as its data says. What has a clock in the contract is tried
/// only where it must fail: builds run beside it.
async fn starter(exercise: Exercise, code: Code) -> Result<()> {
    let line = built(&exercise, code)?;
    // What does not even run would fail every stage, and prove nothing.
    judge::speaks_http(&Candidate::program(exercise.lesson, line.clone())).await?;
    if !exercise.browser.is_empty() {
        return page(&exercise, &line).await;
    }
    let failing: Vec<&str> = exercise.stages.iter().map(|stage| stage.name).collect();
    let stages = Stage::of(exercise.lesson).iter();
    let stages =
        stages.filter(|it| it.needs != Needs::Signal || failing.contains(&it.name));
    let tried = stages.map(async |stage| {
        let candidate = Candidate::program(exercise.lesson, line.clone());
        // As long as the judge waits, and as no stage that passes takes.
        let tried = patient(judge::PATIENCE, stage.run(candidate));
        (stage.name, timeout(judge::MOST, tried).await.is_ok_and(|tried| tried.is_ok()))
    });
    let tried = join_all(tried).await.into_iter();
    let failed: Vec<_> =
        tried.filter(|(_, passed)| !passed).map(|(name, _)| name).collect();
    ensure!(failed == failing, "not {failing:?} fail, but {failed:?}");
    let _ = fs::remove_dir_all(folder(&exercise, code));
    Ok(())
}

/// The same for a hole in the page, on the stages that the data names: its server is whole.
async fn page(exercise: &Exercise, line: &CommandLine) -> Result<()> {
    ensure!(
        exercise.stages.is_empty(),
        "a hole in the page fails no stage of the server"
    );
    // Without a browser nothing would pass.
    Window::open().await?;
    for stage in Stage::of_page(exercise.lesson) {
        if exercise.browser.iter().any(|name| name == stage.name) {
            let candidate = Candidate::program(exercise.lesson, line.clone());
            let passed = stage.run(candidate).await.is_ok();
            ensure!(!passed, "{} passes {}", exercise.name, stage.name);
        }
    }
    Ok(())
}

/// The tables of exercises in the book; `UPDATE=1` writes them anew.
async fn tables() -> Result<()> {
    let chapters = Lesson::ALL.map(|lesson| (lesson.name(), Some(lesson)));
    for (chapter, lesson) in chapters.into_iter().chain([("teaching", None)]) {
        stands(chapter, "exercises", |language| exercise::table(lesson, language))?;
    }
    stands("events", "extensions", exercise::prices)
}

fn stands(
    chapter: &str,
    markers: &str,
    table: impl Fn(Language) -> Result<String>,
) -> Result<()> {
    let table = |language| table(language).unwrap_or_default();
    if env::var_os("UPDATE").is_some() {
        chapter::write_between(chapter, markers, table)?;
    }
    let old = "UPDATE=1 cargo test -p compare --test exercises tables writes it anew";
    chapter::stands_between(chapter, markers, table).context(old)
}

/// A class of four: one who is done, one who hangs, one who writes for ever, one who hands
/// nothing in. Each costs only his own mark, and the same class has the same page twice.
async fn grade() -> Result<()> {
    let class = tempfile::tempdir()?;
    let hand_in = |name: &str, text: &str| -> Result<()> {
        let folder = class.path().join(name).join("01-polling-js");
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join("server.mjs"), text)?)
    };
    let done = fs::read_to_string(exercise::twin(Lesson::Polling))?;
    let done = done.replace("\"./", "\"../../compare/peers/node/");
    hand_in(
        "done",
        &done
            .replace("\"../c", "\"../../compare/peers/c")
            .replace("\"../h", "\"../../compare/peers/h"),
    )?;
    hand_in("hangs", "setInterval(() => {}, 1e9);")?;
    hand_in("writes", "for (;;) console.log('again and again and again');")?;
    fs::create_dir_all(class.path().join("nothing, at all"))?;
    let pages = class.path().join(".pages");
    let run = || -> Result<String> {
        let mut grade = Command::new(env!("CARGO_BIN_EXE_compare"));
        grade.arg("grade").arg(class.path()).arg("--to").arg(&pages);
        let output =
            grade.args(["--lessons", "01-polling", "--lang", "fr"]).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        Ok(fs::read_to_string(pages.join("grades.csv"))?)
    };
    let table = run()?;
    let full = if cfg!(unix) { ("24", "12,0") } else { ("22", "12,0") };
    let expected = format!(
        "étudiant,01-polling,note sur 12\ndone,{},\"{}\"\nhangs,0,\"0,0\"\n\
         \"nothing, at all\",0,\"0,0\"\nwrites,0,\"0,0\"\n",
        full.0, full.1
    );
    ensure!(table == expected, "{table}");
    let page = fs::read_to_string(pages.join("done.md"))?;
    ensure!(page.contains("Questions d’oral"), "{page}");
    let hangs = fs::read_to_string(pages.join("hangs.md"))?;
    ensure!(hangs.contains("n’écoute pas sur"), "{hangs}");
    Ok(())
}

/// What travels is recorded, and a wrong answer to the question about it is told the right
/// one: a number, followed by why.
async fn observe(lesson: Lesson) -> Result<()> {
    let mut observe = Command::new(env!("CARGO_BIN_EXE_compare"));
    observe.args(["exercise", &format!("{lesson}/observe"), "--lang", "en"]);
    observe.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::spawn(&mut observe)?;
    let mut stdin = process.stdin().context("no input")?;
    let mut lines = BufReader::new(process.stdout().context("no output")?).lines();
    let mut line = |starts: &[&str]| -> Result<String> {
        let is_wanted =
            |line: &String| starts.iter().any(|start| line.starts_with(start));
        let found = lines.by_ref().map_while(Result::ok).find(is_wanted);
        found.with_context(|| format!("no line {starts:?}"))
    };
    let address = line(&["Open http://"])?;
    let address = address.trim_start_matches("Open http://").parse()?;
    connect(Target::new(lesson, address)).await?.next().await?;
    writeln!(stdin)?;
    line(&["“", "How"])?;
    writeln!(stdin, "what?")?;
    let told = line(&["No. "])?;
    let key = told.trim_start_matches("No. ").split(':').next().unwrap_or_default();
    ensure!(key.trim().parse::<u64>().is_ok(), "{told}");
    // By itself, so that the lesson ends with it.
    process.ended(LIMIT).await?;
    Ok(())
}
