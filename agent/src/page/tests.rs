//! What stands on a page, and what never does.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use serin_rollout::{CommandKind, History, Proxy, ProxyState};

use super::*;
use crate::observe::latency::Percentiles;
use crate::view::board::{Board, Latencies, Shown};
use crate::view::tests::two_steps;
use crate::view::{News, View};
use serin_release::status::ReleasePhase;

fn now() -> Timestamp {
    "2026-11-27T08:20:00Z".parse().unwrap()
}

/// A status in which everything that people write says `text`.
fn status(phase: ReleasePhase, text: &str) -> Value {
    let condition = json!({
        "type": "Progressing", "status": "False", "reason": "AwaitsApproval", "message": text,
        "lastTransitionTime": "2026-11-27T08:10:00Z",
    });
    let change = |minute: u32, from: u32, to: u32| {
        json!({
            "at": format!("2026-11-27T08:{minute:02}:00Z"), "by": text, "reason": "StepBegun", "message": text,
            "from": {"percent": from}, "to": {"percent": to},
        })
    };
    let metric = |name: &str, now: u64| {
        json!({
            "name": name, "unit": "Requests", "odds": {"now": now, "needed": 100}, "limit": {"percent": 1},
            "versions": [{"name": "stable", "count": 900, "bad": 1}, {"name": "canary", "count": 100, "bad": 3}],
        })
    };
    json!({
        "phase": phase, "run": text, "message": text, "weight": {"percent": 50}, "observedGeneration": 2,
        "step": {"index": 2, "of": 2}, "proxies": {"current": 1, "total": 2, "bypassed": 0},
        "versions": [
            {"name": "stable", "role": "Stable", "deployment": "shop-stable", "weight": {"percent": 50}},
            {"name": "canary", "role": "Canary", "weight": {"percent": 50}, "served": {"percent": 49.5, "requests": 99}},
        ],
        "analysis": {
            "verdict": "Unclear", "message": text, "requests": {"have": 99, "need": 100},
            "metrics": [metric(text, 7), metric("request-duration", 100)],
            "users": {"canaryFailed": 1, "stableFailed": 0, "canaryUsers": 40, "canaryUsersFailed": 3, "odds": {"now": 1, "needed": 100}},
            "notJudged": [{"what": text, "why": text}],
        },
        "conditions": [condition],
        "command": {"id": "1", "command": text, "at": "2026-11-27T08:11:00Z", "outcome": "Refused", "message": text},
        "notifications": [{"name": text, "error": text}],
        "history": [{"run": text, "started": "2026-11-27T08:00:00Z", "changes": [change(1, 0, 10), change(9, 10, 50)]}],
    })
}

/// All there can be on a page, with `text` wherever people write.
fn shown(phase: ReleasePhase, text: &str) -> Shown {
    let board = Board::default();
    board.follow(&two_steps("shop", &status(phase, text)), None, now());
    let mut shown = board.of("shop/shop").unwrap();
    let point = |minute: u32, evidence: f64| {
        json!({
            "at": format!("2026-11-27T08:{minute:02}:00Z"), "weight": 100_000, "canary": 20, "stable": 180,
            "evidence": evidence, "won": [evidence - 0.5, null],
        })
    };
    let kind = |judged: Value| json!({"judged": judged, "against": "stable"});
    let history: History = serde_json::from_value(json!({
        "run": text, "needed": 4.6, "points": [point(1, -3.0), point(5, 0.2), point(12, 3.1)],
        "tests": [kind(json!({"requests": "request-success-rate"})), kind(json!("users"))],
        "wanted": 100_000, "looksAPoint": 1, "looks": 1,
    }))
    .unwrap();
    let percentiles = |p50| Some(Percentiles { p50, p90: p50 * 3.0, p99: p50 * 9.0 });
    let proxy = |name: &str, state| Proxy { name: name.to_owned(), state };
    shown.history = history;
    shown.cohorts = serde_json::from_value(json!([
        {"step": 1, "requests": 500, "ratio": 1.25, "bounds": {"estimate": 1.3, "low": 0.4, "high": 4.0}},
    ]))
    .unwrap();
    shown.latency = Latencies { stable: percentiles(10.0), canary: percentiles(300.0) };
    shown.proxies = vec![
        proxy("a", ProxyState::Runs { revision: 7, refused: None, has_lapsed: false }),
        proxy(text, ProxyState::Silent { error: text.to_owned() }),
    ];
    shown.revision = 7;
    shown.view.news =
        vec![News { at: now(), reason: text.to_owned(), message: text.to_owned(), warning: true }];
    shown
}

fn whole(main: &Markup) -> String {
    let shell = Shell { title: "t", root: "../", trail: &[("shop", None)], live: Some("shop/events") };
    document(&shell, main)
}

/// What stands between these, wherever it does.
fn all<'t>(text: &'t str, open: &str, close: &str) -> Vec<&'t str> {
    text.split(open).skip(1).map(|rest| rest.split(close).next().unwrap_or_default()).collect()
}

#[test]
fn what_people_wrote_means_nothing_to_a_page() {
    let hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>' style='x";
    let shown = shown(ReleasePhase::Progressing, hostile);
    let controls = Controls { token: "t".to_owned() };
    let views = [shown.view.clone()];
    let listing = Listing { q: hostile.to_owned(), sort: Sort::Name };
    for page in [
        whole(&release(&shown, Some(&controls), now())),
        whole(&list(&views, &listing, now())),
        whole(&list(&views, &Listing::default(), now())),
        whole(&confirm(CommandKind::Abort, &shown.view, &controls)),
        whole(&refused(hostile, hostile, "../shop")),
        whole(&missing(hostile, hostile, hostile)),
    ] {
        let scripts = all(&page, "<script", ">");
        assert_eq!(scripts, [" src=\"../-/page.js\" defer"], "{page}");
        assert!(!page.contains("<img") && page.contains("&lt;script&gt;"), "{page}");
        for tag in all(&page, "<", ">") {
            let outside: String = tag.split('"').step_by(2).collect();
            assert!(!outside.contains(" style=") && !outside.contains(" on"), "{tag}");
        }
    }
}

