//! Rates from one look to the next.

use super::*;
use crate::cluster::style::{WIDTH, unpainted};
use crate::cluster::tree::tests::{Found, fixtures};

/// A release under way, as it is, and ten seconds later with so many requests more.
fn looks(stable: (u64, u64), canary: (u64, u64)) -> [Look; 2] {
    let (_, Found { release, .. }) =
        fixtures().into_iter().find(|(name, _)| name == "awaits-approval").unwrap();
    let view = View::of_status(&release);
    let mut later = view.clone();
    let tests = &mut later.verdict.as_mut().unwrap().tests;
    let test = tests.iter_mut().find(|test| test.name == "request-success-rate").unwrap();
    let add = |tally: &mut serin_agent::view::Tally, (of, bad): (u64, u64)| {
        tally.of = tally.of.map(|before| before + of);
        tally.bad += bad;
    };
    add(test.stable.as_mut().unwrap(), stable);
    add(&mut test.canary, canary);
    let at = Instant::now();
    [Look { at, views: vec![view] }, Look { at: at + Duration::from_secs(10), views: vec![later] }]
}

#[test]
fn a_line_says_what_each_version_gets_a_second_and_how_much_fails() {
    let [before, now] = looks((900, 0), (100, 25));
    let rows = self::rows(&before, &now);
    let plain = table(&rows, false, Paint(false));
    insta::assert_snapshot!(plain);
    assert!(plain.lines().all(|line| line.chars().count() <= WIDTH + 24), "{plain}");
    assert_eq!(unpainted(&table(&rows, true, Paint(true))), table(&rows, true, Paint(false)));
}

#[test]
fn counts_that_begin_anew_have_no_rate() {
    let [before, now] = looks((900, 0), (100, 25));
    assert!(self::rows(&now, &before)[0].stable.is_none());
    let nobody = Look { at: before.at, views: Vec::new() };
    assert!(self::rows(&nobody, &now)[0].canary.is_none());
    assert_eq!(between((5, 0), (5, 0), 1.0), Some(Rate { requests: 0.0, failing: None }));
    let mut another = now;
    another.views[0].run.as_mut().unwrap().name = "another".to_owned();
    assert!(self::rows(&before, &another)[0].canary.is_none());
}
