/*!
The frame of a picture: what is where, its axes, and what it is for those who do not see it.
*/
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::numbers::Px;

/// How wide and high a picture is. It is drawn at about this size, on a telephone at two thirds.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 190.0;

const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 24.0;

/// A picture over time.
pub(super) struct Plot<'p> {
    /// What its elements are called by.
    pub(super) id: &'p str,
    /// What it shows, in a few words, and in a sentence.
    pub(super) title: &'p str,
    pub(super) description: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// The lowest and the highest value.
    pub(super) low: f64,
    pub(super) high: f64,
    /// Where the vertical axis has marks, and what they are called.
    pub(super) marks: Vec<(f64, String)>,
}

impl Plot<'_> {
    /// Where a moment is.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let whole = self.to.duration_since(self.from).as_secs_f64();
        let part = at.duration_since(self.from).as_secs_f64();
        let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Where a value is.
    pub(super) fn y(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    /// The right edge.
    pub(super) const fn right() -> f64 {
        WIDTH - RIGHT
    }

    /// The upper edge.
    pub(super) const fn top() -> f64 {
        TOP
    }

    /// The lower edge.
    pub(super) const fn bottom() -> f64 {
        HEIGHT - BOTTOM
    }

    /// A line through `points`.
    pub(super) fn line(&self, points: impl Iterator<Item = (Timestamp, f64)>) -> String {
        let mut path = String::new();
        for (at, value) in points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{command}{} {}", Px(self.x(at)), Px(self.y(value)));
        }
        path
    }

    /// The picture with its axes around `content`.
    pub(super) fn draw(&self, content: &Markup) -> Markup {
        let (bottom, right) = (Self::bottom(), Self::right());
        html! {
            svg .plot viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img"
                aria-labelledby={ (self.id) "-name " (self.id) "-says" } {
                title id={ (self.id) "-name" } { (self.title) }
                desc id={ (self.id) "-says" } { (self.description) }
                g .grid {
                    @for (value, name) in &self.marks {
                        line x1=(Px(LEFT)) x2=(Px(right)) y1=(Px(self.y(*value))) y2=(Px(self.y(*value))) {}
                        text x=(Px(LEFT - 6.0)) y=(Px(self.y(*value) + 4.0)) text-anchor="end" { (name) }
                    }
                }
                (content)
                g .grid {
                    line .axis x1=(Px(LEFT)) x2=(Px(right)) y1=(Px(bottom)) y2=(Px(bottom)) {}
                    @for (at, name, anchor) in self.times() {
                        text x=(Px(self.x(at))) y=(Px(HEIGHT - 7.0)) text-anchor=(anchor) { (name) }
                    }
                }
            }
        }
    }

    /// The moments under the horizontal axis: since the beginning.
    fn times(&self) -> Vec<(Timestamp, String, &'static str)> {
        let whole = self.to.duration_since(self.from);
        let half = self.from.checked_add(whole / 2).unwrap_or(self.to);
        let name = |at: Timestamp| since(at.duration_since(self.from));
        vec![
            (self.from, "0".to_owned(), "middle"),
            (half, name(half), "middle"),
            (self.to, name(self.to), "end"),
        ]
    }
}

/// How long after the beginning.
pub(super) fn since(time: SignedDuration) -> String {
    let seconds = time.as_secs();
    match seconds {
        ..10 => format!("{:.1} s", time.as_secs_f64().max(0.0)),
        10..120 => format!("{seconds} s"),
        120..7_200 => {
            let (minutes, rest) = (seconds / 60, seconds % 60);
            if minutes < 10 && rest > 0 {
                format!("{minutes} min {rest} s")
            } else {
                format!("{minutes} min")
            }
        }
        7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}
