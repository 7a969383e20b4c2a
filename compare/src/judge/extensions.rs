//! The stages of extensions: what a lesson does not have, and fails.

use super::stages::{Needs, Stage, stage};
use crate::{
    Lesson,
    behaviour::extensions::{answer, long_poll, resume, rooms, status, ticket, topics},
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
         chacun ; qui revient de trop loin, ou d’un autre démarrage, l’apprend.",
        "A client that is cut off several times gets all 120 events, in order, once each; who \
         was away for too long, or comes from another run, is told.",
    ),
    text(
        "L’id du dernier événement reçu n’est pas lu, le journal manque ou n’est pas borné, \
         ou le démarrage n’est pas dans l’id.",
        "The id of the last event received is not read, the journal is missing or has no \
         bound, or the run is not in the id.",
    ),
);

const LONG_POLL: (&str, Text) = (EVENTS, text("Interrogation longue", "Long polling"));

const WAITS: Stage = stage!(
    0,
    "E3",
    LONG_POLL,
    Time,
    long_poll::answer_waits,
    text(
        "La réponse attend du nouveau, aussi longtemps que le client le demande et qu’un proxy \
         le supporte, et n’attend personne quand il est parti.",
        "The answer waits for something new, as long as the client asks and a proxy bears, and \
         for nobody when the client has gone.",
    ),
    text(
        "Prefer: wait n’est pas lu, l’attente n’est pas bornée, ou elle ne suit pas le \
         compteur.",
        "Prefer: wait is not read, the wait has no bound, or it does not follow the counter.",
    ),
);

const STATUS: (&str, Text) = (EVENTS, text("Qui est là", "Who is there"));

const COUNTS: Stage = stage!(
    0,
    "E4",
    STATUS,
    Transport,
    status::status_tells_who_is_there,
    text(
        "GET /status dit combien de clients sont connectés, comment qu’ils partent, et ce que \
         chaque état est devenu pour chacun.",
        "GET /status tells how many clients are connected, however they go, and what became of \
         each state for each of them.",
    ),
    text(
        "Le départ n’est compté que s’il est poli : mettez le compte dans une valeur que la \
         fin de la connexion détruit.",
        "A client is counted out only when it says good-bye: put the count in a value that the \
         end of the connection drops.",
    ),
);

const TICKET: (&str, Text) =
    (EVENTS, text("Un billet qui expire", "A ticket that expires"));

const EXPIRES: Stage = stage!(
    0,
    "E5",
    TICKET,
    Transport,
    ticket::ticket_ends_its_stream,
    text(
        "Un billet se demande avec le jeton, ne sert qu’une fois, et met fin à ce qu’il a \
         ouvert dans la seconde où il expire.",
        "A ticket is for who has the token, good for one use, and ends what it opened within a \
         second of its expiry.",
    ),
    text(
        "Le billet n’est vérifié qu’à l’ouverture, n’est pas retiré quand il sert, ou la fin \
         du flux ne dit pas pourquoi.",
        "The ticket is checked at the opening alone, is not removed when it is used, or the end \
         of the stream does not say why.",
    ),
);

static POLLING: &[Stage] = &[WAITS, EXPIRES];
const TOPICS: (&str, Text) = (EVENTS, text("Plusieurs sujets", "Several topics"));

const SHARE: Stage = stage!(
    0,
    "E6",
    TOPICS,
    Transport,
    topics::topics_share_a_connection,
    text(
        "Deux sujets passent par une seule connexion, chacun sous son nom, et qui n’est pas \
         abonné au second n’en entend rien.",
        "Two topics come over one connection, each under its name, and who did not subscribe to \
         the second hears nothing of it.",
    ),
    text(
        "Les messages ne disent pas leur sujet, ou l’abonnement n’est pas lu.",
        "The messages do not say their topic, or the subscription is not read.",
    ),
);

const ANSWER: (&str, Text) =
    (EVENTS, text("Une réponse mot à mot", "An answer word by word"));

