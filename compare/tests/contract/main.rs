//! The contract, proved on every lesson: one list of behaviours, and the transport as the
//! only parameter.
//!
//! `cargo test -p compare --test contract 02-sse` runs one lesson's part, and
//! `… --test contract -- --ignored peer` that of the peers.

mod attacks;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod polling;
mod serving;
mod socketio;
mod sse;
mod stopping;
mod tools;
mod websocket;

use common::{cannot, in_order, placed, trial};
use compare::{Lesson, Place, Runtime, Subject};
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
        fn $trials(subject: $what) -> Vec<Trial> {
            vec![$(of(subject, stringify!($name), move || $room::$name(subject))),*]
        }
    };
    ($trials:ident of $what:ty, on $system:meta or $why:literal: $($room:ident::$name:ident),* $(,)?) => {
        #[cfg($system)]
        behaviours![$trials of $what: $($room::$name),*];
        #[cfg(not($system))]
        fn $trials(subject: $what) -> Vec<Trial> {
            let name = |name: &str| format!("{}::{name}", Subject::from(subject));
            vec![$(cannot(name(stringify!($name)), $why)),*]
        }
    };
}

// What the peers that the lessons are measured beside must do as well.
behaviours![every_server of Subject:
    counting::first_snapshot_at_once,
    counting::every_command,
    counting::concurrent_increments,
    counting::repeated_id_counts_once,
    counting::a_follower_sees_the_last_value,
    counting::stalled_client_delays_nobody,
    counting::bad_input_changes_nothing,
    serving::foreign_origin_is_refused,
];

// What must be so as long as the counter lives in the process.
behaviours![one_process of Subject:
    counting::restart_matches_nothing_old,
];

behaviours![every_lesson of Lesson:
    serving::foreign_host_is_refused,
    serving::own_origin_is_served,
    serving::taken_port,
    serving::bad_settings,
    serving::started_from_another_folder,
    serving::page_in_both_languages,
    serving::page_files,
    serving::odd_requests_are_refused,
    serving::heartbeat,
    serving::vanished_client_is_dropped,
    attacks::last_command_counts,
    attacks::every_request_is_answered,
    attacks::head_ends_at_its_head,
    attacks::borrowed_names_are_refused,
    attacks::mapped_loopback_is_loopback,
    attacks::unread_log_delays_nobody,
    attacks::fault_half_a_head_is_held,
    tools::wire_shows_what_travels,
];

behaviours![stopped of Lesson, on unix or "no signals":
    attacks::stopped_server_blames_nobody,
];

behaviours![full_disk of Lesson, on target_os = "linux" or "no /dev/full":
    attacks::full_disk_stops_nobody,
];

// The contract names a time for these, so nothing else may run on the machine meanwhile.
behaviours![told_to_end of Lesson, on unix or "no signals":
    stopping::interrupt_tells_the_clients,
    stopping::terminate_tells_the_clients,
];

behaviours![polling of Lesson:
    polling::not_modified,
    polling::media_types,
];

behaviours![sse of Lesson:
    sse::head_and_ids,
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
    subject: impl Into<Subject>,
    name: &'static str,
    run: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    let subject = subject.into();
    if subject.runtime != Runtime::Rust {
        return trial(format!("peer {subject}::{name}"), run).with_ignored_flag(true);
    }
    match CANNOT.iter().find(|(l, n, _)| (*l, *n) == (subject.lesson, name)) {
        Some((_, _, why)) => cannot(format!("{subject}::{name}"), why),
        None => trial(format!("{subject}::{name}"), run),
    }
}

fn alone(subject: Subject) -> Vec<Trial> {
    every_server(subject).into_iter().chain(one_process(subject)).collect()
}

/// A peer does what the lessons do, or is named as missing. `--ignored peer` runs these.
fn peer(subject: Subject, asked: bool) -> Vec<Trial> {
    match subject.command() {
        Ok(_) => alone(subject),
        Err(reason) => {
            if asked {
                println!("missing: peer {subject}: {reason}");
            }
            Vec::new()
        }
    }
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
            let rude = websocket::RUDE.map(|(name, bytes, code)| {
                let name = format!("{lesson}::{name}");
                trial(name, move || websocket::rude(bytes(), code))
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
    arguments.test_threads = arguments.test_threads.or(Some(12));
    let mut all = vec![trial("relay::disturbs", tools::relay_disturbs)];
    for lesson in Lesson::ALL {
        all.extend(alone(lesson.into()));
        all.extend(every_lesson(lesson));
        all.extend(particular(lesson));
        all.extend(stopped(lesson));
        all.extend(full_disk(lesson));
    }
    all.extend([Place::Shared, Place::Proxied].into_iter().flat_map(together));
    all.extend(Subject::peers().flat_map(|subject| peer(subject, arguments.ignored)));
    let waits = [
        "::stopped_server_blames_nobody",
        "::vanished_client_is_dropped",
        "::every_request_is_answered",
        "::heartbeat",
    ];
    let together = libtest_mimic::run(&arguments, in_order(all, &waits));
    arguments.test_threads = Some(1);
    let alone = Lesson::ALL.into_iter().flat_map(told_to_end).collect();
    let alone = libtest_mimic::run(&arguments, alone);
    together.exit_if_failed();
    alone.exit();
}
