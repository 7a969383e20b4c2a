//! What has travelled, drawn: a space-time diagram as SVG, readable in light and dark, and
//! the same facts as a table.
//!
//! Time runs down, and a message slants from when it left to when it arrived. Between two
//! moments time is drawn to scale, with two exceptions, and the picture says both: what
//! happens at once is moved apart until its labels can be read, and a silence is cut short
//! and its length written.

use std::fmt::Write;

use crate::{
    language::Language,
    recording::Recording,
    relay::Direction,
    report::{chapter, plot::escape},
    wire::{Entry, What},
};

/// Narrow, so that the text is not too small where a phone shows it, 360 px wide.
const WIDTH: f64 = 420.0;
/// Where the lines of the client and of the server are; times stand before the former.
const CLIENT: f64 = 66.0;
const SERVER: f64 = 410.0;
/// Where the first moment is at the earliest.
const TOP: f64 = 34.0;
/// The height that a label takes.
const LABEL: f64 = 17.0;
/// The height of its second line.
const LINE: f64 = 14.0;
/// The width of a character, of the widest monospaced fonts.
const CHARACTER: f64 = 11.5 * 0.62;
/// How far down an arrow goes at least.
const SLANT: f64 = 7.0;
/// What one ms is long.
const SCALE: f64 = 0.8;
/// The longest time in ms that is drawn to scale; the scale shows it.
const MOST: f64 = 50.0;
/// The height of a silence that is cut short.
const CUT: f64 = 34.0;
/// By how many ms the ways of messages may differ that are drawn side by side.
const ABREAST: f64 = 1.0;
/// How many colours tell connections apart; their numbers tell them apart for good.
const COLOURS: u64 = 6;

/// The picture brings its own background, so that it can be read on any page; alone on a
/// wide screen it is drawn larger.
const STYLE: &str = "svg{max-width:100%;height:auto;background:#fff}\
    text{font:11.5px ui-monospace,Menlo,Consolas,monospace;fill:#1b1f24;white-space:pre}\
    .label{paint-order:stroke;stroke:#fff;stroke-width:3px}\
    .who{font:600 13px system-ui,sans-serif}.note{font:11px system-ui,sans-serif}\
    .time,.size,.note,.cut{fill:#59636e}.time{font-size:10.5px}\
    .number{font-weight:700;fill:currentColor}\
    .life,.scale,.dots{stroke:#8c959f;stroke-width:1.5;fill:none}\
    .silence{stroke:#fff;stroke-width:4}.dots{stroke-dasharray:2 4}\
    .arrow,.mark{stroke:currentColor;stroke-width:1.6;fill:none}\
    .dashed{stroke-dasharray:4 3}.bad{color:#c1121f}\
    .c0{color:#0b5cad}.c1{color:#a04a00}.c2{color:#1a7f37}\
    .c3{color:#7b3fb5}.c4{color:#00707a}.c5{color:#b0246f}\
    @media(prefers-color-scheme:dark){svg{background:#16191d}text{fill:#e6e8eb}\
    .label,.silence{stroke:#16191d}.time,.size,.note,.cut{fill:#a5adb8}\
    .bad{color:#ff6b6b}.c0{color:#6cb2ff}.c1{color:#ffb070}.c2{color:#5fd38d}\
    .c3{color:#c9a0ff}.c4{color:#5ad1dc}.c5{color:#ff8fc4}}\
    @media(min-width:1000px){svg{display:block;width:840px;margin:auto}}";

/// A recording as it is drawn and told in one language.
#[derive(Clone, Copy, Debug)]
pub struct Diagram<'a> {
    recording: &'a Recording,
    language: Language,
}

/// How something is drawn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Message(Direction),
    End(Direction),
    Opened,
    Refused,
    Reset,
    Unanswered,
}

/// One line of the table, and one arrow or mark of the picture.
struct Item {
    connection: u64,
    kind: Kind,
    /// In ms since the first of them.
    left: f64,
    at: f64,
    label: String,
    size: Option<usize>,
    /// Its label as it is drawn, on one line or two.
    lines: Vec<String>,
}

/// What travels side by side; or one mark.
struct Flight<'a> {
    items: &'a [Item],
    /// Where the first leaves, and how far below it each does.
    top: f64,
    below: Vec<f64>,
    /// How far down its arrows go.
    slant: f64,
}

/// A silence that is cut short: where it begins, and its length in ms.
struct Silence(f64, f64);

impl<'a> Diagram<'a> {
    /// In this language.
    #[must_use]
    pub fn new(recording: &'a Recording, language: Language) -> Self {
        Self { recording, language }
    }

