/*!
Different users, over all workers of a proxy.
*/
mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use serin_policy::users::{Cells, Maps, Met, RunMark, USERS, Word, WordTag};
use serin_policy::{Arm, Id, Point, Proxy};

use support::{FakeProxy, Vm, begin, document, end, policy};

fn run(run: &str, changes: &Value) -> Vec<u8> {
    let mut changes = changes.clone();
    changes["salt"] = json!(format!("shop/shop/{run}"));
    changes["counts"] = json!({"objectiveMs": 500});
    document(&[policy(&changes)])
}

fn workers(proxy: &FakeProxy, count: usize, document: &[u8]) -> Vec<Vm> {
    let worker = |_| {
        let mut vm = Vm::default();
        vm.configure(proxy, document, &Proxy::default());
        vm
    };
    (0..count).map(worker).collect()
}

fn visit(vm: &mut Vm, proxy: &FakeProxy, user: &str, response: &str) {
    let exchange = begin(vm, proxy, &format!("cookie: serin={user}"));
    end(vm, proxy, exchange, response);
}

/// What the proxy's gauges say of `run`.
fn shown(proxy: &FakeProxy, run: &str) -> Maps {
    let mut maps = Maps::default();
    for (name, value) in proxy.metrics.borrow().iter() {
        let tag = name.strip_prefix("tag.").and_then(|rest| rest.strip_suffix(&format!(";.{USERS}")));
        let Some(tag) = tag.and_then(WordTag::parse) else { continue };
        let word = Word::from_value(*value);
        if word.run == RunMark::of(&format!("shop/shop/{run}")) {
            maps.of_mut(tag.arm, tag.met).add_word(tag.word, word.cells);
        }
    }
    maps
}

/// The cells and versions of `users` in `run`, at a weight of 50 %.
fn expected<'u>(run: &str, users: impl IntoIterator<Item = &'u String>) -> [Cells; 2] {
    let mut cells = [Cells::default(); 2];
    for user in users {
        let id = Id::try_from(user.as_bytes()).unwrap();
        let (point, user) = Point::with_user(&format!("shop/shop/{run}"), &id);
        cells[usize::from(point.get() < 500_000)].insert(user.cell());
    }
    cells
}

fn of(maps: &Maps, met: Met) -> [Cells; 2] {
    Arm::BOTH.map(|arm| *maps.of(arm, met))
}

#[test]
fn whoever_several_workers_have_seen_counts_once() {
    let proxy = FakeProxy::default();
    let mut workers = workers(&proxy, 3, &run("1", &json!({})));
    let users: Vec<_> = (0..300).map(|i| format!("user-{i}")).collect();
    for (i, user) in users.iter().enumerate() {
        let status = if i % 10 == 0 { 503 } else { 200 };
        for worker in workers.iter_mut().take(i % 3 + 1) {
            visit(worker, &proxy, user, &format!(":status: {status}"));
        }
    }
    let maps = shown(&proxy, "1");
    assert_eq!(of(&maps, Met::Answer), expected("1", &users));
    assert_eq!(of(&maps, Met::Failure), expected("1", users.iter().step_by(10)));
    assert_eq!(of(&maps, Met::Delay), [Cells::default(); 2]);
}

#[test]
fn of_two_workers_who_leave_users_at_the_same_time_neither_takes_the_others_away() {
    let document = run("1", &json!({}));
    let users = ["bob", "carol", "dave"].map(str::to_owned);
    let of_another = FakeProxy::default();
    for worker in &mut workers(&of_another, 1, &document) {
        visit(worker, &of_another, "carol", ":status: 200");
    }
    let proxy = FakeProxy::default();
    let mut workers = workers(&proxy, 1, &document);
    visit(&mut workers[0], &proxy, "bob", ":status: 200");
    let left = of_another.shared.borrow().values().next().map(|(value, _)| value.clone());
    proxy.in_between.replace(left);
    visit(&mut workers[0], &proxy, "dave", ":status: 200");
    assert_eq!(*proxy.in_between.borrow(), None);
    assert_eq!(of(&shown(&proxy, "1"), Met::Answer), expected("1", &users));
}

