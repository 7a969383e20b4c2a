//! The contract, proved on every lesson: one list of behaviours, and the transport as the
//! only parameter.
//!
//! `cargo test -p compare --test contract 02-sse` runs one lesson's part, and
//! `… --test contract -- --include-ignored peer` that of the peers.

mod attacks;
#[path = "../common/mod.rs"]
mod common;
mod polling;
mod serving;
mod socketio;
mod tools;
mod websocket;

use common::{cannot, in_order, placed, trial};
#[cfg(unix)]
use compare::behaviour::stopping;
use compare::{
    Lesson, Place, Runtime, Subject,
    behaviour::websocket::{RUDE, rude},
    candidate::Candidate,
    judge::{Needs, Stage},
};
use libtest_mimic::{Arguments, Trial};

/// What a transport cannot do, and why; everything else each must do.
const CANNOT: [(Lesson, &str, &str); 3] = [
    (Lesson::Polling, "heartbeat", "no connection stays open that could be silent"),
    (Lesson::Polling, "vanished_client_is_dropped", "no connection stays open"),
    (Lesson::Sse, "vanished_client_is_dropped", "only the kernel can notice: no pong"),
];

/// Each behaviour by its name, and as a trial of the same name. Where the system lacks
/// what a list needs, its trials are listed as ignored, with the reason.
macro_rules! behaviours {
    ($trials:ident of $what:ty: $($room:ident::$name:ident),* $(,)?) => {
        fn $trials(who: $what) -> Vec<Trial> {
            vec![$({
                let tried = who.clone();
                of(who.clone(), stringify!($name), move || $room::$name(tried))
            }),*]
        }
    };
    ($trials:ident of $what:ty, on $system:meta or $why:literal: $($room:ident::$name:ident),* $(,)?) => {
        #[cfg($system)]
        behaviours![$trials of $what: $($room::$name),*];
        #[cfg(not($system))]
        fn $trials(who: $what) -> Vec<Trial> {
            let name = |name: &str| format!("{}::{name}", Candidate::from(who.clone()));
            vec![$(cannot(name(stringify!($name)), $why)),*]
        }
    };
}

behaviours![every_lesson of Lesson:
    serving::foreign_host_is_refused,
    serving::own_origin_is_served,
    serving::taken_port,
    serving::bad_settings,
    serving::started_from_another_folder,
    serving::page_in_both_languages,
    serving::page_files,
    serving::odd_requests_are_refused,
    serving::vanished_client_is_dropped,
    attacks::last_command_counts,
    attacks::every_request_is_answered,
    attacks::head_ends_at_its_head,
    attacks::borrowed_names_are_refused,
    attacks::mapped_loopback_is_loopback,
    attacks::unread_log_delays_nobody,
    attacks::fault_half_a_head_is_held,
    tools::wire_shows_what_travels,
    tools::diagram_shows_what_travels,
];

behaviours![stopped of Lesson, on unix or "no signals":
    attacks::stopped_server_blames_nobody,
];

behaviours![full_disk of Lesson, on target_os = "linux" or "no /dev/full":
    attacks::full_disk_stops_nobody,
];

// The contract names a time for these, so nothing else may run on the machine meanwhile.
behaviours![told_to_end of Candidate, on unix or "no signals":
    stopping::interrupt_tells_the_clients,
    stopping::terminate_tells_the_clients,
];

behaviours![polling of Lesson:
    polling::poll_is_short,
    polling::media_types,
];

behaviours![sse of Lesson:
    polling::media_types,
];

behaviours![spinning of Lesson, on target_os = "linux" or "no CPU time":
    attacks::fault_pipelining_spins,
];

behaviours![websocket of Lesson:
    websocket::close_ends_the_connection,
];

behaviours![socketio of Lesson:
    socketio::engine_errors,
    socketio::failed_upgrade_ends_the_session,
];

behaviours![joining of Lesson, on unix or "no signals":
    socketio::stop_is_not_told_before_joining,
];

fn of<F: Future<Output = anyhow::Result<()>>>(
    who: impl Into<Candidate>,
    name: &'static str,
    run: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    let who = who.into();
    match CANNOT.iter().find(|(l, n, _)| (*l, *n) == (who.lesson, name)) {
        Some((_, _, why)) => cannot(format!("{who}::{name}"), why),
        None => trial(format!("{who}::{name}"), run),
    }
}

/// The stages by which anybody's server is judged.
fn stages(subject: Subject, tried: impl Fn(&Stage) -> bool) -> Vec<Trial> {
    let stages = Stage::of(subject.lesson).iter().filter(|stage| tried(stage));
    let prefix = if subject.runtime == Runtime::Rust { "" } else { "peer " };
    let trials = stages.map(|stage| {
        let name = format!("{prefix}{subject}::{}", stage.name);
        trial(name, move || stage.run(subject.into()))
    });
    trials.collect()
}

