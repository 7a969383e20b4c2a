//! Who is connected, and what was sent: counted where it happens, told at `GET /status`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use actix_web::{
    Responder,
    web::{Data, Json},
};

/// What is counted, since the server began.
#[derive(Debug, Default)]
pub struct Status {
    /// Clients that are connected now.
    clients: AtomicU64,
    /// States that were given to a connection.
    sent: AtomicU64,
    /// States that a connection never got, since a newer one had come.
    dropped: AtomicU64,
}

/// `GET /status`: the counts as JSON, such as `{"clients":2,"dropped":0,"sent":17}`.
pub async fn status(status: Data<Status>) -> impl Responder {
    Json(BTreeMap::from([
        ("clients", status.clients.load(Relaxed)),
        ("sent", status.sent.load(Relaxed)),
        ("dropped", status.dropped.load(Relaxed)),
    ]))
}

impl Status {
    /// Counts a client until what is returned is dropped, however its connection ends.
    pub fn connect(self: Arc<Self>) -> Connected {
        self.clients.fetch_add(1, Relaxed);
        Connected { status: self, last: None }
    }

    /// Counts a state that was given to so many clients.
    pub fn sent(&self, clients: u64) {
        self.sent.fetch_add(clients, Relaxed);
    }

    /// Counts states that so many clients never got.
    pub fn dropped(&self, states: u64, clients: u64) {
        self.dropped.fetch_add(states * clients, Relaxed);
    }
}

/// A client that is connected.
#[derive(Debug)]
pub struct Connected {
    status: Arc<Status>,
    /// The version that was sent last.
    last: Option<u64>,
}

impl Connected {
    /// Counts the state of this version as sent, and those that were skipped as dropped.
    // Lesson 4 sends to all clients at once, and counts there.
    #[allow(dead_code)]
    pub fn sent(&mut self, version: u64) {
        let next = self.last.map_or(version, |last| last + 1);
        self.status.sent(1);
        self.status.dropped(version.saturating_sub(next), 1);
        self.last = Some(version);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.status.clients.fetch_sub(1, Relaxed);
    }
}
