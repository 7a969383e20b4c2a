//! What a student writes: a lesson with a hole in it. Exercises are data, in `exercises/`; a
//! starter is the lesson of today less a span, so it cannot drift, and the solution is the
//! lesson. An extension begins with the whole lesson, and its solution is a patch of it.

mod extension;
mod starter;
mod tell;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

pub use extension::{prices, solve};
pub use starter::{copy_folder, moved, twin};
pub use tell::{list, table};

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
    #[serde(default)]
    adds: Vec<String>,
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
    /// The stages that fail because of the hole, in their order; of an extension its own.
    pub stages: Vec<&'static Stage>,
    /// Those of them that its solution may leave to another exercise.
    pub leaves: Vec<String>,
    /// The stages of the page, in a browser, that fail because of it.
    pub browser: Vec<String>,
    /// The patch of the lesson that solves an extension.
    pub patch: Option<PathBuf>,
    /// What several extensions have in common, which this one is given: `src/journal.rs`
    /// for `journal`.
    adds: Vec<String>,
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
                if path.extension().is_none_or(|extension| extension != "toml") {
                    continue;
                }
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
    /// not leave to another has passed. The page of an extension that has stages of the server
    /// too is judged apart.
    #[must_use]
    pub fn is_done(&self, judgement: &Judgement) -> bool {
        let tried =
            |name: &str| judgement.stages.iter().any(|(stage, _)| stage.name == name);
        let failed = judgement.stages.iter().filter(|(_, status)| !status.is_fine());
        self.stages.iter().all(|stage| tried(stage.name))
            && (self.patch.is_some() && !self.stages.is_empty()
                || self.browser.iter().all(|name| tried(name)))
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
                format!("{name} s’écrit dans la leçon elle-même : retirez --js"),
                format!("{name} is written in the lesson itself: leave --js out"),
            ),
        }
    }
}

fn read(lesson: Lesson, path: &Path, text: &str) -> Result<Exercise> {
    let data: Data = toml::from_str(text)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let patch = (data.kind == Kind::Extend).then(|| path.with_extension("patch"));
    let known = match patch {
        Some(_) => Stage::extensions(lesson),
        None => Stage::of(lesson),
    };
    let stage = |name: &String| {
        let found = known.iter().find(|stage| stage.name == *name);
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
        patch,
        adds: data.adds,
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
