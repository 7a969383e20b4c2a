//! What a student writes: a lesson with a hole in it. Exercises are data, in `exercises/`; a
//! starter is the lesson of today less a span, so it cannot drift, and the solution is the
//! lesson.

use std::{
    collections::BTreeMap,
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use toml::Table;

use crate::{
    Lesson,
    judge::{Judgement, Stage},
    language::{Language, Sentence, sentence},
};

/// What a student does with the lesson.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Watches it, and answers a question about what was seen.
    Observe,
    /// Mends a fault that was put into it.
    Break,
    /// Writes what is missing.
    Complete,
    /// Writes the transport.
    Write,
    /// Adds to it what it does not have.
    Extend,
}

/// What is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// The lesson.
    Rust,
    /// Its twin on Node.js.
    Js,
}

/// The same in both languages.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Both {
    fr: String,
    en: String,
}

impl Both {
    /// What it says in this language.
    #[must_use]
    pub fn of(&self, language: Language) -> &str {
        language.say(self.fr.trim(), self.en.trim())
    }
}

/// A span of a lesson, and what stands there instead.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Hole {
    /// The file, in the lesson's folder; one that begins with `shared/` is in that crate.
    #[serde(default)]
    pub file: String,
    /// How its first line begins, without the indent.
    pub from: String,
    /// How its last line begins; the first one again when it is left out.
    #[serde(default)]
    pub to: String,
    /// What stands there instead.
    #[serde(default)]
    pub instead: String,
}

/// An exercise as it is written down.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    kind: Kind,
    minutes: u32,
    title: Both,
    task: Both,
    #[serde(default)]
    hints: Vec<Both>,
    #[serde(default)]
    stages: Vec<String>,
    #[serde(default)]
    leaves: Vec<String>,
    #[serde(default)]
    browser: Vec<String>,
    rust: Option<Hole>,
    js: Option<Hole>,
}

/// An exercise.
#[derive(Clone, Debug)]
pub struct Exercise {
    /// `02-sse/heartbeat`.
    pub name: String,
    /// Its lesson.
    pub lesson: Lesson,
    /// What a student does.
    pub kind: Kind,
    /// How long it takes one who does not know Rust.
    pub minutes: u32,
    /// What it is called.
    pub title: Both,
    /// What is to be done.
    pub task: Both,
    /// Three hints, of increasing help.
    pub hints: Vec<Both>,
    /// The stages that fail because of the hole, in their order.
    pub stages: Vec<&'static Stage>,
    /// Those of them that its solution may leave to another exercise.
    pub leaves: Vec<String>,
    /// The stages of the page, in a browser, that fail because of it.
    pub browser: Vec<String>,
    rust: Option<Hole>,
    js: Option<Hole>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where students write.
#[must_use]
pub fn my() -> PathBuf {
    root().join("my")
}

impl Exercise {
    /// All of them, from the easiest kind to the hardest in each lesson.
    ///
    /// # Errors
    /// When a file of them cannot be read.
    pub fn all() -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for lesson in Lesson::ALL {
            let folder = root().join("exercises").join(lesson.name());
            for entry in fs::read_dir(&folder).context("no folder of exercises")? {
                let path = entry?.path();
                let text = fs::read_to_string(&path)?;
                let read = || read(lesson, &path, &text);
                all.push(read().with_context(|| path.display().to_string())?);
            }
        }
        all.sort_by_key(|exercise| {
            (
                exercise.lesson.name(),
                exercise.kind,
                exercise.minutes,
                exercise.name.clone(),
            )
        });
        Ok(all)
    }