const SURVIVES: Stage = stage!(
    0,
    "E7",
    ANSWER,
    Transport,
    answer::answer_survives_its_reader,
    text(
        "Une réponse s’écrit jusqu’au bout, qu’on la lise ou non ; chaque mot arrive une fois, \
         dans l’ordre, malgré deux coupures ; seule une commande l’arrête.",
        "An answer is written to its end, whoever reads it or not; each word arrives once and \
         in order, through two cuts; a command alone stops it.",
    ),
    text(
        "C’est le flux qui écrit la réponse : confiez-la à une tâche, gardez ses mots, et ne \
         faites que les lire.",
        "The stream writes the answer: leave that to a task, keep its words, and let the \
         stream read them alone.",
    ),
);

static SSE: &[Stage] = &[EVERY, COUNTS, EXPIRES, SHARE, SURVIVES];
static WEBSOCKET: &[Stage] = &[APART, EVERY, COUNTS, EXPIRES, SHARE];
static SOCKETIO: &[Stage] = &[APART, EVERY, COUNTS, EXPIRES, SHARE];

#[cfg(feature = "browser")]
mod pages {
    use super::{EVENTS, Needs, ROOMS, Stage, TICKET, Text, stage, text};
    use crate::behaviour::extensions::page;

    const BACK: Stage = stage!(
        0,
        "E1",
        ROOMS,
        Process,
        page::page_is_back_in_its_room,
        text(
            "Une page compte pour la salle de son adresse, et y revient après un redémarrage.",
            "A page counts for the room in its address, and is in it again after a restart.",
        ),
        text(
            "La page ne dit sa salle qu’une fois, et non à chaque connexion.",
            "The page says its room once, and not at each connection.",
        ),
    );

    const RENEWS: Stage = stage!(
        0,
        "E5",
        TICKET,
        Transport,
        page::page_renews_its_ticket,
        text(
            "Une page qui a le jeton demande un nouveau billet quand le dernier expire, et ne \
             perd aucun clic.",
            "A page that has the token asks for a new ticket when the last one expires, and \
             loses no click.",
        ),
        text(
            "La page revient avec le même billet, ou un clic tombe entre deux.",
            "The page comes back with the same ticket, or a click falls between two.",
        ),
    );

    const READER: (&str, Text) =
        (EVENTS, text("Un lecteur avec des en-têtes", "A reader with headers"));

    const READS: Stage = stage!(
        0,
        "E8",
        READER,
        Process,
        page::page_reads_with_a_header,
        text(
            "La page lit le flux avec `Authorization`, et revient après une coupure, avec son \
             dernier id, comme après un 503.",
            "The page reads the stream with `Authorization`, and comes back after a cut, with \
             its last id, and after a 503.",
        ),
        text(
            "EventSource ne pose aucun en-tête ; ou bien, avec fetch, rien n’ouvre un nouveau \
             flux quand la lecture finit ou échoue.",
            "EventSource sets no header; or else, with fetch, nothing opens a new stream when \
             the reading ends or fails.",
        ),
    );

    pub(super) static TICKETS: &[Stage] = &[RENEWS];
    pub(super) static TICKETS_AND_READER: &[Stage] = &[RENEWS, READS];
    pub(super) static TICKETS_AND_ROOMS: &[Stage] = &[BACK, RENEWS];
}

impl Stage {
    /// The stages of the pages of a lesson's extensions, which take a browser.
    #[cfg(feature = "browser")]
    #[must_use]
    pub fn extension_pages(lesson: Lesson) -> &'static [Self] {
        match lesson {
            Lesson::Polling => pages::TICKETS,
            Lesson::Sse => pages::TICKETS_AND_READER,
            Lesson::WebSocket | Lesson::SocketIo => pages::TICKETS_AND_ROOMS,
        }
    }

    /// The stages of a lesson's extensions.
    #[must_use]
    pub fn extensions(lesson: Lesson) -> &'static [Self] {
        match lesson {
            Lesson::Polling => POLLING,
            Lesson::Sse => SSE,
            Lesson::WebSocket => WEBSOCKET,
            Lesson::SocketIo => SOCKETIO,
        }
    }
}