    fn say<'b>(&self, fr: &'b str, en: &'b str) -> &'b str {
        self.language.say(fr, en)
    }

    /// What the picture shows, in one sentence.
    #[must_use]
    pub fn title(&self) -> String {
        let Recording { lesson, .. } = self.recording;
        let messages = self.recording.messages().count();
        let connections = self.recording.connections().len();
        let [up, down] =
            [Direction::Up, Direction::Down].map(|way| self.recording.bytes(way));
        // In French, zero is not many.
        let zero = self.say("", "s");
        let s = |count: usize| match count {
            0 => zero,
            1 => "",
            _ => "s",
        };
        let title = match self.language {
            Language::French => format!(
                "Ce qui a circulé entre {lesson} et ses clients : {messages} message{} \
                 sur {connections} connexion{}, {up} octets vers le serveur et {down} \
                 vers les clients",
                s(messages),
                s(connections),
            ),
            Language::English => format!(
                "What travelled between {lesson} and its clients: {messages} message{} \
                 on {connections} connection{}, {up} bytes to the server and {down} to \
                 the clients",
                s(messages),
                s(connections),
            ),
        };
        self.language.spaced(&title)
    }

    /// The same facts as a table in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let header = [
            self.say("Ce que c’est", "What it is"),
            self.say("Connexion", "Connection"),
            self.say("Parti, ms", "Left, ms"),
            self.say("Arrivé, ms", "Arrived, ms"),
            self.say("Octets", "Bytes"),
        ];
        let rows = self.items().into_iter().map(|item| {
            let label = item.label.replace('`', "'").replace('|', "\\|");
            let what = match item.kind {
                Kind::Message(way) => format!("{} `{label}`", arrow(way)),
                Kind::End(way) => format!("{} {label}", arrow(way)),
                _ => label,
            };
            let size = item.size.map_or(String::new(), |size| size.to_string());
            let left = self.decimal(item.left);
            let at = if item.kind.way().is_some() {
                self.decimal(item.at)
            } else {
                String::new()
            };
            vec![what, format!("#{}", item.connection), left, at, size]
        });
        let mut table = String::new();
        chapter::table(&mut table, &header, rows.collect());
        table
    }

    /// The picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let items = self.items();
        let (flights, silences, bottom) = lay_out(&items);
        let height = bottom + 62.0;
        let title = escape(&self.title());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             width=\"{:.0}\" height=\"{:.0}\" role=\"img\" aria-labelledby=\"title\" \
             aria-describedby=\"facts\">\n<title id=\"title\">{title}</title>\n\
             <desc id=\"facts\">\n{}</desc>\n<style>{STYLE}</style>\n\
             <text class=\"who\" x=\"{CLIENT}\" y=\"20\" text-anchor=\"middle\">client</text>\n\
             <text class=\"who\" x=\"{SERVER}\" y=\"20\" text-anchor=\"end\">{}</text>\n",
            WIDTH * 4.0 / 3.0,
            height * 4.0 / 3.0,
            self.facts(&items),
            self.say("serveur", "server"),
        );
        for x in [CLIENT, SERVER] {
            let _ = writeln!(
                svg,
                "<path class=\"life\" d=\"M{x} {:.0}V{:.1}\"/>",
                TOP - 6.0,
                bottom + 6.0
            );
        }
        for Silence(y, length) in silences {
            let (from, to) = (y + 6.0, y + CUT - 6.0);
            for x in [CLIENT, SERVER] {
                let _ = writeln!(
                    svg,
                    "<path class=\"silence\" d=\"M{x} {from:.1}V{to:.1}\"/>\
                     <path class=\"dots\" d=\"M{x} {from:.1}V{to:.1}\"/>"
                );
            }
            let _ = writeln!(
                svg,
                "<text class=\"label cut\" x=\"{}\" y=\"{:.1}\" \
                 text-anchor=\"middle\">{}</text>",
                f64::midpoint(CLIENT, SERVER),
                y + CUT / 2.0 + 4.0,
                self.time(length),
            );
        }
        // First all arrows, so that no arrow strikes a label out.
        for (item, top, slant) in rows(&flights) {
            svg.push_str(&drawn(item, top, top + slant));
        }
        let mut told = String::new();
        for (item, top, _) in rows(&flights) {
            let time = self.time(item.left);
            self.write(&mut svg, item, top, if time == told { "" } else { &time });
            told = time;
        }
        self.write_scale(&mut svg, bottom + 16.0);
        svg + "</svg>\n"
    }

    /// How long what is drawn to scale is, and what is not.
    fn write_scale(&self, svg: &mut String, y: f64) {
        let _ = writeln!(
            svg,
            "<path class=\"scale\" d=\"M12 {y:.1}h8m-4 0v{:.1}m-4 0h8\"/>\
             <text class=\"time\" x=\"24\" y=\"{:.1}\">{}</text>",
            MOST * SCALE,
            y + 24.0,
            self.time(MOST),
        );
        let notes = [
            self.say(
                "Écarté : ce qui part en même temps.",
                "Moved apart: what leaves at once.",
            ),
            self.say(
                "Abrégé : les silences, avec leur durée.",
                "Cut short: silences, with their length.",
            ),
        ];
        for (note, y) in notes.iter().zip([y + 17.0, y + 33.0]) {
            let _ = writeln!(
                svg,
                "<text class=\"note\" x=\"{}\" y=\"{y:.1}\">{}</text>",
                CLIENT + 12.0,
                self.language.spaced(note),
            );
        }
    }

    /// A label with its number and its size, above its line, and the time before it.
    fn write(&self, svg: &mut String, item: &Item, top: f64, time: &str) {
        let mut y = top - 4.5 - (item.lines.len() - 1) as f64 * LINE;
        if !time.is_empty() {
            let _ = writeln!(
                svg,
                "<text class=\"time\" x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{time}</text>",
                CLIENT - 7.0,
            );
        }
        if let Some(size) = item.size {
            let _ = writeln!(
                svg,
                "<text class=\"label size\" x=\"{}\" y=\"{y:.1}\" \
                 text-anchor=\"end\">{}</text>",
                SERVER - 6.0,
                self.bytes(size),
            );
        }
        let (mut x, colour) = (CLIENT + 6.0, colour(item.connection));
        let indent = format!("#{} ", item.connection).len() as f64 * CHARACTER;
        let mut number =
            format!("<tspan class=\"number c{colour}\">#{}</tspan> ", item.connection);
        let mut before = indent;
        for line in &item.lines {
            // Where a font is wider than those reckoned with, a full line is drawn narrower.
            let fit = match item.lines.len() {
                1 => String::new(),
                _ => {
                    let width = before + line.chars().count() as f64 * CHARACTER;
                    let adjust = "lengthAdjust=\"spacingAndGlyphs\"";
                    format!(" textLength=\"{width:.1}\" {adjust}")
                }
            };
            before = 0.0;
            let _ = writeln!(
                svg,
                "<text class=\"label\" x=\"{x}\" y=\"{y:.1}\"{fit}>{number}{}</text>",
                escape(line),
            );
            // The second line stands below the words, not below the number.
            x = CLIENT + 6.0 + indent;
            number.clear();
            y += LINE;
        }
    }

    /// A size with its unit.
    fn bytes(&self, size: usize) -> String {
        format!("{size}\u{a0}{}", self.say("o", "B"))
    }

    /// All of it in words, a line each.
    fn facts(&self, items: &[Item]) -> String {
        let mut facts = String::new();
        for item in items {
            let arrow =
                item.kind.way().map_or(String::new(), |way| format!("{} ", arrow(way)));
            let size = item.size.map_or(String::new(), |size| {
                format!(", {size} {}", self.say("octets", "bytes"))
            });
            let (left, at) = (self.decimal(item.left), self.decimal(item.at));
            let times = if item.kind.way().is_some() {
                format!("{left} → {at}")
            } else {
                left
            };
            let label = escape(&item.label);
            let _ = writeln!(
                facts,
                "{times} ms, #{} {arrow}{label}{size}",
                item.connection
            );
        }
        facts
    }

    /// What is drawn, in the order in which it left.
    fn items(&self) -> Vec<Item> {
        let read = |entry: &Entry| {
            let (kind, left, label, size) = match &entry.what {
                What::Opened => {
                    let label = self.say("connexion établie", "connection made");
                    (Kind::Opened, entry.at, label, None)
                }
                What::Refused => {
                    let label = self.say("connexion refusée", "connection refused");
                    (Kind::Refused, entry.at, label, None)
                }
                What::Reset => {
                    let label = self.say("connexion coupée", "connection reset");
                    (Kind::Reset, entry.at, label, None)
                }
                What::End { direction, left } => {
                    let label = self.say("fin du flux", "end of the stream");
                    (Kind::End(*direction), *left, label, None)
                }
                What::Message { direction, left, message } => {
                    let label = match &*message.label {
                        "" => self.say("(suite)", "(more)"),
                        label => label,
                    };
                    (Kind::Message(*direction), *left, label, Some(message.size))
                }
            };
            self.item(entry.connection, kind, (left, entry.at), label, size)
        };
        let mut items: Vec<_> = self.recording.entries.iter().map(read).collect();
        let end = items.iter().map(|item| item.at).fold(0.0, f64::max);
        items.extend(self.recording.unanswered().into_iter().map(|connection| {
            let label = self.say("sans réponse", "no answer");
            self.item(connection, Kind::Unanswered, (end, end), label, None)
        }));
        items.sort_by(|a, b| a.left.total_cmp(&b.left));
        // What comes first begins the time.
        let begin = items.first().map_or(0.0, |item| item.left);
        for item in &mut items {
            item.left -= begin;
            item.at -= begin;
        }
        items
    }

    fn item(
        &self,
        connection: u64,
        kind: Kind,
        (left, at): (f64, f64),
        label: &str,
        size: Option<usize>,
    ) -> Item {
        // What cannot be seen is left out; XML does not even allow it (1.0, section 2.2).
        let label: String =
            label.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = ((SERVER - CLIENT - 12.0) / CHARACTER) as usize;
        let number = format!("#{connection} ").len();
        let size_room = size.map_or(0, |size| self.bytes(size).chars().count() + 1);
        let first = all.saturating_sub(number + size_room);
        let lines = wrapped(&label, first, all - number);
        Item { connection, kind, left, at, label, size, lines }
    }

    /// Milliseconds with one decimal.
    fn decimal(&self, ms: f64) -> String {
        let text = format!("{ms:.1}");
        match self.language {
            Language::French => text.replace('.', ","),
            Language::English => text,
        }
    }

    /// A time with its unit.
    fn time(&self, ms: f64) -> String {
        let (number, unit) = match ms {
            1000.0.. => (format!("{:.1}", ms / 1000.0), "s"),
            _ => (format!("{ms:.0}"), "ms"),
        };
        let number = match self.language {
            Language::French => number.replace('.', ","),
            Language::English => number,
        };
        format!("{number}\u{a0}{unit}")
    }
}

