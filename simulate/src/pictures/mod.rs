/*!
Pictures of single releases, as SVG: the canary's share over time, what each test has won, and how those whom each step
moves fared on stable before.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which people with any kind of colour vision tell
apart; what matters most is told by the width of the line as well.
*/
mod cohorts;
mod evidence;
mod share;
#[cfg(test)]
mod tests;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use serin_policy::Weight;

use super::report::{Example, Report, short};
use super::trial::End;
use serin_rollout::{History, Point};

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Name of the file, without its ending.
    pub name: String,
    /// What is in it.
    pub svg: String,
}

impl Report {
    /// Pictures of the two examples.
    ///
    /// # Errors
    /// When one cannot be drawn, which is Serin's fault.
    pub fn pictures(&self) -> anyhow::Result<Vec<Picture>> {
        let mut pictures = Vec::new();
        for (name, example) in ["bad", "good"].into_iter().zip(&self.examples) {
            for (kind, svg) in [
                ("share", share::draw(example)?),
                ("evidence", evidence::draw(example)?),
                ("cohorts", cohorts::draw(example)?),
            ] {
                pictures.push(Picture { name: format!("{name}-{kind}"), svg });
            }
        }
        Ok(pictures)
    }
}

type Canvas<'b> = DrawingArea<SVGBackend<'b>, Shift>;

/// In pixels.
const SIZE: (u32, u32) = (960, 480);
/// Width of a chart, beside which its legend stands.
const CHART: u32 = 670;

const BLACK: RGBColor = RGBColor(0, 0, 0);
const GREY: RGBColor = RGBColor(200, 200, 200);
const DARK_GREY: RGBColor = RGBColor(90, 90, 90);
const BLUE: RGBColor = RGBColor(0, 114, 178);
const SKY: RGBColor = RGBColor(86, 180, 233);
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const PURPLE: RGBColor = RGBColor(204, 121, 167);

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK)
}

/// A canvas with a title, and `paint` below it.
fn picture(title: &str, paint: impl FnOnce(&Canvas<'_>) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let canvas = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        canvas.fill(&WHITE)?;
        canvas.draw(&Text::new(title.to_owned(), (20, 16), text(19)))?;
        paint(&canvas.margin(52, 10, 10, 16))?;
        canvas.present()?;
    }
    Ok(svg)
}

/// Lines and what they mean, one below the other.
fn legend(area: &Canvas<'_>, lines: &[(ShapeStyle, String)]) -> anyhow::Result<()> {
    for (row, (style, meaning)) in (0..).zip(lines) {
        let y = 22 + row * 26;
        area.draw(&PathElement::new(vec![(14, y), (42, y)], *style))?;
        area.draw(&Text::new(meaning.clone(), (50, y - 8), text(14)))?;
    }
    Ok(())
}

impl Example {
    /// What happened to the canary, for a title.
    fn story(&self) -> String {
        let canary = match self.fault.as_str() {
            "none" => "A good canary".to_owned(),
            fault => format!("A bad canary ({fault})"),
        };
        let minutes = minutes(&self.history);
        let begun = steps(&self.history, &minutes).next().map(|(minute, _)| minute);
        let lasted = begun.zip(minutes.last()).map(|(begun, ended)| (ended - begun) * 60.0);
        let end = match self.end {
            End::TakenBack => "taken back",
            End::Promoted => "given to everybody",
            End::Held => "still held",
        };
        lasted.map_or(canary.clone(), |seconds| format!("{canary}, {end} after {}", short(seconds)))
    }
}

/// Minutes from the first look on.
fn minutes(history: &History) -> Vec<f64> {
    let Some(first) = history.points.first() else { return Vec::new() };
    history.points.iter().map(|point| point.at.duration_since(first.at).as_secs_f64() / 60.0).collect()
}

/// Where the weight changes: the minute, and the weight from then on.
fn steps<'h>(history: &'h History, minutes: &'h [f64]) -> impl Iterator<Item = (f64, Weight)> + 'h {
    let pairs = history.points.windows(2).zip(minutes);
    pairs.filter_map(|(pair, minute)| match pair {
        [before, Point { weight, .. }] if before.weight != *weight => Some((*minute, *weight)),
        _ => None,
    })
}

/// A chart over the minutes of a run.
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A vertical line at each step, with its weight at `top`.
fn mark_steps(chart: &Chart<'_, '_>, history: &History, (bottom, top): (f64, f64)) -> anyhow::Result<()> {
    /// Labels that are closer than this, as a share of the width, would lie upon each other.
    const APART: f64 = 0.07;
    let minutes = minutes(history);
    let width = minutes.last().copied().unwrap_or_default();
    let mut labelled = f64::NEG_INFINITY;
    let area = chart.plotting_area();
    for (minute, weight) in steps(history, &minutes) {
        area.draw(&PathElement::new(vec![(minute, bottom), (minute, top)], GREY))?;
        if minute - labelled > APART * width && minute < (1.0 - APART) * width {
            let label = Text::new(weight.to_string(), (4, 2), text(13).color(&DARK_GREY));
            area.draw(&(EmptyElement::at((minute, top)) + label))?;
            labelled = minute;
        }
    }
    Ok(())
}

/// The axes of a chart whose x axis are the minutes of a run.
fn axes(
    chart: &mut Chart<'_, '_>,
    y: &str,
    y_labels: usize,
    y_label: &dyn Fn(&f64) -> String,
) -> anyhow::Result<()> {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .bold_line_style(GREY.mix(0.5))
        .x_desc("minutes from the beginning of the run")
        .y_desc(y)
        .x_label_formatter(&|minutes| format!("{minutes}"))
        .y_labels(y_labels)
        .y_label_formatter(y_label)
        .label_style(text(14))
        .axis_desc_style(text(14))
        .draw()?;
    Ok(())
}
