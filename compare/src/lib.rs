//! The four lessons from outside: their real binaries, and a client for each transport.
//!
//! Nothing here depends on the code of a lesson, nor on the crate that they share: the
//! messages are written out again as the contract has them, so that a change of the one
//! is noticed by the other.
//!
//! | Module | Question that it answers |
//! |---|---|
//! | [`subject`] | Who is tried: which lesson or peer, how is it started, alone or with others? |
//! | [`target`] | Where does a client connect to? |
//! | [`contract`] | Which messages are there, and which inputs must be refused? |
//! | [`process`] | How is another program found, started and ended, and what does it use? |
//! | [`server`] | What is one running process of a lesson? |
//! | [`cluster`] | What are several, with Redis behind them and nginx in front? |
//! | [`program`] | What is anybody's program that serves the counter? |
//! | [`candidate`] | Who is tried: one of these, or what runs already? |
//! | [`client`] | How does a well-behaved client speak each transport? |
//! | [`raw`] | How is anything else sent, byte by byte? |
//! | [`relay`] | What can a network do to the bytes? |
//! | [`link`] | What can a network do to the packets? Linux only. |
//! | [`wire`] | What do the bytes say? |
//! | [`recording`] | What has travelled? |
//! | [`diagram`] | How is that drawn? |
//! | [`behaviour`] | What must every server do? |
//! | [`judge`] | Which clause does a server break, and what is told about it? |
//! | [`submission`] | What is handed in to be judged, and how is it built? |
//! | [`exercise`] | What does a student write, and what fails without it? |
//! | [`questions`] | What can be asked about what travelled, and what is the answer? |
//! | [`grade`] | What is a class's work worth? |
//! | [`chromium`] | Which browser is started? Needs the feature `browser`. |
//! | [`browser`] | What does a real page do? Needs the feature `browser`. |
//! | [`drills`] | What does each transport do when it is disturbed? Needs `browser`. |
//! | [`measure`] | What does each cost? |
//! | [`report`] | How is that written down: data, tables, plots, chapters? |
//! | [`language`] | How is it said in French and in English? |
//!
//! A name comes from one place only: the module that answers its question, or, for the few
//! that are needed everywhere, here.

pub mod behaviour;
#[cfg(feature = "browser")]
pub mod browser;
pub mod candidate;
#[cfg(feature = "browser")]
pub mod chromium;
pub mod client;
pub mod cluster;
pub mod contract;
pub mod diagram;
#[cfg(feature = "browser")]
pub mod drills;
pub mod exercise;
pub mod grade;
pub mod judge;
pub mod language;
#[cfg(target_os = "linux")]
pub mod link;
pub mod measure;
pub mod process;
pub mod program;
pub mod questions;
pub mod raw;
pub mod recording;
pub mod relay;
pub mod report;
pub mod server;
pub mod subject;
pub mod submission;
pub mod target;
pub mod wire;

pub use client::{Client, connect};
pub use cluster::{Cluster, Redis, Running};
pub use contract::{Bad, Outcome, Snapshot};
pub use server::Server;
pub use subject::{Lesson, Place, Runtime, Subject};
pub use target::Target;