impl Kind {
    fn way(self) -> Option<Direction> {
        match self {
            Self::Message(way) | Self::End(way) => Some(way),
            _ => None,
        }
    }
}

/// Each line of the picture: what it shows, where it begins, and how far down it goes.
fn rows<'a>(flights: &'a [Flight<'a>]) -> impl Iterator<Item = (&'a Item, f64, f64)> {
    flights.iter().flat_map(|flight| {
        let rows = flight.items.iter().zip(&flight.below);
        rows.map(|(item, below)| (item, flight.top + below, flight.slant))
    })
}

impl Item {
    /// How high its label is.
    fn height(&self) -> f64 {
        LABEL + (self.lines.len() - 1) as f64 * LINE
    }
}

impl<'a> Flight<'a> {
    fn new(items: &'a [Item]) -> Self {
        let took = items[0].at - items[0].left;
        let slant = (took * SCALE).clamp(SLANT, MOST * SCALE) + 2.0;
        let mut below = vec![0.0];
        for (at, item) in items.iter().enumerate().skip(1) {
            below.push(below[at - 1] + slant + item.height());
        }
        Self { items, top: 0.0, below, slant: 0.0 }
    }

    /// How far below the first the last is.
    fn depth(&self) -> f64 {
        self.below.last().copied().unwrap_or_default()
    }
}

