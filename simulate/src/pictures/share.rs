/*!
The canary's share over time: what was asked for, and what it served, as far as so many requests tell.
*/
use plotters::prelude::*;
use serin_policy::Weight;
use serin_policy::evidence::as_f64;

use super::{BLACK, BLUE, CHART, SKY, axes, legend, mark_steps, minutes, picture};
use crate::figures::wilson;
use crate::report::Example;
use serin_rollout::{History, Point};

/// About how many bands there are.
const BANDS: usize = 60;

/// What the canary served within some time, in percent of the requests.
struct Band {
    from: f64,
    to: f64,
    served: f64,
    low: f64,
    high: f64,
}

pub(super) fn draw(example: &Example) -> anyhow::Result<String> {
    let history = &example.history;
    let minutes = minutes(history);
    let bands = bands(history, &minutes);
    let wanted = wanted(history, &minutes);
    let end = minutes.last().copied().unwrap_or(1.0).max(0.1);
    let highest = wanted.iter().map(|(_, percent)| *percent).fold(0.0, f64::max);
    // A band that reaches far above is cut off.
    let reach = bands.iter().map(|band| band.high).fold(highest, f64::max).min(highest * 1.3);
    let top = (reach * 1.1).max(1.0);
    picture(&example.story(), |canvas| {
        let (left, right) = canvas.split_horizontally(CHART);
        let mut chart = ChartBuilder::on(&left)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..top)?;
        axes(&mut chart, "the canary's share of the requests", 6, &|percent| format!("{percent}%"))?;
        let cut = |percent: f64| percent.min(top);
        for Band { from, to, served, low, high } in &bands {
            let corners = [(*from, cut(*low)), (*to, cut(*high))];
            chart.plotting_area().draw(&Rectangle::new(corners, SKY.mix(0.4).filled()))?;
            let line = vec![(*from, cut(*served)), (*to, cut(*served))];
            chart.plotting_area().draw(&PathElement::new(line, BLUE.stroke_width(2)))?;
        }
        mark_steps(&chart, history, (0.0, top))?;
        chart.draw_series(LineSeries::new(wanted, BLACK.stroke_width(2)))?;
        let meanings = [
            (BLACK.stroke_width(2), "asked for".to_owned()),
            (BLUE.stroke_width(2), "served".to_owned()),
            (SKY.mix(0.4).stroke_width(12), "95% interval of that".to_owned()),
        ];
        legend(&right, &meanings)
    })
}

/// The share that is asked for, as a line of steps.
fn wanted(history: &History, minutes: &[f64]) -> Vec<(f64, f64)> {
    let mut since = 0.0;
    let mut line = Vec::new();
    for (point, minute) in history.points.iter().zip(minutes) {
        let percent = point.weight.share() * 100.0;
        line.extend([(since, percent), (*minute, percent)]);
        since = *minute;
    }
    line
}

/// What was served, of as many looks together as can be told apart, at one weight each.
fn bands(history: &History, minutes: &[f64]) -> Vec<Band> {
    let looks = history.points.len().div_ceil(BANDS).max(1);
    let since = [0.0].into_iter().chain(minutes.iter().copied());
    let points: Vec<_> = history.points.iter().zip(since.zip(minutes)).collect();
    let at_one_weight = points
        .chunk_by(|(one, _), (other, _)| one.weight == other.weight)
        .filter(|points| points.first().is_some_and(|(point, _)| point.weight > Weight::ZERO));
    at_one_weight.flat_map(|points| points.chunks(looks)).filter_map(band).collect()
}

fn band(points: &[(&Point, (f64, &f64))]) -> Option<Band> {
    let (_, (from, _)) = points.first()?;
    let (_, (_, to)) = points.last()?;
    let canary = points.iter().map(|(point, _)| point.canary).sum();
    let all = points.iter().map(|(point, _)| point.canary + point.stable).sum();
    if all == 0 {
        return None;
    }
    let (low, high) = wilson(canary, all);
    let percent = |share: f64| share * 100.0;
    let served = percent(as_f64(canary) / as_f64(all));
    Some(Band { from: *from, to: **to, served, low: percent(low), high: percent(high) })
}
