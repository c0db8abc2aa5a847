//! The scenarios of the table in docs/verdicts.md, a few releases of each: `serin simulate --life --runs 5000` is the long version.

use super::{Bad, Good, Kind, NonZeroU32, SEED, most_of};
use crate::{Fault, Named};

/// How many good releases of each kind are played, and how many bad ones.
const RUNS: (u32, u32) = (8, 5);

/// Good versions may be taken back so often, as a share.
fn promised(name: &str) -> f64 {
    // Clients that come and go are not the same while they are watched beforehand.
    if matches!(name, "sessions" | "pollers") { 0.03 } else { 0.01 }
}

#[test]
fn good_canaries_are_taken_back_no_more_often_than_promised() {
    println!("seed {SEED}");
    let (mut taken_back, mut played) = (0, 0);
    for named in Named::all().into_iter().filter(|named| named.fault.is_none()) {
        let scenario = named.scenario(NonZeroU32::new(RUNS.0).unwrap(), SEED).unwrap();
        let good = Good::of(&scenario.plays(Kind::Serin, Fault::NONE));
        let most = most_of(RUNS.0, promised(named.name));
        println!(
            "{}: {} taken back, at most {most}; {} held",
            named.name, good.thrown_away.count, good.held.count
        );
        assert!(good.thrown_away.count <= most, "{}: {good:?}", named.name);
        assert!(good.held.count <= RUNS.0 as usize / 4, "{}: {good:?}", named.name);
        (taken_back, played) = (taken_back + good.thrown_away.count, played + RUNS.0);
    }
    // All of them together say more than each: with the 1 % of most.
    let most = most_of(played, 0.01);
    println!("{taken_back} of {played} taken back, at most {most}");
    assert!(taken_back <= most, "{taken_back} of {played}");
}

#[test]
fn bad_canaries_are_caught_about_as_often_and_as_soon_as_the_table_says() {
    println!("seed {SEED}");
    // The share that is caught at least, and the median of the seconds until then, of a hundred releases each.
    for (name, share, seconds) in [
        ("x10", 1.0, Some(39.0)),
        ("x3", 1.0, Some(468.0)),
        ("x50-clean", 1.0, Some(216.0)),
        ("x20-clean", 1.0, Some(456.0)),
        ("x10-sticky", 1.0, Some(55.0)),
        ("x10-blip", 1.0, Some(71.0)),
        ("x3-blip", 1.0, Some(600.0)),
        ("x3-late", 0.6, Some(312.0)),
        ("leak", 1.0, Some(582.0)),
        ("p99-600", 1.0, Some(156.0)),
        ("p99-300", 1.0, Some(75.0)),
        ("route", 1.0, Some(312.0)),
        // Caught soon where a user of the segment comes early, and late or never otherwise.
        ("segment", 0.2, None),
        ("unauthorized", 1.0, Some(3.0)),
        ("silent", 1.0, Some(32.0)),
    ] {
        let named = Named::find(name).unwrap();
        let scenario = named.scenario(NonZeroU32::new(RUNS.1).unwrap(), SEED).unwrap();
        let bad = Bad::of(&scenario.plays(Kind::Serin, named.fault.unwrap()));
        println!("{name}: {} of {} caught, {:?}", bad.caught.count, bad.caught.of, bad.seconds);
        assert!(bad.caught.share() >= share, "{name}: {bad:?}");
        let Some(seconds) = seconds else { continue };
        let median = bad.seconds.unwrap().median;
        assert!((seconds / 3.0..=seconds * 3.0).contains(&median), "{name}: {median} s, not {seconds} s");
    }
}
