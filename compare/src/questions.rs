//! Questions about what really travelled, and their keys: both come from the lines of the
//! decoder, so a key is as right as what `just wire` shows.

use std::collections::BTreeMap;

use crate::{
    Lesson,
    language::{Sentence, sentence},
};

/// A question about a line of a recorded exchange.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// What is asked.
    pub ask: Sentence,
    /// What is to be answered.
    pub key: Sentence,
    /// The answer, where it is a number.
    pub number: Option<u64>,
}

impl Question {
    fn told(ask: (String, String), key: (String, String)) -> Self {
        Self { ask: sentence(ask.0, ask.1), key: sentence(key.0, key.1), number: None }
    }

    fn counted(ask: (String, String), number: u64, why: (&str, &str)) -> Self {
        let key = (format!("{number} : {}", why.0), format!("{number}: {}", why.1));
        Self { number: Some(number), ..Self::told(ask, key) }
    }
}

/// Draws up to `most` questions, of different kinds, from an exchange in the notation of
/// `just wire`. The same seed draws the same.
#[must_use]
pub fn draw(lesson: Lesson, exchange: &str, seed: u64, most: usize) -> Vec<Question> {
    let mut kinds: BTreeMap<&str, Vec<Question>> = BTreeMap::new();
    let lines: Vec<&str> = exchange.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let up = line.contains(" ↑ ");
        let Some((_, text)) = line.split_once(if up { " ↑ " } else { " ↓ " })
        else {
            continue;
        };
        let before = at.checked_sub(1).and_then(|at| lines.get(at)).copied();
        for (kind, question) in about(lesson, up, text, before) {
            kinds.entry(kind).or_default().push(question);
        }
    }
    if lesson == Lesson::Polling {
        kinds.entry("unchanged").or_default().extend(unchanged(&lines));
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let mut drawn: Vec<Question> = kinds
        .into_values()
        .filter_map(|mut questions| {
            let at = random.usize(..questions.len().max(1));
            (!questions.is_empty()).then(|| questions.swap_remove(at))
        })
        .collect();
    random.shuffle(&mut drawn);
    drawn.truncate(most);
    drawn
}

fn unchanged(lines: &[&str]) -> Option<Question> {
    let is_304 = |line: &&&str| line.contains("↓ HTTP/1.1 304");
    let count = lines.iter().filter(is_304).count() as u64;
    (count > 0).then(|| {
        Question::counted(
            (
                "Combien de réponses de cet échange n’avaient pas de corps, faute de nouveau ?".into(),
                "How many answers of this exchange had no body, for want of anything new?".into(),
            ),
            count,
            ("ce sont les lignes « HTTP/1.1 304 »", "they are the lines `HTTP/1.1 304`"),
        )
    })
}

