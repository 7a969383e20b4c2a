//! The stages: behaviours of the contract in an order in which they can be written, with
//! what a person is told about each.

use anyhow::Result;
use futures_util::future::BoxFuture;

use crate::{
    Lesson,
    behaviour::{counting, polling, serving, socketio, sse, stopping, websocket},
    candidate::Candidate,
    language::{Text, text},
};

/// One stage.
#[derive(Debug)]
pub struct Stage {
    /// The trial's name in the suite `contract`.
    pub name: &'static str,
    /// The clauses of the protocol that it tries.
    pub clauses: &'static str,
    /// What they demand.
    pub what: Text,
    /// What usually breaks them.
    pub cause: Text,
    /// Where the book explains it: a file in the folder of the language, and a heading.
    pub page: (&'static str, Text),
    /// What it counts for, of the 24 of each lesson.
    pub points: u8,
    /// What it takes beyond a server that answers.
    pub needs: Needs,
    pub(super) run: fn(Candidate) -> BoxFuture<'static, Result<()>>,
}

/// What a stage takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Needs {
    /// Nothing; it can be tried on several instances too.
    Nothing,
    /// A connection of this transport.
    Transport,
    /// Some 15 seconds in which it only waits.
    Time,
    /// A process that can be ended.
    Process,
    /// A process that can be told to end.
    Signal,
}

pub(super) const PROTOCOL: &str = "protocol.md";
const MESSAGES: (&str, Text) = (PROTOCOL, text("Messages", "Messages"));
const DELIVERY: (&str, Text) = (PROTOCOL, text("Livraison", "Delivery"));
const ENDPOINTS: (&str, Text) = (PROTOCOL, text("Points d’accès", "Endpoints"));
const NAMES: (&str, Text) =
    (PROTOCOL, text("Identifiants et étiquettes", "Ids and tags"));

pub(super) const HEARTBEATS: (&str, Text) =
    (PROTOCOL, text("Battements de cœur et délais", "Heartbeats and timeouts"));

macro_rules! stage {
    ($points:literal, $clauses:literal, $page:expr, $needs:ident, $room:ident::$name:ident, $what:expr, $cause:expr $(,)?) => {
        Stage {
            name: stringify!($name),
            clauses: $clauses,
            what: $what,
            cause: $cause,
            page: $page,
            points: $points,
            needs: Needs::$needs,
            run: |who| Box::pin($room::$name(who)),
        }
    };
}

pub(super) use stage;

const FIRST: Stage = stage!(
    3,
    "M3, D1",
    DELIVERY,
    Nothing,
    counting::first_snapshot_at_once,
    text(
        "Qui se connecte reçoit l’état du moment, tout de suite.",
        "Whoever connects is told the state of the moment, at once.",
    ),
    text(
        "Le serveur n’annonce que ce qui change après la connexion : envoyez d’abord l’état \
         courant.",
        "The server tells only what changes after the connection: send the present state \
         first.",
    ),
);

const COMMANDS: Stage = stage!(
    2,
    "M4, M8",
    MESSAGES,
    Nothing,
    counting::every_command,
    text(
        "increment ajoute un, decrement retire un, reset remet à zéro ; chacune fait avancer \
         version d’une unité.",
        "increment adds one, decrement takes one away, reset goes back to zero; each makes \
         version go up by one.",
    ),
    text(
        "version n’avance pas quand value reste la même (reset à zéro), ou la commande n’est \
         pas lue comme du JSON.",
        "version does not go up when value stays the same (reset at zero), or the command is \
         not read as JSON.",
    ),
);

const OTHERS: Stage = stage!(
    2,
    "D2",
    DELIVERY,
    Nothing,
    counting::change_reaches_the_others,
    text(
        "Un changement parvient à tous les clients connectés, pas seulement à celui qui clique.",
        "A change reaches every client that is connected, not only the one that clicks.",
    ),
    text(
        "L’état n’est renvoyé qu’à l’auteur de la commande : gardez la liste des connexions, \
         ou abonnez chacune.",
        "The state goes back only to whoever sent the command: keep a list of the \
         connections, or subscribe each.",
    ),
);

const REFUSALS: Stage = stage!(
    2,
    "M14, M15, M16",
    MESSAGES,
    Nothing,
    counting::bad_input_changes_nothing,
    text(
        "Une entrée fautive est refusée par une phrase, ne change rien, et la connexion reste \
         utilisable, sauf si le protocole du transport exige de la fermer.",
        "A bad input is refused with a sentence, changes nothing, and the connection stays \
         usable, unless the transport’s protocol demands to close it.",
    ),
    text(
        "Un champ inconnu ou répété passe, la taille n’est pas bornée, ou le code (400, 413, \
         1003, 1007, 1009) n’est pas le bon.",
        "An unknown or repeated field passes, the size has no bound, or the code (400, 413, \
         1003, 1007, 1009) is another.",
    ),
);

