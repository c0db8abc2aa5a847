/*!
Reading documents: what is taken, what is refused with which words, and what stays in force then.
*/
mod support;

use serde_json::{Value, json};
use serin_policy::refusal::Kind;
use serin_policy::{Proxy, Table, Weight};

use support::{document, spec};

/// Reads `policies` after an empty table: the names in force, and the refusals' words.
fn read(policies: &[Value]) -> (Vec<String>, Vec<String>) {
    read_after(&Table::default(), &document(policies))
}

fn read_after(last_good: &Table, json: &[u8]) -> (Vec<String>, Vec<String>) {
    let (table, refusals) = Table::read(json, &Proxy::default(), last_good);
    let names = table.policies().map(|policy| format!("{}@{}", policy.name(), policy.revision()));
    (names.collect(), refusals.iter().map(ToString::to_string).collect())
}

fn table(policies: &[Value]) -> Table {
    let (table, refusals) = Table::read(&document(policies), &Proxy::of("", Some("shop")), &Table::default());
    assert_eq!(refusals, []);
    table
}

/// The policy that answers for `authority` and `path`.
fn found(table: &Table, authority: &str, path: &str) -> Option<String> {
    let (at, policy) = table.find(authority.as_bytes(), || Some(path.as_bytes().to_vec()))?;
    assert_eq!(table.policies().nth(at).unwrap().name(), policy.name(), "its place");
    Some(policy.name().to_owned())
}

#[test]
fn a_bad_policy_is_refused_by_itself() {
    let (names, refusals) = read(&[
        spec(&json!({"name": "a/a", "hosts": ["a"]})),
        spec(&json!({"name": "a/b", "hosts": ["b"], "salt": 7})),
        spec(&json!({"name": "a/c", "hosts": ["c"]})),
    ]);
    assert_eq!(names, ["a/a@7", "a/c@7"]);
    assert_eq!(refusals.len(), 1);
    assert!(refusals[0].starts_with("policies[1]: {"), "{refusals:?}");
}

#[test]
fn what_cannot_be_read_leaves_the_last_good_in_force() {
    let good = table(&[
        spec(&json!({"name": "a/a", "hosts": ["a"]})),
        spec(&json!({"name": "a/b", "hosts": ["b"]})),
    ]);
    for junk in ["", "null", "[]", "{", "\u{0}", r#"{"policies": []}"#, r#"{"version": 2, "policies": []}"#] {
        let (names, refusals) = read_after(&good, junk.as_bytes());
        assert_eq!(
            (&names[..], refusals.len()),
            (&["a/a@7".to_owned(), "a/b@7".to_owned()][..], 1),
            "{junk:?}"
        );
    }
    assert_eq!(read_after(&good, b"\xff").0.len(), 2);

    // Of a document that can be read, only what is named in it stays; and of that, the good is new.
    let a = spec(&json!({"name": "a/a", "hosts": ["a"], "revision": 8}));
    for bad in [
        json!({"name": "a/b", "salt": ""}),
        json!({"name": "a/b", "critical": ["tomorrow"]}),
        json!({"name": "a/b", "critical": "tomorrow"}),
        json!({"name": "a/b", "hosts": 7}),
    ] {
        let (names, refusals) = read_after(&good, &document(&[a.clone(), spec(&bad)]));
        assert_eq!((names, refusals.len()), (vec!["a/a@8".into(), "a/b@7".into()], 1), "{bad}");
    }
    assert_eq!(read_after(&good, &document(&[a])).0, ["a/a@8"]);
    assert_eq!(read_after(&good, &document(&[])).0, [""; 0]);
}

#[test]
fn a_policy_that_is_kept_gives_way_to_whoever_takes_its_host() {
    let good = table(&[spec(&json!({"name": "a/a", "hosts": ["a"]}))]);
    let json = document(&[
        spec(&json!({"name": "a/a", "hosts": ["a"], "salt": ""})),
        spec(&json!({"name": "a/b", "hosts": ["a"]})),
    ]);
    let (table, refusals) = Table::read(&json, &Proxy::default(), &good);
    assert_eq!(found(&table, "a", "/").as_deref(), Some("a/b"));
    assert_eq!((table.policies().count(), refusals.len()), (1, 1));
}