#[test]
fn a_user_who_is_known_costs_nothing() {
    let proxy = FakeProxy::default();
    let mut workers = workers(&proxy, 1, &run("1", &json!({})));
    visit(&mut workers[0], &proxy, "bob", ":status: 200");
    let version =
        |proxy: &FakeProxy| proxy.shared.borrow().values().map(|(_, version)| *version).sum::<u32>();
    let before = version(&proxy);
    for _ in 0..10 {
        visit(&mut workers[0], &proxy, "bob", ":status: 200");
    }
    // Nor does a step of the same run, or a worker who comes later and learns what the others have seen.
    workers[0].configure(&proxy, &run("1", &json!({"revision": 8})), &Proxy::default());
    let mut late = self::workers(&proxy, 1, &run("1", &json!({"revision": 8})));
    for worker in [&mut workers[0], &mut late[0]] {
        visit(worker, &proxy, "bob", ":status: 200");
    }
    assert_eq!(version(&proxy), before);
}

#[test]
fn a_new_run_begins_with_nobody_although_some_workers_hear_of_it_late() {
    let proxy = FakeProxy::default();
    let mut workers = workers(&proxy, 2, &run("1", &json!({})));
    visit(&mut workers[0], &proxy, "bob", ":status: 200");
    workers[0].configure(&proxy, &run("2", &json!({})), &Proxy::default());
    visit(&mut workers[0], &proxy, "alice", ":status: 200");
    // It does not know of the new run yet: its users are no users of that.
    visit(&mut workers[1], &proxy, "carol", ":status: 200");
    workers[1].configure(&proxy, &run("2", &json!({})), &Proxy::default());
    visit(&mut workers[1], &proxy, "dave", ":status: 200");
    let users = ["alice", "dave"].map(str::to_owned);
    assert_eq!(of(&shown(&proxy, "2"), Met::Answer), expected("2", &users));
}

#[test]
fn only_callers_whom_the_releases_weight_has_drawn_count_as_users() {
    let rules = json!({
        "overrides": [{"header": "x-canary"}],
        "segments": [
            {"name": "all", "weight": 1_000_000, "matches": [{"method": "PUT"}]},
            {"name": "half", "weight": 500_000, "matches": [{"method": "POST"}]},
        ],
    });
    for (request, counts) in [
        ("cookie: serin=bob", true),
        ("cookie: serin=bob\nx-canary: canary", false),
        ("cookie: serin=bob\n:method: PUT", false),
        ("cookie: serin=bob\n:method: POST", false),
        ("sec-fetch-mode: cors", false),
    ] {
        let proxy = FakeProxy::default();
        let mut workers = workers(&proxy, 1, &run("1", &rules));
        let exchange = begin(&mut workers[0], &proxy, request);
        end(&mut workers[0], &proxy, exchange, ":status: 500");
        let seen: u32 = of(&shown(&proxy, "1"), Met::Failure).iter().map(Cells::count).sum();
        assert_eq!(seen, u32::from(counts), "{request}");
    }
}

#[test]
fn whoever_waits_for_too_long_has_met_a_delay_and_whoever_left_has_met_nothing() {
    let proxy = FakeProxy::default();
    let mut workers = workers(&proxy, 1, &run("1", &json!({})));
    let worker = &mut workers[0];
    let _waits = begin(worker, &proxy, "cookie: serin=bob");
    let left = begin(worker, &proxy, "cookie: serin=carol");
    end(worker, &proxy, left, "");
    proxy.now_ns.set(501_000_000);
    worker.on_tick(&proxy);
    let bob = expected("1", &["bob".to_owned()]);
    let met: BTreeMap<_, _> = Met::ALL.map(|met| (met, of(&shown(&proxy, "1"), met))).into();
    let none = [Cells::default(); 2];
    assert_eq!(met, BTreeMap::from([(Met::Answer, bob), (Met::Failure, none), (Met::Delay, bob)]));
}