#[test]
fn pictures_and_tables_say_what_they_are_and_no_two_things_have_one_name() {
    for phase in ReleasePhase::ALL {
        let page = whole(&release(&shown(phase, "v2"), Some(&Controls { token: "t".to_owned() }), now()));
        for svg in all(&page, "<svg", "</svg>") {
            let is_named = svg.contains("aria-hidden=\"true\"")
                || svg.contains("aria-label=\"")
                || (svg.contains("<title") && svg.contains("<desc"));
            assert!(is_named, "{svg}");
        }
        for table in all(&page, "<table", "</table>") {
            assert!(table.contains("<caption"), "{table}");
        }
        let ids = all(&page, " id=\"", "\"");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{phase}: {ids:?}");
        for named in all(&page, " aria-labelledby=\"", "\"").into_iter().flat_map(str::split_whitespace) {
            assert!(ids.contains(&named), "{phase}: {named}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf\""), "{page}");
    }
}

#[test]
fn a_page_without_the_means_has_no_buttons_and_one_with_them_asks_first() {
    let shown = shown(ReleasePhase::Progressing, "v2");
    assert!(!release(&shown, None, now()).into_string().contains("<form"));
    let page = release(&shown, Some(&Controls { token: "secret".to_owned() }), now()).into_string();
    for form in all(&page, "<form", "</form>") {
        assert!(form.contains("method=\"post\"") && form.contains("value=\"secret\""), "{form}");
    }
    let actions = all(&page, "action=\"", "\"");
    assert_eq!(actions, ["shop/resume", "shop/pause"], "what moves everybody is a link to a question");
    assert!(page.contains("href=\"shop/promote\"") && page.contains("href=\"shop/abort\""), "{page}");
    let asks =
        confirm(CommandKind::Abort, &shown.view, &Controls { token: "secret".to_owned() }).into_string();
    assert!(asks.contains("shop/shop: everybody gets stable, nobody v2 (50% now)."), "{asks}");
}

#[test]
fn what_is_done_with_a_release_is_called_by_what_it_does() {
    let mut view = shown(ReleasePhase::Progressing, "v2").view;
    assert_eq!(named(CommandKind::Resume, &view), "Approve the step");
    assert_eq!(named(CommandKind::Abort, &view), "Abort");
    view.phase = ReleasePhase::Keeping;
    assert_eq!(named(CommandKind::Abort, &view), "Switch back");
    view.waits = None;
    assert_eq!(named(CommandKind::Resume, &view), "Resume");
}

/// The names in the order of the list.
fn names(views: &[View], q: &str, sort: Sort) -> Vec<String> {
    let page = list(views, &Listing { q: q.to_owned(), sort }, now()).into_string();
    all(&page, "<a href=\"shop/", "\"").into_iter().map(str::to_owned).collect()
}

#[test]
fn those_who_need_somebody_come_first_unless_one_sorts_otherwise() {
    let view = |name: &str, phase: ReleasePhase, waits: bool, weight: u32| {
        let mut status = status(phase, "v2");
        status["weight"] = json!({"percent": weight});
        if !waits {
            status["conditions"] = json!([]);
        }
        View::of_status(&two_steps(name, &status))
    };
    let views = [
        view("calm", ReleasePhase::Promoted, false, 0),
        view("going", ReleasePhase::Progressing, false, 50),
        view("waits", ReleasePhase::Progressing, true, 10),
        view("back", ReleasePhase::RolledBack, false, 0),
    ];
    assert_eq!(names(&views, "", Sort::Need), ["waits", "back", "going", "calm"]);
    assert_eq!(names(&views, "", Sort::Name), ["back", "calm", "going", "waits"]);
    assert_eq!(names(&views, "", Sort::Share), ["going", "waits", "back", "calm"]);
    assert_eq!(names(&views, "", Sort::Since), ["waits", "back", "calm", "going"]);
    assert_eq!(names(&views, "PROGRESS shop/g", Sort::Need), ["going"]);
    assert_eq!(names(&views, "awaitsapproval", Sort::Need), ["waits"]);
    assert!(names(&views, "nowhere", Sort::Need).is_empty());
}

#[test]
fn a_listing_is_an_address() {
    for (q, sort, expected) in
        [("", Sort::Need, ""), ("a b&c", Sort::Need, "?q=a+b%26c"), ("x", Sort::Since, "?q=x&sort=since")]
    {
        let listing = Listing { q: q.to_owned(), sort };
        assert_eq!(listing.query(), expected);
    }
}

#[test]
fn a_board_shows_a_release_as_it_was_followed_last() {
    let board = Board::default();
    board.follow(&two_steps("shop", &status(ReleasePhase::Progressing, "v2")), None, now());
    assert_eq!(board.of("shop/shop").unwrap().view.phase, ReleasePhase::Progressing);
    board.follow(&two_steps("shop", &status(ReleasePhase::RolledBack, "v2")), None, now());
    assert_eq!(board.all().iter().map(|view| view.phase).collect::<Vec<_>>(), [ReleasePhase::RolledBack]);
    board.forget("shop/shop");
    assert!(board.of("shop/shop").is_none() && board.all().is_empty());
}