const TOGETHER: Stage = stage!(
    2,
    "D3, D6",
    DELIVERY,
    Nothing,
    counting::concurrent_increments,
    text(
        "Les commandes simultanées de vingt clients comptent toutes, une fois chacune.",
        "The simultaneous commands of twenty clients all count, once each.",
    ),
    text(
        "La valeur est lue, puis écrite plus tard : entre les deux (un await), une autre \
         commande a été perdue.",
        "The value is read, and written later: in between (an await) another command was \
         lost.",
    ),
);

const IDS: Stage = stage!(
    2,
    "M9, M10",
    MESSAGES,
    Nothing,
    counting::repeated_id_counts_once,
    text(
        "Une commande qui revient sous le même id ne compte qu’une fois, d’où qu’elle vienne.",
        "A command that comes again under the same id counts once, wherever it comes from.",
    ),
    text(
        "Les id ne sont pas retenus, ou le sont par connexion au lieu de l’être pour tous.",
        "The ids are not remembered, or by connection instead of for all.",
    ),
);

const HEARTBEAT: Stage = stage!(
    2,
    "T1",
    HEARTBEATS,
    Time,
    serving::heartbeat,
    text(
        "Une connexion qui reste ouverte donne signe de vie au moins toutes les 15 secondes.",
        "A connection that stays open is heard at least every 15 seconds.",
    ),
    text(
        "Il n’y a pas de battement de cœur, son délai dépasse 15 s, ou il n’a pas la forme \
         du transport (événement heartbeat, ping, paquet 2).",
        "There is no heartbeat, it is further apart than 15 s, or it has not the transport’s \
         form (event heartbeat, ping, packet 2).",
    ),
);

const STOP: Stage = stage!(
    2,
    "A5, A6",
    (PROTOCOL, text("Démarrage et arrêt", "Start and stop")),
    Signal,
    stopping::terminate_tells_the_clients,
    text(
        "À SIGTERM, le serveur le dit à ses clients et s’arrête en une seconde et demie, \
         code 0.",
        "At SIGTERM the server tells its clients, and ends within a second and a half, exit \
         code 0.",
    ),
    text(
        "Le signal n’est pas traité, ou un flux ouvert retient l’arrêt : fermez chaque \
         connexion (fin du flux, 1001, disconnect), puis le serveur.",
        "The signal is not handled, or an open stream holds the end back: close each \
         connection (end of the stream, 1001, disconnect), then the server.",
    ),
);

const ORIGIN: Stage = stage!(
    2,
    "O2",
    (PROTOCOL, text("Origines et hôtes", "Origins and hosts")),
    Nothing,
    serving::foreign_origin_is_refused,
    text(
        "La page d’un autre site est refusée (403), à chaque commande et à chaque poignée de \
         main.",
        "Another site’s page is refused (403), with each command and each handshake.",
    ),
    text(
        "L’en-tête Origin n’est pas comparé à Host, ou ne l’est qu’en partie : null, une \
         origine vide et un préfixe sont étrangers aussi.",
        "The header Origin is not compared with Host, or only a part of it: null, an empty \
         origin and a prefix are foreign too.",
    ),
);

const FOLLOWER: Stage = stage!(
    1,
    "D2",
    DELIVERY,
    Nothing,
    counting::a_follower_sees_the_last_value,
    text(
        "Un client qui se connecte pendant un changement finit par le recevoir.",
        "A client that connects during a change receives it in the end.",
    ),
    text(
        "L’état est lu avant l’abonnement : ce qui change entre les deux est perdu. \
         Abonnez d’abord, lisez ensuite.",
        "The state is read before the subscription: what changes in between is lost. \
         Subscribe first, then read.",
    ),
);

const STALLED: Stage = stage!(
    1,
    "D5",
    DELIVERY,
    Nothing,
    counting::stalled_client_delays_nobody,
    text(
        "Un client qui ne lit plus ne retarde personne.",
        "A client that no longer reads delays nobody.",
    ),
    text(
        "Le serveur attend (await) que chaque envoi soit fini avant le suivant : un seul \
         client lent arrête la boucle.",
        "The server waits (await) for each send before the next: one slow client stops the \
         loop.",
    ),
);

const RESTART: Stage = stage!(
    1,
    "M6, N3",
    NAMES,
    Process,
    counting::restart_matches_nothing_old,
    text(
        "Après un redémarrage, rien de ce qu’un client sait encore ne désigne un état ou une \
         commande du nouveau démarrage.",
        "After a restart nothing that a client still knows names a state or a command of the \
         new run.",
    ),
    text(
        "L’ETag ou l’id d’un événement n’est que version : tirez un nom au hasard au \
         démarrage et mettez-le devant.",
        "The ETag, or the id of an event, is version alone: draw a name at random at the \
         start, and put it in front.",
    ),
);

