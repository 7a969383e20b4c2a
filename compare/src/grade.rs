//! Grades a class: judges what each student handed in, and writes one table for all and one
//! page for each.
//!
//! What runs is a stranger's program. It is ended with all that it started, within a limit,
//! and what it writes to its terminal is not kept. It is no sandbox: the program has the
//! rights of whoever grades, over files, memory and network.

use std::{
    fmt::Write,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::time::timeout;

use crate::{
    Lesson,
    candidate::Candidate,
    exercise::{self, Code, Exercise},
    judge::{self, Judgement, Stage, Status, Teller},
    language::{Language, Sentence, sentence},
    questions, submission,
};

/// How long the judgement of one server may take, whatever it does.
const MOST: Duration = Duration::from_secs(180);

/// What the automatic part of the practical is worth, out of 20.
const MARK: f64 = 12.0;

/// How many oral questions each student gets.
const QUESTIONS: usize = 5;

/// What became of one server.
enum Outcome {
    /// It was judged.
    Judged(Judgement),
    /// It could not be.
    Unfit(Sentence),
    /// Nothing was handed in.
    Missing,
}

/// Judges each sub-folder of `folder`, and writes what came of it into `to`. Tells each
/// student's mark as soon as it is known.
///
/// # Errors
/// When the folder cannot be read, has no sub-folders, or nothing can be written.
pub async fn grade(
    folder: &Path,
    to: &Path,
    lessons: &[Lesson],
    seed: u64,
    language: Language,
    mut tell: impl FnMut(&str, f64),
) -> Result<()> {
    let students = students(folder)?;
    fs::create_dir_all(to)?;
    let mut table = csv::Writer::from_path(to.join("grades.csv"))?;
    let say = |fr, en| language.say(fr, en);
    let mut head = vec![say("étudiant", "student").to_owned()];
    head.extend(lessons.iter().map(|lesson| lesson.name().to_owned()));
    head.push(say("note sur 12", "mark out of 12").to_owned());
    table.write_record(&head)?;
    for (name, path) in students {
        let mut page = format!("# {name}\n");
        let (mut row, mut points, mut full) = (vec![name.clone()], 0, 0);
        let mut oral = Vec::new();
        for &lesson in lessons {
            let outcome = judged(&name, &path, lesson).await;
            writeln!(page, "\n## {lesson}\n")?;
            page.push_str(&told(&outcome, language));
            let (of_this, all) = match &outcome {
                Outcome::Judged(judgement) => {
                    oral.extend(questions::draw(
                        lesson,
                        &judgement.recorded,
                        seed ^ hash(&name),
                        QUESTIONS,
                    ));
                    (judgement.points(), judgement.of())
                }
                Outcome::Unfit(_) | Outcome::Missing => (0, FULL),
            };
            row.push(of_this.to_string());
            points += u32::from(of_this);
            full += u32::from(all);
        }
        let mark = MARK * f64::from(points) / f64::from(full.max(1));
        let shown = format!("{mark:.1}");
        let shown = match language {
            Language::French => shown.replace('.', ","),
            Language::English => shown,
        };
        row.push(shown.clone());
        table.write_record(&row)?;
        table.flush()?;
        writeln!(
            page,
            "\n{} {shown} / 12",
            say("Partie automatique :", "Automatic part:")
        )?;
        page.push_str(&asked(oral, seed ^ hash(&name), language));
        fs::write(to.join(format!("{name}.md")), page)?;
        tell(&name, mark);
    }
    Ok(())
}

/// The points of a lesson's stages.
const FULL: u8 = 24;

/// The sub-folders, by name.
fn students(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = fs::read_dir(folder).with_context(|| {
        let folder = folder.display();
        sentence(
            format!("le dossier {folder} ne se lit pas"),
            format!("the folder {folder} cannot be read"),
        )
    })?;
    let mut students = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') {
            students.push((name, path));
        }
    }
    ensure!(
        !students.is_empty(),
        sentence(
            format!("{} n’a pas de sous-dossier à noter", folder.display()),
            format!("{} has no sub-folder to grade", folder.display()),
        )
    );
    students.sort();
    Ok(students)
}