    /// The one of this name.
    ///
    /// # Errors
    /// A [`Sentence`] when there is none.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::all()?.into_iter().find(|exercise| exercise.name == name);
        Ok(found.ok_or_else(|| {
            sentence(
                format!(
                    "il n’y a pas d’exercice « {name} » ; `just exercise` les énumère"
                ),
                format!("there is no exercise “{name}”; `just exercise` lists them"),
            )
        })?)
    }

    /// What is missing, in this code.
    #[must_use]
    pub fn hole(&self, code: Code) -> Option<&Hole> {
        match code {
            Code::Rust => self.rust.as_ref(),
            Code::Js => self.js.as_ref(),
        }
    }

    /// The name of the folder in which it is written.
    #[must_use]
    pub fn folder(&self, code: Code) -> String {
        match code {
            Code::Rust => self.lesson.name().to_owned(),
            Code::Js => format!("{}-js", self.lesson),
        }
    }

    /// The file of the lesson that has the solution, and the one to be written in `my`.
    ///
    /// # Errors
    /// A [`Sentence`] when the exercise does not exist in this code.
    pub fn files(&self, code: Code, my: &Path) -> Result<(PathBuf, PathBuf)> {
        let hole = self.hole(code).ok_or_else(|| self.not_in(code))?;
        let (root, mine) = (root(), my.join(self.folder(code)));
        Ok(match code {
            Code::Js => (twin(self.lesson), mine.join("server.mjs")),
            Code::Rust if hole.file.starts_with("shared/") => {
                (root.join(&hole.file), mine.join(&hole.file))
            }
            Code::Rust => {
                (root.join(self.lesson.name()).join(&hole.file), mine.join(&hole.file))
            }
        })
    }

    /// Whether a judgement shows that it is done: what it names was tried, and what it does
    /// not leave to another has passed.
    #[must_use]
    pub fn is_done(&self, judgement: &Judgement) -> bool {
        let tried =
            |name: &str| judgement.stages.iter().any(|(stage, _)| stage.name == name);
        let failed = judgement.stages.iter().filter(|(_, status)| !status.is_fine());
        self.stages.iter().all(|stage| tried(stage.name))
            && self.browser.iter().all(|name| tried(name))
            && failed
                .clone()
                .all(|(stage, _)| self.leaves.iter().any(|it| it == stage.name))
    }

    fn not_in(&self, code: Code) -> Sentence {
        let name = &self.name;
        match code {
            Code::Rust => sentence(
                format!("{name} ne s’écrit pas en Rust"),
                format!("{name} is not written in Rust"),
            ),
            Code::Js => sentence(
                format!("{name} ne s’écrit qu’en Rust : retirez --js"),
                format!("{name} is written in Rust only: leave --js out"),
            ),
        }
    }

    /// Writes the starter into a folder of `my`, and returns that folder.
    ///
    /// # Errors
    /// A [`Sentence`] when there is such a folder already and it may not be overwritten, or
    /// the exercise does not exist in this code.
    pub fn start(&self, code: Code, my: &Path, overwrite: bool) -> Result<PathBuf> {
        let folder = my.join(self.folder(code));
        let (_, mine) = self.files(code, my)?;
        if folder.exists() {
            let shown = folder.file_name().unwrap_or_default().to_string_lossy();
            ensure!(
                overwrite,
                sentence(
                    format!(
                        "my/{shown} existe déjà, et rien n’y est écrasé ; `--overwrite` \
                         recommence à zéro"
                    ),
                    format!(
                        "my/{shown} is there already, and nothing in it is overwritten; \
                         `--overwrite` begins anew"
                    ),
                )
            );
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        match code {
            Code::Rust => {
                workspace(my)?;
                lesson_copy(self.lesson, &folder)?;
                if self
                    .rust
                    .as_ref()
                    .is_some_and(|hole| hole.file.starts_with("shared/"))
                {
                    own_shared(&folder)?;
                }
            }
            Code::Js => {
                let server = fs::read_to_string(twin(self.lesson))?;
                fs::write(&mine, imports(&server, &folder)?)?;
            }
        }
        if let Some(hole) = self.hole(code) {
            let source = fs::read_to_string(&mine)?;
            fs::write(&mine, hole.dig(&source)?)?;
        }
        fs::write(folder.join("EXERCISE"), format!("{}\n", self.name))?;
        Ok(folder)
    }
}

