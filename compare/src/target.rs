//! Where a client connects to.

use std::net::SocketAddr;

use crate::Lesson;

/// Where to connect, and what is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// The lesson whose transport is spoken there.
    pub lesson: Lesson,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether several instances stand behind it, so that each request may reach another
    /// one, and one of them may be a moment behind.
    pub several: bool,
}

impl Target {
    /// One server.
    #[must_use]
    pub fn new(lesson: Lesson, address: SocketAddr) -> Self {
        Self { lesson, address, several: false }
    }

    /// `http://address` followed by `path`.
    #[must_use]
    pub fn url(self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
