//! Answers, as a language model gives them: written word by word, while whoever asked reads
//! along, or does not.
//!
//! An answer keeps all that was written of it, so that a reader can begin at any piece. What
//! writes it is told by a command alone to stop: who reads, and whether anybody does, it
//! does not know.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// How many answers are kept: those that are being written, and the newest of the others.
pub const KEPT: usize = 100;

/// How long a word takes.
const PACE: Duration = Duration::from_millis(50);

/// What is answered to everything.
const TEXT: &str = "A counter is a state, and whoever missed ten of its values has missed \
    nothing, for the newest one replaces them all. The words of an answer are events: each \
    of them counts, and none brings the others back. So whoever writes them keeps them, \
    and whoever reads them says where to go on.";

/// The name of the event of every piece but the last.
const WORD: &str = "word";

/// A piece of an answer.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Where it stands in the answer: 1 is the first.
    pub number: usize,
    /// The name of its event: `word`, or at the end `done` or `stopped`.
    pub name: &'static str,
    /// The word; empty at the end.
    pub word: &'static str,
}

/// One answer: the pieces that were written of it.
#[derive(Debug, Default)]
pub struct Answer(watch::Sender<Vec<Piece>>);

impl Answer {
    /// Writes it, until it is whole or stopped.
    pub async fn write(self: Arc<Self>) {
        for word in TEXT.split_whitespace() {
            sleep(PACE).await;
            if !self.push(WORD, word) {
                return;
            }
        }
        self.push("done", "");
    }

    /// Ends it here, for all its readers; one that has ended stays as it is.
    pub fn stop(&self) {
        self.push("stopped", "");
    }

    /// Adds a piece, unless the answer has ended; says whether it did.
    fn push(&self, name: &'static str, word: &'static str) -> bool {
        // To look and to add is one step: a word must not come behind the end.
        self.0.send_if_modified(|pieces| {
            let goes_on = !has_ended(pieces);
            if goes_on {
                pieces.push(Piece { number: pieces.len() + 1, name, word });
            }
            goes_on
        })
    }

    /// Whether it has ended, and a reader with this many pieces has them all.
    pub fn is_read(&self, pieces: usize) -> bool {
        let written = self.0.borrow();
        has_ended(&written) && pieces >= written.len()
    }

    /// Follows it from behind this many pieces.
    pub fn follow(&self, pieces: usize) -> Reader {
        Reader { written: self.0.subscribe(), read: pieces }
    }
}

fn has_ended(pieces: &[Piece]) -> bool {
    pieces.last().is_some_and(|last| last.name != WORD)
}

/// Reads an [`Answer`] at its own pace; made by [`Answer::follow`].
#[derive(Debug)]
pub struct Reader {
    written: watch::Receiver<Vec<Piece>>,
    read: usize,
}

impl Reader {
    /// Waits for the next piece. `None` behind the end.
    pub async fn next(&mut self) -> Option<Piece> {
        let read = self.read;
        let ready = |pieces: &Vec<Piece>| pieces.len() > read || has_ended(pieces);
        let piece = self.written.wait_for(ready).await.ok()?.get(read).cloned()?;
        self.read = piece.number;
        Some(piece)
    }
}

/// The answers that are kept, the oldest first, each under its id.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Vec<(String, Arc<Answer>)>>);

impl Answers {
    /// Makes room for an answer, which is still to be written; `None` while as many as are
    /// kept are being written.
    pub fn begin(&self) -> Option<(String, Arc<Answer>)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            let old = kept.iter().position(|(_, it)| has_ended(&it.0.borrow()))?;
            kept.remove(old);
        }
        // Whoever has the id may read, and stop: 128 bits that nobody can guess, made by a
        // `RandomState`, which is keyed by random numbers of the system.
        let draw = || RandomState::new().hash_one(Instant::now());
        let id = format!("{:016x}{:016x}", draw(), draw());
        let answer = Arc::<Answer>::default();
        kept.push((id.clone(), answer.clone()));
        Some((id, answer))
    }

    /// The answer with this id; `None` when it is no longer kept, or never was.
    pub fn find(&self, id: &str) -> Option<Arc<Answer>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(own, _)| own == id).map(|(_, answer)| answer.clone())
    }
}