fn read(lesson: Lesson, path: &Path, text: &str) -> Result<Exercise> {
    let data: Data = toml::from_str(text)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stage = |name: &String| {
        let found = Stage::of(lesson).iter().find(|stage| stage.name == *name);
        found.with_context(|| format!("no stage {name}"))
    };
    let stages = data.stages.iter().map(stage).collect::<Result<_>>()?;
    // As the book names them: the lesson, and the stage.
    let named = |name: &String| name.split("::").last().unwrap_or_default().to_owned();
    let browser = data.browser.iter().map(named).collect();
    ensure!(data.kind == Kind::Observe || data.hints.len() == 3, "not three hints");
    Ok(Exercise {
        name: format!("{lesson}/{stem}"),
        lesson,
        kind: data.kind,
        minutes: data.minutes,
        title: data.title,
        task: data.task,
        hints: data.hints,
        stages,
        leaves: data.leaves,
        browser,
        rust: data.rust,
        js: data.js,
    })
}

impl Hole {
    /// The file without the span, and with what stands there instead.
    ///
    /// # Errors
    /// When the file has no such span, or its first line stands there twice.
    pub fn dig(&self, source: &str) -> Result<String> {
        let lines: Vec<&str> = source.lines().collect();
        let at = |start: usize, text: &str| {
            let found = lines[start..].iter();
            found
                .clone()
                .position(|line| line.trim_start().starts_with(text))
                .map(|at| at + start)
        };
        let first =
            at(0, &self.from).with_context(|| format!("no line {:?}", self.from))?;
        let again = at(first + 1, &self.from);
        ensure!(again.is_none(), "two lines begin with {:?}", self.from);
        let last = if self.to.is_empty() {
            first
        } else {
            at(first, &self.to).with_context(|| format!("no line {:?}", self.to))?
        };
        let before = lines[..first].iter().copied();
        let after = lines[last + 1..].iter().copied();
        let text: Vec<&str> = before.chain(self.instead.lines()).chain(after).collect();
        Ok(text.join("\n") + "\n")
    }
}

/// The twin of a lesson on Node.js.
#[must_use]
pub fn twin(lesson: Lesson) -> PathBuf {
    root().join("compare/peers/node").join(format!("{lesson}.mjs"))
}

/// The twin's imports as they read from this folder. Node.js looks for packages only above
/// a file, so those of the peers are named by their file.
fn imports(server: &str, folder: &Path) -> Result<String> {
    let inside = folder.strip_prefix(root()).context("not in the project")?;
    let up = "../".repeat(inside.components().count());
    let peers = format!("{up}compare/peers");
    let packages = format!("{peers}/node_modules");
    Ok(server
        .replace("from \"./", &format!("from \"{peers}/node/"))
        .replace("from \"../counter", &format!("from \"{peers}/counter"))
        .replace("from \"../http", &format!("from \"{peers}/http"))
        .replace("from \"ws\"", &format!("from \"{packages}/ws/wrapper.mjs\""))
        .replace(
            "from \"socket.io\"",
            &format!("from \"{packages}/socket.io/wrapper.mjs\""),
        ))
}

/// A file of a student's folder for Node.js, as its imports read from this folder.
///
/// # Errors
/// When the folder is not in the project.
pub fn moved(text: &str, folder: &Path) -> Result<String> {
    let inside = folder.strip_prefix(root()).context("not in the project")?;
    let up = "../".repeat(inside.components().count());
    Ok(text.replace("\"../../compare/peers/", &format!("\"{up}compare/peers/")))
}

