/*!
The live view as lines of text: a pure function from how things are to what is shown, at whatever width and height.
*/
use console::Style;
use jiff::Timestamp;
use serin_policy::{Arm, Weight};

use crate::format::{clock, share, short, thousands};
use crate::progress::progress;
use crate::script;
use crate::stats::{Division, Performance};
use crate::term_line::{TermLine, WIDEST, bad, dim, good, plain, wrap};
use crate::timeline::{Entry, Kind, Timeline};
use serin_agent::standalone::View;
use serin_local::shop::Version;
use serin_rollout::Phase;

/// How things are.
#[derive(Debug)]
pub(super) struct Scene<'s> {
    pub(super) now: Timestamp,
    pub(super) seed: u64,
    pub(super) view: &'s View,
    pub(super) timeline: &'s Timeline,
    /// Since the weight last changed.
    pub(super) division: Division,
    /// Since the run began: stable, then canary.
    pub(super) versions: [(Arm, Version, Performance); 2],
    pub(super) requests: usize,
    pub(super) failed: usize,
    pub(super) moved_back: usize,
}

/// The frame for a terminal of this size, without an end to its last line.
pub(super) fn frame(scene: &Scene<'_>, width: usize, height: usize) -> String {
    let (width, height) = (width.clamp(20, WIDEST), height.saturating_sub(1).max(1));
    let mut lines = Vec::new();
    for part in [head(scene, width), progress(scene.view, width), table(scene, width)] {
        lines.extend(part);
        lines.push(String::new());
    }
    lines.push(TermLine::new(width).add(&Style::new().bold(), "what happened, and why").text);
    let foot = foot(scene, width);
    let room = height.saturating_sub(lines.len() + foot.len());
    lines.extend(journal(&scene.timeline.journal, scene.timeline.began, width, room));
    lines.extend(foot);
    lines.truncate(height);
    lines.join("\n")
}

fn head(scene: &Scene<'_>, width: usize) -> Vec<String> {
    let [(_, stable, _), (_, canary, _)] = scene.versions;
    let time = clock(scene.timeline.began, scene.now);
    let title = TermLine::new(width).add(&Style::new().bold(), "serin demo").add(&dim(), "  ");
    let what = match &scene.view.status.phase {
        Phase::Keeping(_) | Phase::Promoted => format!("{canary} is out"),
        Phase::RolledBack { .. } => format!("{canary} is off the air"),
        _ => format!("from {stable} to {canary}"),
    };
    let [users, rate] = [script::USERS, script::RATE]
        .map(|number| thousands(usize::try_from(number.get()).unwrap_or(usize::MAX)));
    let load = format!("{users} users with a cookie each, {rate} requests a second, one Envoy, one agent");
    vec![
        title.add(&plain(), &what).right(&dim(), &format!("seed {}  {time}", scene.seed)).text,
        TermLine::new(width).add(&dim(), &load).text,
    ]
}

/// Widths of the table's columns after the first.
const COLUMNS: [(&str, usize); 8] = [
    ("set", 5),
    ("of users", 10),
    ("of requests", 13),
    ("users", 7),
    ("requests", 10),
    ("errors", 8),
    ("slow", 7),
    ("p95", 9),
];

fn table(scene: &Scene<'_>, width: usize) -> Vec<String> {
    let row = |label: &str, cells: [(Style, String); 8]| {
        let mut line = TermLine::new(width).add(&plain(), &format!("{label:<10}"));
        for ((style, cell), (_, wide)) in cells.iter().zip(COLUMNS) {
            line = line.add(style, &format!("{cell:>wide$}"));
        }
        line.text
    };
    let mut lines = vec![row("", COLUMNS.map(|(title, _)| (dim(), title.to_owned())))];
    for (arm, version, seen) in scene.versions {
        let Division { users, users_on_canary, requests, served_canary } = scene.division;
        let set = scene.view.status.weight();
        let (set, of_users, of_requests) = match arm {
            Arm::Canary | Arm::Extra(_) => (set, users_on_canary, served_canary),
            Arm::Stable => (rest(set), users - users_on_canary, requests - served_canary),
        };
        let alarming = |number: usize| if number == 0 { plain() } else { bad() };
        lines.push(row(
            &format!("{version} {}", arm.as_str()),
            [
                (Style::new().bold(), set.to_string()),
                (plain(), share(of_users, users)),
                (plain(), share(of_requests, requests)),
                (plain(), thousands(seen.users)),
                (plain(), thousands(seen.requests)),
                (alarming(seen.errors), thousands(seen.errors)),
                (alarming(seen.slow), thousands(seen.slow)),
                (plain(), short(seen.p95)),
            ],
        ));
    }
    lines
}

/// What a weight leaves.
fn rest(weight: Weight) -> Weight {
    Weight::from_ppm(Weight::FULL.ppm() - weight.ppm()).unwrap_or(Weight::ZERO)
}

