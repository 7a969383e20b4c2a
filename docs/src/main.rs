//! `just book`: renders the course book in both languages, and opens it.

use std::{
    env,
    path::{self, Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, ensure};
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    match book() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn book() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    ensure!(arguments.iter().all(|it| it == "--no-open"), "usage: book [--no-open]");
    // mdBook's warnings, without its progress.
    tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).without_time().init();
    let root = book::root();
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    // Not `canonicalize`: the path is shown and opened, and on Windows that one begins it
    // with `\\?\`.
    let site =
        path::absolute(target.unwrap_or_else(|| root.join("target")).join("book"))?;
    book::render::render(root, &site)?;
    let start = site.join("index.html");
    println!("{}", start.display());
    if arguments.is_empty() {
        open(&start);
    }
    Ok(())
}

fn open(start: &Path) {
    if let Err(error) = opener::open_browser(start) {
        println!("open it in a browser: {error}");
    }
}
