/*!
The steps of a Rollout: each weight with the pauses after it.
*/
use serde_json::{Value, json};
use serin_policy::Weight;
use serin_release::duration;

use super::argo_metrics::Templates;
use super::matches::{Conditions, segment};
use super::source::Source;
use crate::draft::{Draft, Fields, Node};

/// What steps become.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) steps: Option<Vec<Fields>>,
    pub(super) segments: Option<Vec<Fields>>,
    pub(super) mirror: Option<Fields>,
}

/// How long a step lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    /// Until the verdict.
    Verdict,
    Seconds(u64),
    /// Until a person says so.
    Approval,
}

const PLACE: &str = "spec.strategy.canary.steps";

/// Reads the steps, whose weights are of `most`.
pub(super) fn steps(
    found: Vec<Source>,
    most: u64,
    templates: &mut Templates<'_>,
    draft: &mut Draft,
) -> Course {
    let mut course = Course::default();
    let (mut steps, mut segments): (Vec<(Weight, Lasts)>, Vec<Fields>) = (Vec::new(), Vec::new());
    let mut mirror: Option<(Fields, Lasts)> = None;
    let mut last = Weight::ZERO;
    for (i, mut step) in found.into_iter().enumerate() {
        let place = format!("{PLACE}[{i}]");
        if let Some(weight) = step.take("setWeight") {
            // Argo's weights are whole; a share has four decimals.
            let ppm =
                weight.as_u64().and_then(|weight| (weight * u64::from(Weight::FULL.ppm())).checked_div(most));
            let share = ppm.and_then(|ppm| Weight::from_ppm(ppm.try_into().ok()?).ok());
            match share.filter(|share| *share > last) {
                Some(share) => {
                    last = share;
                    steps.push((share, Lasts::Verdict));
                }
                None => draft.leave_out(
                    format!("{place}.setWeight"),
                    &format!("{weight}: a step has more than 0 and more than the one before"),
                ),
            }
        }
        if let Some(pause) = step.take("pause") {
            match (steps.last_mut(), &mut mirror) {
                (Some((_, lasts)), _) | (None, Some((_, lasts))) => *lasts = longer(*lasts, &pause),
                (None, None) => draft.leave_out(
                    format!("{place}.pause"),
                    "nobody has the canary yet: everybody stays on stable for analysis.baseline at first",
                ),
            }
        }
        if let Some(route) = step.take("setHeaderRoute") {
            let mut route = Source::new(route);
            let name = route.take_text("name").unwrap_or_default();
            let matches = route.take_list("match");
            // Without a match Argo takes the route away.
            let place = format!("{place}.setHeaderRoute.match");
            if let Some(found) = segment(&matches, Conditions::Argo, &place, draft) {
                draft.note(format!(
                    "Header route {name} is a segment: it has the canary from the beginning to the end of a run."
                ));
                segments.push(found);
            }
        }
        if let Some(route) = step.take("setMirrorRoute") {
            match mirrored(&route).filter(|_| steps.is_empty() && mirror.is_none()) {
                Some(found) => mirror = Some((found, Lasts::Verdict)),
                None => draft.leave_out(
                    format!("{place}.setMirrorRoute"),
                    "Serin mirrors before the first weight, by methods alone, and ends it by itself: see mirror",
                ),
            }
        }
        if let Some(analysis) = step.take("analysis") {
            templates.add(&analysis, &format!("{place}.analysis"), draft);
        }
        step.tell_rest(&format!("{PLACE}[]"), &place, super::argo::FIELDS, draft);
    }
    // Two segments of one name would be refused.
    let segments: Vec<_> = segments
        .into_iter()
        .enumerate()
        .map(|(i, segment)| if i == 0 { segment } else { segment.renamed(&format!("chosen-{}", i + 1)) })
        .collect();
    if steps.is_empty() {
        draft.note("Nothing sets a weight: these are Serin's own steps.");
    } else {
        course.steps = Some(steps.into_iter().map(|(weight, lasts)| written(weight, lasts)).collect());
    }
    course.segments = (!segments.is_empty()).then_some(segments);
    course.mirror = mirror.map(|(mirror, lasts)| match lasts {
        Lasts::Seconds(seconds) => mirror.with("duration", format!("{seconds}s")),
        Lasts::Verdict => mirror,
        Lasts::Approval => {
            draft.note("Nobody says when the mirror ends: it has had its time, and enough answers.");
            mirror
        }
    });
    course
}

/// A mirror route that asks for nothing but methods. One without a match takes such a route away.
fn mirrored(route: &Value) -> Option<Fields> {
    let matches = route["match"].as_array().filter(|matches| !matches.is_empty())?;
    let method = |one: &Value| {
        let is_of_all = one["path"].is_null() || one["path"] == json!({"prefix": "/"});
        is_of_all
            .then(|| one["method"]["exact"].as_str().map(str::to_owned))
            .filter(|_| one["headers"].is_null())
    };
    let methods: Vec<_> = matches.iter().map(method).collect::<Option<_>>()?;
    // Argo's percentage is 100 where none is given; of all methods the safe ones are left.
    let percentage = route["percentage"].as_u64().unwrap_or(100);
    let mirror = Fields::default().with("percentage", percentage);
    let methods: Option<Vec<_>> = methods.into_iter().collect();
    Some(match methods {
        Some(methods) => mirror.with("methods", json!(methods)),
        None => mirror,
    })
}

fn written(weight: Weight, lasts: Lasts) -> Fields {
    let share: Node = match weight.ppm() {
        whole if whole % 10_000 == 0 => u64::from(whole / 10_000).into(),
        _ => weight.to_string().into(),
    };
    let step = Fields::default().with("setWeight", share);
    match lasts {
        Lasts::Verdict => step,
        Lasts::Seconds(seconds) => {
            step.with("pause", Fields::default().with("duration", format!("{seconds}s")))
        }
        Lasts::Approval => step.with("pause", Fields::default()),
    }
}

/// A pause on top of another: `{}`, `{duration: 1h}` or `{duration: 10}`, which is seconds.
fn longer(lasts: Lasts, pause: &Value) -> Lasts {
    let seconds = match &pause["duration"] {
        Value::Number(seconds) => seconds.as_u64(),
        Value::String(text) => text.parse().ok().or_else(|| Some(duration::parse(text).ok()?.as_secs())),
        _ => None,
    };
    match (lasts, seconds) {
        (Lasts::Approval, _) | (_, None) => Lasts::Approval,
        (Lasts::Verdict, Some(0)) => Lasts::Verdict,
        (Lasts::Verdict, Some(seconds)) => Lasts::Seconds(seconds),
        (Lasts::Seconds(before), Some(seconds)) => Lasts::Seconds(before + seconds),
    }
}
