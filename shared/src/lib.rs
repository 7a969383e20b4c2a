//! What the four lessons have in common: everything that is **not** the transport.
//!
//! | file | what it holds |
//! |---|---|
//! | `model.rs` | the messages: [`Command`], [`Snapshot`], [`Refusal`] |
//! | `counter.rs` | the live [`Counter`] and the [`Updates`] that follow it |
//! | `server.rs` | start-up and stop: address, port, logs, signals |
//! | `guard.rs` | who may talk to a lesson |
//! | `http.rs` | what HTTP asks of every server |
//! | `body.rs` | the limits and refusals of JSON bodies |
//! | `page.rs` | the page's language, style sheet and script |

mod body;
mod counter;
mod guard;
mod http;
mod model;
mod page;
mod server;

pub use body::json_body;
pub use counter::{Applied, Counter, Update, Updates};
pub use guard::guard;
pub use http::http_rules;
pub use model::{Action, Command, MAX_BYTES, Refusal, Snapshot};
pub use page::{Visit, files, html, npm_script};
pub use server::{listen, run, serve, terminated};
