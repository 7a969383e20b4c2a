//! What the four lessons have in common: everything that is **not** the transport.
//!
//! | module | what it holds |
//! |---|---|
//! | [`model`] | the messages: [`Command`], [`Snapshot`], [`Refusal`] |
//! | [`counter`] | the live [`Counter`] and the [`Updates`] that follow it |
//! | [`server`] | start-up and stop: address, port, logs, signals |
//! | [`guard`](mod@guard) | who may talk to a lesson, and the security headers |
//! | [`frames`] | the size limit on WebSocket frames, and the close code of each error |
//! | [`page`] | the page's language, style sheet and script |

pub mod counter;
pub mod frames;
pub mod guard;
pub mod model;
pub mod page;
pub mod server;

pub use counter::{Counter, Update, Updates};
pub use frames::{close_code, limit_frames, send};
pub use guard::guard;
pub use model::{Action, Command, MAX_BYTES, Refusal, Snapshot};
pub use page::{Visit, files, html, npm_script};
pub use server::run;