/// The latest entries, as many as there is room for.
fn journal(entries: &[Entry], began: Timestamp, width: usize, room: usize) -> Vec<String> {
    const MARGIN: usize = 7;
    let mut lines: Vec<String> = Vec::new();
    for entry in entries.iter().rev() {
        let (style, text) = match entry.kind {
            Kind::Decision => (plain(), entry.text.clone()),
            Kind::Success => (good(), entry.text.clone()),
            Kind::Rollback => (bad(), entry.text.clone()),
            Kind::Deed => (Style::new().cyan(), format!("operator: {}", entry.text)),
        };
        let wrapped = wrap(&text, width.saturating_sub(MARGIN));
        if lines.len() + wrapped.len() > room {
            break;
        }
        for (i, part) in wrapped.iter().enumerate().rev() {
            let margin = if i == 0 { clock(began, entry.at) } else { String::new() };
            lines
                .push(TermLine::new(width).add(&dim(), &format!("{margin:<MARGIN$}")).add(&style, part).text);
        }
    }
    lines.reverse();
    lines.resize(room, String::new());
    lines
}

fn foot(scene: &Scene<'_>, width: usize) -> Vec<String> {
    let kept = |number: usize| if number == 0 { good() } else { bad() };
    let line = TermLine::new(width)
        .add(&plain(), &format!("{} requests, failed by Serin ", thousands(scene.requests)))
        .add(&kept(scene.failed), &thousands(scene.failed))
        .add(&plain(), ", users moved back ")
        .add(&kept(scene.moved_back), &thousands(scene.moved_back));
    vec![String::new(), line.right(&dim(), "Ctrl-C stops").text]
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use serin_policy::evidence::{Allowance, Tally};

    use super::*;
    use serin_release::{Metric, Percent};
    use serin_rollout::{
        Counts, Evidence, Finding, History, Hold, Injected, Limit, Progress, Promise, Reason, Stage, Status,
        StepState, Verdict,
    };

    pub(crate) fn view(status: Status) -> View {
        let weight = status.weight();
        View {
            release: "demo/shop".to_owned(),
            steps: [1, 10, 25, 50].map(|percent| Weight::from_ppm(percent * 10_000).unwrap()).into(),
            status,
            progress: Progress {
                versions: Vec::new(),
                step: Some(3),
                of: 4,
                weight,
                elapsed: Duration::from_millis(4_500),
                duration: Some(Duration::from_secs(6)),
                have: 312,
                need: 100,
                verdict: Verdict::Pass,
                findings: vec![finding()],
                users: None,
                segments: Vec::new(),
                unjudged: Vec::new(),
                injected: Injected::default(),
                copies: None,
                forecasts: Vec::new(),
                readings: Vec::new(),
                cohorts: Vec::new(),
                assignable: None,
                draw: Evidence::default().draw(),
            },
            proxies: Vec::new(),
            counted: Counts::default(),
            stable_latency: None,
            canary_latency: None,
            history: History::default(),
            journal: VecDeque::new(),
            standing: vec![Reason::Hold(Hold::AwaitsRequests { need: 100 })],
            looked_at: None,
            trouble: None,
        }
    }

    fn finding() -> Finding {
        let stats = Tally { requests: 312, bad: 1 };
        Finding {
            metric: Metric::RequestSuccessRate,
            canary: stats,
            stable: stats,
            ratio: None,
            over: Some(-1.2),
            worse: 0.7,
            no_worse: Some(2.5),
            needed: 400_f64.ln(),
            limit: Some(Limit { share: Percent::parse("1").unwrap(), raised: None }),
            allowance: Allowance::new(1.5, 0.001),
            dispersion: 1.0,
            smallest: None,
            promise: Promise::Guaranteed,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn check(width: usize, height: usize) -> String {
        console::set_colors_enabled(false);
        let weight = Weight::from_ppm(250_000).unwrap();
        let stage = Stage::Observing { since: at(14), approved_by: None };
        let phase = Phase::Progressing(StepState { index: 2, weight, stage, paused: None, held_at: None });
        let view = view(Status { phase, ..Status::default() });
        let mut timeline = Timeline::new(at(0));
        timeline.journal = (0..12)
            .map(|second| Entry {
                at: at(second),
                kind: Kind::Decision,
                text: format!(
                    "decision {second}, which is explained in so many words that it takes two lines of some"
                ),
            })
            .collect();
        let seen = Performance {
            users: 1_490,
            requests: 12_345,
            errors: 3,
            slow: 0,
            p95: Duration::from_millis(12),
        };
        let scene = Scene {
            now: at(19),
            seed: 7,
            view: &view,
            timeline: &timeline,
            division: Division { users: 1_990, users_on_canary: 497, requests: 6_000, served_canary: 1_503 },
            versions: [(Arm::Stable, Version(1), seen), (Arm::Canary, Version(2), seen)],
            requests: 24_690,
            failed: 0,
            moved_back: 0,
        };
        let frame = frame(&scene, width, height);
        assert!(frame.lines().all(|line| line.chars().count() <= width), "too wide for {width}:\n{frame}");
        assert_eq!(frame.lines().count(), height - 1, "not as high as {height}:\n{frame}");
        frame
    }

    #[test]
    fn a_frame_fits_its_terminal() {
        insta::assert_snapshot!(check(80, 24));
        for (width, height) in [(120, 40), (60, 20), (40, 16), (20, 5), (200, 100)] {
            check(width, height);
        }
    }
}