/// A copy of a lesson's folder that builds where it stands, under a name of its own.
fn lesson_copy(lesson: Lesson, folder: &Path) -> Result<()> {
    let from = root().join(lesson.name());
    copy_folder(&from, folder)?;
    let client = "node_modules/socket.io-client/dist/socket.io.esm.min.js";
    if let (true, Some(dist)) =
        (from.join(client).is_file(), Path::new(client).parent())
    {
        fs::create_dir_all(folder.join(dist))?;
        fs::copy(from.join(client), folder.join(client))?;
    }
    let edit = |file: &str, old: &str, new: &str| -> Result<()> {
        let text = fs::read_to_string(folder.join(file))?;
        ensure!(text.contains(old), "{file} has no {old}");
        Ok(fs::write(folder.join(file), text.replace(old, new))?)
    };
    edit("askama.toml", "../shared/templates", &slashes(&shared().join("templates"))?)?;
    edit("Cargo.toml", VERSION, &own_version(folder))?;
    // Both are built into one folder, and neither may replace the other.
    let name = |name: &str| format!("[[bin]]\nname = \"{name}\"");
    edit("Cargo.toml", &name(lesson.name()), &name(&format!("my-{lesson}")))
}

/// A copy of `shared` for a hole in it.
fn own_shared(folder: &Path) -> Result<()> {
    copy_folder(&shared(), &folder.join("shared"))?;
    let edit = |file: PathBuf, old: &str, new: &str| -> Result<()> {
        let text = fs::read_to_string(&file)?;
        ensure!(text.contains(old), "{} has no {old}", file.display());
        Ok(fs::write(file, text.replace(old, new))?)
    };
    edit(
        folder.join("Cargo.toml"),
        "shared.workspace = true",
        "shared.path = \"shared\"",
    )?;
    // Beside it, another lesson may be built with the project's own.
    edit(folder.join("shared/Cargo.toml"), VERSION, &own_version(folder))
}

const VERSION: &str = "\nversion.workspace = true";

/// A version for each folder: Cargo takes packages of one name, version and place in their
/// workspaces for the same one, and all are built into one folder.
fn own_version(folder: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    format!("\nversion = \"0.1.0-my{:x}\"", hasher.finish())
}

fn shared() -> PathBuf {
    root().join("shared")
}

/// A path as TOML has it, on Windows too.
fn slashes(path: &Path) -> Result<String> {
    let path = path.canonicalize()?;
    let path = path.to_str().context("a path that is not text")?;
    Ok(path.trim_start_matches(r"\\?\").replace('\\', "/"))
}

/// Copies a folder, without what npm put there.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            fs::copy(path, to.join(name))?;
        }
    }
    Ok(())
}

/// A workspace for what students write, beside the project's, with the same versions and
/// profiles, a lock file of its own, and the same folder for what is built.
fn workspace(my: &Path) -> Result<()> {
    fs::create_dir_all(my.join("dependencies/src"))?;
    fs::create_dir_all(my.join(".cargo"))?;
    let root = root();
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let members = manifest.lines().find(|line| line.starts_with("members"));
    let members = members.context("no members")?;
    let lessons = Lesson::ALL.iter().map(|lesson| lesson.name());
    let mut ours: Vec<&str> = lessons.filter(|name| my.join(name).is_dir()).collect();
    ours.push("dependencies");
    let manifest = manifest
        .replace(members, &format!("members = {ours:?}"))
        .replace("path = \"shared\"", &format!("path = \"{}\"", slashes(&shared())?));
    // Enough to read where a panic was, and half of what is built and linked.
    let profile = "\n[profile.dev]\ndebug = \"line-tables-only\"\n";
    fs::write(my.join("Cargo.toml"), manifest + profile)?;
    fs::copy(root.join("Cargo.lock"), my.join("Cargo.lock"))?;
    let target = slashes(&target()?)?;
    fs::write(
        my.join(".cargo/config.toml"),
        format!("[build]\ntarget-dir = \"{target}\"\n\n[net]\noffline = true\n"),
    )?;
    fs::write(my.join("dependencies/Cargo.toml"), dependencies(&root)?)?;
    fs::write(my.join("dependencies/src/lib.rs"), "")?;
    Ok(())
}

/// Where Cargo puts what it builds: this program is in there.
fn target() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let is_profile =
        |folder: &&Path| folder.ends_with("debug") || folder.ends_with("release");
    let profile = own.ancestors().find(is_profile).context("no folder of a profile")?;
    Ok(profile.parent().context("no folder above it")?.to_owned())
}

