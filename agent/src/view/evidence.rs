/*!
What the evidence says, test by test, each with how far it is.
*/
use serde::{Deserialize, Serialize};
use serin_policy::Arm;

use serin_release::status::{
    AnalysisStatus, InjectedStatus, MetricStatus, MetricVersion, NotJudged, Odds, RatioStatus,
    RequestsStatus, SegmentStatus, Share, Unit, UsersStatus, VerdictStatus,
};

/// What the evidence says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictView {
    /// The verdict on the present step.
    pub verdict: VerdictStatus,
    /// The same in a sentence.
    pub message: String,
    /// Requests to the canary that it goes by.
    pub requests: RequestsStatus,
    /// What each test says.
    pub tests: Vec<TestView>,
    /// What is not judged at present.
    pub not_judged: Vec<NotJudged>,
    /// Requests that met a fault on purpose, by version.
    pub injected: Vec<InjectedStatus>,
}

/// What a test says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestView {
    /// What it looks at.
    pub name: String,
    /// What it counts.
    pub counts: Counted,
    /// The canary's.
    pub canary: Tally,
    /// Stable's, where it is held against that.
    pub stable: Option<Tally>,
    /// The largest share of the canary's that may be bad at present.
    pub limit: Option<Share>,
    /// How many times stable's share of bad ones the canary's is.
    pub ratio: Option<RatioStatus>,
    /// How unlikely a good canary is to look as bad as this one.
    pub odds: Odds,
    /// How far the evidence against the canary is, from 0 to 1: it is rolled back at 1.
    pub against: f64,
    /// Whether it is only shown.
    pub dry_run: bool,
}

/// What a test counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    /// Requests.
    Requests,
    /// Readings of a metric of one's own.
    Readings,
    /// Users, who are bad where they failed for the first time.
    Users,
}

/// How many there were of something.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// How many; none where only the bad ones are known.
    pub of: Option<u64>,
    /// The bad ones among them.
    pub bad: u64,
    /// The latest value, of a metric of one's own.
    pub value: Option<f64>,
}

pub(super) fn verdict(analysis: &AnalysisStatus) -> VerdictView {
    let AnalysisStatus { verdict, message, requests, metrics, users, segments, not_judged, injected, .. } =
        analysis;
    let tests = metrics.iter().map(of_metric).chain(users.as_ref().map(of_users));
    VerdictView {
        verdict: *verdict,
        message: message.clone(),
        requests: *requests,
        tests: tests.chain(segments.iter().map(of_segment)).collect(),
        not_judged: not_judged.clone(),
        injected: injected.clone(),
    }
}

fn of_metric(metric: &MetricStatus) -> TestView {
    let of = |arm: Arm| metric.versions.iter().find(|version| version.name == arm.as_str());
    let tally =
        |version: &MetricVersion| Tally { of: Some(version.count), bad: version.bad, value: version.value };
    TestView {
        name: metric.name.clone(),
        counts: match metric.unit {
            Unit::Requests => Counted::Requests,
            Unit::Readings => Counted::Readings,
        },
        canary: of(Arm::Canary).map_or(Tally { of: Some(0), bad: 0, value: None }, tally),
        stable: of(Arm::Stable).map(tally),
        limit: metric.limit,
        ratio: metric.ratio,
        odds: metric.odds,
        against: against(metric.odds),
        dry_run: metric.dry_run,
    }
}

fn of_users(users: &UsersStatus) -> TestView {
    let tally = |bad| Tally { of: None, bad, value: None };
    TestView {
        name: "users failing first".to_owned(),
        counts: Counted::Users,
        canary: tally(users.canary_failed),
        stable: Some(tally(users.stable_failed)),
        limit: None,
        ratio: None,
        odds: users.odds,
        against: against(users.odds),
        dry_run: false,
    }
}

fn of_segment(segment: &SegmentStatus) -> TestView {
    TestView {
        name: format!("{} of {}", segment.metric, segment.segment),
        counts: Counted::Requests,
        canary: Tally { of: Some(segment.count), bad: segment.bad, value: None },
        stable: None,
        limit: segment.limit,
        ratio: None,
        odds: segment.odds,
        against: against(segment.odds),
        dry_run: false,
    }
}

/// How far it is to a rollback. Evidence grows by factors.
#[expect(clippy::cast_precision_loss, reason = "two digits count")]
pub(super) fn against(odds: Odds) -> f64 {
    let far = (odds.now.max(1) as f64).ln() / (odds.needed.max(2) as f64).ln();
    (far.clamp(0.0, 1.0) * 100.0).round() / 100.0
}
