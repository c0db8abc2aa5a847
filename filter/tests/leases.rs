/*!
The dead man's switch: a canary whose agent is not heard of any more loses its users.
*/
mod support;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use serin_policy::Proxy;

use support::{FakeProxy, Vm, begin, end, policy};

/// On the canary, by policy/tests/points.tsv.
const USER: &str = "cookie: serin=user@example.com";

const S: u64 = 1_000_000_000;

fn push(vm: &mut Vm, proxy: &FakeProxy, changes: &Value, until: Option<u64>) {
    let leases = until.map_or(json!({}), |until| json!({"shop/shop": until}));
    let document = json!({"version": 1, "policies": [policy(changes)], "leases": leases});
    vm.configure(proxy, document.to_string().as_bytes(), &Proxy::default());
}

fn version(vm: &mut Vm, proxy: &FakeProxy) -> String {
    let exchange = begin(vm, proxy, USER);
    let [version] = &proxy.sent_on("x-serin-version")[..] else { panic!("one version") };
    end(vm, proxy, exchange, ":status: 200");
    version.clone()
}

#[test]
fn nothing_is_copied_any_more_where_no_agent_is_heard_of() {
    let (mut vm, proxy) = (Vm::default(), FakeProxy::default());
    let changes = json!({
        "versions": [{"name": "stable"}, {"name": "canary", "weight": 0}],
        "marks": [{"name": "mirror", "version": "stable", "weight": 1_000_000}],
    });
    push(&mut vm, &proxy, &changes, Some(100));
    for (second, expected) in [(99, "mirror"), (100, "")] {
        proxy.now_ns.set(second * S);
        begin(&mut vm, &proxy, USER);
        assert_eq!(proxy.sent_on("x-serin-mark"), [expected], "at {second}");
    }
}

#[test]
fn everybody_is_on_stable_from_the_end_of_the_lease_until_it_is_renewed() {
    let (mut vm, proxy) = (Vm::default(), FakeProxy::default());
    for counts in [json!({"objectiveMs": 500}), Value::Null] {
        let changes = json!({"counts": counts});
        proxy.now_ns.set(10 * S);
        push(&mut vm, &proxy, &changes, Some(20));
        assert_eq!(proxy.ticks_ms.get(), Some(250), "it is shown without a request");
        for (now_s, until, expected) in [
            (19, None, "canary"),
            (20, None, "stable"),
            (500, None, "stable"),
            (501, Some(600), "canary"),
            (600, None, "stable"),
        ] {
            proxy.now_ns.set(now_s * S);
            if until.is_some() {
                push(&mut vm, &proxy, &changes, until);
            }
            vm.on_tick(&proxy);
            assert_eq!(version(&mut vm, &proxy), expected, "at {now_s}");
            assert_eq!(proxy.metric("tag.shop/shop;.serin_lapsed"), u64::from(expected == "stable"));
        }
    }
    // What it makes of requests is told, and is nobody's evidence.
    assert_eq!(proxy.metric("tag.shop/shop/stable/lapsed;.serin_rq_2xx"), 3);
    assert_eq!(proxy.metric("tag.shop/shop/canary/rest;.serin_rq_2xx"), 2);
    assert_eq!(proxy.metric("tag.shop/shop/stable/rest;.serin_rq_2xx"), 0);
}

#[test]
fn who_is_on_the_way_stays_there() {
    let (mut vm, proxy) = (Vm::default(), FakeProxy::default());
    push(
        &mut vm,
        &proxy,
        &json!({"responseHeader": "x-served-by", "counts": {"objectiveMs": 500}}),
        Some(20),
    );
    let exchange = begin(&mut vm, &proxy, USER);
    proxy.now_ns.set(30 * S);
    vm.on_tick(&proxy);
    end(&mut vm, &proxy, exchange, ":status: 200");
    assert_eq!(proxy.answered("x-served-by"), ["canary"]);
    assert_eq!(proxy.metric("tag.shop/shop/canary/rest;.serin_rq_2xx"), 1);
}

/// What a document says of the canary.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Canary {
    Open,
    Closed,
    Promoted,
}

/// The truth, kept by the simplest rules there are.
#[derive(Debug, Clone, Copy)]
struct Truth {
    canary: Canary,
    until: Option<u64>,
}

impl Truth {
    fn may_have_users(self, now_s: u64) -> bool {
        match self.canary {
            Canary::Closed => false,
            Canary::Promoted => true,
            Canary::Open => self.until.is_none_or(|until| now_s < until),
        }
    }
}

/// No order of pushes, ticks, requests and answers, over two workers that hear of pushes at different times, opens a
/// closed canary, or has one live past its lease.
#[test]
fn nothing_opens_a_closed_canary_and_none_outlives_its_lease() {
    let seed = std::env::var("SERIN_SEED").map_or(20_261_127, |seed| seed.parse().expect("a number"));
    println!("SERIN_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut lapsed, mut closed, mut served) = (0, 0, 0);
    for _ in 0..200 {
        let proxy = FakeProxy::default();
        let mut workers = [Vm::default(), Vm::default()];
        let mut truths = [Truth { canary: Canary::Closed, until: None }; 2];
        let mut open = Vec::new();
        let mut now_s = 1_000;
        for revision in 1..100 {
            let at = random.random_range(0..2);
            let (vm, truth) = (&mut workers[at], &mut truths[at]);
            match random.random_range(0..8) {
                0 | 1 => {
                    let canary = [Canary::Open, Canary::Open, Canary::Closed, Canary::Promoted]
                        [random.random_range(0..4)];
                    let until = random.random_bool(0.8).then(|| now_s + random.random_range(0..40) - 5);
                    let is_bad = random.random_ratio(1, 4);
                    let changes = json!({
                        "revision": revision,
                        "closed": canary == Canary::Closed,
                        "promoted": canary == Canary::Promoted,
                        "versions": [{"name": "stable"}, {"name": "canary", "weight": 1_000_000}],
                        "counts": random.random_bool(0.8).then(|| json!({"objectiveMs": 500})),
                        "salt": if is_bad { "" } else { "shop/shop/1" },
                    });
                    push(vm, &proxy, &changes, until);
                    let is_first = truth.canary == Canary::Closed && truth.until.is_none();
                    *truth = match is_bad {
                        false => Truth { canary, until },
                        // What is kept has the newer of its leases; a first document that is bad leaves nothing.
                        true if is_first => *truth,
                        true => Truth { until: until.or(truth.until), ..*truth },
                    };
                }
                2 | 3 => now_s += random.random_range(0..20),
                4 => vm.on_tick(&proxy),
                5 if !open.is_empty() => {
                    let (at, exchange): (usize, _) = open.swap_remove(random.random_range(0..open.len()));
                    end(&mut workers[at], &proxy, exchange, ":status: 200");
                }
                _ => {
                    let exchange = begin(vm, &proxy, USER);
                    let versions = proxy.sent_on("x-serin-version");
                    let is_on_canary = versions.iter().any(|version| version == "canary");
                    assert!(
                        !is_on_canary || truth.may_have_users(now_s),
                        "{truth:?} at {now_s}, revision {revision}"
                    );
                    served += u32::from(is_on_canary);
                    lapsed += u32::from(truth.canary == Canary::Open && !truth.may_have_users(now_s));
                    closed += u32::from(truth.canary == Canary::Closed);
                    open.push((at, exchange));
                }
            }
            proxy.now_ns.set(now_s * S);
        }
    }
    assert!([lapsed, closed, served].iter().all(|&seen| seen > 100), "{lapsed} {closed} {served}");
}
