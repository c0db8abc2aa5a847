/*!
Those whom each step moves, beside the rest, while all of them were on stable.
*/
use plotters::prelude::*;

use super::{BLACK, BLUE, CHART, DARK_GREY, GREY, legend, picture, text};
use crate::report::Example;
use serin_policy::evidence::as_f64;
use serin_rollout::Grouped;

/// Ratios below and above are drawn at the edge, as decimal logarithms.
const EDGES: (f64, f64) = (-1.3, 1.3);
/// The ratios that have a label.
const LABELS: [f64; 7] = [0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 20.0];

pub(super) fn draw(example: &Example) -> anyhow::Result<String> {
    let cohorts = &example.cohorts;
    let (low, high) = EDGES;
    let height = |ratio: f64| ratio.log10().clamp(low, high);
    let count = as_f64(cohorts.len().max(1) as u64);
    picture("Users of each step beside the rest, while all were on stable", |canvas| {
        let (left, right) = canvas.split_horizontally(CHART);
        let chart = ChartBuilder::on(&left)
            .margin_top(24)
            .margin_left(84)
            .margin_bottom(56)
            .margin_right(10)
            .build_cartesian_2d(0.0..count, low..high)?;
        let area = chart.plotting_area();
        for ratio in LABELS {
            let colour = if (ratio - 1.0).abs() < f64::EPSILON { BLACK } else { GREY };
            area.draw(&PathElement::new(vec![(0.0, height(ratio)), (count, height(ratio))], colour))?;
            let label = Text::new(format!("×{ratio}"), (-48, -7), text(14));
            area.draw(&(EmptyElement::at((0.0, height(ratio))) + label))?;
        }
        for (i, cohort) in (0_u32..).zip(cohorts) {
            let x = f64::from(i) + 0.5;
            if let Some(bounds) = cohort.bounds {
                let bar = vec![(x, height(bounds.low)), (x, height(bounds.high))];
                area.draw(&PathElement::new(bar, BLUE.stroke_width(3)))?;
                area.draw(
                    &(EmptyElement::at((x, height(bounds.estimate))) + Circle::new((0, 0), 6, BLUE.filled())),
                )?;
            } else {
                let label = Text::new("no failures", (-34, -7), text(13).color(&DARK_GREY));
                area.draw(&(EmptyElement::at((x, height(0.3))) + label))?;
            }
            let weight = example.steps.get(i as usize).copied().unwrap_or_default();
            let under = EmptyElement::at((x, low))
                + Text::new(format!("step {}, {weight}", cohort.step), (-42, 10), text(14))
                + Text::new(
                    format!("{} requests", Grouped(cohort.requests)),
                    (-42, 30),
                    text(13).color(&DARK_GREY),
                );
            area.draw(&under)?;
        }
        let title = Text::new("failures, as a multiple of what the rest had (log)", (-64, -30), text(14));
        area.draw(&(EmptyElement::at((0.0, high)) + title))?;
        let meanings = [
            (BLUE.stroke_width(3), "a step's users, with 95% bounds".to_owned()),
            (BLACK.stroke_width(1), "as many as the rest had".to_owned()),
        ];
        legend(&right, &meanings)
    })
}
