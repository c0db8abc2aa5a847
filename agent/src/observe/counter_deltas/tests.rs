//! What is new, and what is not.

use super::*;

const RELEASE: &str = "shop/shop";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A sample in which the canary's first cohort has had `good` answers below 500 and `bad` above.
fn sample(uptime_s: u64, good: u64, bad: u64) -> Sample {
    let key = |class: &str| SeriesKey {
        tag: "shop/shop/canary/step-1".to_owned(),
        metric: "serin_rq".to_owned(),
        class: class.to_owned(),
    };
    let totals = [(key("2xx"), good), (key("5xx"), bad)];
    let totals = totals.into_iter().filter(|&(_, total)| total > 0).collect();
    Sample { uptime_s, totals, ..Sample::default() }
}

/// Records one sample after another, each a second later, and says what was new: requests and errors.
fn check(samples: &[Sample], expected: &[(u64, u64)]) {
    let mut deltas = CounterDeltas::default();
    for (second, (sample, &expected)) in (100..).zip(samples.iter().zip(expected)) {
        let news = deltas.record_proxy("a", RELEASE, sample, at(second));
        deltas.looked(at(second));
        let sum = news.iter().fold((0, 0), |sum, (_, new)| (sum.0 + new.requests, sum.1 + new.errors));
        assert_eq!(sum, expected, "at {second}");
    }
}

#[test]
fn the_past_of_a_proxy_that_was_there_before_us_is_left_out() {
    check(&[sample(500, 1000, 50), sample(501, 1010, 50)], &[(0, 0), (10, 0)]);
}

#[test]
fn a_series_born_with_the_first_error_counts_from_its_first_value() {
    check(&[sample(500, 10, 0), sample(501, 10, 3)], &[(0, 0), (3, 3)]);
}

#[test]
fn a_proxy_that_started_again_counts_from_zero() {
    check(&[sample(500, 10, 1), sample(1, 12, 2), sample(2, 13, 2)], &[(0, 0), (14, 2), (1, 0)]);
    // Its uptime stood still all the while.
    check(&[sample(0, 10, 1), sample(0, 7, 0), sample(0, 8, 0)], &[(0, 0), (7, 0), (1, 0)]);
}

#[test]
fn a_proxy_that_came_up_while_we_watched_counts_from_zero() {
    let mut deltas = CounterDeltas::default();
    deltas.looked(at(100));
    assert_eq!(deltas.record_proxy("new", RELEASE, &sample(3, 5, 0), at(110)).len(), 1);
    assert_eq!(deltas.record_proxy("old", RELEASE, &sample(300, 5, 0), at(110)).len(), 0);
}

#[test]
fn other_releases_and_closed_canaries_are_not_recorded() {
    let mut deltas = CounterDeltas::default();
    deltas.looked(at(100));
    let tags = ["shop/shop/stable/closed", "shop/other/canary/step-1", "foreign"];
    let key = |tag: &str| SeriesKey { tag: tag.into(), metric: "serin_rq".into(), class: "5xx".into() };
    let totals = tags.iter().map(|tag| (key(tag), 9)).collect();
    let sample = Sample { uptime_s: 1, totals, ..Sample::default() };
    assert_eq!(deltas.record_proxy("a", RELEASE, &sample, at(110)), []);
}

#[test]
fn a_look_that_is_older_than_the_last_one_is_no_restart() {
    check(&[sample(9000, 10, 1), sample(8950, 8, 0), sample(9001, 12, 1)], &[(0, 0), (0, 0), (2, 0)]);
}

/// A pod whose uptime nobody knows.
const UNTOLD: Place<'_> = Place { name: "pod", replica: "", uptime_s: None };

/// Looks at a series of errors with this total, if it is there, and says what is new.
fn new_errors(
    deltas: &mut CounterDeltas,
    place: Place<'_>,
    total: impl Into<Option<u64>>,
    second: i64,
) -> u64 {
    let tag = Tag::parse("shop/shop/canary/rest").unwrap();
    let totals =
        total.into().map(|value| Total { tag, adds_to: Number::RequestsAndErrors, series: "5xx", value });
    let news = deltas.record(place, totals, at(second));
    let sum = news.iter().map(|(_, new)| new.errors).sum();
    deltas.looked(at(second));
    sum
}