/// All but what [`told_to_end`] tries when nothing else runs.
fn alone(lesson: Lesson) -> Vec<Trial> {
    let mut trials = stages(lesson.into(), |stage| stage.needs != Needs::Signal);
    // It is no stage where no connection stays open, and that is said.
    let said =
        |(of, name, _): &&(Lesson, &str, &str)| *of == lesson && *name == "heartbeat";
    let declared = CANNOT.iter().filter(said);
    trials.extend(
        declared.map(|(_, name, why)| cannot(format!("{lesson}::{name}"), why)),
    );
    trials
}

/// What each peer does as the lessons do; those on Node.js, the lessons' twins, do all of it.
/// Those that must be installed are run by `--include-ignored peer`, and named as missing
/// when they are not.
fn peer(subject: Subject, asked: bool) -> Vec<Trial> {
    let measured =
        |stage: &Stage| matches!(stage.needs, Needs::Nothing | Needs::Process);
    let twin = subject.runtime == Runtime::Node;
    let ours = subject.runtime == Runtime::Axum;
    match subject.installed() {
        Ok(()) => {
            let trials = stages(subject, |stage| twin || measured(stage)).into_iter();
            trials.map(|trial| trial.with_ignored_flag(!ours)).collect()
        }
        Err(reason) => {
            if asked {
                println!("missing: peer {subject}: {reason}");
            }
            Vec::new()
        }
    }
}

fn every_server(subject: Subject) -> Vec<Trial> {
    stages(subject, |stage| stage.needs == Needs::Nothing)
}

/// What a lesson does alone it does with several instances.
fn together(place: Place) -> Vec<Trial> {
    let subjects = Lesson::ALL.map(|lesson| Subject::placed(lesson, place));
    placed("the contract", place, subjects.into_iter().flat_map(every_server).collect())
}

/// What one transport has and the others have not.
fn particular(lesson: Lesson) -> Vec<Trial> {
    match lesson {
        Lesson::Polling => polling(lesson),
        Lesson::Sse => sse(lesson).into_iter().chain(spinning(lesson)).collect(),
        Lesson::WebSocket => {
            let rude = RUDE.map(|(name, bytes, code)| {
                let name = format!("{lesson}::{name}");
                trial(name, move || rude(lesson.into(), bytes(), code))
            });
            websocket(lesson).into_iter().chain(rude).collect()
        }
        Lesson::SocketIo => {
            socketio(lesson).into_iter().chain(joining(lesson)).collect()
        }
    }
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Most of these wait for a server or a clock, not for a core.
    arguments.test_threads = arguments.test_threads.or(Some(16));
    let mut all = vec![
        trial("relay::disturbs", tools::relay_disturbs),
        trial("relay::passes_a_reset_on", tools::reset_is_passed_on),
        trial("client::keeps_an_early_event", tools::early_event_is_kept),
        trial("check::draws_what_failed", tools::check_draws_what_failed),
        trial("relay::slow_way_keeps_the_spacing", tools::slow_way_keeps_the_spacing),
    ];
    #[cfg(unix)]
    all.push(trial("wire::draws_at_ctrl_c", tools::wire_draws_at_ctrl_c));
    #[cfg(not(unix))]
    all.push(cannot("wire::draws_at_ctrl_c", "no signals"));
    #[cfg(target_os = "linux")]
    all.push(trial("server::keeps_its_port", tools::killed_server_keeps_its_port));
    #[cfg(not(target_os = "linux"))]
    all.push(cannot("server::keeps_its_port", "no port is kept for who names it"));
    for lesson in Lesson::ALL {
        all.extend(alone(lesson));
        all.extend(every_lesson(lesson));
        all.extend(particular(lesson));
        all.extend(stopped(lesson));
        all.extend(full_disk(lesson));
    }
    all.extend([Place::Shared, Place::Proxied].into_iter().flat_map(together));
    let asked = arguments.ignored || arguments.include_ignored;
    all.extend(Subject::peers().flat_map(|subject| peer(subject, asked)));
    let waits = [
        "::stopped_server_blames_nobody",
        "::vanished_client_is_dropped",
        "::every_request_is_answered",
        "::heartbeat",
    ];
    let together = libtest_mimic::run(&arguments, in_order(all, &waits));
    arguments.test_threads = Some(1);
    let alone = Lesson::ALL.into_iter().map(Into::into).flat_map(told_to_end).collect();
    let alone = libtest_mimic::run(&arguments, alone);
    together.exit_if_failed();
    alone.exit();
}
