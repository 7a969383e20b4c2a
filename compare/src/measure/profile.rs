//! Where the instructions of a lesson go, crate by crate, counted by callgrind: the same
//! count every time, however busy the machine is.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{traffic::Speech, workload::Session};
use crate::{Lesson, Server};

/// A program under callgrind is some fifty times slower: few clients, and a slow pace.
const CLIENTS: usize = 50;
const CHANGES: usize = 200;
const EVERY: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(200);

/// One `rep stosb` clears a whole buffer, and callgrind counts an instruction for each byte
/// of it. This has the C library use ordinary loops.
const NO_REP: &str = "glibc.cpu.x86_rep_stosb_threshold=1000000000:\
    glibc.cpu.x86_rep_movsb_threshold=1000000000";

/// Runs a lesson under callgrind while it delivers, and prints how many instructions of
/// its own each delivery took, by the crate in which they stand. What the kernel does for
/// it is not counted.
///
/// # Errors
/// When valgrind is not installed, or the lesson does not do what its transport asks.
pub async fn profile(lesson: Lesson) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let counted = count(lesson, folder.path()).await?;
    let total: u64 = counted.by_crate.values().sum();
    let each = |count: u64| count as f64 / counted.deliveries as f64;
    println!("{lesson}: {:.0} instructions per delivery", each(total));
    let mut crates: Vec<_> = counted.by_crate.into_iter().collect();
    crates.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (name, count) in crates {
        let share = 100.0 * count as f64 / total as f64;
        if share >= 1.0 {
            println!("{:>8.0}  {share:>3.0} %  {name}", each(count));
        }
    }
    Ok(())
}

struct Counted {
    deliveries: u64,
    by_crate: BTreeMap<String, u64>,
}

async fn count(lesson: Lesson, folder: &Path) -> Result<Counted> {
    let file = folder.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}", file.display()));
    command.arg(lesson.command()?.get_program());
    command.env_remove("HOST").env("PORT", "0").env("GLIBC_TUNABLES", NO_REP);
    let server = Server::start_by(lesson, &mut command);
    let server = server.context("`valgrind` must be installed")?;
    let speech = Speech::Lesson(lesson);
    let mut session = Session::start(server, speech, CLIENTS, POLL).await?;
    session.connect().await?;
    session.paced(CHANGES, EVERY).await?;
    let deliveries = session.traffic.get().deliveries;
    session.server.signal(Signal::SIGTERM)?;
    session.server.ended(Duration::from_secs(60)).await?;

    let mut annotate = Command::new("callgrind_annotate");
    let said = annotate
        .arg("--threshold=100")
        .arg(&file)
        .stderr(Stdio::null())
        .output()
        .context("callgrind_annotate comes with valgrind")?;
    ensure!(said.status.success(), "callgrind_annotate cannot read {}", file.display());
    let mut by_crate = BTreeMap::new();
    for line in String::from_utf8_lossy(&said.stdout).lines() {
        if let Some((count, function)) = cost(line)
            && function != "PROGRAM TOTALS"
        {
            *by_crate.entry(crate_of(function)).or_default() += count;
        }
    }
    ensure!(!by_crate.is_empty(), "callgrind_annotate said nothing");
    Ok(Counted { deliveries, by_crate })
}

/// The instructions and the function of a line such as
/// `1,234 ( 0.12%)  ???:tokio::runtime::park [/…/02-sse]`.
fn cost(line: &str) -> Option<(u64, &str)> {
    let (count, rest) = line.trim_start().split_once(" (")?;
    let count = count.replace(',', "").parse().ok()?;
    let (_, function) = rest.split_once(")  ")?;
    let function = function.split_once(':').map_or(function, |(_, name)| name);
    Some((count, function.rsplit_once(" [").map_or(function, |(name, _)| name)))
}

/// The crate whose function it is; what is no Rust belongs to the C library.
fn crate_of(function: &str) -> String {
    // `<actix_http::h1::Codec as tokio_util::codec::Encoder<…>>::encode`; where a type is
    // a mere parameter, as in `<T as core::…>::poll`, the trait says where it is from.
    let path = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = path.trim_start_matches("mut ").trim_start_matches("dyn ");
    let path = match path.split_once("::") {
        Some((first, _)) if first.contains(' ') => first
            .rsplit_once(' ')
            .map_or(path, |(parameter, _)| &path[parameter.len() + 1..]),
        _ => path,
    };
    match path.split_once("::").map(|(first, _)| first) {
        Some("core" | "alloc" | "std" | "hashbrown") => {
            "Rust's standard library".into()
        }
        Some(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            name.to_owned()
        }
        _ => "C library: memory, copies, system calls".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_belong_to_crates() {
        let line =
            "  1,234 ( 0.12%)  ???:<actix_http::h1::Codec as X>::encode [/x/02-sse]";
        let (count, function) = cost(line).expect("a cost");
        assert_eq!((count, crate_of(function).as_str()), (1234, "actix_http"));
        assert_eq!(crate_of("core::ptr::drop_in_place<x>"), "Rust's standard library");
        assert_eq!(crate_of("malloc"), "C library: memory, copies, system calls");
        assert_eq!(crate_of("<T as futures_core::Stream>::poll_next"), "futures_core");
        assert!(cost("Ir").is_none());
    }
}
