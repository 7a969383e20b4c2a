//! Curves as SVG, with the points where two of them meet.

use std::{fmt::Write, fs};

use anyhow::Result;

use super::{
    chapter::{folder, write_between},
    figure::Figure,
    plot::{STYLE, escape},
};
use crate::language::Language;

/// One curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// What stands at its end.
    pub label: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// The smallest and the largest at points, as `(x, smallest, largest)`.
    pub ranges: Vec<(f64, f64, f64)>,
    /// Where it meets the first curve.
    pub meets: Option<f64>,
}

impl Curve {
    /// A curve of medians, each with its range.
    #[must_use]
    pub fn ranged(label: &str, figures: Vec<(f64, Figure)>) -> Self {
        let points = figures.iter().map(|(x, figure)| (*x, figure.median)).collect();
        let ranges = figures.into_iter().map(|(x, it)| (x, it.min, it.max)).collect();
        Self { label: label.to_owned(), points, ranges, meets: None }
    }
}

/// A plot of curves over one axis.
#[derive(Clone, Debug)]
pub struct Curves {
    /// What the curves show, and in which unit.
    pub title: String,
    /// What the axis from left to right says.
    pub axis: String,
    /// The curves; the others are compared with the first.
    pub curves: Vec<Curve>,
    /// The language of its numbers.
    pub language: Language,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;
/// The least distance between the labels of two curves.
const LINE: f64 = 18.0;

/// What tells the curves apart, besides their labels.
const STROKES: [&str; 4] = ["", "7 4", "2 4", "12 4 2 4"];

/// Writes text, and the plots below it, between the markers of a chapter in each language.
///
/// # Errors
/// When the chapter or a plot cannot be written.
pub(super) fn write_with_plots(
    chapter: &str,
    markers: &str,
    text: impl Fn(Language) -> String,
    plots: impl Fn(Language) -> Vec<(&'static str, Curves)>,
) -> Result<()> {
    for language in Language::ALL {
        for (file, curves) in plots(language) {
            let images = folder(language).join("images");
            fs::write(images.join(file).with_extension("svg"), curves.svg())?;
        }
    }
    write_between(chapter, markers, |language| {
        let mut text = text(language).trim_end().to_owned() + "\n";
        for (file, curves) in plots(language) {
            text += &format!("\n![{}](images/{file}.svg)\n", curves.description());
        }
        text
    })
}

impl Curves {
    /// The plot in words: where the curves begin, end and meet.
    #[must_use]
    pub fn description(&self) -> String {
        let curves = self.curves.iter().filter_map(|curve| {
            let ((_, first), (_, last)) = (curve.points.first()?, curve.points.last()?);
            let (first, last) =
                (self.language.number(*first), self.language.number(*last));
            let meets = curve.meets.map_or(String::new(), |at| {
                format!(
                    ", {} {}",
                    self.language
                        .say("autant que la première à", "as much as the first at"),
                    self.language.number(at)
                )
            });
            Some(format!("{} {first}–{last}{meets}", curve.label))
        });
        let (colon, semicolon) =
            (self.language.say("\u{a0}: ", ": "), self.language.say("\u{a0}; ", "; "));
        format!("{}{colon}{}", self.title, curves.collect::<Vec<_>>().join(semicolon))
    }

    /// The picture.
    #[must_use]
    pub fn svg(&self) -> String {
        let text = escape(&self.description());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{text}\">\n\
             <title>{text}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n\
             <text class=\"title\" x=\"16\" y=\"26\">{}</text>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>\n",
            escape(&self.title),
            f64::midpoint(LEFT, WIDTH - RIGHT),
            HEIGHT - 14.0,
            escape(&self.axis),
        );
        self.frame(&mut svg);
        let mut ends: Vec<(f64, &str)> = Vec::new();
        for (curve, dashes) in self.curves.iter().zip(STROKES.iter().cycle()) {
            let points: Vec<String> = curve
                .points
                .iter()
                .map(|&(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline class=\"curve\" stroke-dasharray=\"{dashes}\" points=\"{}\"/>",
                points.join(" "),
            );
            for &(x, min, max) in &curve.ranges {
                let (x, min, max) = (self.x(x), self.y(min), self.y(max));
                let _ = writeln!(
                    svg,
                    "<line class=\"whisker\" x1=\"{x:.1}\" x2=\"{x:.1}\" \
                     y1=\"{min:.1}\" y2=\"{max:.1}\"/>"
                );
            }
            if let Some(&(_, last)) = curve.points.last() {
                ends.push((self.y(last), &curve.label));
            }
            if let (Some(x), Some(first)) = (curve.meets, self.curves.first()) {
                let y = at(&first.points, x).unwrap_or_default();
                let _ = writeln!(
                    svg,
                    "<circle class=\"own\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"/>",
                    self.x(x),
                    self.y(y),
                );
            }
        }
        // From the axis up: what is below it is the axis's own.
        ends.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut below = HEIGHT - BOTTOM + LINE;
        for (y, label) in ends {
            below = y.min(below - LINE);
            let _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT + 10.0,
                below + 5.0,
                escape(label),
            );
        }
        svg + "</svg>\n"
    }

    /// The axes, with four steps each.
    fn frame(&self, svg: &mut String) {
        let (largest_x, largest_y) = (self.largest(|point| point.0), self.largest_y());
        for step in 0..=4 {
            let share = f64::from(step) / 4.0;
            let (x, y) = (largest_x * share, largest_y * share);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
                 <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                WIDTH - RIGHT,
                self.y(y),
                self.y(y),
                LEFT - 8.0,
                self.y(y) + 5.0,
                self.language.thousands(y),
                self.x(x),
                HEIGHT - BOTTOM + 20.0,
                self.language.thousands(x),
            );
        }
    }

    fn largest(&self, of: impl Fn(&(f64, f64)) -> f64) -> f64 {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        points.map(of).fold(f64::MIN_POSITIVE, f64::max)
    }

    fn largest_y(&self) -> f64 {
        let ranges = self.curves.iter().flat_map(|curve| &curve.ranges);
        ranges.map(|range| range.2).fold(self.largest(|point| point.1), f64::max)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + value / self.largest(|point| point.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = value / self.largest_y();
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// The height of a curve at `x`, on the line between its points.
fn at(points: &[(f64, f64)], x: f64) -> Option<f64> {
    points.windows(2).find_map(|pair| {
        let [(from, low), (to, high)] = [pair[0], pair[1]];
        (from..=to).contains(&x).then(|| low + (high - low) * (x - from) / (to - from))
    })
}
