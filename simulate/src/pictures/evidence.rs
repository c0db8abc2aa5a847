/*!
What each test adds to the evidence against the canary, on a logarithmic axis.
*/
use plotters::prelude::*;

use super::{
    BLACK, BLUE, CHART, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, axes, legend, mark_steps, minutes,
    picture,
};
use crate::report::Example;
use serin_rollout::{Grouped, History, Point};

/// What has lost more than this is drawn no lower: ten-thousandth parts.
const LOWEST: f64 = -4.0;
/// A test that has never won so much, as a logarithm, is one of the others.
const SOMETHING: f64 = 0.2;
const COLOURS: [RGBColor; 6] = [VERMILION, BLUE, ORANGE, GREEN, PURPLE, SKY];

/// Where a line is, in minutes and decimal logarithms; none where a test does not count.
type Line = Vec<(f64, Option<f64>)>;

pub(super) fn draw(example: &Example) -> anyhow::Result<String> {
    let history = &example.history;
    let minutes = minutes(history);
    let end = minutes.last().copied().unwrap_or(1.0).max(0.1);
    let together: Line = minutes
        .iter()
        .zip(&history.points)
        .map(|(minute, point)| (*minute, point.evidence.map(log10)))
        .collect();
    let needed = log10(history.needed);
    let highest = together.iter().filter_map(|(_, height)| *height).fold(needed, f64::max);
    let top = highest.ceil() + 1.0;
    let (told, others) = tests(history, &minutes);
    picture(&format!("{}: the evidence against it", example.story()), |canvas| {
        let (left, right) = canvas.split_horizontally(CHART);
        let mut chart = ChartBuilder::on(&left)
            .x_label_area_size(44)
            .y_label_area_size(84)
            .build_cartesian_2d(0.0..end, LOWEST..top)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few powers of ten")]
        let powers = (top - LOWEST) as usize + 1;
        axes(&mut chart, "evidence against the canary (log)", powers, &|power| odds(*power))?;
        mark_steps(&chart, history, (LOWEST, top))?;
        let area = chart.plotting_area();
        let draw = |line: &Line, style: ShapeStyle| -> anyhow::Result<()> {
            for part in line.chunk_by(|one, other| one.1.is_some() == other.1.is_some()) {
                let points: Vec<_> = part
                    .iter()
                    .filter_map(|(minute, height)| Some((*minute, height.as_ref()?.clamp(LOWEST, top))))
                    .collect();
                area.draw(&PathElement::new(points, style))?;
            }
            Ok(())
        };
        for line in &others {
            draw(line, GREY.stroke_width(1))?;
        }
        for ((_, line), colour) in told.iter().zip(COLOURS) {
            draw(line, colour.stroke_width(2))?;
        }
        draw(&together, BLACK.stroke_width(3))?;
        draw(&vec![(0.0, Some(needed)), (end, Some(needed))], BLACK.stroke_width(1))?;
        let mut meanings = vec![(BLACK.stroke_width(3), "all tests together".to_owned())];
        meanings
            .extend(told.into_iter().zip(COLOURS).map(|((name, _), colour)| (colour.stroke_width(2), name)));
        meanings.extend((!others.is_empty()).then(|| (GREY.stroke_width(1), "the other tests".to_owned())));
        meanings.push((BLACK.stroke_width(1), format!("taken back at {}", odds(needed))));
        legend(&right, &meanings)
    })
}

/// The tests that have won something, the one that won the most first, each with its name; and all others.
fn tests(history: &History, minutes: &[f64]) -> (Vec<(String, Line)>, Vec<Line>) {
    let (mut told, mut others) = (Vec::new(), Vec::new());
    for (i, kind) in history.tests.iter().enumerate() {
        let height = |point: &Point| point.won.get(i).copied().flatten().map(log10);
        let line: Line =
            minutes.iter().zip(&history.points).map(|(minute, point)| (*minute, height(point))).collect();
        let heights = || line.iter().filter_map(|(_, height)| *height);
        let Some(first) = heights().next() else { continue };
        let highest = heights().fold(first, f64::max);
        if highest > first + SOMETHING {
            told.push((highest, kind.to_string(), line));
        } else {
            others.push(line);
        }
    }
    told.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
    let rest = told.split_off(told.len().min(COLOURS.len()));
    others.extend(rest.into_iter().map(|(_, _, line)| line));
    (told.into_iter().map(|(_, name, line)| (name, line)).collect(), others)
}

fn log10(ln: f64) -> f64 {
    ln / std::f64::consts::LN_10
}

/// `100`, `1/100`: what evidence is worth, from its decimal logarithm.
fn odds(power: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few powers of ten")]
    let times = Grouped(10_f64.powf(power.abs()).round() as u64);
    if power < -0.01 { format!("1/{times}") } else { times.to_string() }
}