/// A package that asks for all that the project's packages ask for. Cargo builds a dependency
/// with what all members of a workspace want of it: so that it is the same one as the
/// project's, and not built again.
fn dependencies(root: &Path) -> Result<String> {
    let manifest: Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let members = manifest["workspace"]["members"].as_array().context("no members")?;
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in members.iter().filter_map(toml::Value::as_str) {
        let text = fs::read_to_string(root.join(member).join("Cargo.toml"))?;
        let member: Table = text.parse()?;
        let ours = |table: &Table| table.get("dependencies")?.as_table().cloned();
        let systems = member.get("target").and_then(toml::Value::as_table).cloned();
        let systems = systems.unwrap_or_default();
        let unix = systems.get("cfg(unix)").and_then(toml::Value::as_table);
        let unix = unix.filter(|_| cfg!(unix)).and_then(ours);
        for (name, value) in ours(&member).into_iter().chain(unix).flatten() {
            let flag =
                |key: &str| value.get(key).and_then(toml::Value::as_bool) == Some(true);
            let redis =
                cfg!(feature = "redis") && ["backon", "redis"].contains(&&*name);
            if name == "shared" || flag("optional") && !redis {
                continue;
            }
            let features = value.get("features").and_then(toml::Value::as_array);
            let features =
                features.into_iter().flatten().filter_map(toml::Value::as_str);
            wanted.entry(name).or_default().extend(features.map(str::to_owned));
        }
    }
    let mut text =
        "# What the lessons are built with, so that it is not built again.\n\
        [package]\nname = \"dependencies\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
        [dependencies]\n"
            .to_owned();
    for (name, features) in wanted {
        text.push_str(&format!(
            "{name} = {{ workspace = true, features = {features:?} }}\n"
        ));
    }
    Ok(text)
}

/// All exercises, a line each, with their minutes and a mark at those that are done.
///
/// # Errors
/// When they cannot be read.
pub fn list(language: Language) -> Result<String> {
    let done = done();
    let mut text = String::new();
    for exercise in Exercise::all()? {
        let mark = if done.contains(&exercise.name) { "✓" } else { " " };
        let codes = match (&exercise.rust, &exercise.js) {
            (Some(_), Some(_)) => "Rust, --js",
            (None, Some(_)) => "--js",
            (Some(_), None) => "Rust",
            (None, None) => "",
        };
        let Exercise { name, minutes, .. } = &exercise;
        let (kind, title) = (exercise.kind.name(language), exercise.title.of(language));
        text.push_str(&format!(
            "{mark} {name:<28} {kind:<10} {minutes:>3} min  {codes:<10}  {title}\n"
        ));
    }
    Ok(text)
}

/// The exercises of a lesson, or of all, as a table of the book: from what is observed to
/// what is written.
///
/// # Errors
/// When they cannot be read.
pub fn table(lesson: Option<Lesson>, language: Language) -> Result<String> {
    let say = |fr, en| language.say(fr, en);
    let mut text = say(
        "| Exercice | Ce qu’on y fait | Minutes | En | Ce qui échoue au départ |\n",
        "| Exercise | What is done | Minutes | In | What fails at the start |\n",
    )
    .to_owned();
    text.push_str("|---|---|---|---|---|\n");
    let is_wanted = |exercise: &Exercise| lesson.is_none_or(|it| it == exercise.lesson);
    for exercise in Exercise::all()?.into_iter().filter(is_wanted) {
        let (kind, title) = (exercise.kind.name(language), exercise.title.of(language));
        let code = match (&exercise.rust, &exercise.js) {
            (Some(_), Some(_)) => "Rust, JavaScript",
            (Some(hole), None) if hole.file.ends_with(".js") => "JavaScript",
            (Some(_), None) => "Rust",
            (None, Some(_)) => "JavaScript",
            (None, None) => "–",
        };
        let mut failing: Vec<String> =
            exercise.stages.iter().map(|stage| format!("`{}`", stage.name)).collect();
        failing.extend(exercise.browser.iter().map(|name| format!("`{name}`")));
        let all = Stage::of(exercise.lesson).len();
        let failing = match failing.len() {
            0 => "–".to_owned(),
            few @ 1..=3 => failing[..few].join(", "),
            most if most == all => say("tout", "all").to_owned(),
            more => match language {
                Language::French => format!("{more} étapes sur {all}"),
                Language::English => format!("{more} stages of {all}"),
            },
        };
        let Exercise { name, minutes, .. } = exercise;
        text.push_str(&format!(
            "| `{name}` | {kind}{} {title} | {minutes} | {code} | {failing} |\n",
            say("\u{a0}:", ":")
        ));
    }
    Ok(text)
}

