//! A version beside stable and canary, from look to look.

use jiff::{SignedDuration, Timestamp};
use serin_policy::{Arm, Cohort, Extra, Policy, Weight};

use super::*;
use crate::observation::ArmCounts;
use crate::{Command, CommandKind, InForce, Observation, Plan, Proxy, ProxyState, Reason, Term, plan};

const RELEASE: &str = "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop, namespace: shop}
spec:
  service: {name: shop}
  canary: {version: v2}
  versions: [{name: v3, share: 5}]
  strategy: {canary: {steps: [{setWeight: 15, pause: {}}]}}
  analysis: {interval: 1s, minRequests: 100, baseline: 10s, warmUp: 0s}
";

const V3: Extra = Extra::ALL[0];

/// A proxy that follows pushes, and callers by the draw.
struct Site {
    release: Release,
    status: Status,
    policy: Option<Policy>,
    /// Of a hundred requests to v3, so many fail.
    failing: u64,
    now: Timestamp,
}

impl Site {
    fn new() -> Self {
        Self {
            release: Release::from_yaml(RELEASE).unwrap(),
            status: Status::default(),
            policy: None,
            failing: 0,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    /// A second of a thousand requests goes by, and then the planner looks.
    fn second(&mut self, commands: Vec<Command>) -> Plan {
        self.now += SignedDuration::from_secs(1);
        let cell = |arm, cohort, requests, errors| Cell {
            place: "gateway".to_owned(),
            drawn: Drawn::Cohort(cohort),
            arm,
            counts: ArmCounts { requests, errors, ..ArmCounts::default() },
        };
        let is_open = self.status.share_of("v3") > Weight::ZERO;
        let of_v3 = if is_open { Arm::Extra(V3) } else { Arm::Stable };
        let on_canary = self.status.weight() > Weight::ZERO;
        let of_step = if on_canary { Arm::Canary } else { Arm::Stable };
        let counted = vec![
            cell(Arm::Stable, Cohort::Rest, 800, 4),
            cell(of_step, Cohort::Step(0), 150, 0),
            cell(of_v3, Cohort::Lane(V3), 50, if is_open { self.failing / 2 } else { 0 }),
        ];
        let in_force = self.policy.as_ref().map(|policy| InForce::of(policy, None, self.now));
        let state = |policy: &Policy| ProxyState::Runs {
            revision: policy.revision(),
            refused: None,
            has_lapsed: false,
        };
        let proxy = |policy| Proxy { name: "edge".to_owned(), state: state(policy) };
        let observation = Observation {
            in_force: in_force.unwrap_or(InForce::Nothing),
            proxies: self.policy.iter().map(proxy).collect(),
            counted,
            commands,
            ..Observation::default()
        };
        let planned = plan(&self.release, &self.status, &observation, self.now);
        let json = serde_json::to_string(&planned.status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), planned.status, "{json}");
        self.status = planned.status.clone();
        if planned.push.is_some() {
            let spec = self.status.policy(&self.release);
            self.policy = Some(Policy::compile(spec, serin_policy::Place::default()).unwrap());
        }
        planned
    }

    /// Seconds go by until `is_so` of the plan; says how many.
    fn until(&mut self, is_so: impl Fn(&Plan) -> bool) -> u32 {
        (1..200).find(|_| is_so(&self.second(Vec::new()))).expect("it happens within 200 s")
    }

    fn third(&self) -> VersionProgress {
        self.status.progress(&self.release, self.now).versions.remove(0)
    }
}

fn says(code: &'static str) -> impl Fn(&Plan) -> bool {
    move |planned| planned.reasons.iter().any(|reason| reason.code() == code)
}

#[test]
fn a_version_has_its_baseline_is_taken_back_alone_when_it_is_bad_and_comes_again_at_a_word() {
    let mut site = Site::new();
    let opened_after = site.until(says("version-opened"));
    assert!((11..=14).contains(&opened_after), "{opened_after} s");
    site.until(|planned| planned.status.weight() > Weight::ZERO);
    (0..100).for_each(|_| assert!(!says("version-taken-back")(&site.second(Vec::new()))));
    assert_eq!((site.third().weight, site.third().verdict), (site.third().share, Some(Verdict::Pass)));

    site.failing = 20;
    let caught_after = site.until(says("version-taken-back"));
    assert!(caught_after < 20, "{caught_after} s");
    let told = site.third().because();
    assert!(told.starts_with("taken back: v3 failed") && !told.contains("canary"), "{told}");
    assert_eq!(site.third().weight, Weight::ZERO);
    let planned = site.second(Vec::new());
    assert_eq!(planned.status.weight(), site.release.steps[0].weight, "nobody else is moved");
    (0..30).for_each(|_| assert_eq!(site.second(Vec::new()).push, None, "it stays so"));

    site.failing = 0;
    let retry = Command { kind: CommandKind::Retry, by: "ann".to_owned(), person: None };
    assert!(says("retried")(&site.second(vec![retry])));
    site.until(says("version-opened"));
    assert_eq!(site.status.weight(), site.release.steps[0].weight);
}

#[test]
fn a_share_that_is_edited_is_obeyed_at_once_and_what_was_taken_back_begins_anew() {
    let mut site = Site::new();
    site.until(says("version-opened"));
    site.release = Release::from_yaml(&RELEASE.replace("share: 5", "share: 10")).unwrap();
    let planned = site.second(Vec::new());
    assert!(planned.push.is_some() && !says("version-opened")(&planned));
    assert_eq!(site.third().weight.ppm(), 100_000);

    site.failing = 40;
    site.until(says("version-taken-back"));
    site.failing = 0;
    site.release = Release::from_yaml(RELEASE).unwrap();
    site.second(Vec::new());
    assert_eq!(site.third().verdict, None, "it has its baseline again");
    site.until(says("version-opened"));

    // Another version is judged by nothing that this one has shown.
    let other = RELEASE.replace("share: 5", "share: 5, version: v3.1");
    site.release = Release::from_yaml(&other).unwrap();
    site.second(Vec::new());
    assert_eq!(site.third().weight, Weight::ZERO);

    site.release = Release::from_yaml(&RELEASE.replace("name: v3, share: 5", "name: v4, share: 5")).unwrap();
    site.second(Vec::new());
    assert!(site.status.versions.of("v3").is_none() && site.third().name == "v4");
}

#[test]
fn a_new_run_of_the_canary_moves_nobody_of_another_version() {
    let mut site = Site::new();
    site.until(says("version-opened"));
    site.release = Release::from_yaml(&RELEASE.replace("version: v2", "version: v2.1")).unwrap();
    let planned = site.second(Vec::new());
    assert!(says("new-run")(&planned));
    assert_eq!(site.third().weight, site.third().share);
}

#[test]
fn nobody_is_left_on_a_version_whose_agent_is_gone() {
    let mut site = Site::new();
    site.until(says("version-opened"));
    assert!(matches!(site.second(Vec::new()).term, Term::For(_)));
    let abort = Command { kind: CommandKind::Abort, by: "ann".to_owned(), person: None };
    let planned = site.second(vec![abort]);
    assert!(planned.status.is_closed() && matches!(planned.term, Term::For(_)), "{:?}", planned.term);
    assert_eq!(site.third().weight, site.third().share);
    assert!(planned.reasons.iter().all(|reason| !matches!(reason, Reason::Hold(_))), "{planned:?}");
}

#[test]
fn the_chance_of_a_false_alarm_is_shared_by_all_that_are_judged() {
    let release = Release::from_yaml(RELEASE).unwrap();
    let alone = Release::from_yaml(&RELEASE.replace("  versions: [{name: v3, share: 5}]\n", "")).unwrap();
    let more = release.analysis.needed() - alone.analysis.needed();
    assert!((more - 2.0_f64.ln()).abs() < 1e-9, "{more}");
}