async fn judged(name: &str, folder: &Path, lesson: Lesson) -> Outcome {
    match candidate(name, folder, lesson) {
        Ok(None) => Outcome::Missing,
        Ok(Some(candidate)) => {
            let mut stages = Vec::new();
            let tell = |stage: &'static Stage, status: &Status| {
                stages.push((stage, status.clone()));
            };
            let tried: Vec<_> = Stage::of(lesson).iter().collect();
            match timeout(MOST, judge::judge(&candidate, &tried, true, tell)).await {
                Ok(Ok(judgement)) => Outcome::Judged(judgement),
                Ok(Err(error)) => Outcome::Unfit(unfit(&error)),
                // What was told before the time was over counts.
                Err(_) => {
                    let rest = tried.iter().skip(stages.len());
                    let rest: Vec<_> =
                        rest.map(|stage| (*stage, Status::NotReached)).collect();
                    stages.extend(rest);
                    let (name, recorded) = (candidate.to_string(), String::new());
                    let failed = None;
                    Outcome::Judged(Judgement {
                        name,
                        lesson,
                        stages,
                        recorded,
                        failed,
                    })
                }
            }
        }
        Err(error) => Outcome::Unfit(unfit(&error)),
    }
}

fn unfit(error: &anyhow::Error) -> Sentence {
    let told = || sentence(format!("{error:#}"), format!("{error:#}"));
    error.downcast_ref::<Sentence>().cloned().unwrap_or_else(told)
}

/// What a student handed in for a lesson, put where it builds here: of a lesson in Rust its
/// `src` and `client.js`, for its manifest is ours; of Node.js its `.mjs` files.
fn candidate(name: &str, folder: &Path, lesson: Lesson) -> Result<Option<Candidate>> {
    let my = exercise::my().join(".grade").join(name);
    let code = match lesson.name() {
        lesson if folder.join(lesson).join("src/main.rs").is_file() => Code::Rust,
        lesson if folder.join(format!("{lesson}-js")).is_dir() => Code::Js,
        _ => return Ok(None),
    };
    let exercise = Exercise::named(&format!("{lesson}/transport"))?;
    let started = exercise.start(code, &my, true)?;
    let handed_in = folder.join(exercise.folder(code));
    match code {
        Code::Rust => {
            fs::remove_dir_all(started.join("src"))?;
            exercise::copy_folder(&handed_in.join("src"), &started.join("src"))?;
            if handed_in.join("client.js").is_file() {
                fs::copy(handed_in.join("client.js"), started.join("client.js"))?;
            }
        }
        Code::Js => {
            for entry in fs::read_dir(&handed_in)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "mjs") {
                    let file = path.file_name().context("no name")?;
                    let text = fs::read_to_string(&path)?;
                    fs::write(started.join(file), exercise::moved(&text, &started)?)?;
                }
            }
        }
    }
    if !matches!(code, Code::Rust) || started.join("src/main.rs").is_file() {
        let name = format!("{name}/{}", exercise.folder(code));
        let line = submission::folder_command(&started)?.called(name);
        return Ok(Some(Candidate::program(lesson, line)));
    }
    bail!("{} has no src/main.rs", handed_in.display())
}

fn told(outcome: &Outcome, language: Language) -> String {
    let say = |fr, en| language.say(fr, en);
    match outcome {
        Outcome::Missing => {
            say("Rien n’a été rendu.\n", "Nothing was handed in.\n").to_owned()
        }
        Outcome::Unfit(why) => format!("{}\n", why.of(language)),
        Outcome::Judged(judgement) => {
            let teller = Teller::new(language, false);
            let mut text = String::from("```text\n");
            let mut first = true;
            for (stage, status) in &judgement.stages {
                text += &format!("{}\n", teller.line(stage, status));
                if let (true, Status::Failed(failure)) = (first, status) {
                    text += &teller.failure(stage, failure).replace("```", "'''");
                    first = false;
                }
            }
            text + &format!("```\n\n{}\n", teller.summary(judgement))
        }
    }
}

/// The questions of one student, some from each lesson, with their keys.
fn asked(mut oral: Vec<questions::Question>, seed: u64, language: Language) -> String {
    fastrand::Rng::with_seed(seed).shuffle(&mut oral);
    oral.truncate(QUESTIONS);
    let mut text = String::new();
    if !oral.is_empty() {
        let title = language
            .say("Questions d’oral, et leurs clés", "Oral questions, and their keys");
        text += &format!("\n## {title}\n\n");
    }
    for (number, question) in (1..).zip(oral) {
        let (ask, key) = (question.ask.of(language), question.key.of(language));
        text += &format!("{number}. {ask}\n   - *{key}*\n");
    }
    text
}

/// The same name draws the same questions from the same seed.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
