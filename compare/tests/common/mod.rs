//! What the suites share: how a trial is run, and how one that cannot be is named.

// No suite uses all of it.
#![allow(dead_code)]

use anyhow::Result;
use compare::Place;
use libtest_mimic::{Failed, Trial};

/// A trial that passes unless there is an error; the error is told with its causes.
pub fn trial<F: Future<Output = Result<()>>>(
    name: impl Into<String>,
    behaviour: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::test(name, || block_on(behaviour()))
}

/// Runs what a trial does. A relay, or another client, goes on while a server starts.
pub fn block_on(behaviour: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(behaviour).map_err(|error| format!("{error:#}").into())
}

/// A trial that is listed as ignored, with the reason.
pub fn cannot(name: impl AsRef<str>, why: &str) -> Trial {
    let title = format!("{} (cannot: {why})", name.as_ref());
    Trial::test(title, || Ok(())).with_ignored_flag(true)
}

/// Trials in a place: where this machine lacks what it takes, they are listed as ignored,
/// and a line says what is missing.
pub fn placed(suite: &str, place: Place, trials: Vec<Trial>) -> Vec<Trial> {
    let lacks = place.lacks();
    if let (Some(lacks), false) = (&lacks, trials.is_empty()) {
        println!("not run: {suite} with {}: {lacks}", place.name());
    }
    let ignored = lacks.is_some();
    trials.into_iter().map(|trial| trial.with_ignored_flag(ignored)).collect()
}

/// The trials in the order in which they begin: first the longest, by what their names end
/// with, so that the rest runs beside them.
pub fn in_order(mut trials: Vec<Trial>, longest: &[&str]) -> Vec<Trial> {
    let place =
        |trial: &Trial| longest.iter().position(|it| trial.name().ends_with(it));
    trials.sort_by_key(|trial| place(trial).unwrap_or(longest.len()));
    trials
}
