//! The course book, rendered.
//!
//! Its pages are plain Markdown in `docs/fr` and `docs/en`. `just book` renders them with
//! mdBook; `tests/book` proves that they show code and output as they are.

use std::path::Path;

pub mod page;
pub mod render;

/// The languages of the book, each a folder of `docs`.
pub const LANGUAGES: [&str; 2] = ["fr", "en"];

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR"));
    docs.parent().unwrap_or(docs)
}