/// Gives all its place, from top to bottom; also where silences are cut short, and where the
/// last of all ends.
fn lay_out(items: &[Item]) -> (Vec<Flight<'_>>, Vec<Silence>, f64) {
    // The same way, one after the other before the first has arrived.
    let abreast = |a: &Item, b: &Item| {
        let took = a.at - a.left;
        a.kind == b.kind
            && matches!(a.kind, Kind::Message(_))
            && b.left <= a.at.max(a.left + ABREAST)
            && (b.at - b.left - took).abs() < ABREAST.max(took / 4.0)
    };
    let mut flights: Vec<_> = items.chunk_by(abreast).map(Flight::new).collect();
    // When each leaves and arrives.
    let mut moments = Vec::new();
    for (number, flight) in flights.iter().enumerate() {
        let first = &flight.items[0];
        moments.push((first.left, number, false));
        if first.kind.way().is_some() {
            moments.push((first.at.max(first.left), number, true));
        }
    }
    moments.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut silences = Vec::new();
    // Where this moment is drawn, and from where on a label has room.
    let (mut y, mut free) = (TOP, TOP);
    let mut now = moments.first().map_or(0.0, |moment| moment.0);
    for (time, number, arrives) in moments {
        let passed = (time - now).max(0.0);
        now = time.max(now);
        if passed > MOST {
            let from = y.max(free);
            silences.push(Silence(from, passed));
            y = from + CUT;
            free = y - 4.0;
        } else {
            y += passed * SCALE;
        }
        let flight = &mut flights[number];
        if arrives {
            y = y.max(flight.top + SLANT);
            flight.slant = y - flight.top;
            y += flight.depth();
            free = free.max(y + 2.0);
            now = flight.items.iter().map(|item| item.at).fold(now, f64::max);
        } else {
            y = y.max(free + flight.items[0].height());
            flight.top = y;
            free = y + flight.depth() + 3.0;
        }
    }
    (flights, silences, y.max(free))
}

