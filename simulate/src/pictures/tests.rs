//! What can be read off a picture without eyes.
use super::*;
use crate::{Change, Fault, Life, Named, Scenario};
use std::num::NonZeroU32;

fn report() -> Report {
    let Named { traffic, .. } = Named::find("independent").unwrap();
    let scenario = Scenario {
        release: serin_release::Release::from_yaml(crate::DEFAULT_RELEASE).unwrap(),
        traffic,
        life: Life::default(),
        fault: Fault { errors: Change::Times(10.0), ..Fault::NONE },
        runs: NonZeroU32::MIN,
        seed: 7,
        interval: None,
        threshold: 5,
    };
    scenario.simulate()
}

/// The texts of a picture, in order.
fn texts(svg: &str) -> Vec<&str> {
    let lines: Vec<_> = svg.lines().collect();
    let after = |pair: &[&str]| pair.first().is_some_and(|line| line.starts_with("<text"));
    lines.windows(2).filter(|pair| after(pair)).filter_map(|pair| pair.get(1).copied()).collect()
}

#[test]
fn a_picture_says_what_it_shows() {
    let pictures = report().pictures().unwrap();
    let names: Vec<_> = pictures.iter().map(|picture| picture.name.as_str()).collect();
    assert_eq!(
        names,
        ["bad-share", "bad-evidence", "bad-cohorts", "good-share", "good-evidence", "good-cohorts"]
    );
    for (picture, expected) in pictures.iter().zip([
        &["A bad canary (errors x10), taken back after", "asked for", "minutes from the beginning"][..],
        &["the evidence against it", "all tests together", "failures, against stable", "taken back at 100"],
        &["Users of each step beside the rest", "step 1, 1%", "requests"],
        &["A good canary, given to everybody after", "asked for", "50%"],
        &["the evidence against it", "all tests together", "taken back at 100"],
        &["Users of each step beside the rest", "step 1, 1%", "requests"],
    ]) {
        let texts = texts(&picture.svg);
        for text in expected {
            assert!(
                texts.iter().any(|found| found.contains(text)),
                "{}: no {text} in {texts:?}",
                picture.name
            );
        }
    }
}

#[test]
fn what_tests_add_comes_to_the_evidence_of_all() {
    for Example { history, .. } in report().examples {
        assert!(history.points.len() > 100, "{}", history.points.len());
        for point in &history.points {
            let sum: f64 = point.won.iter().flatten().map(|won| won.exp()).sum();
            assert!((sum - point.evidence.map_or(0.0, f64::exp)).abs() <= 1e-9 * sum, "{point:?}");
        }
    }
}
