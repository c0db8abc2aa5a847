/*!
Evidence against an independent implementation: `evidence.py`, which says how it differs, has made `evidence.json`.
*/
use serde_json::Value;
use serin_policy::Weight;
use serin_policy::evidence::{
    Alarm, Allowance, Ceiling, Claim, Comparison, Dispersion, Excursions, Homogeneity, Tally, ratio,
};

fn vectors(of: &str) -> Value {
    let mut vectors: Value = serde_json::from_str(include_str!("evidence.json")).unwrap();
    vectors[of].take()
}

fn list<'v>(value: &'v Value, of: &str) -> &'v [Value] {
    value[of].as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn tally(value: &Value) -> Tally {
    Tally { requests: count(&value[0]), bad: count(&value[1]) }
}

/// To within a part in 10⁹.
#[track_caller]
fn check(found: f64, expected: &Value, what: &str) {
    let expected = number(expected);
    let off = (found - expected).abs();
    assert!(off <= 1e-9 * expected.abs().max(1e-3), "{what}: {found}, expected {expected}");
}

#[test]
fn a_watchful_comparison_is_worth_what_its_parts_are_by_themselves() {
    for case in vectors("comparisons").as_array().unwrap() {
        let mut comparison = Comparison::watchful(Claim::Worse);
        let allowance = Allowance::new(number(&case["ratio"]), number(&case["slack"]));
        let dispersion = Dispersion::new(number(&case["dispersion"]));
        for (i, look) in list(case, "looks").iter().enumerate() {
            if look["onset"].as_bool().unwrap() {
                comparison.onset();
            }
            let exposure = (number(&look["exposure"][0]), number(&look["exposure"][1]));
            let bad = (count(&look["bad"][0]), count(&look["bad"][1]));
            comparison.take_in_of(exposure, bad, count(&look["requests"]), allowance, dispersion);
            check(comparison.ln_e(), &look["lnE"], &format!("{}, look {i}", case["name"]));
        }
    }
}

#[test]
fn a_watchful_ceiling_is_worth_what_its_parts_are_by_themselves() {
    let case = vectors("ceiling");
    let mut ceiling = Ceiling::watchful();
    for (i, look) in list(&case, "looks").iter().enumerate() {
        if look["onset"].as_bool().unwrap() {
            ceiling.onset();
        }
        let tally = Tally { requests: count(&look["requests"]), bad: count(&look["bad"]) };
        ceiling.take_in(tally, number(&case["allowed"]), Dispersion::new(number(&case["dispersion"])));
        check(ceiling.ln_e(), &look["lnE"], &format!("look {i}"));
    }
}

#[test]
fn an_alarm_is_worth_the_mean_of_sums_that_begin_anew_when_all_is_lost() {
    for case in vectors("alarms").as_array().unwrap() {
        let mut alarm = Alarm::default();
        for (i, interval) in list(case, "intervals").iter().enumerate() {
            let share =
                Weight::from_ppm(u32::try_from(count(&interval["percent"])).unwrap() * 10_000).unwrap();
            let (canary, stable) = (tally(&interval["canary"]), tally(&interval["stable"]));
            alarm.take_in(canary, stable, share, Allowance::new(2.0, 0.05));
            check(alarm.ln_e(), &interval["lnE"], &format!("{}, interval {i}", case["name"]));
            let back = Alarm::from_bytes(&alarm.to_bytes());
            assert_eq!(back, Some(alarm));
        }
    }
}

#[test]
fn excursions_are_judged_by_the_chain_they_are_taken_for() {
    for case in vectors("excursions").as_array().unwrap() {
        let mut excursions = Excursions::default();
        for (i, reading) in list(case, "readings").iter().enumerate() {
            excursions.take_in(reading["out"].as_bool().unwrap(), number(&case["tolerated"]));
            check(excursions.ln_e(), &reading["lnE"], &format!("{}, reading {i}", case["tolerated"]));
        }
    }
}

#[test]
fn cohorts_are_as_uneven_as_exact_fractions_say() {
    for case in vectors("homogeneity").as_array().unwrap() {
        let mut homogeneity = Homogeneity::default();
        for (cohorts, expected) in list(case, "intervals").iter().zip(list(case, "dispersions")) {
            let cohorts: Vec<_> = cohorts.as_array().unwrap().iter().map(tally).collect();
            homogeneity.take_in(&cohorts, number(&case["seconds"]));
            // -1 stands for nothing known.
            let found = homogeneity.dispersion(Dispersion::NONE).map_or(-1.0, Dispersion::get);
            check(found, expected, &case["name"].to_string());
        }
        let last = list(case, "dispersions").last().map(number);
        assert_eq!(case["name"] == "even", last < Some(2.0), "{}: {last:?}", case["name"]);
    }
}

#[test]
fn a_ratio_has_the_bounds_that_it_should_have() {
    for case in vectors("ratios").as_array().unwrap() {
        let dispersion = Dispersion::new(number(&case["dispersion"]));
        let interval =
            ratio(tally(&case["canary"]), tally(&case["stable"]), dispersion, number(&case["alpha"]))
                .unwrap();
        for (found, expected) in
            [interval.low, interval.estimate, interval.high].into_iter().zip(list(case, "bounds"))
        {
            check(found, expected, &case["canary"].to_string());
        }
    }
}