/// The arrow of a message, or what marks something else, from here down to there.
fn drawn(item: &Item, top: f64, bottom: f64) -> String {
    let colour = colour(item.connection);
    let (from, to) = match item.kind.way() {
        Some(Direction::Down) => (SERVER, CLIENT),
        _ => (CLIENT, SERVER),
    };
    let level = |to: f64| {
        let path = format!("M{} {top:.1}H{:.1}", CLIENT + 3.0, to - 3.0);
        format!("<path class=\"mark dashed c{colour}\" d=\"{path}\"/>")
    };
    let ring = |x: f64| {
        let path = format!("M{:.1} {top:.1}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0", x - 3.0);
        format!("<path class=\"mark c{colour}\" d=\"{path}\"/>")
    };
    let cross = |x: f64| {
        let path = format!("M{:.1} {:.1}l8 8m0 -8l-8 8", x - 4.0, top - 4.0);
        format!("<path class=\"mark bad\" d=\"{path}\"/>")
    };
    let mut svg = match item.kind {
        Kind::Message(_) => {
            // The head lies along the arrow.
            let (dx, dy) = (to - from, bottom - top);
            let (ux, uy) = (dx / dx.hypot(dy), dy / dx.hypot(dy));
            let wing = |side: f64| {
                let (x, y) = (to - 8.0 * ux + side * uy, bottom - 8.0 * uy - side * ux);
                format!("{x:.1} {y:.1}")
            };
            let head = format!("M{}L{to} {bottom:.1}L{}", wing(4.0), wing(-4.0));
            let path = format!("M{from} {top:.1}L{to} {bottom:.1}{head}");
            format!("<path class=\"arrow c{colour}\" d=\"{path}\"/>")
        }
        Kind::End(_) => {
            let near = to - 4.0 * (to - from).signum();
            let (line, wall) = (
                format!("M{from} {top:.1}L{near} {bottom:.1}"),
                format!("M{near} {:.1}v10", bottom - 5.0),
            );
            format!(
                "<path class=\"mark dashed c{colour}\" d=\"{line}\"/>\
                 <path class=\"mark c{colour}\" d=\"{wall}\"/>"
            )
        }
        Kind::Opened => level(SERVER) + &ring(CLIENT) + &ring(SERVER),
        Kind::Refused => level(SERVER - 30.0) + &cross(SERVER - 30.0),
        Kind::Reset => level(SERVER) + &cross(CLIENT) + &cross(SERVER),
        Kind::Unanswered => cross(CLIENT),
    };
    svg.push('\n');
    svg
}

fn arrow(way: Direction) -> char {
    match way {
        Direction::Up => '↑',
        Direction::Down => '↓',
    }
}

fn colour(connection: u64) -> u64 {
    connection.saturating_sub(1) % COLOURS
}

/// A text on one line, or on two with an end, for so many characters of a monospaced font on
/// the first and on the second.
fn wrapped(text: &str, first: usize, second: usize) -> Vec<String> {
    let fits = fitting(text, first);
    if fits == text.len() {
        return vec![text.to_owned()];
    }
    // After a word or a part of an address, unless that leaves the line half empty.
    let end = text[..fits].rfind([' ', ',', '&']).map(|at| at + 1);
    let end = end.filter(|end| *end > fits / 2).unwrap_or(fits);
    let (line, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let fits = fitting(rest, second);
    let rest = match fits == rest.len() {
        true => rest.to_owned(),
        false => format!("{}…", &rest[..fitting(rest, second.saturating_sub(1))]),
    };
    vec![line.trim_end().to_owned(), rest]
}

/// How many bytes of a text this many characters of a monospaced font have room for.
fn fitting(text: &str, room: usize) -> usize {
    // The signs of East Asia, and pictures, are twice as wide.
    let wide =
        |c: char| matches!(c, '\u{1100}'..) && !matches!(c, '\u{2000}'..='\u{2e7f}');
    let mut used = 0;
    let over = text.char_indices().find(|(_, c)| {
        used += if wide(*c) { 2 } else { 1 };
        used > room
    });
    over.map_or(text.len(), |(at, _)| at)
}
