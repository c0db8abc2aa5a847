/*!
When a proxy closes the canary by itself.
*/
mod support;

use serde_json::{Value, json};
use serin_policy::{Id, Point, Proxy, fuse};

use support::{FakeProxy, Vm, begin, document, end, policy};

const GAUGE: &str = "tag.shop/shop;.serin_fuse";

/// A run's policy with this share of the canary in percent, and `changes`.
fn run(run: &str, percent: u32, changes: &Value) -> Vec<u8> {
    let mut all = json!({
        "salt": format!("shop/shop/{run}"),
        "counts": {"objectiveMs": 500},
        "fuse": {"ratioPercent": 200, "slack": 50_000},
        "versions": [{"name": "stable"}, {"name": "canary", "weight": percent * 10_000}],
    });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    document(&[policy(&all)])
}

/// A proxy with some workers.
struct Site {
    proxy: FakeProxy,
    workers: Vec<Vm>,
    run: &'static str,
    percent: u32,
    visits: usize,
}

/// What the two versions answer with: `stable`, `canary` are statuses by the number of the visit.
type Answers = fn(usize) -> [u16; 2];

impl Site {
    fn new(workers: usize, percent: u32) -> Self {
        let (proxy, workers) = (FakeProxy::default(), (0..workers).map(|_| Vm::default()).collect());
        let mut site = Self { proxy, workers, run: "1", percent, visits: 0 };
        site.push("1", percent, &json!({}));
        site
    }

    fn push(&mut self, run: &'static str, percent: u32, changes: &Value) {
        (self.run, self.percent) = (run, percent);
        let document = self::run(run, percent, changes);
        for worker in &mut self.workers {
            worker.configure(&self.proxy, &document, &Proxy::default());
        }
        assert_eq!(*self.proxy.log.borrow(), [""; 0]);
    }

    fn tick(&mut self) {
        for worker in &mut self.workers {
            worker.on_tick(&self.proxy);
        }
    }

    /// `visits` of as many users, to one worker after the other, with a tick after every hundredth. Returns how many of the
    /// canary's failures they met.
    fn visits(&mut self, visits: usize, answers: Answers) -> usize {
        (0..visits).filter(|_| self.visit(|visit| visit, answers)).count()
    }

    /// One visit of the user of this number. Whether they met a failure of the canary.
    fn visit(&mut self, user: fn(usize) -> usize, answers: Answers) -> bool {
        let number = self.visits;
        self.visits += 1;
        let at = number % self.workers.len();
        let user = format!("user-{}", user(number));
        let exchange = begin(&mut self.workers[at], &self.proxy, &format!("cookie: serin={user}"));
        let is_canary = self.proxy.sent_on("x-serin-version") == ["canary"];
        let id = Id::try_from(user.as_bytes()).unwrap();
        let (point, _) = Point::with_user(&format!("shop/shop/{}", self.run), &id);
        assert!(!is_canary || point.get() < self.percent * 10_000, "{user}");
        let status = answers(number)[usize::from(is_canary)];
        end(&mut self.workers[at], &self.proxy, exchange, &format!(":status: {status}"));
        if number % 100 == 99 {
            self.tick();
        }
        is_canary && status >= 500
    }

    fn is_blown(&self) -> bool {
        self.proxy.metric(GAUGE) == fuse::blown_in(&format!("shop/shop/{}", self.run))
    }

    #[track_caller]
    fn check(&self, is_blown: bool) {
        assert_eq!(self.is_blown(), is_blown, "{:?}", self.proxy.shared.borrow().keys());
    }
}

const ALL_FAIL: Answers = |_| [200, 503];
const GOOD: Answers = |_| [200, 200];

#[test]
fn a_dead_canary_is_closed_after_few_bad_answers_however_many_workers_there_are() {
    for (percent, most) in [(1, 8), (10, 14), (25, 26), (50, 80)] {
        for workers in [1, 4] {
            let mut site = Site::new(workers, percent);
            site.visits(5_000, GOOD);
            let met = site.visits(20_000, ALL_FAIL);
            site.check(true);
            // Each worker may give out one more before it hears of it.
            assert!(met <= most + workers, "{met} at {percent} % by {workers}");
            println!("{percent} %, {workers} workers: {met} bad answers");
        }
    }
}

#[test]
fn what_both_versions_have_in_common_closes_nothing() {
    for answers in [
        (|_| [503, 503]) as Answers,
        |visit| if visit % 3 == 0 { [503, 503] } else { [200, 200] },
        // An outage of some time, and a canary that is a little worse.
        |visit| if visit / 1_000 % 5 == 0 { [503, 503] } else { [200, 200] },
        |visit| [if visit % 100 == 0 { 500 } else { 200 }, if visit % 40 == 0 { 500 } else { 200 }],
    ] {
        for percent in [1, 10, 50, 99] {
            let mut site = Site::new(2, percent);
            site.visits(20_000, answers);
            site.check(false);
        }
    }
}

