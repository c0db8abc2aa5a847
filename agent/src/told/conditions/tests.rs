//! Conditions, and what the documentation says of them.

use std::collections::BTreeMap;
use std::path::Path;

use serin_policy::Weight;
use serin_release::delivery::PromotionMode;
use serin_rollout::{Event, Outcome};

use super::*;
use crate::journal::DeedKind;

fn facts(phase: ReleasePhase) -> Facts<'static> {
    Facts {
        rejection: None,
        in_order: "the spec is in order",
        phase,
        failed: false,
        verdict: None,
        undone: None,
        reasons: &[],
        obstacles: &[],
        message: "as it is",
    }
}

/// The conditions of `facts` in short: `+` for true, `-` for false, `?` for unknown, and the reason.
#[track_caller]
fn check(facts: &Facts<'_>, expected: &str) {
    let mut conditions = Vec::new();
    facts.show(&mut conditions, Some(1), Timestamp::UNIX_EPOCH);
    let found: Vec<_> = conditions
        .iter()
        .map(|Condition { type_, status, reason, .. }| {
            let sign = match status.as_str() {
                "True" => '+',
                "False" => '-',
                _ => '?',
            };
            format!("{sign}{type_}:{reason}")
        })
        .collect();
    assert_eq!(found.join(" "), expected);
}

#[test]
fn a_release_with_nothing_under_way_is_ready() {
    check(
        &facts(ReleasePhase::Idle),
        "+Accepted:Accepted +Ready:Idle +Routed:RoutesInPlace -Progressing:Idle +Healthy:NothingWrong",
    );
    check(
        &facts(ReleasePhase::Promoted),
        "+Accepted:Accepted +Ready:Promoted +Routed:RoutesInPlace -Progressing:Promoted +Healthy:NothingWrong",
    );
}

#[test]
fn whether_a_run_ends_well_is_unknown_while_it_is_under_way() {
    let verdict = Some((VerdictStatus::NotEnoughData, "not enough data yet"));
    check(
        &Facts { verdict, ..facts(ReleasePhase::Progressing) },
        "+Accepted:Accepted ?Ready:Progressing +Reconciling:Progressing +Routed:RoutesInPlace \
         +Progressing:Progressing ?Healthy:NotEnoughData",
    );
    check(
        &facts(ReleasePhase::Preparing),
        "+Accepted:Accepted ?Ready:Preparing +Reconciling:Preparing +Routed:RoutesInPlace +Progressing:Preparing \
         ?Healthy:Preparing",
    );
}

#[test]
fn what_comes_by_itself_or_by_a_word_holds_a_run_and_does_not_stall_it() {
    let weight = Weight::from_ppm(100_000).unwrap();
    for (hold, name) in [
        (Hold::AwaitsRequests { need: 100 }, "AwaitsRequests"),
        (Hold::AwaitsApproval { step: 1, of: 2, weight }, "AwaitsApproval"),
    ] {
        let verdict = Some((VerdictStatus::Pass, "healthy"));
        check(
            &Facts { verdict, reasons: &[hold.into()], ..facts(ReleasePhase::Progressing) },
            &format!(
                "+Accepted:Accepted ?Ready:Progressing +Reconciling:Progressing +Routed:RoutesInPlace \
                 -Progressing:{name} +Healthy:Pass"
            ),
        );
    }
}

#[test]
fn a_promotion_that_somebody_has_undone_is_neither_ready_nor_healthy() {
    check(
        &Facts { undone: Some("argocd-controller has given v1"), ..facts(ReleasePhase::Idle) },
        "+Accepted:Accepted -Ready:StableReplaced +Stalled:StableReplaced +Routed:RoutesInPlace -Progressing:Idle \
         ?Healthy:StableReplaced",
    );
}

#[test]
fn what_somebody_must_mend_stalls_a_run() {
    check(
        &Facts { reasons: &[Hold::StableDown.into()], ..facts(ReleasePhase::Progressing) },
        "+Accepted:Accepted -Ready:StableDown +Stalled:StableDown +Routed:RoutesInPlace -Progressing:StableDown \
         -Healthy:StableDown",
    );
    let why = "another VirtualService has the host".to_owned();
    check(
        &Facts {
            reasons: &[Hold::Blocked { why: why.clone() }.into()],
            obstacles: std::slice::from_ref(&why),
            ..facts(ReleasePhase::Progressing)
        },
        "+Accepted:Accepted -Ready:Blocked +Stalled:Blocked -Routed:RoutesNotInPlace -Progressing:Blocked \
         +Healthy:NothingWrong",
    );
    check(
        &Facts { obstacles: &[why], ..facts(ReleasePhase::Idle) },
        "+Accepted:Accepted -Ready:RoutesNotInPlace +Stalled:RoutesNotInPlace -Routed:RoutesNotInPlace \
         -Progressing:Idle +Healthy:NothingWrong",
    );
}

