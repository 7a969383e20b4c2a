//! The guided tour: what to foresee, one button that does it, and what to see.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use compare::{
    Lesson,
    language::{Text, text},
};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    lane::Lane,
    network::Change,
    screen::{Link, Status},
};

/// How long a lane may take to come back, or to lose its connection.
const LIMIT: Duration = Duration::from_secs(30);

/// One step of the tour.
pub struct Step {
    /// The name to call it by.
    pub name: &'static str,
    /// What it is about.
    pub title: Text,
    /// What to foresee, before.
    pub foresee: Text,
    /// What the button does.
    pub act: Text,
    /// What to see, after.
    pub see: Text,
    /// Which facts show it, by the names that the page knows.
    pub facts: &'static str,
    script: Script,
}

/// What a step does.
#[derive(Clone, Copy)]
enum Script {
    Wait,
    Click(u64),
    Slow,
    Cut,
    Freeze,
    Buffer,
    Upgrade,
    Kill,
}

/// A step, as far as it has gone.
#[derive(Clone, Default, Serialize)]
pub struct Seen {
    /// Its name.
    pub step: &'static str,
    /// Whether it is over.
    pub over: bool,
    /// What was seen of each lane, once it is over.
    pub lanes: BTreeMap<&'static str, Facts>,
}

/// What was seen of a lane.
#[derive(Clone, Serialize)]
pub struct Facts {
    /// How the client said that it was connected, while the step went on.
    during: Link,
    /// The state at the end.
    #[serde(flatten)]
    status: Status,
}

impl Step {
    /// The step of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        STEPS.iter().find(|step| step.name == name)
    }
}

type Lanes = [Arc<Lane>];

/// Takes a step, in all lanes, and returns what was seen.
pub async fn take(step: &Step, lanes: &Lanes) -> Seen {
    settle(lanes).await;
    lanes.iter().for_each(|lane| lane.clear());
    let during = script(step.script, lanes).await;
    let facts = lanes
        .iter()
        .zip(during)
        .map(|(lane, (during, status))| (lane.lesson.name(), Facts { during, status }));
    Seen { step: step.name, over: true, lanes: facts.collect() }
}

/// Brings all lanes back to a good network, a server that runs, and no click on its way.
async fn settle(lanes: &Lanes) {
    let settled = lanes.iter().map(|lane| async {
        lane.click_every(None);
        lane.network(Change::Good);
        // One that does not start is seen in its lane.
        let _ = lane.start().await;
        let _ = lane.pause(false).await;
        calm(lane).await;
    });
    join_all(settled).await;
}

/// Waits until the client is connected, and each click has its fate.
async fn calm(lane: &Lane) {
    lane.until(LIMIT, |it| {
        it.link == Link::Live
            && it.waiting == 0
            && it.counted + it.given_up >= it.clicks
    })
    .await;
}

async fn all(lanes: &Lanes, is: impl Fn(&Status) -> bool + Copy) {
    join_all(lanes.iter().map(|lane| lane.until(LIMIT, is))).await;
}

fn click(lanes: &Lanes, times: u64) {
    for lane in lanes {
        (0..times).for_each(|_| lane.click("increment"));
    }
}

fn network(lanes: &Lanes, change: Change) {
    lanes.iter().for_each(|lane| lane.network(change));
}

/// What is to be seen now.
fn look(lanes: &Lanes) -> Vec<(Link, Status)> {
    let look = |lane: &Arc<Lane>| {
        let status = lane.seen().status;
        (status.link, status)
    };
    lanes.iter().map(look).collect()
}

/// Does it, and returns how the client was connected meanwhile, and the state at the end.
async fn script(script: Script, lanes: &Lanes) -> Vec<(Link, Status)> {
    let began = Instant::now();
    let mut during = None;
    match script {
        Script::Wait => sleep(Duration::from_secs(6)).await,
        Script::Click(times) => {
            click(lanes, times);
            all(lanes, |it| it.counted >= it.clicks && it.delay.is_some()).await;
        }
        Script::Slow => {
            network(lanes, Change::Slow(300));
            click(lanes, 1);
            all(lanes, |it| it.delay.is_some()).await;
        }
        Script::Cut => {
            network(lanes, Change::Cut);
            all(lanes, |it| it.link == Link::Lost).await;
            click(lanes, 3);
            sleep_until(began + Duration::from_secs(3)).await;
            during = Some(look(lanes));
        }
        Script::Freeze => {
            network(lanes, Change::Frozen);
            click(lanes, 3);
            // Less than half of the 15 s between two heartbeats, and more than the 5 s for
            // which a request is waited for.
            sleep(Duration::from_secs(7)).await;
            all(&only(lanes, Lesson::Polling), |it| it.link == Link::Lost).await;
            during = Some(look(lanes));
            network(lanes, Change::Good);
            // What the network held is delivered late, and may count although it was given up.
            sleep(Duration::from_secs(1)).await;
        }
        Script::Buffer => {
            network(lanes, Change::Cut);
            all(lanes, |it| it.link == Link::Lost).await;
            network(lanes, Change::Buffered);
            let others: Vec<_> = without(lanes, Lesson::Sse);
            all(&others, |it| it.link == Link::Live).await;
            click(lanes, 1);
            all(lanes, |it| it.counted >= it.clicks).await;
            all(&others, |it| it.delay.is_some()).await;
            return ended(lanes).await;
        }
        Script::Upgrade => {
            network(lanes, Change::Cut);
            all(lanes, |it| it.link == Link::Lost).await;
            network(lanes, Change::NoUpgrade);
            let others = without(lanes, Lesson::WebSocket);
            all(&others, |it| it.link == Link::Live).await;
            click(lanes, 1);
            all(&others, |it| it.delay.is_some()).await;
            return ended(lanes).await;
        }
        Script::Kill => {
            join_all(lanes.iter().map(|lane| lane.kill())).await;
            all(lanes, |it| it.link == Link::Lost).await;
            click(lanes, 2);
            sleep_until(began + Duration::from_secs(3)).await;
            during = Some(look(lanes));
        }
    }
    settle(lanes).await;
    let after = look(lanes);
    let during = during.unwrap_or_else(|| after.clone());
    during
        .into_iter()
        .zip(after)
        .map(|((link, _), (_, status))| (link, status))
        .collect()
}

