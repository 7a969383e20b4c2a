//! What the contract demands of every server: the behaviours that the suite tries on the
//! lessons and that the judge tries on anybody's. Each starts whom it tries, and is an error
//! with [`crate::contract::Broken`] in it when the clause does not hold; the letters and
//! numbers are the clauses of the protocol chapter.

pub mod counting;
pub mod extensions;
#[cfg(feature = "browser")]
pub mod page;
pub mod polling;
pub mod serving;
pub mod socketio;
pub mod sse;
pub mod stopping;
pub mod websocket;