/// What is left of the deltas of a place whose uptime nobody knows, look by look: totals of one series, as far
/// as they are there.
fn check_series(looks: &[Option<u64>], expected: &[u64]) {
    let mut deltas = CounterDeltas::default();
    deltas.looked(at(99));
    for (second, (&look, &expected)) in (100..).zip(looks.iter().zip(expected)) {
        assert_eq!(new_errors(&mut deltas, UNTOLD, look, second), expected, "at {second}");
    }
}

#[test]
fn a_series_that_was_missing_for_a_look_does_not_count_twice() {
    check_series(&[Some(5), None, Some(7), None, None, Some(7)], &[5, 0, 2, 0, 0, 0]);
}

#[test]
fn a_total_that_fell_counts_again_when_it_is_what_it_was() {
    check_series(&[Some(5), Some(2), Some(3), Some(6)], &[5, 0, 0, 1]);
    check_series(&[Some(5), None, Some(2)], &[5, 0, 0]);
}

#[test]
fn a_total_that_stays_below_for_longer_than_old_ones_are_shown_counts_from_there() {
    let mut deltas = CounterDeltas::default();
    let mut look = |second, value| new_errors(&mut deltas, UNTOLD, value, second);
    look(100, 50);
    for (second, total, expected) in [(101, 2, 0), (400, 4, 0), (407, 5, 0), (408, 9, 4), (409, 10, 1)] {
        assert_eq!(look(second, total), expected, "at {second}");
    }
}

#[test]
fn nothing_is_subtracted_from_what_another_replica_has_shown() {
    let mut deltas = CounterDeltas::default();
    deltas.looked(at(99));
    let [a, b] = ["a", "b"].map(|replica| Place { replica, ..UNTOLD });
    for (second, (place, total, expected)) in (100..).zip([(a, 5, 5), (a, 7, 2), (b, 9, 0), (b, 10, 1)]) {
        assert_eq!(new_errors(&mut deltas, place, total, second), expected, "at {second}");
    }
    assert_eq!(deltas.replica_of("pod"), Some("b"));
}

