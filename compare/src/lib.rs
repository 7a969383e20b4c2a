//! The four lessons from outside: their real binaries, and a client for each transport.
//!
//! Nothing here depends on the code of a lesson, nor on the crate that they share: the
//! messages are written out again as the contract has them, so that a change of the one
//! is noticed by the other.

pub mod browser;
pub mod chromium;
pub mod client;
pub mod cluster;
pub mod drills;
pub mod measure;
pub mod peers;
pub mod raw;
pub mod relay;
pub mod server;
pub mod wire;

pub use client::{Bad, Client, Outcome, Snapshot, connect};
pub use cluster::{Cluster, Place, Redis};
pub use peers::{Runtime, Subject};
pub use server::{Lesson, Server};
