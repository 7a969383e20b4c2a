//! Bars as SVG, readable in light and dark.

use std::fmt::Write;

use super::figure::Figure;
use crate::language::Language;

/// One bar: the median as its length, the smallest and largest as a whisker.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What stands before it.
    pub label: String,
    /// How long it is.
    pub figure: Figure,
    /// Whether it is one of the lessons, which are drawn stronger.
    pub own: bool,
}

/// A plot of bars.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What the bars show, and in which unit.
    pub title: String,
    /// Whether each step to the right multiplies.
    pub logarithmic: bool,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
    /// The language of its numbers.
    pub language: Language,
}

const WIDTH: f64 = 720.0;
const LABELS: f64 = 190.0;
const NUMBERS: f64 = 70.0;
const ROW: f64 = 26.0;
const TOP: f64 = 44.0;

/// The picture brings its own background, so that it can be read on any page.
pub(super) const STYLE: &str = "text{font:14px system-ui,sans-serif;fill:#1b1f24}\
    .title{font-weight:600;font-size:15px}.paper{fill:#fff}.bar{fill:#8fa3bf}\
    .own{fill:#1f5fbf}.whisker{stroke:#1b1f24;stroke-width:1.5}\
    .curve{fill:none;stroke:#1f5fbf;stroke-width:2.5}.grid{stroke:#d5dae1}\
    @media(prefers-color-scheme:dark){text{fill:#e6e8eb}.paper{fill:#16191d}\
    .bar{fill:#56657a}.own{fill:#5b9bff}.whisker{stroke:#e6e8eb}\
    .curve{stroke:#5b9bff}.grid{stroke:#343a42}}";

impl Plot {
    /// The plot in words: what each bar shows.
    #[must_use]
    pub fn description(&self) -> String {
        let bars = self.bars.iter().map(|bar| {
            format!("{} {}", bar.label, self.language.number(bar.figure.median))
        });
        let (colon, semicolon) =
            (self.language.say("\u{a0}: ", ": "), self.language.say("\u{a0}; ", "; "));
        format!("{}{colon}{}", self.title, bars.collect::<Vec<_>>().join(semicolon))
    }

    /// The picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let height = TOP + ROW * self.bars.len() as f64 + 12.0;
        let text = escape(&self.description());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{text}\">\n\
             <title>{text}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n\
             <text class=\"title\" x=\"16\" y=\"26\">{}</text>\n",
            escape(&self.title),
        );
        for (row, bar) in self.bars.iter().enumerate() {
            let y = TOP + ROW * row as f64;
            let [end, from, to] =
                [bar.figure.median, bar.figure.min, bar.figure.max].map(|v| self.x(v));
            let middle = y + ROW / 2.0;
            let class = if bar.own { "own" } else { "bar" };
            let _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"{class}\" x=\"{LABELS}\" y=\"{:.1}\" width=\"{:.1}\" \
                 height=\"{:.0}\" rx=\"2\"/>",
                LABELS - 10.0,
                middle + 5.0,
                escape(&bar.label),
                y + 4.0,
                (end - LABELS).max(1.0),
                ROW - 8.0,
            );
            if to > from {
                let _ = writeln!(
                    svg,
                    "<line class=\"whisker\" x1=\"{from:.1}\" x2=\"{to:.1}\" \
                     y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>"
                );
            }
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                end.max(to) + 8.0,
                middle + 5.0,
                self.language.number(bar.figure.median),
            );
        }
        svg + "</svg>\n"
    }

    /// Where a value lies, from the left.
    fn x(&self, value: f64) -> f64 {
        let largest = self.bars.iter().map(|bar| bar.figure.max).fold(0.0, f64::max);
        let smallest =
            self.bars.iter().map(|bar| bar.figure.min).fold(f64::INFINITY, f64::min);
        let share = if self.logarithmic {
            // The shortest bar still shows: it begins below the smallest value.
            let from = smallest / 2.0;
            (value / from).ln() / (largest / from).ln()
        } else {
            value / largest
        };
        LABELS + share.clamp(0.0, 1.0) * (WIDTH - LABELS - NUMBERS)
    }
}

/// Text as it stands in SVG.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
