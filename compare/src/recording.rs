//! What has travelled, kept: for whoever draws it, counts it, or reads it later.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    Lesson,
    relay::{Direction, Tap},
    wire::{self, Entry, Message, What},
};

/// What has travelled between a server and its clients.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Recording {
    /// The name of the lesson by whose transport it is read.
    pub lesson: String,
    /// What happened, in the order in which it was seen.
    pub entries: Vec<Entry>,
}

impl Recording {
    /// The messages that were delivered, with the number of their connection.
    pub fn messages(&self) -> impl Iterator<Item = (u64, Direction, &Message)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Message { direction, message, .. } => {
                Some((entry.connection, *direction, message))
            }
            _ => None,
        })
    }

    /// The bytes that were delivered this way.
    #[must_use]
    pub fn bytes(&self, way: Direction) -> usize {
        let messages = self.messages().filter(|(_, direction, _)| *direction == way);
        messages.map(|(_, _, message)| message.size).sum()
    }

    /// The connections that were made or refused, by their numbers.
    #[must_use]
    pub fn connections(&self) -> Vec<u64> {
        let mut numbers: Vec<_> = self.entries.iter().map(|it| it.connection).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The connections on which a request of HTTP was the last that travelled: nothing has
    /// answered it.
    #[must_use]
    pub fn unanswered(&self) -> Vec<u64> {
        let last = |number: &u64| {
            self.messages().filter(|(connection, ..)| connection == number).last()
        };
        let mut numbers = self.connections();
        numbers.retain(|number| {
            last(number).is_some_and(|(_, direction, message)| {
                direction == Direction::Up && message.text.contains(" HTTP/1.1\r\n")
            })
        });
        numbers
    }

    /// The last of it, as much as a picture can show at one glance.
    #[must_use]
    pub fn end(&self) -> Self {
        const SHOWN: usize = 60;
        let from = self.entries.len().saturating_sub(SHOWN);
        Self { lesson: self.lesson.clone(), entries: self.entries[from..].to_vec() }
    }

    /// All of it in the notation of `just wire`.
    #[must_use]
    pub fn text(&self) -> String {
        self.entries.iter().map(|entry| entry.lines(false)).collect()
    }

    /// All of it as JSON, an entry a line.
    ///
    /// # Errors
    /// Never, as long as an entry is plain data.
    pub fn json(&self) -> Result<String> {
        let entries = self.entries.iter().map(serde_json::to_string);
        let entries = entries.collect::<Result<Vec<_>, _>>()?.join(",\n");
        let lesson = serde_json::to_string(&self.lesson)?;
        Ok(format!("{{\"lesson\":{lesson},\"entries\":[\n{entries}\n]}}\n"))
    }

    /// Reads what [`Recording::json`] has written.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path);
        let told = || path.display().to_string();
        serde_json::from_str(&text.with_context(told)?).with_context(told)
    }
}

/// Keeps what travels. Its clones keep the same.
#[derive(Clone, Debug)]
pub struct Recorder {
    lesson: Lesson,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Recorder {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(lesson: Lesson) -> Self {
        Self { lesson, entries: Arc::default() }
    }

    /// Shows it what passes.
    #[must_use]
    pub fn tap(&self) -> Tap {
        let recorder = self.clone();
        wire::entries(self.lesson, move |entry| recorder.keep(entry))
    }

    /// Keeps this.
    pub fn keep(&self, entry: Entry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// All that it has seen so far.
    #[must_use]
    pub fn recording(&self) -> Recording {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        Recording { lesson: self.lesson.name().to_owned(), entries: entries.clone() }
    }
}
