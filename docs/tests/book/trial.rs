//! How a test is run, and how what it found is told.

use anyhow::Result;
use libtest_mimic::Failed;

/// A test that passes when there is no fault.
pub fn told(faults: Result<Vec<String>>) -> Result<(), Failed> {
    match faults {
        Ok(faults) if faults.is_empty() => Ok(()),
        Ok(faults) => Err(format!("\n{}", faults.join("\n")).into()),
        Err(error) => Err(format!("{error:#}").into()),
    }
}

/// Runs what a test does.
pub fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