#[test]
fn a_release_that_goes_back_progresses_and_is_not_ready_then_or_afterwards() {
    let failed = |phase| Facts { failed: true, ..facts(phase) };
    check(
        &failed(ReleasePhase::RollingBack),
        "+Accepted:Accepted -Ready:RollingBack +Reconciling:RollingBack +Routed:RoutesInPlace \
         +Progressing:RollingBack -Healthy:RolledBack",
    );
    check(
        &failed(ReleasePhase::RolledBack),
        "+Accepted:Accepted -Ready:RolledBack +Stalled:RolledBack +Routed:RoutesInPlace -Progressing:RolledBack \
         -Healthy:RolledBack",
    );
    check(
        &facts(ReleasePhase::Aborted),
        "+Accepted:Accepted -Ready:Aborted +Stalled:Aborted +Routed:RoutesInPlace -Progressing:Aborted \
         +Healthy:NothingWrong",
    );
    let waits = [Hold::AwaitsProxies { revision: 3, proxies: Vec::new() }.into()];
    check(
        &Facts { reasons: &waits, ..facts(ReleasePhase::RollingBack) },
        "+Accepted:Accepted -Ready:RollingBack +Reconciling:RollingBack +Routed:RoutesInPlace \
         +Progressing:RollingBack +Healthy:NothingWrong",
    );
}

#[test]
fn a_spec_that_makes_no_sense_stalls_a_run_and_says_nothing_of_its_routes() {
    let rejection = Rejection::InvalidSpec("spec.analysis.interval: 1ms: give 100ms to 5m".to_owned());
    let obstacles = [rejection.text().to_owned()];
    check(
        &Facts { rejection: Some(&rejection), obstacles: &obstacles, ..facts(ReleasePhase::Progressing) },
        "-Accepted:InvalidSpec -Ready:InvalidSpec +Stalled:InvalidSpec +Routed:RoutesInPlace \
         +Progressing:Progressing +Healthy:NothingWrong",
    );
}

#[test]
fn a_release_that_is_not_driven_keeps_what_was_known() {
    let mut conditions = Vec::new();
    facts(ReleasePhase::Progressing).show(&mut conditions, Some(1), Timestamp::UNIX_EPOCH);
    let rejection = Rejection::NotAdmitted("another Release has the host".to_owned());
    reject(&mut conditions, &rejection, Some(2), Timestamp::UNIX_EPOCH);
    let generations: BTreeMap<_, _> =
        conditions.iter().map(|found| (found.type_.as_str(), found.observed_generation)).collect();
    let expected = [
        ("Accepted", Some(2)),
        ("Healthy", Some(1)),
        ("Progressing", Some(1)),
        ("Ready", Some(2)),
        ("Routed", Some(1)),
        ("Stalled", Some(2)),
    ];
    assert_eq!(generations, BTreeMap::from(expected));
}

#[test]
fn what_passes_by_itself_stalls_nothing() {
    let mut conditions = Vec::new();
    let mut after = |rejection: &Rejection| {
        reject(&mut conditions, rejection, Some(1), Timestamp::UNIX_EPOCH);
        let told = |found: &Condition| format!("{}={}", found.type_, found.status);
        conditions.iter().map(told).collect::<Vec<_>>().join(" ")
    };
    let why = || "its pods start".to_owned();
    let waits = "Accepted=False Ready=Unknown Reconciling=True";
    assert_eq!(after(&Rejection::NotYetAdmitted(why())), waits);
    assert_eq!(after(&Rejection::NotAdmitted(why())), "Accepted=False Ready=False Stalled=True");
    assert_eq!(after(&Rejection::NotYetAdmitted(why())), waits);
}

#[test]
fn a_condition_has_its_time_from_its_last_change_of_status() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut conditions = Vec::new();
    let mut since = |phase, second| {
        facts(phase).show(&mut conditions, Some(second), at(second));
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
        (ready.reason.clone(), ready.observed_generation, ready.last_transition_time.0.as_second())
    };
    assert_eq!(since(ReleasePhase::Preparing, 1), ("Preparing".to_owned(), Some(1), 1));
    assert_eq!(since(ReleasePhase::Starting, 2), ("Starting".to_owned(), Some(2), 1));
    assert_eq!(since(ReleasePhase::Promoted, 3), ("Promoted".to_owned(), Some(3), 3));
}

/// A status as others read it; [`the_statuses_that_others_read`] says of what.
fn status(facts: &Facts<'_>) -> serde_json::Value {
    let mut conditions = Vec::new();
    facts.show(&mut conditions, Some(2), Timestamp::UNIX_EPOCH);
    serde_json::json!({
        "observedGeneration": 2,
        "phase": facts.phase,
        "message": facts.message,
        "conditions": conditions,
    })
}

