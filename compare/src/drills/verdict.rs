//! What a drill observed, and how it tells what it does.

use std::{
    io::IsTerminal,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::language::{Text, text};

/// What a drill observed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The page is back by itself, and every click counts once.
    CountsOnce,
    /// The page is back by itself; no click counts, and it says so.
    Lost,
    /// The page is back by itself, and says that nobody knows what became of the clicks.
    Unknown,
    /// A change arrives.
    Works,
    /// A change arrives, by long polling.
    LongPolling,
    /// No change arrives.
    NothingArrives,
    /// The page shows the right number as soon as it is shown again.
    RightAgain,
    /// The page was connected all the time.
    StaysConnected,
    /// Who did not read was dropped, and nobody else noticed.
    Dropped,
    /// Every client has the change.
    AllHaveIt,
    /// Every client holds the last value in the end, and has missed changes before.
    StateHolds,
    /// Nothing is left of clients that are gone.
    NothingLeft,
    /// Who did not finish was dropped, but for one known fault; the others were served.
    SlowDropped,
    /// All that is wrong was refused, and the count is exact.
    Refused,
}

impl Verdict {
    /// In a few words.
    #[must_use]
    pub fn text(self) -> Text {
        match self {
            Self::CountsOnce => text(
                "la page revient seule ; chaque clic compte une fois",
                "back by itself; every click counts once",
            ),
            Self::Lost => text(
                "la page revient seule ; les clics sont perdus, et elle le dit",
                "back by itself; the clicks are lost, and the page says so",
            ),
            Self::Unknown => text(
                "la page revient seule ; le sort des clics est inconnu, et elle le dit",
                "back by itself; the fate of the clicks is unknown, and the page says so",
            ),
            Self::Works => text("fonctionne", "works"),
            Self::LongPolling => {
                text("fonctionne, par long polling", "works, by long polling")
            }
            Self::RightAgain => text(
                "de retour, la page montre le bon nombre",
                "back again, the page shows the right number",
            ),
            Self::NothingArrives => text("rien n’arrive", "nothing arrives"),
            Self::StaysConnected => text("la page reste connectée", "stays connected"),
            Self::Dropped => text(
                "les autres ne remarquent rien ; il est déconnecté",
                "the others notice nothing; it is dropped",
            ),
            Self::AllHaveIt => text("tous l’ont reçu", "all have it"),
            Self::StateHolds => text(
                "tous ont la dernière valeur ; des changements leur ont échappé",
                "all hold the last value; they have missed changes",
            ),
            Self::NothingLeft => {
                text("il ne reste rien d’eux", "nothing is left of them")
            }
            Self::SlowDropped => text(
                "ils sont déconnectés, sauf à la deuxième requête ; les autres sont servis",
                "they are dropped, but for a second head; the others are served",
            ),
            Self::Refused => text(
                "toutes refusées ; le compte est exact",
                "each refused; the count is exact",
            ),
        }
    }
}

/// Is told each step, and how long after the beginning it was.
type Listener = Arc<dyn Fn(Duration, &str) + Send + Sync>;

/// Says what a drill does while it does it.
#[derive(Clone)]
pub struct Teller {
    started: Instant,
    listener: Listener,
}

impl Teller {
    /// One that speaks, on standard output, or keeps quiet.
    #[must_use]
    pub fn new(aloud: bool) -> Self {
        Self::to(move |at, step| {
            if !aloud {
                return;
            }
            let at = at.as_secs_f32();
            let (dim, plain) = if std::io::stdout().is_terminal() {
                ("\x1b[2m", "\x1b[0m")
            } else {
                ("", "")
            };
            println!("{dim}{at:6.1} s{plain}  {step}");
        })
    }

    /// One that tells `listener` each step, and how long after the beginning it was.
    #[must_use]
    pub fn to(listener: impl Fn(Duration, &str) + Send + Sync + 'static) -> Self {
        Self { started: Instant::now(), listener: Arc::new(listener) }
    }

    pub(super) fn say(&self, step: &str) {
        (self.listener)(self.started.elapsed(), step);
    }
}