#[test]
fn a_fault_that_begins_late_is_found_as_soon_as_one_at_the_beginning() {
    let after = |good| {
        let mut site = Site::new(1, 10);
        site.visits(good, GOOD);
        site.visits(10_000, ALL_FAIL)
    };
    let (early, late) = (after(1_000), after(50_000));
    assert!(late <= early + 2, "{early} at first, {late} later");
}

#[test]
fn one_client_who_tries_again_and_again_closes_nothing() {
    let mut site = Site::new(1, 50);
    site.visits(2_000, GOOD);
    let met = (0..2_000).filter(|_| site.visit(|_| 7, ALL_FAIL)).count();
    site.check(false);
    assert!(met == 0 || met == 2_000, "{met}");
}

#[test]
fn it_stays_closed_until_a_policy_gives_the_canary_to_nobody() {
    let mut site = Site::new(2, 10);
    site.visits(10_000, ALL_FAIL);
    site.check(true);
    for (revision, percent) in [(8, 10), (9, 50)] {
        // A push that does not know of it, and whatever the canary would answer by now.
        site.proxy.log.borrow_mut().clear();
        site.push("1", percent, &json!({"revision": revision}));
        site.visits(1_000, GOOD);
        site.check(true);
        let canary: usize = (0..1_000).filter(|_| site.visit(|visit| visit, ALL_FAIL)).count();
        assert_eq!(canary, 0);
    }
    // A tester is refused as well.
    let changes = json!({"overrides": [{"header": "x-canary"}], "revision": 10});
    site.push("1", 50, &changes);
    begin(&mut site.workers[0], &site.proxy, "cookie: serin=bob\nx-canary: canary");
    assert_eq!(site.proxy.sent_on("x-serin-version"), ["stable"]);
    for noted in [json!({"closed": true, "revision": 11}), json!({"revision": 11})] {
        let percent = if noted["closed"] == true { 50 } else { 0 };
        site.push("1", percent, &noted);
        site.check(false);
        site.push("1", 10, &json!({"revision": 12}));
        site.visits(1_000, GOOD);
        site.check(false);
        assert!(site.visits(10_000, ALL_FAIL) > 0);
        site.check(true);
        site.proxy.log.borrow_mut().clear();
    }
}

#[test]
fn another_run_begins_with_a_fuse_of_its_own() {
    let mut site = Site::new(2, 10);
    site.visits(10_000, ALL_FAIL);
    site.check(true);
    site.proxy.log.borrow_mut().clear();
    site.push("2", 10, &json!({}));
    assert_eq!(site.proxy.metric(GAUGE), 0);
    assert!(site.visits(5_000, ALL_FAIL) > 0);
    site.check(true);
}

#[test]
fn without_stable_to_go_back_to_there_is_none() {
    for changes in [json!({"promoted": true}), json!({"fuse": null}), json!({"counts": null})] {
        let mut site = Site::new(1, 50);
        site.push("1", 50, &changes);
        assert!(site.visits(3_000, ALL_FAIL) > 1_000, "{changes}");
        site.check(false);
    }
    let mut site = Site::new(1, 100);
    assert_eq!(site.visits(3_000, ALL_FAIL), 3_000);
    site.check(false);
}

#[test]
fn a_promotion_opens_what_was_closed_and_whoever_wrote_it_still_sees_that() {
    let mut site = Site::new(1, 10);
    site.visits(10_000, ALL_FAIL);
    site.proxy.log.borrow_mut().clear();
    site.push("1", 100, &json!({"promoted": true}));
    assert_eq!(site.visits(1_000, ALL_FAIL), 1_000);
    site.check(true);
    site.push("1", 0, &json!({"closed": true}));
    site.check(false);
}

#[test]
fn only_callers_whom_chance_has_drawn_are_compared() {
    let mut site = Site::new(1, 10);
    site.push("1", 10, &json!({"overrides": [{"header": "x-canary"}]}));
    for visit in 0..3_000 {
        let request = format!("cookie: serin=tester-{visit}\nx-canary: canary");
        let exchange = begin(&mut site.workers[0], &site.proxy, &request);
        assert_eq!(site.proxy.sent_on("x-serin-version"), ["canary"]);
        end(&mut site.workers[0], &site.proxy, exchange, ":status: 503");
    }
    site.tick();
    site.check(false);
}
