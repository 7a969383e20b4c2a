//! The stages of extensions: what a lesson does not have, and fails.

use super::stages::{Needs, Stage, stage};
use crate::{
    Lesson,
    behaviour::extensions::{resume, rooms},
    language::{Text, text},
};

/// Where the book explains them.
const EVENTS: &str = "events.md";
const ROOMS: (&str, Text) = (EVENTS, text("Salles", "Rooms"));

const APART: Stage = stage!(
    0,
    "E1",
    ROOMS,
    Process,
    rooms::rooms_are_apart,
    text(
        "Une salle n’entend rien d’une autre, et son compteur survit au départ de ses clients.",
        "A room hears nothing of another, and its counter outlives its clients.",
    ),
    text(
        "La salle demandée n’est pas lue, toutes ont le même compteur, ou l’annonce part à tous.",
        "The room that is asked for is not read, all have the same counter, or all are told.",
    ),
);

const RESUME: (&str, Text) =
    (EVENTS, text("Reprendre après un trou", "Resume after a gap"));

const EVERY: Stage = stage!(
    0,
    "E2",
    RESUME,
    Process,
    resume::every_event_arrives,
    text(
        "Un client coupé plusieurs fois reçoit les 120 événements, dans l’ordre, une fois \
         chacun ; qui revient de trop loin, ou d’une autre exécution, l’apprend.",
        "A client that is cut off several times gets all 120 events, in order, once each; who \
         was away for too long, or comes from another run, is told.",
    ),
    text(
        "L’id du dernier événement reçu n’est pas lu, le journal manque ou n’est pas borné, \
         ou l’exécution n’est pas dans l’id.",
        "The id of the last event received is not read, the journal is missing or has no \
         bound, or the run is not in the id.",
    ),
);

static SSE: &[Stage] = &[EVERY];
static WEBSOCKET: &[Stage] = &[APART, EVERY];
static SOCKETIO: &[Stage] = &[APART, EVERY];

impl Stage {
    /// The stages of a lesson's extensions.
    #[must_use]
    pub fn extensions(lesson: Lesson) -> &'static [Self] {
        match lesson {
            Lesson::Polling => &[],
            Lesson::Sse => SSE,
            Lesson::WebSocket => WEBSOCKET,
            Lesson::SocketIo => SOCKETIO,
        }
    }
}
