//! What is told about a judgement: to a person in French or English, and to a program.

use serde_json::{Value, json};

use super::{Failure, Judgement, Stage, Status};
use crate::{Lesson, language::Language};

/// Tells a person.
#[derive(Clone, Copy, Debug)]
pub struct Teller {
    language: Language,
    colour: bool,
}

impl Teller {
    /// In this language; in colour if wanted.
    #[must_use]
    pub fn new(language: Language, colour: bool) -> Self {
        Self { language, colour }
    }

    /// One line for a stage, as soon as it is done.
    #[must_use]
    pub fn line(self, stage: &Stage, status: &Status) -> String {
        let say = |fr, en| self.language.say(fr, en);
        let (mark, paint) = match status {
            Status::Passed => ("✓", "\x1b[32m"),
            Status::Failed(_) => ("✗", "\x1b[31m"),
            Status::NotJudged(_) => ("–", "\x1b[33m"),
            Status::NotReached => ("·", "\x1b[2m"),
        };
        let (paint, plain) = if self.colour { (paint, "\x1b[0m") } else { ("", "") };
        let why = match status {
            Status::NotJudged(why) => {
                format!(
                    " ({}{})",
                    say("non jugé : ", "not judged: "),
                    why.of(self.language)
                )
            }
            _ => String::new(),
        };
        let Stage { name, clauses, what, .. } = stage;
        let what = what.of(self.language);
        format!("{paint}{mark}{plain} {name} ({clauses})\n    {what}{why}")
    }

    /// All that helps with the stage that failed.
    #[must_use]
    pub fn failure(self, stage: &Stage, failure: &Failure) -> String {
        let say = |fr, en| self.language.say(fr, en);
        let mut text = String::new();
        let mut row = |label: &str, value: &str| {
            if !value.is_empty() {
                text.push_str(&format!("    {label} {value}\n"));
            }
        };
        row(say("Essayé :", "Tried:"), &failure.step);
        row(
            say("Attendu :", "Expected:"),
            failure.expected.as_deref().unwrap_or_default(),
        );
        row(say("Reçu :", "Received:"), failure.received.of(self.language));
        row(say("Cause habituelle :", "Usual cause:"), stage.cause.of(self.language));
        let (file, heading) = stage.page;
        let (folder, heading) = (self.language.code(), heading.of(self.language));
        let page = say("« ", "“").to_owned() + heading + say(" »", "”");
        row(
            say("Dans le livre :", "In the book:"),
            &format!("docs/{folder}/{file}, {page}"),
        );
        let (before, exchange) = &failure.exchange;
        if !exchange.is_empty() {
            let title = say("Ce qui a circulé", "What travelled");
            let cut = match before {
                0 => String::new(),
                before => format!(
                    " ({}{before}{})",
                    say("la fin ; ", "the end; "),
                    say(" lignes avant", " lines before")
                ),
            };
            text.push_str(&format!("    {title}{cut}{}\n", say(" :", ":")));
            for line in exchange.lines() {
                text.push_str(&format!("      {}\n", super::shortened(line)));
            }
        }
        text
    }

    /// The last line.
    #[must_use]
    pub fn summary(self, judgement: &Judgement) -> String {
        let (points, of) = (judgement.points(), judgement.of());
        let passed =
            judgement.stages.iter().filter(|(_, s)| *s == Status::Passed).count();
        let judged = judgement.stages.iter();
        let judged = judged.filter(|(_, s)| !matches!(s, Status::NotJudged(_))).count();
        let say = |fr, en| self.language.say(fr, en);
        let mut text = match self.language {
            Language::French => {
                format!("{passed} étapes sur {judged}, {points} points sur {of}.")
            }
            Language::English => {
                format!("{passed} of {judged} stages, {points} of {of} points.")
            }
        };
        if judgement.passed() {
            text.push_str(say(" Le contrat est tenu.", " The contract holds."));
        } else {
            text.push(' ');
            text.push_str(say(
                "Une première étape qui échoue est normale quand le serveur n’est pas fini : \
                 c’est la prochaine à écrire.",
                "A first stage that fails is to be expected while the server is not finished: \
                 it is the next one to write.",
            ));
        }
        text
    }

    /// Says who is judged, before the first stage.
    #[must_use]
    pub fn title(self, lesson: Lesson, name: &str) -> String {
        match self.language {
            Language::French => format!("Le contrat de {lesson}, jugé sur : {name}\n"),
            Language::English => {
                format!("The contract of {lesson}, judged on: {name}\n")
            }
        }
    }
}

/// The same for a program: one entry a stage, in their order.
#[must_use]
pub fn json(judgement: &Judgement, language: Language) -> Value {
    let stages: Vec<Value> = judgement
        .stages
        .iter()
        .map(|(stage, status)| {
            let mut entry = json!({
                "name": stage.name,
                "clauses": stage.clauses.split(", ").collect::<Vec<_>>(),
                "clause": stage.what.of(language),
                "points": stage.points,
                "status": match status {
                    Status::Passed => "passed",
                    Status::Failed(_) => "failed",
                    Status::NotJudged(_) => "not judged",
                    Status::NotReached => "not reached",
                },
            });
            match status {
                Status::Failed(failure) => {
                    entry["step"] = json!(failure.step);
                    entry["expected"] = json!(failure.expected);
                    entry["received"] = json!(failure.received.of(language));
                }
                Status::NotJudged(why) => entry["reason"] = json!(why.of(language)),
                Status::Passed | Status::NotReached => {}
            }
            entry
        })
        .collect();
    json!({
        "version": 1,
        "lesson": judgement.lesson.name(),
        "judged": judgement.name,
        "passed": judgement.passed(),
        "points": judgement.points(),
        "of": judgement.of(),
        "stages": stages,
    })
}
