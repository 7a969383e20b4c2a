//! What is told about exercises: at the start, in the list, and in the tables of the book.

use anyhow::Result;

use super::{Code, Exercise, Kind, done};
use crate::{Lesson, judge::Stage, language::Language};

/// All exercises, a line each, with their minutes and a mark at those that are done.
///
/// # Errors
/// When they cannot be read.
pub fn list(language: Language) -> Result<String> {
    let done = done();
    let mut text = String::new();
    for exercise in Exercise::all()? {
        let mark = if done.contains(&exercise.name) { "✓" } else { " " };
        // What `--js` asks for.
        let codes = exercise.codes(language)?.replace(", JavaScript", ", --js");
        let Exercise { name, minutes, .. } = &exercise;
        let (kind, title) = (exercise.kind.name(language), exercise.title.of(language));
        text.push_str(&format!(
            "{mark} {name:<28} {kind:<10} {minutes:>3} min  {codes:<18}  {title}\n"
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
        let code = exercise.codes(language)?;
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
    /// What it is written in: two with a comma where one of them is enough.
    fn codes(&self, language: Language) -> Result<&'static str> {
        Ok(match (&self.rust, &self.js) {
            (Some(_), Some(_)) => "Rust, JavaScript",
            (Some(hole), None) if hole.file.ends_with(".js") => "JavaScript",
            (Some(_), None) => "Rust",
            (None, Some(_)) => "JavaScript",
            (None, None) if self.patch.is_some() => {
                let files = self.patched()?;
                let has = |end| files.iter().any(|file| file.ends_with(end));
                match (has(".rs"), has(".js")) {
                    (true, true) => {
                        language.say("Rust et JavaScript", "Rust and JavaScript")
                    }
                    (false, true) => "JavaScript",
                    _ => "Rust",
                }
            }
            (None, None) => "–",
        })
    }

    /// What a student is told at the start: the task, where it is written, and what fails
    /// now.
    #[must_use]
    pub fn told(&self, code: Code, language: Language) -> String {
        let say = |fr, en| language.say(fr, en);
        let (title, task) = (self.title.of(language), self.task.of(language));
        let (folder, lesson, name) = (self.folder(code), self.lesson, &self.name);
        let minutes = self.minutes;
        let file = match code {
            Code::Js => "server.mjs".to_owned(),
            Code::Rust => match &self.rust {
                Some(hole) => hole.file.clone(),
                None => self.patched().unwrap_or_default().join(", "),
            },
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
        // An extension of the page is one of the server too.
        let next = match (self.browser.is_empty(), &self.patch) {
            (true, _) => &["check"][..],
            (false, None) => &["check-page"],
            (false, Some(_)) => &["check", "check-page"],
        };
        // What is left to another exercise would stop the judge.
        let all = match (&self.patch, self.leaves.is_empty()) {
            (Some(_), _) => format!(" --also {}", self.short_name()),
            (None, true) => String::new(),
            (None, false) => " --all".to_owned(),
        };
        text.push('\n');
        for check in next {
            text.push_str(&format!("    just {check} {lesson}{all} my/{folder}\n"));
        }
        text.push_str(&format!(
            "    just hint {name}\n    just solution {name}{}\n",
            if code == Code::Js { " --js" } else { "" }
        ));
        text
    }
}
