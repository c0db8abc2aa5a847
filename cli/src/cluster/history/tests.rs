//! The table of runs.

use super::*;
use crate::cluster::style::{WIDTH, unpainted};
use crate::cluster::tree::tests::{Found, fixtures};

#[test]
fn a_line_says_how_far_a_run_came_and_who_ended_it() {
    let mut runs: Vec<_> =
        fixtures().into_iter().flat_map(|(_, Found { release, .. })| PastRun::all(&release)).collect();
    runs.sort_by_key(|run| (run.started, run.run.clone()));
    let now = runs.last().unwrap().started + jiff::SignedDuration::from_mins(5);
    let plain = table(&runs, false, now, Paint(false));
    assert!(plain.lines().all(|line| line.chars().count() <= WIDTH + 20), "{plain}");
    insta::assert_snapshot!(plain);
    assert_eq!(unpainted(&table(&runs, true, now, Paint(true))), table(&runs, true, now, Paint(false)));
}