/// By these, what reads a status is tested: Argo CD's health check, in `tests/installed`.
#[test]
fn the_statuses_that_others_read() {
    use ReleasePhase::{Idle, Keeping, Progressing, Promoting, RolledBack, RollingBack, Starting};
    let mut statuses: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for phase in ReleasePhase::ALL {
        let failed = matches!(phase, RolledBack | RollingBack);
        statuses.insert(phase.as_str().to_owned(), status(&Facts { failed, ..facts(phase) }));
    }
    let weight = Weight::from_ppm(100_000).unwrap();
    let put_back = Hold::StablePutBack {
        run: "v2".to_owned(),
        by_run: "v1".to_owned(),
        by: Some("argocd-controller".to_owned()),
    };
    let holds = [
        (Progressing, Hold::Paused { by: "anna".to_owned() }),
        (Progressing, Hold::Suspended),
        (Progressing, Hold::AwaitsApproval { step: 1, of: 2, weight }),
        (Starting, Hold::AwaitsCutover),
        (Keeping, Hold::AwaitsCleanup),
        (Promoting, Hold::HandingOver { mode: PromotionMode::Wait, trouble: None }),
        (Progressing, Hold::AwaitsRequests { need: 100 }),
        (Progressing, Hold::StableDown),
        (Progressing, Hold::Blocked { why: "a quota is used up".to_owned() }),
        (Promoting, put_back),
    ];
    for (phase, hold) in holds {
        let reasons = [hold.clone().into()];
        let facts = Facts { reasons: &reasons, ..facts(phase) };
        statuses.insert(format!("{} {}", phase.as_str(), hold.name()), status(&facts));
    }
    let undone = Facts { undone: Some("argocd-controller has given v1"), ..facts(Idle) };
    statuses.insert("Idle StableReplaced".to_owned(), status(&undone));
    let rejection = Rejection::InvalidSpec("spec.analysis.interval: 1ms: give 100ms to 5m".to_owned());
    let invalid = Facts { rejection: Some(&rejection), ..facts(Progressing) };
    statuses.insert("Progressing InvalidSpec".to_owned(), status(&invalid));
    insta::assert_snapshot!(serde_json::to_string_pretty(&statuses).unwrap());
}

/// The rows of the tables under `heading` in `docs/status.md`: their cells without backticks.
fn documented(heading: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/status.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

#[test]
fn every_phase_is_documented() {
    let found: Vec<_> = documented("Phases").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(found, ReleasePhase::ALL.map(ReleasePhase::as_str));
}

#[test]
fn every_condition_and_every_reason_is_documented() {
    use Kind::{Accepted, Healthy, Progressing, Ready, Reconciling, Routed, Stalled};
    let found: Vec<_> = documented("Conditions").into_iter().map(|row| row[0].clone()).collect();
    let all = [Accepted, Ready, Reconciling, Stalled, Routed, Progressing, Healthy];
    assert_eq!(found, all.map(Kind::as_str));
    let found: Vec<_> = documented("Reasons of conditions").into_iter().map(|row| row[0].clone()).collect();
    let own = [
        Why::Accepted,
        Why::InvalidSpec,
        Why::NotAdmitted,
        Why::NotYetAdmitted,
        Why::RoutesInPlace,
        Why::RoutesNotInPlace,
        Why::NothingWrong,
        Why::StableReplaced,
    ];
    let verdicts = VerdictStatus::ALL.map(Why::Verdict);
    let all: Vec<_> = own.into_iter().chain(verdicts).map(Why::as_str).collect();
    assert_eq!(found, all);
}

#[test]
fn every_event_is_documented_with_its_severity() {
    let severity = |severity| match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let awaits = |name: &str| {
        let found = Hold::AWAITS.iter().find(|(found, _)| *found == name);
        found.map_or("", |(_, awaits)| match awaits {
            Awaits::Course => "its course",
            Awaits::Others => "what comes by itself",
            Awaits::Person => "a person's word",
            Awaits::Mending => "somebody who mends it",
        })
    };
    let deeds = DeedKind::ALL.map(|kind| (kind.name(), kind.severity()));
    let all = [Event::NAMES, Hold::NAMES, Outcome::NAMES, &deeds].concat();
    let expected: Vec<_> =
        all.iter().map(|(name, is)| format!("{name} {} {}", severity(*is), awaits(name))).collect();
    let found: Vec<_> = documented("Events")
        .into_iter()
        .map(|row| {
            // Holds have a column more.
            let awaits = if row.len() == 4 { row[2].as_str() } else { "" };
            format!("{} {} {awaits}", row[0], row[1])
        })
        .collect();
    assert_eq!(found, expected);
}