/// What can be asked about one line, by kind.
fn about(
    lesson: Lesson,
    up: bool,
    text: &str,
    before: Option<&str>,
) -> Vec<(&'static str, Question)> {
    let mut questions = Vec::new();
    let lower = text.to_ascii_lowercase();
    let quoted =
        |fr: &str, en: &str| (format!("« {text} » : {fr}"), format!("“{text}”: {en}"));
    let named = |start: &str| {
        let name = lower.strip_prefix(start)?.trim().trim_matches('"');
        name.rsplit_once('-')?.1.parse::<u64>().ok()
    };
    let version = match lesson {
        Lesson::Polling => named("etag: "),
        Lesson::Sse => named("id: "),
        Lesson::WebSocket | Lesson::SocketIo => None,
    };
    if let Some(version) = version {
        questions.push((
            "version",
            Question::counted(
                quoted(
                    "combien de commandes avaient été acceptées depuis le démarrage ?",
                    "how many commands had been accepted since the run began?",
                ),
                version,
                (
                    "le nombre après le tiret est version",
                    "the number after the hyphen is version",
                ),
            ),
        ));
    }
    if let (Lesson::Sse, Some(pause)) = (lesson, lower.strip_prefix("retry: "))
        && let Ok(pause) = pause.trim().parse()
    {
        questions.push(("retry", Question::counted(
            quoted(
                "après une coupure, combien de millisecondes le navigateur attend-il ?",
                "after a cut, how many milliseconds does the browser wait?",
            ),
            pause,
            ("retry le dit au navigateur", "retry tells the browser"),
        )));
    }
    if let (Lesson::Sse, true, Ok(size)) =
        (lesson, !up, u64::from_str_radix(text.trim(), 16))
    {
        questions.push(("chunk", Question::counted(
            quoted(
                "cette ligne seule précède un bloc. Combien d’octets annonce-t-elle ?",
                "this line alone stands before a block. How many bytes does it announce?",
            ),
            size,
            (
                "c’est la taille du morceau, en hexadécimal (Transfer-Encoding: chunked)",
                "it is the size of the chunk, in hexadecimal (Transfer-Encoding: chunked)",
            ),
        )));
    }
    if let Some((head, payload)) = frame(text) {
        questions.push(("frame", Question::counted(
            quoted(
                "combien d’octets cette trame occupe-t-elle sur le fil, en-tête compris ?",
                "how many bytes does this frame take on the wire, its header included?",
            ),
            head + payload,
            ("l’en-tête, puis la charge utile", "the header, then the payload"),
        )));
        let (number, why) = match up {
            true => (
                4,
                (
                    "la clé du masque, car seul un client masque (RFC 6455, 5.3)",
                    "the masking key, for only a client masks (RFC 6455, 5.3)",
                ),
            ),
            false => (
                0,
                (
                    "un serveur ne masque pas (RFC 6455, 5.1)",
                    "a server does not mask (RFC 6455, 5.1)",
                ),
            ),
        };
        questions.push((
            "mask",
            Question::counted(
                quoted(
                    "combien d’octets de l’en-tête servent au masque, et pourquoi ?",
                    "how many bytes of the header are for the mask, and why?",
                ),
                number,
                why,
            ),
        ));
    }
    if let Some((packet, name)) = packet(text) {
        questions.push((
            "packet",
            Question::told(
                (
                    format!("« {packet} » : que disent les chiffres du début ?"),
                    format!("“{packet}”: what do the digits at the start say?"),
                ),
                (name.to_owned(), name.to_owned()),
            ),
        ));
        if let Some(id) = acknowledgement(packet, "42") {
            questions.push(("acknowledgement", Question::counted(
                (
                    format!("« {packet} » : quel numéro portera l’accusé de réception, après 43 ?"),
                    format!("“{packet}”: which number will the acknowledgement carry, after 43?"),
                ),
                id,
                ("celui de l’événement, qui suit 42", "the event’s own, which follows 42"),
            )));
        }
        if packet == "2" {
            questions.push((
                "next",
                Question::counted(
                    (
                        "« 2 » : quel paquet part ensuite en réponse ?".into(),
                        "“2”: which packet leaves next, as the answer?".into(),
                    ),
                    3,
                    (
                        "le pong d’Engine.IO, du client",
                        "Engine.IO’s pong, from the client",
                    ),
                ),
            ));
        }
    }
    // In the other lessons it would be the same question again.
    if lesson == Lesson::Polling && before.is_none() && up {
        questions.push(("first", Question::told(
            quoted(
                "c’est la première ligne. Qui parle le premier, et pourquoi est-ce toujours lui ?",
                "this is the first line. Who speaks first, and why always he?",
            ),
            (
                "le client : en HTTP, le serveur ne fait que répondre".into(),
                "the client: in HTTP a server only answers".into(),
            ),
        )));
    }
    questions
}

/// The sizes in `[text, 2 + 23 bytes]`.
fn frame(text: &str) -> Option<(u64, u64)> {
    let (head, rest) = text.strip_prefix("[text, ")?.split_once(" + ")?;
    Some((head.parse().ok()?, rest.split_once(" bytes")?.0.parse().ok()?))
}

/// The packet of Engine.IO in a line, and what the decoder calls it.
fn packet(text: &str) -> Option<(&str, &str)> {
    let (_, packet) = text.strip_prefix("[text, ")?.split_once("] ")?;
    let (packet, name) = packet.rsplit_once("  (")?;
    Some((packet, name.trim_end_matches(')')))
}

fn acknowledgement(packet: &str, kind: &str) -> Option<u64> {
    packet.strip_prefix(kind)?.split_once('[')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn keys_follow_from_the_exchange() {
        let exchange = "#1 ↑ GET /counter HTTP/1.1\n#1 ↓ HTTP/1.1 200 OK\n\
            #1 ↓ etag: \"00ff-7\"\n#1 ↓ HTTP/1.1 304 Not Modified\n";
        let numbers = |lesson, exchange: &str| {
            let drawn = draw(lesson, exchange, 1, 9);
            let mut numbers: Vec<u64> = drawn.iter().filter_map(|q| q.number).collect();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!(numbers(Lesson::Polling, exchange), [1, 7]);
        let exchange = "#1 ↓ 36\n#1 ↓ retry: 1022\n#1 ↓ id: e671-12\n";
        assert_eq!(numbers(Lesson::Sse, exchange), [12, 54, 1022]);
        let exchange = "#1 ↑ [text, 6 + 20 bytes] {\"type\":\"increment\"}\n";
        assert_eq!(numbers(Lesson::WebSocket, exchange), [4, 26]);
        let exchange = "#1 ↓ [text, 2 + 1 bytes] 2  (Engine.IO ping)\n\
            #1 ↑ [text, 6 + 40 bytes] 4217[\"command\",{}]  (Socket.IO event)\n";
        let numbers = numbers(Lesson::SocketIo, exchange);
        assert!(numbers.contains(&3) && numbers.contains(&17), "{numbers:?}");
        let drawn = draw(Lesson::SocketIo, exchange, 3, 9);
        assert_eq!(drawn, draw(Lesson::SocketIo, exchange, 3, 9));
        assert!(
            drawn.iter().any(|q| q.key.of(Language::English).contains("Engine.IO"))
        );
    }
}
