//! The stages of a page, in a browser.

use super::stages::{HEARTBEATS, Needs, PROTOCOL, Stage, stage};
use crate::{
    Lesson,
    behaviour::page,
    language::{Text, text},
};

const PAGE: (&str, Text) = (PROTOCOL, text("La page", "The page"));

const SEES: Stage = stage!(
    3,
    "G1, G3",
    PAGE,
    Transport,
    page::pages_see_each_other,
    text(
        "Deux pages voient le même nombre, et montrent ce qui circule.",
        "Two pages see the same number, and show what travels.",
    ),
    text(
        "La page n’ouvre pas sa connexion, ou n’appelle pas show() avec ce qu’elle reçoit.",
        "The page does not open its connection, or does not call show() with what it receives.",
    ),
);

const COMES_BACK: Stage = stage!(
    3,
    "G4",
    PAGE,
    Process,
    page::page_survives_a_503,
    text(
        "La page revient d’elle-même après le 503 d’un proxy.",
        "The page comes back by itself after a 503 from a proxy.",
    ),
    text(
        "Après une erreur, rien n’ouvre une nouvelle connexion : EventSource renonce pour \
         toujours.",
        "After an error nothing opens a new connection: EventSource gives up for ever.",
    ),
);

const NOTICES: Stage = stage!(
    3,
    "T2",
    HEARTBEATS,
    Signal,
    page::page_notices_a_frozen_server,
    text(
        "La page remarque un serveur qui ne dit plus rien.",
        "The page notices a server that says nothing more.",
    ),
    text(
        "Rien ne surveille le silence : watch(lost) manque, ou heard() n’est pas appelée à \
         chaque message.",
        "Nothing watches the silence: watch(lost) is missing, or heard() is not called at \
         each message.",
    ),
);

const RESTS: Stage = stage!(
    3,
    "T2",
    HEARTBEATS,
    Transport,
    page::hidden_page_does_not_poll,
    text(
        "Une page cachée n’interroge pas le serveur.",
        "A hidden page does not ask the server.",
    ),
    text(
        "La boucle n’attend pas que la page soit visible.",
        "The loop does not wait until the page is visible.",
    ),
);

static PAGES: &[Stage] = &[SEES, COMES_BACK, NOTICES];
static POLLING_PAGES: &[Stage] = &[SEES, RESTS, COMES_BACK, NOTICES];

impl Stage {
    /// The stages of a lesson's page, which take a browser.
    #[must_use]
    pub fn of_page(lesson: Lesson) -> &'static [Self] {
        match lesson {
            Lesson::Polling => POLLING_PAGES,
            Lesson::Sse | Lesson::WebSocket | Lesson::SocketIo => PAGES,
        }
    }
}