#[test]
fn fields_of_tomorrow_are_ignored_unless_they_are_critical() {
    assert_eq!(read(&[spec(&json!({"tomorrow": {"deep": [1]}}))]), (vec!["shop/shop@7".into()], vec![]));
    assert_eq!(read(&[spec(&json!({"critical": ["salt", "segments"]}))]).0, ["shop/shop@7"]);
    // A field of tomorrow may change the type of one of today: `critical` is looked at first.
    let (names, refusals) = read(&[spec(&json!({"critical": ["tomorrow"], "salt": {"new": "shape"}}))]);
    assert!(names.is_empty());
    let hint = "this filter does not know the field and must not ignore it: update the module";
    assert_eq!(refusals, [format!(r#"policies[0].critical: "tomorrow": {hint}"#)]);
}

#[test]
fn a_document_of_another_version_is_refused_as_a_whole() {
    let (_, refusals) =
        Table::read(br#"{"version": 2, "policies": "of tomorrow"}"#, &Proxy::default(), &Table::default());
    assert_eq!(refusals[0].kind, Kind::Unsupported);
    assert_eq!(
        refusals[0].to_string(),
        "version: 2: this filter reads version 1: update the module or the agent"
    );
}

#[test]
fn numbers_may_come_as_doubles_because_istio_sends_doubles() {
    let json =
        br#"{"version": 1.0, "policies": [{"name": "a/a", "revision": 1.2e+01, "hosts": ["a"], "salt": "s",
        "versions": [{"name": "stable"}, {"name": "canary", "weight": 1e+06}], "steps": [1e+03, 1e6],
        "identity": [{"cookie": "c"}], "cookie": {"name": "c", "maxAgeSeconds": 6.048e+05},
        "counts": {"objectiveMs": 500.0},
        "segments": [{"name": "s", "weight": 0.0, "matches": [{"method": "GET"}]}]}]}"#;
    let (table, refusals) = Table::read(json, &Proxy::default(), &Table::default());
    assert_eq!(refusals, []);
    let policy = table.policies().next().unwrap();
    assert_eq!((policy.revision(), policy.weight()), (12, Weight::FULL));
    assert_eq!(policy.cookie().unwrap().max_age_seconds, 604_800);
    assert_eq!(policy.counts().unwrap().objective_ms, 500);
}

#[test]
fn a_name_or_a_host_with_its_path_is_given_to_the_first_who_claims_it() {
    let (names, refusals) = read(&[
        spec(&json!({"name": "a/a", "hosts": ["a.ns.svc.cluster.local"]})),
        spec(&json!({"name": "a/a", "hosts": ["b"]})),
        spec(&json!({"name": "a/c", "hosts": ["c", "A.ns"]})),
        spec(&json!({"name": "a/d", "hosts": ["a.ns"], "pathPrefix": "/d"})),
        spec(&json!({"name": "a/e", "hosts": ["a.ns"], "pathPrefix": "/d/"})),
        spec(&json!({"name": "a/f", "hosts": ["f", "F", "f."]})),
    ]);
    assert_eq!(names, ["a/a@7", "a/d@7", "a/f@7"]);
    assert_eq!(
        refusals,
        [
            "policies[1].name: \"a/a\": name every policy once",
            "policies[2].hosts[1]: \"a.ns\" with path /: already claimed by a/a: give another host or path",
            "policies[4].hosts[0]: \"a.ns\" with path /d: already claimed by a/d: give another host or path",
        ]
    );
}

#[test]
fn a_host_is_found_in_every_spelling() {
    let table = table(&[
        spec(&json!({"name": "t/mesh", "hosts": ["shop.shop.svc.cluster.local"]})),
        spec(&json!({"name": "t/other", "hosts": ["cart.other.svc.cluster.local"]})),
        spec(&json!({"name": "t/port", "hosts": ["pay.example.com:8443"]})),
        spec(&json!({"name": "t/exact", "hosts": ["www.example.com"]})),
        spec(&json!({"name": "t/wild", "hosts": ["*.example.com"]})),
        spec(&json!({"name": "t/deep", "hosts": ["*.deep.example.com"]})),
        spec(&json!({"name": "t/address", "hosts": ["[2001:db8::1]", "192.0.2.1"]})),
    ]);
    for (authority, expected) in [
        ("shop.shop.svc.cluster.local", Some("t/mesh")),
        ("shop.shop.svc:8080", Some("t/mesh")),
        ("SHOP.shop", Some("t/mesh")),
        ("shop.shop.", Some("t/mesh")),
        // This proxy is in namespace shop, and in no other.
        ("shop", Some("t/mesh")),
        ("cart.other", Some("t/other")),
        ("cart", None),
        ("pay.example.com:8443", Some("t/port")),
        ("pay.example.com.:8443", Some("t/port")),
        ("pay.example.com:443", Some("t/wild")),
        ("pay.example.com", Some("t/wild")),
        ("www.example.com:80", Some("t/exact")),
        ("a.b.example.com", Some("t/wild")),
        ("a.deep.example.com", Some("t/deep")),
        ("deep.example.com", Some("t/wild")),
        ("example.com", None),
        ("[2001:db8::1]:80", Some("t/address")),
        ("192.0.2.1:80", Some("t/address")),
        ("", None),
        ("www.example.com:", Some("t/exact")),
    ] {
        assert_eq!(found(&table, authority, "/").as_deref(), expected, "{authority:?}");
    }
}

#[test]
fn the_star_answers_for_what_nobody_else_does() {
    let table = table(&[
        spec(&json!({"name": "t/all", "hosts": ["*"]})),
        spec(&json!({"name": "t/one", "hosts": ["one"]})),
    ]);
    assert_eq!(found(&table, "one:80", "/").as_deref(), Some("t/one"));
    for authority in [&b"two"[..], b"", b"\xff\xfe", b"[::1]:80", b"a:b:c"] {
        let (_, policy) = table.find(authority, || None).unwrap_or_else(|| panic!("{authority:?}"));
        assert_eq!(policy.name(), "t/all", "{authority:?}");
    }
}

#[test]
fn copies_that_somebody_sends_are_for_no_wildcard() {
    let table = table(&[
        spec(&json!({"name": "t/all", "hosts": ["*"]})),
        spec(&json!({"name": "t/many", "hosts": ["*.example.com-shadow"]})),
        spec(&json!({"name": "t/own", "hosts": ["shop-shadow"]})),
    ]);
    for (authority, expected) in [
        ("shop.example.com-shadow", None),
        ("shop.example.com-shadow:8080", None),
        ("192.0.2.1-shadow:80", None),
        ("shop-shadow.example.com", Some("t/all")),
        // Whoever calls a host so means it.
        ("shop-shadow", Some("t/own")),
    ] {
        assert_eq!(found(&table, authority, "/").as_deref(), expected, "{authority:?}");
    }
}

#[test]
fn a_wildcard_in_the_own_namespace_is_not_everybody() {
    let table = table(&[spec(&json!({"hosts": ["*.shop.svc.cluster.local"]}))]);
    assert!(found(&table, "cart.shop", "/").is_some());
    assert_eq!(found(&table, "www.example.com", "/"), None);
}

#[test]
fn the_longest_prefix_of_whole_segments_wins() {
    let table = table(&[
        spec(&json!({"name": "t/root"})),
        spec(&json!({"name": "t/a", "pathPrefix": "/a"})),
        spec(&json!({"name": "t/abc", "pathPrefix": "/a/b/c"})),
        spec(&json!({"name": "t/ab", "pathPrefix": "/a/b/"})),
        spec(&json!({"name": "t/only", "hosts": ["only"], "pathPrefix": "/only"})),
        spec(&json!({"name": "t/star", "hosts": ["*"]})),
    ]);
    for (path, expected) in [
        ("/", "t/root"),
        ("", "t/root"),
        ("*", "t/root"),
        ("/a", "t/a"),
        ("/a/", "t/a"),
        ("/a?b=/a/b", "t/a"),
        ("/a/bc", "t/a"),
        ("/ab", "t/root"),
        ("/a/b", "t/ab"),
        ("/a/b#c", "t/ab"),
        ("/a/b/c/d", "t/abc"),
    ] {
        assert_eq!(found(&table, "shop.example.com", path).as_deref(), Some(expected), "{path:?}");
    }
    assert_eq!(found(&table, "only", "/only/x").as_deref(), Some("t/only"));
    // A proxy has routes for that host, which are not the wider one's.
    assert_eq!(found(&table, "only", "/"), None);
    assert_eq!(found(&table, "only:8080", "/"), None);
    assert_eq!(found(&table, "other", "/").as_deref(), Some("t/star"));
}

#[test]
fn the_path_is_asked_for_only_when_it_matters() {
    let table = table(&[
        spec(&json!({"name": "t/root"})),
        spec(&json!({"name": "t/a", "hosts": ["a"], "pathPrefix": "/a"})),
    ]);
    let asked = std::cell::Cell::new(0);
    let path = || {
        asked.set(asked.get() + 1);
        Some(b"/a".to_vec())
    };
    assert!(table.find(b"shop.example.com", path).is_some());
    assert!(table.find(b"unknown", path).is_none());
    assert_eq!(asked.get(), 0);
    assert!(table.find(b"a", path).is_some());
    assert_eq!(asked.get(), 1);
}

#[test]
fn a_thousand_policies_are_each_found() {
    let hosts = |i: usize| [format!("s{i}.ns{}.svc.cluster.local", i % 10), format!("s{i}.example.com")];
    let all: Vec<_> =
        (0..1_000).map(|i| spec(&json!({"name": format!("t/p{i}"), "hosts": hosts(i)}))).collect();
    let table = table(&all);
    for i in 0..1_000 {
        for host in hosts(i) {
            assert_eq!(found(&table, &host, "/"), Some(format!("t/p{i}")), "{host}");
        }
    }
    assert_eq!(found(&table, "s1000.example.com", "/"), None);
}

#[test]
fn a_policy_that_has_not_changed_is_taken_over_as_it_is() {
    let with = |revision: u32| {
        document(&[
            spec(&json!({"name": "t/a"})),
            spec(&json!({"name": "t/b", "hosts": ["b"], "revision": revision})),
        ])
    };
    let proxy = Proxy::default();
    let (before, _) = Table::read(&with(1), &proxy, &Table::default());
    let (after, refusals) = Table::read(&with(2), &proxy, &before);
    assert_eq!(refusals, []);
    let is_same = |name: &str| {
        std::sync::Arc::ptr_eq(
            before.policy(name).expect("it was there"),
            after.policy(name).expect("it is there"),
        )
    };
    assert!(is_same("t/a") && !is_same("t/b"));
    assert_eq!(after.policy("t/b").map(|policy| policy.revision()), Some(2));
    // Twice in one document it is one too many all the same.
    let twice = document(&[spec(&json!({"name": "t/a"})), spec(&json!({"name": "t/a"}))]);
    assert_eq!(Table::read(&twice, &proxy, &before).1.len(), 1);
}
