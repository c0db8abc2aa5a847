/*!
What a request's mark makes of it.
*/
mod support;

use std::time::Duration;

use serde_json::{Value, json};

use support::{begin, end, module, visit};

/// Stable and on the canary, by policy/tests/points.tsv.
const BOB: &str = "cookie: serin=bob";
const USER: &str = "cookie: serin=user@example.com";

/// Faults for this many of the canary's requests, in ppm.
fn faults(weight: u32) -> Value {
    json!({
        "counts": {"objectiveMs": 500},
        "marks": [{"name": "late", "version": "canary", "weight": weight, "untilSeconds": 1_000, "apart": true}],
    })
}

#[test]
fn the_route_is_told_of_a_mark_in_place_of_whatever_a_client_sent() {
    for (changes, request, expected) in [
        (faults(1_000_000), USER, "late"),
        (faults(1_000_000), BOB, ""),
        (faults(0), USER, ""),
        (faults(0), "x-serin-mark: late\nx-serin-mark: late\ncookie: serin=user@example.com", ""),
        (faults(1_000_000), "x-serin-mark: late\ncookie: serin=bob", ""),
    ] {
        let proxy = visit(&changes, request, ":status: 200");
        assert_eq!(proxy.sent_on("x-serin-mark"), [expected], "{changes} {request}");
    }
    // Where there are none, no route looks for any.
    assert_eq!(visit(&json!({}), "x-serin-mark: own", "").sent_on("x-serin-mark"), ["own"]);
}

#[test]
fn a_mark_ends_by_the_proxys_own_clock() {
    for (second, expected) in [(999, "late"), (1_000, "")] {
        for counts in [json!({"objectiveMs": 500}), Value::Null] {
            let mut changes = faults(1_000_000);
            changes["counts"] = counts;
            let (mut vm, proxy) = module(&changes);
            proxy.now_ns.set(u64::try_from(Duration::from_secs(second).as_nanos()).unwrap());
            begin(&mut vm, &proxy, USER);
            assert_eq!(proxy.sent_on("x-serin-mark"), [expected], "{changes} at {second}");
        }
    }
}

#[test]
fn a_mark_is_drawn_anew_for_every_request() {
    const REQUESTS: u32 = 20_000;
    let (mut vm, proxy) = module(&faults(100_000));
    let is_marked = |()| {
        begin(&mut vm, &proxy, USER);
        proxy.sent_on("x-serin-mark") == ["late"]
    };
    let marked = (0..REQUESTS).map(|_| ()).map(is_marked).filter(|is_marked| *is_marked).count();
    // A tenth, to within five standard deviations of the draw.
    assert!((1_788..=2_212).contains(&marked), "{marked}");
}

#[test]
fn what_was_injected_counts_apart_and_no_user_has_met_it() {
    let counted = |weight: u32, request: &str| {
        let (mut vm, proxy) = module(&faults(weight));
        let exchange = begin(&mut vm, &proxy, request);
        proxy.now_ns.set(proxy.now_ns.get() + 5_000_000_000);
        end(&mut vm, &proxy, exchange, ":status: 503");
        let counted = proxy.counted().into_iter().filter(|line| line.contains("canary"));
        counted.map(|line| line.replace("tag.shop/shop/canary/", "")).collect::<Vec<_>>()
    };
    let apart = counted(1_000_000, USER);
    assert!(apart.iter().all(|line| line.starts_with("fault;.")), "{apart:?}");
    for metric in ["serin_rq_5xx=1", "serin_slow=1", "serin_rq_time=5000"] {
        assert!(apart.contains(&format!("fault;.{metric}")), "{apart:?}");
    }
    let own = counted(0, USER);
    assert!(own.contains(&"rest;.serin_rq_5xx=1".to_owned()), "{own:?}");
    assert!(own.iter().any(|line| line.contains("users:")), "{own:?}");
}

/// What is booked of one request of stable of which the canary gets a copy, or not.
fn copied(request: &str, response: &str) -> Vec<String> {
    let (mut vm, proxy) = module(&json!({
        "counts": {"objectiveMs": 500},
        "marks": [{"name": "mirror", "version": "stable", "weight": 1_000_000, "matches": [{"method": "GET"}]}],
    }));
    let exchange = begin(&mut vm, &proxy, request);
    proxy.now_ns.set(proxy.now_ns.get() + 5_000_000_000);
    end(&mut vm, &proxy, exchange, response);
    let counted =
        proxy.counted().into_iter().filter(|line| line.contains("serin_rq_") || line.contains("copied"));
    counted.map(|line| line.replace("tag.shop/shop/", "")).collect()
}

#[test]
fn what_is_copied_counts_as_ever_and_its_answer_once_more() {
    let get = format!(":method: GET\n{BOB}");
    let post = format!(":method: POST\n{BOB}");
    let both = |class: &str| ["rest", "copied"].map(|group| format!("stable/{group};.serin_rq_{class}=1"));
    for (request, response, class) in [(&get, ":status: 200", "2xx"), (&get, ":status: 503", "5xx")] {
        let counted = copied(request, response);
        let answers: Vec<_> = counted.iter().filter(|line| !line.contains("time")).cloned().collect();
        assert_eq!(answers, both(class), "{request} {response}");
        // Times are those of the cohort alone.
        assert!(
            !counted.iter().any(|line| line.contains("copied") && !line.contains("serin_rq_")),
            "{counted:?}"
        );
    }
    assert!(copied(&post, ":status: 200").iter().all(|line| !line.contains("copied")));
    let gone = copied(&get, "");
    assert!(gone.iter().all(|line| !line.contains("copied")), "nobody waited for an answer: {gone:?}");
}

#[test]
fn a_caller_who_was_given_an_id_was_drawn_whatever_became_of_the_answer() {
    let issued = |weight: u32| {
        let mut changes = faults(weight);
        changes["versions"] = json!([{"name": "stable"}, {"name": "canary", "weight": 1_000_000}]);
        let proxy = visit(&changes, "", ":status: 200");
        assert_eq!(proxy.answered("set-cookie").len(), 1);
        (
            proxy.metric("tag.shop/shop/canary/rest;.serin_issued"),
            proxy.metric("tag.shop/shop/canary/fault;.serin_issued"),
        )
    };
    assert_eq!(issued(1_000_000), (1, 0));
    assert_eq!(issued(0), (1, 0));
}
