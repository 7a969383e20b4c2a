//! The judge: tries the behaviours of the contract on anybody's server, in an order in which
//! they can be written, and keeps what is needed to say which clause is broken.

mod extensions;
#[cfg(feature = "browser")]
mod pages;
mod stages;
mod tell;

use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use tokio::{task::JoinHandle, time::timeout};

pub use stages::{Needs, Stage};
pub use tell::{Teller, json};

use crate::{
    Lesson, Target,
    candidate::Candidate,
    client::{Late, patient, within},
    contract::Broken,
    language::{Language, Sentence, Text, sentence, text},
    raw::{self, Raw},
    recording::{Recorder, Recording},
};

/// How long the judge waits for any answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a whole stage may take, whatever trickles in.
pub const MOST: Duration = Duration::from_secs(60);

/// How many lines of a recorded exchange are shown: its end.
const SHOWN: usize = 24;

/// How many lines of each stage's exchange are kept for questions: its beginning.
const KEPT: usize = 60;

/// What became of a stage.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Status {
    /// Its clauses hold.
    Passed,
    /// One of them does not.
    Failed(Failure),
    /// It cannot be tried here, for this reason.
    NotJudged(Text),
    /// The judge stopped before.
    NotReached,
}

impl Status {
    /// Whether it holds, as far as it can be judged here.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        matches!(self, Self::Passed | Self::NotJudged(_))
    }
}

/// How a clause is broken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// What was tried then, as it was sent; may be empty.
    pub step: String,
    /// What should have come, where that is one thing.
    pub expected: Option<String>,
    /// What came.
    pub received: Sentence,
    /// The end of what travelled, in the notation of `just wire`, and how many lines stand
    /// before it.
    pub exchange: (usize, String),
}

/// What became of a server.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Who was judged, as it was named.
    pub name: String,
    /// Whose stages were tried.
    pub lesson: Lesson,
    /// Each stage, in order.
    pub stages: Vec<(&'static Stage, Status)>,
    /// How the recorded exchange of each stage begins, in the notation of `just wire`.
    pub recorded: String,
    /// How the recorded exchange of the first stage that failed ends.
    pub failed: Option<Recording>,
}

impl Judgement {
    /// Whether every stage that can be judged here has passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.stages.iter().all(|(_, status)| status.is_fine())
    }

    /// The points of the stages that have passed.
    #[must_use]
    pub fn points(&self) -> u8 {
        let passed = self.stages.iter().filter(|(_, status)| *status == Status::Passed);
        passed.map(|(stage, _)| stage.points).sum()
    }

    /// The points of the stages that can be judged here.
    #[must_use]
    pub fn of(&self) -> u8 {
        let judged = |status: &Status| !matches!(status, Status::NotJudged(_));
        let judged = self.stages.iter().filter(|(_, status)| judged(status));
        judged.map(|(stage, _)| stage.points).sum()
    }
}