#[test]
fn requests_that_were_not_in_time_were_slow() {
    let mut deltas = CounterDeltas::default();
    let tag = Tag::parse("shop/shop/canary/rest").unwrap();
    deltas.looked(at(100));
    let look = |timed, in_time| {
        [("+Inf", Number::Timed, timed), ("500", Number::InTime, in_time)]
            .map(|(series, adds_to, value)| Total { tag, adds_to, series, value })
    };
    let slow = |news: Vec<(Tag<'_>, ArmCounts)>| news.first().map_or(0, |(_, new)| new.slow);
    assert_eq!(slow(deltas.record(UNTOLD, look(10, 7), at(101))), 3);
    assert_eq!(slow(deltas.record(UNTOLD, look(15, 11), at(102))), 1);
    assert_eq!(slow(deltas.record(UNTOLD, look(16, 12), at(103))), 0);
}

#[test]
fn while_the_clock_is_behind_the_last_look_nothing_can_be_recorded() {
    let mut deltas = CounterDeltas::default();
    deltas.looked(at(100));
    let error = deltas.accepts(at(40)).unwrap_err().to_string();
    assert!(error.contains("1970-01-01T00:01:40Z back to 1970-01-01T00:00:40Z"), "{error}");
    deltas.looked(at(40));
    assert!(deltas.accepts(at(99)).is_err());
    assert_eq!(deltas.accepts(at(100)), Ok(()));
}

#[test]
fn another_source_begins_anew() {
    let mut deltas = CounterDeltas::default();
    deltas.count_from("proxies");
    deltas.looked(at(100));
    deltas.record_proxy("a", RELEASE, &sample(1, 5, 0), at(100));
    // The same proxy under another name, younger than the deltas were: what it has counted is known already.
    deltas.count_from("prometheus");
    assert_eq!(deltas.record_proxy("pod/a", RELEASE, &sample(2, 5, 0), at(101)).len(), 0);
    deltas.count_from("prometheus");
    assert_eq!(deltas.record_proxy("pod/a", RELEASE, &sample(3, 6, 0), at(102)).len(), 1);
}

#[test]
fn a_place_that_is_gone_for_a_day_is_forgotten() {
    let mut deltas = CounterDeltas::default();
    deltas.record_proxy("gone", RELEASE, &sample(1, 5, 0), at(100));
    deltas.looked(at(100));
    deltas.record_proxy("here", RELEASE, &sample(1, 5, 0), at(90_000));
    deltas.looked(at(90_000));
    assert_eq!(deltas.places.keys().collect::<Vec<_>>(), ["here"]);
}

/// What is made of the filter's series on the second of two looks: totals of the canary's first cohort, at both.
#[track_caller]
fn check_counts(series: &[(&str, &str, [u64; 2])], expected: ArmCounts) {
    let mut deltas = CounterDeltas::default();
    let look = |which: usize| {
        let tag = "shop/shop/canary/step-1";
        let key = |metric: &str, class: &str| SeriesKey {
            tag: tag.into(),
            metric: metric.into(),
            class: class.into(),
        };
        // Envoy shows no counter that nothing was added to.
        let totals = series.iter().filter(|(.., totals)| totals[which] > 0);
        let totals = totals.map(|(metric, class, totals)| (key(metric, class), totals[which])).collect();
        Sample { uptime_s: 1_000, totals, ..Sample::default() }
    };
    deltas.record_proxy("a", RELEASE, &look(0), at(100));
    deltas.looked(at(100));
    let second = look(1);
    let news = deltas.record_proxy("a", RELEASE, &second, at(101));
    let [(_, counts)] = news[..] else { panic!("{news:?}") };
    assert_eq!(counts, expected);
}

#[test]
fn every_end_of_a_request_is_one_request_and_what_else_is_known_of_it() {
    let none = ArmCounts::default();
    for (metric, class, expected) in [
        ("serin_rq", "2xx", ArmCounts { requests: 3, ..none }),
        ("serin_rq", "4xx", ArmCounts { requests: 3, client_errors: 3, ..none }),
        ("serin_rq", "5xx", ArmCounts { requests: 3, errors: 3, ..none }),
        ("serin_left", "", ArmCounts { requests: 3, left: 3, ..none }),
        ("serin_waiting", "", ArmCounts { requests: 3, ..none }),
    ] {
        check_counts(&[(metric, class, [5, 8])], expected);
    }
    let mut by_route = none;
    (by_route.requests, by_route.failed_by_route[7]) = (3, 2);
    for (metric, expected) in [
        ("serin_broken", ArmCounts { requests: 3, errors: 2, ..none }),
        ("serin_grpc_server_errors", ArmCounts { requests: 3, errors: 2, ..none }),
        ("serin_grpc_client_errors", ArmCounts { requests: 3, client_errors: 2, ..none }),
        ("serin_slow", ArmCounts { requests: 3, slow: 2, ..none }),
        ("serin_issued", ArmCounts { requests: 3, issued: 2, ..none }),
        ("serin_withheld", ArmCounts { requests: 3, withheld: 2, ..none }),
        ("serin_failed_route_7", by_route),
        ("serin_failed_route_16", ArmCounts { requests: 3, ..none }),
    ] {
        check_counts(&[("serin_rq", "2xx", [5, 8]), (metric, "", [0, 2])], expected);
    }
}

#[test]
fn a_request_that_has_waited_counts_once() {
    let none = ArmCounts::default();
    let slow = ("serin_slow", "", [0, 4]);
    let waits = ArmCounts { requests: 4, slow: 4, ..none };
    check_counts(&[("serin_waiting", "", [0, 4]), slow], waits);
    // In the same look it was answered.
    check_counts(
        &[("serin_waiting", "", [0, 4]), ("serin_waited", "", [0, 4]), slow, ("serin_rq", "2xx", [9, 13])],
        waits,
    );
    // In a later one: it is no request again, but for one that failed, which never is more than all.
    let waiting = ("serin_waiting", "", [4, 4]);
    let ended = [waiting, ("serin_waited", "", [0, 3]), ("serin_rq", "2xx", [9, 17])];
    check_counts(&ended, ArmCounts { requests: 5, ..none });
    let left = [waiting, ("serin_waited", "", [0, 3]), ("serin_left", "", [0, 3])];
    check_counts(&left, ArmCounts { requests: 3, left: 3, ..none });
}