impl Kind {
    /// What it is called.
    #[must_use]
    pub fn name(self, language: Language) -> &'static str {
        match self {
            Self::Observe => language.say("observer", "observe"),
            Self::Break => language.say("réparer", "mend"),
            Self::Complete => language.say("compléter", "complete"),
            Self::Write => language.say("écrire", "write"),
            Self::Extend => language.say("étendre", "extend"),
        }
    }
}

impl Exercise {
    /// What a student is told at the start: the task, where it is written, and what fails
    /// now.
    #[must_use]
    pub fn told(&self, code: Code, language: Language) -> String {
        let say = |fr, en| language.say(fr, en);
        let (title, task) = (self.title.of(language), self.task.of(language));
        let (folder, lesson, name) = (self.folder(code), self.lesson, &self.name);
        let minutes = self.minutes;
        let file = match code {
            Code::Js => "server.mjs",
            Code::Rust => self.rust.as_ref().map_or("", |hole| hole.file.as_str()),
        };
        let mut text = format!("{title} ({minutes} min)\n\n{task}\n\n");
        text.push_str(&format!(
            "{} my/{folder}/{file}\n",
            say("À écrire :", "To be written:")
        ));
        let (failing, all) = (self.stages.len(), Stage::of(lesson).len());
        // Where a fault is to be found, the judge tells.
        if let (Some(first), true) = (self.stages.first(), self.kind != Kind::Break) {
            let now = say(
                "Ce qui échoue pour l’instant, et c’est normal :",
                "What fails now, as expected:",
            );
            let few = self.stages.iter().map(|stage| stage.name).collect::<Vec<_>>();
            let most = match language {
                Language::French => {
                    format!(
                        "{failing} étapes sur {all}, la première étant {}",
                        first.name
                    )
                }
                Language::English => {
                    format!(
                        "{failing} stages of {all}, the first of them {}",
                        first.name
                    )
                }
            };
            let fails = if failing > 3 { most } else { few.join(", ") };
            text.push_str(&format!("{now} {fails}\n"));
        }
        let next = if self.browser.is_empty() { "check" } else { "check-page" };
        text.push_str(&format!(
            "\n    just {next} {lesson} my/{folder}\n    just hint {name}\n    just solution {name}{}\n",
            if code == Code::Js { " --js" } else { "" }
        ));
        text
    }
}

/// The exercise that a folder was started with.
#[must_use]
pub fn in_folder(folder: &Path) -> Option<Exercise> {
    let name = fs::read_to_string(folder.join("EXERCISE")).ok()?;
    Exercise::named(name.trim()).ok()
}

/// The names of the exercises that are done.
#[must_use]
pub fn done() -> Vec<String> {
    let done = fs::read_to_string(my().join("done")).unwrap_or_default();
    done.lines().map(str::to_owned).collect()
}

/// Remembers that an exercise is done.
///
/// # Errors
/// When it cannot be written.
pub fn remember(exercise: &Exercise) -> Result<()> {
    let mut names = done();
    if !names.contains(&exercise.name) {
        names.push(exercise.name.clone());
        fs::create_dir_all(my())?;
        fs::write(my().join("done"), names.join("\n") + "\n")?;
    }
    Ok(())
}