/// Tries the stages in their order, telling each as it is done. What only waits does so
/// beside the rest.
///
/// # Errors
/// A [`Sentence`] when the candidate cannot be judged: it does not start, does not listen,
/// or does not speak HTTP.
pub async fn judge(
    candidate: &Candidate,
    tried: &[&'static Stage],
    all: bool,
    mut tell: impl FnMut(&'static Stage, &Status),
) -> Result<Judgement> {
    speaks_http(candidate).await?;
    let mut stages = Vec::new();
    let mut waiting = Vec::new();
    for &stage in tried {
        // On one server for all stages, the others would break the silence.
        if stage.needs == Needs::Time && candidate.is_ours() {
            waiting.push((
                stage.name,
                Waiting(tokio::spawn(recorded(stage, candidate.clone()))),
            ));
        }
    }
    let mut stopped = false;
    let mut kept = Kept::default();
    for &stage in tried {
        let beside = waiting.iter().position(|(name, _)| *name == stage.name);
        let status = match (stopped, lacks(stage, candidate), beside) {
            (true, ..) => Status::NotReached,
            (false, Some(why), _) => Status::NotJudged(why),
            (false, None, Some(at)) => kept.told((&mut waiting.remove(at).1.0).await?),
            (false, None, None) => kept.told(recorded(stage, candidate.clone()).await),
        };
        tell(stage, &status);
        stopped |= matches!(status, Status::Failed(_)) && !all;
        stages.push((stage, status));
    }
    Ok(Judgement {
        name: candidate.to_string(),
        lesson: candidate.lesson,
        stages,
        recorded: kept.lines,
        failed: kept.failed,
    })
}

/// What is kept of the exchanges.
#[derive(Default)]
struct Kept {
    lines: String,
    failed: Option<Recording>,
}

impl Kept {
    /// Keeps how the exchange of a stage began, and how that of the first that failed ended.
    fn told(&mut self, (status, recording): (Status, Recording)) -> Status {
        for line in recording.text().lines().take(KEPT) {
            self.lines.push_str(line);
            self.lines.push('\n');
        }
        if matches!(status, Status::Failed(_)) {
            self.failed.get_or_insert_with(|| recording.end());
        }
        status
    }
}

/// A stage that is tried beside the others. Dropping it ends it.
struct Waiting(JoinHandle<(Status, Recording)>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a stage cannot be tried on this candidate, on this system.
fn lacks(stage: &Stage, candidate: &Candidate) -> Option<Text> {
    const RUNS_ALREADY: Text = text(
        "ce serveur tourne déjà, et ce n’est pas au juge de l’arrêter",
        "this server runs already, and is not the judge’s to end",
    );
    const NO_SIGNALS: Text =
        text("ce système n’a pas de signaux", "this system has no signals");
    match stage.needs {
        Needs::Signal if cfg!(not(unix)) => Some(NO_SIGNALS),
        Needs::Signal | Needs::Process if !candidate.is_ours() => Some(RUNS_ALREADY),
        _ => None,
    }
}

/// Whether there is anything to judge.
///
/// # Errors
/// As [`judge`].
pub async fn speaks_http(candidate: &Candidate) -> Result<()> {
    const ANSWER: Duration = Duration::from_secs(5);
    let started = candidate.start().await?;
    let target = started.target();
    let answer = within(ANSWER, "answer", first_bytes(target)).await;
    let came = match answer {
        Ok(Ok(answer)) if answer.starts_with(HTTP) => return Ok(()),
        Ok(Ok(answer)) if answer.is_empty() => {
            text("elle est fermée sans réponse", "closed without an answer").into()
        }
        Ok(Ok(answer)) => {
            let came = answer[..answer.len().min(40)].escape_ascii();
            sentence(
                format!("la réponse est « {came} »"),
                format!("the answer is “{came}”"),
            )
        }
        Ok(Err(error)) => sentence(
            format!("la connexion échoue : {error:#}"),
            format!("the connection fails: {error:#}"),
        ),
        Err(_) => {
            let seconds = ANSWER.as_secs();
            sentence(
                format!("rien ne vient en {seconds} s"),
                format!("nothing comes within {seconds} s"),
            )
        }
    };
    let (fr, en) = (came.of(Language::French), came.of(Language::English));
    Err(sentence(
        format!("« {candidate} » ne parle pas HTTP. À « GET / HTTP/1.1 », {fr}."),
        format!("“{candidate}” does not speak HTTP. To “GET / HTTP/1.1”, {en}."),
    )
    .into())
}

/// How an answer begins (RFC 9112, section 2.3).
const HTTP: &[u8] = b"HTTP/1.";

async fn first_bytes(target: Target) -> Result<Vec<u8>> {
    let mut raw = Raw::connect(target).await?;
    raw.write(raw::request(target, "GET", "/", "", "").as_bytes()).await?;
    let mut came = raw.some().await?;
    // One that writes byte by byte may have begun well.
    while came.len() < HTTP.len() && HTTP.starts_with(&came) && !came.is_empty() {
        let more = raw.some().await?;
        if more.is_empty() {
            break;
        }
        came.extend(more);
    }
    Ok(came)
}

async fn recorded(stage: &'static Stage, candidate: Candidate) -> (Status, Recording) {
    let recorder = Recorder::new(candidate.lesson);
    let tried = patient(PATIENCE, stage.run(candidate.recorded(recorder.tap())));
    let error = match timeout(MOST, tried).await {
        Ok(Ok(())) => return (Status::Passed, recorder.recording()),
        Ok(Err(error)) => error,
        Err(_) => anyhow!(Late { what: "end of the stage".to_owned(), limit: MOST }),
    };
    let recording = recorder.recording();
    (Status::Failed(failure(&error, &recording.text())), recording)
}

/// What is told of an error: its last cause is what came, the rest is where.
fn failure(error: &Error, transcript: &str) -> Failure {
    let broken = error.downcast_ref::<Broken>();
    let late = error.downcast_ref::<Late>();
    let (mut expected, received) = match (broken, late) {
        (Some(broken), _) => {
            let received = shortened(&broken.received);
            (Some(broken.expected.clone()), sentence(received.clone(), received))
        }
        (None, Some(late)) => {
            let seconds = late.limit.as_secs();
            let expected = Some(late.what.clone());
            let nothing = sentence(
                format!("rien en {seconds} s"),
                format!("nothing within {seconds} s"),
            );
            (expected, nothing)
        }
        (None, None) => {
            let told = shortened(&without_addresses(&error.root_cause().to_string()));
            (None, sentence(told.clone(), told))
        }
    };
    let root = error.root_cause().to_string();
    let told = |link: &String| {
        *link != root && broken.is_none_or(|broken| *link != broken.to_string())
    };
    let steps = error.chain().map(ToString::to_string).filter(told);
    let step = without_addresses(&steps.collect::<Vec<_>>().join(": "));
    expected = expected.map(|expected| shortened(&expected));
    let lines: Vec<&str> = transcript.lines().collect();
    let before = lines.len().saturating_sub(SHOWN);
    Failure { step, expected, received, exchange: (before, lines[before..].join("\n")) }
}

/// Ports are drawn anew each time, and the same fault must read the same.
fn without_addresses(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("127.0.0.1:") {
        told.push_str(before);
        told.push_str("HOST:PORT");
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    told + rest
}

fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
