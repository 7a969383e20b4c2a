//! What is handed in to be judged: a folder, a program with its arguments, an address, or
//! nothing, for the lesson itself.

use std::{
    collections::BTreeMap,
    env, fs,
    net::ToSocketAddrs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    Lesson, candidate::Candidate, language::sentence, program::CommandLine,
    subject::FAST,
};

/// Reads whom to judge from the command line: nothing for the lesson itself, an address, a
/// folder, or a program with its arguments.
///
/// # Errors
/// A [`crate::language::Sentence`] when there is no such folder or address, or a folder does not build.
pub fn candidate(lesson: Lesson, words: &[String]) -> Result<Candidate> {
    let [first, ..] = words else { return Ok(lesson.into()) };
    if let Some(address) = first.strip_prefix("http://") {
        let address = address.trim_end_matches('/');
        let unknown = || {
            sentence(
                format!(
                    "« {first} » n’est pas une adresse telle que http://127.0.0.1:3000"
                ),
                format!("“{first}” is not an address such as http://127.0.0.1:3000"),
            )
        };
        let addresses = address.to_socket_addrs().map_err(|_| unknown())?;
        // The suite's bytes go over IPv4.
        let address = addresses.into_iter().find(|address| address.is_ipv4());
        return Ok(Candidate::running(lesson, address.ok_or_else(unknown)?));
    }
    let folder = Path::new(first);
    if words.len() == 1 && folder.is_dir() {
        let line = folder_command(folder)?.called(first);
        return Ok(Candidate::program(lesson, line));
    }
    let words = words.iter().map(Into::into).collect();
    Ok(Candidate::program(lesson, CommandLine::new(words)))
}

/// What runs the server in a folder: Cargo builds one with a `Cargo.toml`, Node.js runs
/// `server.mjs`.
///
/// # Errors
/// When it has neither, or does not build.
pub fn folder_command(folder: &Path) -> Result<CommandLine> {
    if folder.join("Cargo.toml").is_file() {
        let binary = build(folder)?;
        return Ok(CommandLine::new(vec![binary.into()]));
    }
    if folder.join("server.mjs").is_file() {
        let line = CommandLine::new(vec!["node".into(), "server.mjs".into()]);
        return Ok(line.from_folder(folder));
    }
    let folder = folder.display();
    bail!(sentence(
        format!(
            "{folder} n’a ni Cargo.toml ni server.mjs : donnez la commande qui le lance"
        ),
        format!(
            "{folder} has neither Cargo.toml nor server.mjs: give the command that runs it"
        ),
    ))
}

/// Builds the server in a folder with a `Cargo.toml`, and returns its program.
///
/// # Errors
/// A [`crate::language::Sentence`] when it does not build; Cargo has said why.
pub fn build(folder: &Path) -> Result<PathBuf> {
    let mut words = Vec::new();
    // In the workspace of `my`, all its members have a say in what is built.
    if let Ok(exercise) = fs::read_to_string(folder.join("EXERCISE"))
        && let Some((lesson, _)) = exercise.split_once('/')
    {
        words =
            vec!["--workspace".to_owned(), "--bin".to_owned(), format!("my-{lesson}")];
    }
    let (programs, said, is_built) = cargo_build(folder, &words)?;
    match programs.into_values().next_back() {
        Some(program) if is_built => Ok(program),
        _ => {
            eprintln!("{said}");
            let folder = folder.display();
            bail!(sentence(
                format!("{folder} ne se compile pas : voyez ce que dit Cargo"),
                format!("{folder} does not build: see what Cargo says"),
            ))
        }
    }
}

/// Builds all programs of a workspace at once, and returns those that do build, by their
/// names, and what Cargo says: errors and warnings.
///
/// # Errors
/// When Cargo cannot be run.
pub fn build_all(folder: &Path) -> Result<(BTreeMap<String, PathBuf>, String)> {
    let words = ["--workspace", "--bins", "--keep-going"];
    let (programs, said, _) = cargo_build(folder, &words.map(str::to_owned))?;
    Ok((programs, said))
}

fn cargo_build(
    folder: &Path,
    words: &[String],
) -> Result<(BTreeMap<String, PathBuf>, String, bool)> {
    let mut cargo =
        Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--message-format", "json-render-diagnostics"]);
    // What is measured is built as the lessons are beside it.
    if !cfg!(debug_assertions) {
        cargo.args(["--profile", FAST]);
    }
    let output = cargo.args(words).current_dir(folder).output();
    let output = output.context("cannot run cargo")?;
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let programs = messages.filter_map(|message: Value| {
        let name = message["target"]["name"].as_str()?.to_owned();
        Some((name, message["executable"].as_str()?.into()))
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((programs.collect(), said, output.status.success()))
}