const CONDITIONAL: Stage = stage!(
    4,
    "P1, P2",
    ENDPOINTS,
    Transport,
    polling::not_modified,
    text(
        "Chaque état a un ETag fort ; qui le présente dans If-None-Match reçoit 304, sans \
         corps.",
        "Each state has a strong ETag; whoever presents it in If-None-Match gets 304, without \
         a body.",
    ),
    text(
        "If-None-Match est une liste, compte aussi W/\"…\" et *, et se compare membre par \
         membre.",
        "If-None-Match is a list, W/\"…\" and * count too, and it is compared member by \
         member.",
    ),
);

const STREAM: Stage = stage!(
    2,
    "S1, S2, N1",
    ENDPOINTS,
    Transport,
    sse::head_and_ids,
    text(
        "Le flux porte les en-têtes qui empêchent de le retenir, un retry tiré pour chacun, \
         et un id par état.",
        "The stream carries the headers that keep it from being held back, a retry drawn for \
         each, and an id for each state.",
    ),
    text(
        "Il manque Cache-Control: no-cache ou X-Accel-Buffering: no, retry est le même pour \
         tous, ou l’id ne change pas avec l’état.",
        "Cache-Control: no-cache or X-Accel-Buffering: no is missing, retry is the same for \
         all, or the id does not change with the state.",
    ),
);

const FRAMES: Stage = stage!(
    2,
    "W3",
    (PROTOCOL, text("Codes de fermeture", "Close codes")),
    Transport,
    websocket::frames_are_borne_or_refused,
    text(
        "Un message en plusieurs trames est remis ensemble ; une trame fautive ferme la \
         connexion avec le bon code.",
        "A message in several frames is put together; a bad frame closes the connection with \
         the right code.",
    ),
    text(
        "La taille n’est bornée qu’une fois la trame reçue, ou le binaire n’est pas refusé \
         (1003).",
        "The size is bounded only once the frame has come, or binary is not refused (1003).",
    ),
);

const ACKNOWLEDGED: Stage = stage!(
    2,
    "I4, I5",
    ENDPOINTS,
    Transport,
    socketio::acknowledged,
    text(
        "L’accusé de réception porte l’état que la commande a fait ; il ne vient que s’il est \
         demandé.",
        "The acknowledgement carries the state that the command made; it comes only when it \
         is asked for.",
    ),
    text(
        "La fonction qui accuse réception n’est pas appelée, ou elle l’est sans l’état.",
        "The acknowledgement’s function is not called, or without the state.",
    ),
);

static POLLING: &[Stage] = &[
    FIRST,
    COMMANDS,
    OTHERS,
    REFUSALS,
    TOGETHER,
    IDS,
    CONDITIONAL,
    STOP,
    ORIGIN,
    FOLLOWER,
    STALLED,
    RESTART,
];
static SSE: &[Stage] = &[
    FIRST, COMMANDS, OTHERS, REFUSALS, TOGETHER, IDS, STREAM, HEARTBEAT, STOP, ORIGIN,
    FOLLOWER, STALLED, RESTART,
];
static WEBSOCKET: &[Stage] = &[
    FIRST, COMMANDS, OTHERS, REFUSALS, TOGETHER, IDS, FRAMES, HEARTBEAT, STOP, ORIGIN,
    FOLLOWER, STALLED, RESTART,
];
static SOCKETIO: &[Stage] = &[
    FIRST,
    COMMANDS,
    OTHERS,
    REFUSALS,
    TOGETHER,
    IDS,
    ACKNOWLEDGED,
    HEARTBEAT,
    STOP,
    ORIGIN,
    FOLLOWER,
    STALLED,
    RESTART,
];

impl Stage {
    /// The stages of a lesson's server, in their order.
    #[must_use]
    pub fn of(lesson: Lesson) -> &'static [Self] {
        match lesson {
            Lesson::Polling => POLLING,
            Lesson::Sse => SSE,
            Lesson::WebSocket => WEBSOCKET,
            Lesson::SocketIo => SOCKETIO,
        }
    }

    /// Tries it.
    ///
    /// # Errors
    /// When the candidate breaks one of its clauses.
    pub async fn run(&self, who: Candidate) -> Result<()> {
        (self.run)(who).await
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::language::Language;

    #[test]
    fn points_add_up_to_24() {
        for lesson in Lesson::ALL {
            let points: u8 = Stage::of(lesson).iter().map(|stage| stage.points).sum();
            assert_eq!(points, 24, "{lesson}");
        }
    }

    #[test]
    fn clauses_and_headings_stand_in_the_book() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        for language in Language::ALL {
            let extensions = Lesson::ALL.into_iter().flat_map(Stage::extensions);
            let stages = Lesson::ALL.into_iter().flat_map(Stage::of).chain(extensions);
            for stage in stages {
                let (file, heading) = stage.page;
                let page = fs::read_to_string(docs.join(language.code()).join(file))
                    .expect(file);
                let heading = heading.of(language);
                assert!(
                    page.contains(&format!("\n## {heading}\n")),
                    "{file}: {heading}"
                );
                for clause in stage.clauses.split(", ") {
                    assert!(
                        page.contains(&format!("**{clause}.**")),
                        "no clause {clause}"
                    );
                }
            }
        }
    }
}
