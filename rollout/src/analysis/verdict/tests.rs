use super::*;

fn failure(test: Test) -> Failure {
    Failure {
        metric: Judged::Requests(Metric::RequestSuccessRate),
        test,
        objective: None,
        canary: Tally { requests: 1_190, bad: 57 },
        stable: Tally { requests: 10_700, bad: 32 },
        met: 61,
        evidence: 4_000_f64.ln(),
        needed: 100_f64.ln(),
        after_s: Some(8.0),
    }
}

fn comparison(promise: Promise) -> Test {
    Test::Comparison { allowance: Allowance::new(1.5, 0.001), promise }
}

#[track_caller]
fn check(failure: &Failure, expected: &str) {
    assert_eq!(failure.to_string(), expected);
}

#[test]
fn a_failure_says_what_was_seen_and_how_unlikely_that_is() {
    check(
        &failure(comparison(Promise::Guaranteed)),
        "the canary failed 57 of 1,190 requests (4.8%; stable meanwhile 0.3% of 10,700). A canary no worse than \
         allowed looks this bad at most once in 4,000 releases; Serin acts at 1 in 100. Caught 8.0 s after the first sign; at most 61 \
         users had met it by then",
    );
    check(
        &failure(comparison(Promise::AgainstPast)),
        "the canary failed 57 of 1,190 requests (4.8%; stable earlier in this run 0.3% of 10,700). Assuming that \
         stable would have gone on as before, a canary no worse than allowed looks this bad at most once in \
         4,000 releases; Serin acts at 1 in 100. Caught 8.0 s after the first sign; at most 61 users had met it by \
         then",
    );
    let slow = Failure {
        metric: Judged::Requests(Metric::RequestDuration),
        objective: Some(Duration::from_millis(500)),
        canary: Tally { requests: 8, bad: 8 },
        evidence: 876_543_210_f64.ln(),
        after_s: Some(0.0),
        met: 1,
        ..failure(Test::Limit { allowed: Percent::parse("5").unwrap() })
    };
    check(
        &slow,
        "the canary was slower than 500ms in 8 of 8 requests (100%, allowed 5%; stable meanwhile 0.3% of \
         10,700). A canary within its limit looks this bad at most once in 870 million releases; Serin acts at 1 in 100. Caught at the first sign; at most 1 \
         user had met it by then",
    );
    let segment = Failure {
        metric: Judged::Segment { name: "beta".to_owned(), metric: Metric::RequestSuccessRate },
        stable: Tally::default(),
        met: 57,
        ..failure(Test::Limit { allowed: Percent::parse("1").unwrap() })
    };
    check(
        &segment,
        "for users of segment beta, the canary failed 57 of 1,190 requests (4.8%, allowed 1%). A canary within its \
         limit looks this bad at most once in 4,000 releases; Serin acts at 1 in 100. Caught 8.0 s after the first \
         sign; at most 57 users had met it by then",
    );
    let copies =
        Failure { metric: Judged::Copies, after_s: None, met: 0, ..failure(comparison(Promise::Guaranteed)) };
    let beside_users = Failure { met: 3, ..copies.clone() };
    assert!(beside_users.to_string().ends_with(". At most 3 users had met it by then"), "{beside_users}");
    check(
        &copies,
        "the canary failed 57 of 1,190 mirrored requests (4.8%; stable meanwhile 0.3% of 10,700). A canary no worse than \
         allowed looks this bad at most once in 4,000 releases; Serin acts at 1 in 100. No user has met it",
    );
    let readings = Failure {
        metric: Judged::Readings("checkouts".to_owned()),
        canary: Tally { requests: 9, bad: 6 },
        after_s: None,
        ..failure(Test::Range)
    };
    check(
        &readings,
        "checkouts of the canary was out of range in 6 of 9 readings. A canary with 1 reading in 10 out of range \
         looks this bad at most once in 4,000 releases; Serin acts at 1 in 100.",
    );
}