/// What was to be seen before the network was mended.
async fn ended(lanes: &Lanes) -> Vec<(Link, Status)> {
    let seen = look(lanes);
    settle(lanes).await;
    seen
}

fn only(lanes: &Lanes, lesson: Lesson) -> Vec<Arc<Lane>> {
    lanes.iter().filter(|lane| lane.lesson == lesson).cloned().collect()
}

fn without(lanes: &Lanes, lesson: Lesson) -> Vec<Arc<Lane>> {
    lanes.iter().filter(|lane| lane.lesson != lesson).cloned().collect()
}

/// The tour.
pub const STEPS: [Step; 10] = [
    Step {
        name: "calm",
        title: text("Le calme", "Calm"),
        foresee: text(
            "Personne ne clique pendant six secondes. Quelles voies parlent quand même ?",
            "Nobody clicks for six seconds. Which lanes talk all the same?",
        ),
        act: text("Ne rien faire, 6 s", "Do nothing for 6 s"),
        see: text(
            "Le polling pose sa question chaque seconde, et paie des centaines d’octets pour \
             s’entendre dire « 304 : rien de nouveau ». Les trois autres se taisent ; un \
             battement de cœur passe toutes les quinze secondes.",
            "Polling asks every second, and pays hundreds of bytes to hear “304: nothing \
             new”. The three others are silent, but for a heartbeat every fifteen seconds.",
        ),
        facts: "messages up down",
        script: Script::Wait,
    },
    Step {
        name: "click",
        title: text("Un clic", "One click"),
        foresee: text(
            "Un clic dans chaque voie, au même instant. Laquelle montrera le nombre en \
             dernier ?",
            "One click in each lane, at the same moment. Which one will show the number \
             last?",
        ),
        act: text("Cliquer une fois partout", "Click once everywhere"),
        see: text(
            "Les quatre comptent le clic. Là où le serveur pousse, le nombre arrive en \
             quelques millisecondes ; le polling l’apprend à sa prochaine question, jusqu’à \
             une seconde plus tard.",
            "All four count the click. Where the server pushes, the number is there within \
             milliseconds; polling learns of it with its next question, up to a second \
             later.",
        ),
        facts: "counted delay",
        script: Script::Click(1),
    },
    Step {
        name: "weight",
        title: text("Le poids d’un clic", "What a click weighs"),
        foresee: text(
            "Cinq clics. Combien d’octets montent dans chaque voie ?",
            "Five clicks. How many bytes go up in each lane?",
        ),
        act: text("Cliquer cinq fois partout", "Click five times everywhere"),
        see: text(
            "Une requête POST répète ses en-têtes à chaque clic. Une trame WebSocket n’en a \
             que six octets. Socket.IO paie en plus un nom d’événement et un identifiant.",
            "A POST request repeats its headers with each click. A WebSocket frame has six \
             bytes of them. Socket.IO pays for an event's name and an id on top.",
        ),
        facts: "counted up down",
        script: Script::Click(5),
    },
    Step {
        name: "burst",
        title: text("La rafale", "A burst"),
        foresee: text(
            "Vingt clics d’un coup. Chaque écran montrera-t-il vingt nombres ?",
            "Twenty clicks at once. Will each screen show twenty numbers?",
        ),
        act: text("Cliquer vingt fois d’un coup", "Click twenty times at once"),
        see: text(
            "Tous comptent vingt, aucun n’est tenu de montrer vingt nombres : un compteur est \
             un état, le plus récent suffit. Le polling saute presque tout.",
            "All count twenty, and none has to show twenty numbers: a counter is a state, and \
             the latest is enough. Polling skips nearly all of them.",
        ),
        facts: "counted numbers",
        script: Script::Click(20),
    },
    Step {
        name: "slow",
        title: text("Un réseau lent", "A slow network"),
        foresee: text(
            "Chaque octet met 300 ms dans chaque sens. Combien de temps du clic au nombre ?",
            "Each byte takes 300 ms each way. How long from the click to the number?",
        ),
        act: text("Ralentir et cliquer", "Slow down and click"),
        see: text(
            "Jamais moins de 600 ms : un aller et un retour. Regardez les flèches pencher. \
             Aucun transport ne va plus vite que le réseau.",
            "Never less than 600 ms: there and back. Watch the arrows slant. No transport is \
             faster than the network.",
        ),
        facts: "counted delay",
        script: Script::Slow,
    },
    Step {
        name: "cut",
        title: text("La coupure", "A cut"),
        foresee: text(
            "Le réseau est coupé trois secondes, et l’on clique trois fois. Quelles voies \
             compteront ces clics ?",
            "The network is cut for three seconds, and three clicks are made. Which lanes \
             will count them?",
        ),
        act: text("Couper 3 s et cliquer 3 fois", "Cut for 3 s and click 3 times"),
        see: text(
            "Socket.IO seul : son client garde chaque clic jusqu’à l’accusé de réception. \
             Ailleurs les clics sont perdus, et la page le dit.",
            "Socket.IO alone: its client keeps each click until it is acknowledged. Elsewhere \
             the clicks are lost, and the page says so.",
        ),
        facts: "during given_up counted",
        script: Script::Cut,
    },
    Step {
        name: "freeze",
        title: text("Le silence", "Silence"),
        foresee: text(
            "Le réseau ne transporte plus rien pendant sept secondes, sans prévenir personne. \
             Quelles pages se disent encore en direct ?",
            "The network moves nothing for seven seconds, and tells nobody. Which pages still \
             say that they are live?",
        ),
        act: text("Figer 7 s et cliquer 3 fois", "Freeze for 7 s and click 3 times"),
        see: text(
            "Le polling s’en aperçoit : sa question reste sans réponse. Les trois autres se \
             disent en direct, et montrent un nombre périmé : seul un battement de cœur \
             manqué les détrompera. Au retour du réseau, WebSocket et Socket.IO livrent \
             leurs clics.",
            "Polling notices: its question has no answer. The three others say that they are \
             live, and show a stale number: only a missing heartbeat will tell them. After \
             the thaw WebSocket and Socket.IO deliver their clicks.",
        ),
        facts: "during given_up counted",
        script: Script::Freeze,
    },
    Step {
        name: "buffer",
        title: text("Le proxy qui retient", "A proxy that holds back"),
        foresee: text(
            "Un proxy garde chaque réponse jusqu’à ce qu’elle soit complète. Quelle voie se \
             tait ?",
            "A proxy keeps each answer until it is complete. Which lane falls silent?",
        ),
        act: text("Retenir et cliquer", "Hold back and click"),
        see: text(
            "SSE : sa réponse n’est jamais complète. Son clic est pourtant compté : la \
             requête POST, elle, a une fin.",
            "SSE: its answer is never complete. Its click counts all the same: the POST \
             request does have an end.",
        ),
        facts: "during counted delay",
        script: Script::Buffer,
    },
    Step {
        name: "upgrade",
        title: text("Le proxy sans Upgrade", "A proxy without Upgrade"),
        foresee: text(
            "Un proxy ne transmet pas l’en-tête Upgrade. Quelles voies reviennent ?",
            "A proxy does not pass the header Upgrade on. Which lanes come back?",
        ),
        act: text("Refuser Upgrade et cliquer", "Refuse Upgrade and click"),
        see: text(
            "Toutes sauf WebSocket, qui n’a rien d’autre. Socket.IO se replie sur des \
             requêtes HTTP qui attendent : plus lourdes, mais elles passent.",
            "All but WebSocket, which has nothing else. Socket.IO falls back on HTTP requests \
             that wait: heavier, but they get through.",
        ),
        facts: "during counted down",
        script: Script::Upgrade,
    },
    Step {
        name: "kill",
        title: text("Le serveur tombe", "The server dies"),
        foresee: text(
            "Les quatre serveurs sont tués, l’on clique deux fois, ils repartent. Quel nombre \
             s’affiche ?",
            "All four servers are killed, two clicks are made, and they start again. Which \
             number is shown?",
        ),
        act: text("Tuer, cliquer 2 fois, relancer", "Kill, click twice, start again"),
        see: text(
            "Zéro : le compteur vivait dans la mémoire du serveur. Deux pour Socket.IO, dont \
             le client renvoie les clics gardés. Chaque page revient seule.",
            "Zero: the counter lived in the server's memory. Two with Socket.IO, whose client \
             sends the clicks that it kept. Each page comes back by itself.",
        ),
        facts: "during value counted",
        script: Script::Kill,
    },
];
