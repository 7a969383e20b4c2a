//! What goes wrong in a network, done on purpose to each lesson.
//!
//! Each drill tells, step by step, what it does, and returns what it observed. The same
//! code is the test, the table of the book and `just drill NAME LESSON` for the classroom.

mod crowd;
mod garbage;
mod page;
mod verdict;

use anyhow::Result;
use futures_util::future::{BoxFuture, FutureExt};

use crate::{
    Place, Subject,
    language::{Text, text},
};
pub use verdict::{Teller, Verdict};

/// One drill.
pub struct Drill {
    /// The name to call it by.
    pub name: &'static str,
    /// What it does, in one line.
    pub what: Text,
    /// Where it is done, if the lesson is not alone.
    pub place: Place,
    run: fn(Subject, Teller) -> BoxFuture<'static, Result<Verdict>>,
}

impl Drill {
    /// All drills.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "restart",
            what: text(
                "Le serveur est tué puis relancé ; trois clics entre-temps",
                "The server is killed and started again; three clicks meanwhile",
            ),
            place: Place::Alone,
            run: |subject, tell| page::restart(subject, tell).boxed(),
        },
        Self {
            name: "cut",
            what: text(
                "Le réseau est coupé 3 s ; cinq clics entre-temps",
                "The network is cut for 3 s; five clicks meanwhile",
            ),
            place: Place::Alone,
            run: |subject, tell| page::cut(subject, tell).boxed(),
        },
        Self {
            name: "freeze",
            what: text(
                "Le réseau ne transporte plus rien pendant 10 s ; cinq clics entre-temps",
                "The network moves no byte for 10 s; five clicks meanwhile",
            ),
            place: Place::Alone,
            run: |subject, tell| page::freeze(subject, tell).boxed(),
        },
        Self {
            name: "buffer",
            what: text(
                "Un proxy retient chaque réponse jusqu’à ce qu’elle soit complète",
                "A proxy keeps an answer back until it is complete",
            ),
            place: Place::Alone,
            run: |subject, tell| page::buffer(subject, tell).boxed(),
        },
        Self {
            name: "idle",
            what: text(
                "Un proxy ferme une connexion muette depuis 20 s ; 45 s sans changement",
                "A proxy ends what is silent for 20 s; 45 s without a change",
            ),
            place: Place::Alone,
            run: |subject, tell| page::idle(subject, tell).boxed(),
        },
        Self {
            name: "no-upgrade",
            what: text(
                "Un proxy ne transmet pas `Upgrade`",
                "A proxy does not pass `Upgrade` on",
            ),
            place: Place::Alone,
            run: |subject, tell| page::no_upgrade(subject, tell).boxed(),
        },
        Self {
            name: "sleep",
            what: text(
                "Le navigateur fige la page 60 s, puis la ressort de son cache ; un changement \
                 à chaque fois",
                "The browser freezes the page for 60 s, then brings it back from its cache; \
                 one change each time",
            ),
            place: Place::Alone,
            run: |subject, tell| page::asleep(subject, tell).boxed(),
        },
        Self {
            name: "stall",
            what: text(
                "Un client cesse de lire ; 10 000 changements",
                "One client stops reading; 10,000 changes",
            ),
            place: Place::Alone,
            run: |subject, tell| crowd::stall(subject, tell).boxed(),
        },
        Self {
            name: "gap",
            what: text(
                "20 clients suivent 120 changements ; toutes les 15 s, le réseau est coupé 2 s",
                "20 clients follow 120 changes; every 15 s the network is cut for 2 s",
            ),
            place: Place::Alone,
            run: |subject, tell| crowd::gap(subject, tell).boxed(),
        },
        Self {
            name: "crowd",
            what: text(
                "2 000 clients inactifs, puis un changement",
                "2,000 idle clients, then one change",
            ),
            place: Place::Alone,
            run: |subject, tell| crowd::crowd(subject, tell).boxed(),
        },
        Self {
            name: "vanish",
            what: text(
                "2 000 clients se connectent et disparaissent, encore et encore",
                "2,000 clients connect and vanish, again and again",
            ),
            place: Place::Alone,
            run: |subject, tell| crowd::vanish(subject, tell).boxed(),
        },
        Self {
            name: "slow-heads",
            what: text(
                "Des clients ne finissent jamais leur requête : l’en-tête, le corps, ou \
                 l’en-tête de la deuxième",
                "Clients never finish their request: its head, its body, or the head of a \
                 second one",
            ),
            place: Place::Alone,
            run: |subject, tell| crowd::slow_heads(subject, tell).boxed(),
        },
        Self {
            name: "garbage",
            what: text(
                "100 000 entrées malformées, méthodes inconnues et requêtes en rafale, \
                 entremêlées de commandes valides",
                "100,000 malformed inputs, odd methods and pipelining, with good commands \
                 between",
            ),
            place: Place::Alone,
            run: |subject, tell| garbage::garbage(subject, tell).boxed(),
        },
        Self {
            name: "instance",
            what: text(
                "Deux instances derrière nginx sont tuées l’une après l’autre ; trois clics \
                 après chacune",
                "Each of two instances behind nginx is killed in its turn; three clicks \
                 after each",
            ),
            place: Place::Proxied,
            run: |subject, tell| page::instance(subject.lesson, tell).boxed(),
        },
        Self {
            name: "redis",
            what: text(
                "Le Redis de deux instances est tué et revient vide ; trois clics entre-temps",
                "The Redis of two instances is killed and comes back empty; three clicks \
                 meanwhile",
            ),
            place: Place::Proxied,
            run: |subject, tell| page::redis(subject.lesson, tell).boxed(),
        },
    ];

    /// The drill of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|drill| drill.name == name)
    }

    /// Runs the drill on a lesson, alone or with others.
    ///
    /// # Errors
    /// When the lesson does not stand it.
    pub async fn run(
        &self,
        subject: impl Into<Subject>,
        tell: Teller,
    ) -> Result<Verdict> {
        (self.run)(subject.into(), tell).await
    }
}
