//! Which browser is started: the one that `CHROME` names, an installed Chromium, Chrome or
//! Edge, or else, on Linux x86-64, the one that an npm package carries.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use chromiumoxide::{
    browser::BrowserConfigBuilder,
    detection::{DetectionOptions, default_executable},
};

/// The folder of the npm package, and where `unpack.mjs` puts what is in it.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/chromium");
const UNPACKED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/chromium/node_modules/.unpacked");

/// Whether the one in the package runs here.
const RUNS: bool =
    cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"));

const NONE: &str = "no Chromium, Chrome or Edge is found: install one, or say where it is \
    with CHROME=/path/to/it";

/// Has a browser started which is there.
///
/// # Errors
/// When there is none.
pub fn start(config: BrowserConfigBuilder) -> Result<BrowserConfigBuilder> {
    let executable = installed().or_else(packed).context(NONE)?;
    let config = config.chrome_executable(&executable);
    if !executable.starts_with(UNPACKED) {
        return Ok(config);
    }
    Ok(config
        .env("LD_LIBRARY_PATH", format!("{UNPACKED}/al2023/lib"))
        .env("FONTCONFIG_PATH", FOLDER))
}

/// Sees to it that there is one: installs the package where no other is found.
///
/// # Errors
/// When there is none after all.
pub fn install() -> Result<()> {
    if installed().is_some() {
        return Ok(());
    }
    ensure!(RUNS, NONE);
    let lock = |folder| fs::read(Path::new(folder).join("package-lock.json"));
    if lock(UNPACKED).ok() == Some(lock(FOLDER)?) {
        return Ok(());
    }
    println!("No Chromium, Chrome or Edge is found; npm brings one into {FOLDER}");
    run("npm", &["ci", "--fetch-retries=0", "--no-audit", "--no-fund"])?;
    run("node", &["unpack.mjs"])
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    let status = command.args(arguments).current_dir(FOLDER).status();
    let status = status.with_context(|| format!("{program} is needed"))?;
    ensure!(status.success(), "{program} {}: {status}", arguments.join(" "));
    Ok(())
}

fn installed() -> Option<PathBuf> {
    default_executable(DetectionOptions::default()).ok()
}

fn packed() -> Option<PathBuf> {
    let executable = Path::new(UNPACKED).join("chromium");
    (RUNS && executable.is_file()).then_some(executable)
}
