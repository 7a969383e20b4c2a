//! The stages of extensions: what a lesson does not have, and fails.

use super::stages::{Needs, Stage, stage};
use crate::{
    Lesson,
    behaviour::extensions::rooms,
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

static WEBSOCKET: &[Stage] = &[APART];
static SOCKETIO: &[Stage] = &[APART];

impl Stage {
    /// The stages of a lesson's extensions.
    #[must_use]
    pub fn extensions(lesson: Lesson) -> &'static [Self] {
        match lesson {
            Lesson::Polling | Lesson::Sse => &[],
            Lesson::WebSocket => WEBSOCKET,
            Lesson::SocketIo => SOCKETIO,
        }
    }
}
