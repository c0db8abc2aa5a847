use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};
use serin_policy::{Leases, PolicySpec, Weight};

use super::contents::{name, read};
use super::shards::{Batch, ROOM, ROOM_TO_GROW, Shards, Write};
use super::*;
use crate::mesh::fixtures;

fn attachment(pods: Labels) -> Attachment {
    Attachment { namespace: "istio-ingress".to_owned(), pods }
}

fn pods(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn module() -> ModuleSource {
    ModuleSource::new("http://serin.serin/serin.wasm", Some(&"a1".repeat(32))).unwrap()
}

/// A policy of about 400 bytes.
fn policy(name: &str, hosts: &[&str], revision: u64) -> PolicySpec {
    static SHOP: LazyLock<PolicySpec> = LazyLock::new(|| {
        let weight = Weight::from_ppm(10_000).unwrap();
        fixtures::release("shop", &json!({})).0.policy(0, weight, false, false)
    });
    let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
    PolicySpec { name: name.to_owned(), revision, hosts, ..SHOP.clone() }
}

#[test]
fn a_plugin_is_complete() {
    let policies = [json!(policy("shop/shop", &["shop.example.com"], 7))];
    insta::assert_snapshot!(format!(
        "{:#}",
        plugin(
            &attachment(pods(&[("istio", "ingressgateway")])),
            0,
            &module(),
            &policies,
            &Leases::default()
        )
    ));
}

#[test]
fn where_it_lives_decides_how_it_is_attached() {
    for (place, selector) in
        [(pods(&[]), Value::Null), (pods(&[("a", "b")]), json!({"matchLabels": {"a": "b"}}))]
    {
        let plugin = plugin(&attachment(place.clone()), 0, &module(), &[], &Leases::default());
        assert_eq!(plugin["spec"]["selector"], selector, "{place:?}");
        assert_eq!(plugin["spec"]["match"], json!([{"mode": "CLIENT"}]), "{place:?}");
        assert_eq!(attachment_of(&plugin), Some(attachment(place)));
        // Two of them in one proxy are told apart by the root id.
        assert_eq!(plugin["spec"]["pluginName"], plugin["metadata"]["name"]);
    }
}

#[test]
fn every_place_and_shard_has_a_name_of_its_own_for_ever() {
    let places = [(pods(&[]), "serin-all-4f929c62"), (pods(&[("a", "b")]), "serin-pods-bcde648f")];
    for (place, expected) in places {
        let here = attachment(place);
        assert_eq!(here.name(0), expected);
        assert_eq!(here.name(1), format!("{expected}-2"));
        assert!(here.name(999).len() <= 63);
        for shard in [0, 1, 10] {
            assert_eq!(here.shard(&here.name(shard)), Some(shard));
        }
        for other in ["serin", &format!("{expected}-1"), &format!("{expected}-02"), &format!("{expected}x")] {
            assert_eq!(here.shard(other), None, "{other}");
        }
        let elsewhere = Attachment { namespace: "other".to_owned(), ..here.clone() };
        assert_ne!(here.name(0), elsewhere.name(0));
    }
}

/// Checks that of plugins at `places` only those at `expected` are needed.
fn check_uncovered(places: &[Labels], expected: &[Labels]) {
    let at = |places: &[Labels]| places.iter().cloned().map(attachment).collect::<Vec<_>>();
    assert_eq!(uncovered(at(places)), at(expected), "{places:?}");
}

#[test]
fn no_proxy_runs_a_plugin_too_many() {
    let (all, edge, one) = (pods(&[]), pods(&[("istio", "edge")]), pods(&[("istio", "edge"), ("tier", "1")]));
    check_uncovered(&[edge.clone(), all.clone(), edge.clone()], std::slice::from_ref(&all));
    check_uncovered(&[one.clone(), edge.clone()], std::slice::from_ref(&edge));
    let other = pods(&[("istio", "other")]);
    check_uncovered(&[edge.clone(), other.clone()], &[edge.clone(), other]);
    let elsewhere = Attachment { namespace: "apps".to_owned(), pods: all };
    let both = vec![elsewhere, attachment(edge)];
    assert_eq!(uncovered(both.clone()), both);
}

#[test]
fn a_module_is_pinned_or_refused() {
    let digest = "0f".repeat(32);
    let pinned = format!("oci://ghcr.io/serin/filter@sha256:{digest}");
    let check = |url: &str, sha256: Option<&str>, expected: Result<(), &str>| {
        let found = ModuleSource::new(url, sha256).map_err(|error| error.to_string());
        match (found, expected) {
            (Ok(module), Ok(())) => {
                assert_eq!((module.url.as_str(), module.sha256.as_str()), (url, digest.as_str()));
            }
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{url}: {found:?}, want {expected:?}"),
        }
    };
    check("http://serin/serin.wasm", Some(&digest), Ok(()));
    check(&pinned, None, Ok(()));
    check(&pinned, Some(&digest), Ok(()));
    check("oci://ghcr.io/serin/filter:1", Some(&digest), Ok(()));
    check("oci://ghcr.io/serin/filter:1", None, Err("has no checksum"));
    check("http://serin/a@sha256:b", None, Err("has no checksum"));
    check("http://serin/serin.wasm", Some("0F"), Err("give 64 hexadecimal digits"));
    check(&pinned, Some(&"00".repeat(32)), Err("names another checksum"));
    check("ghcr.io/serin/filter", Some(&digest), Err("is no address"));
    check("file:///serin.wasm", Some(&digest), Err("is no address"));
}

#[test]
fn what_is_written_is_read_back() {
    let policies = [json!(policy("shop/shop", &["shop.example.com"], 7))];
    let plugin = plugin(&attachment(pods(&[])), 0, &module(), &policies, &Leases::default());
    // Numbers come back as doubles from whoever holds them in a protobuf Struct.
    let doubled =
        serde_json::from_str(&plugin.to_string().replace(":7", ":7.0").replace(":10000", ":1e4")).unwrap();
    for plugin in [plugin, doubled] {
        let contents = read(&plugin).unwrap();
        let policy = contents.policy("shop/shop").unwrap();
        assert_eq!((policy.revision(), policy.weight().ppm()), (7, 10_000));
        assert_eq!(contents.raw("shop/shop").unwrap()["revision"].as_f64(), Some(7.0));
        assert!(contents.raw("shop/other").is_none() && contents.policy("shop/other").is_none());
        assert_eq!(contents.refusals(), []);
    }
}

#[test]
fn a_policy_of_tomorrow_survives_the_writing_of_another() {
    let tomorrow =
        json!({"name": "a/tomorrow", "hosts": {"exact": ["x"]}, "critical": ["hosts"], "revision": 1});
    let nameless = json!({"who": "knows"});
    let existing = vec![nameless.clone(), json!(policy("b/b", &["b.example.com"], 1)), tomorrow.clone()];
    let shards = Shards::new([(0, existing)]);
    let written = shards.place(&policy("b/b", &["b.example.com"], 2)).unwrap().remove(0).policies;
    assert_eq!([&written[0], &written[2]], [&tomorrow, &nameless]);
    assert_eq!(written[1]["revision"], 2);
    assert_eq!(written.len(), 3);
    assert_eq!(shards.remove("b/b")[0].policies, [tomorrow, nameless]);
    let contents = read(&plugin(&attachment(pods(&[])), 0, &module(), &written, &Leases::default())).unwrap();
    assert_eq!(contents.policy("b/b").unwrap().revision(), 2);
    assert!(contents.policy("a/tomorrow").is_none() && contents.raw("a/tomorrow").is_some());
    assert_eq!(contents.refusals().len(), 2);
}

#[test]
fn what_is_no_list_of_policies_is_refused_rather_than_lost() {
    for config in [json!({"version": 2, "policies": []}), json!({"version": 1}), json!({}), json!("x")] {
        let error = read(&json!({"spec": {"pluginConfig": config}})).unwrap_err().to_string();
        assert!(error.contains("update Serin, or delete"), "{error}");
    }
    assert!(read(&json!({"spec": {}})).unwrap().policies.is_empty());
}

#[test]
fn a_touch_changes_the_spec_is_no_edit_and_the_filter_overlooks_it() {
    let policies = [json!(policy("shop/shop", &["shop.example.com"], 7))];
    let wanted = plugin(&attachment(pods(&[])), 0, &module(), &policies, &Leases::default());
    let mut found = wanted.clone();
    touch(&mut found, "2026-11-21T15:00:00Z".parse().unwrap());
    assert_ne!(found["spec"], wanted["spec"]);
    assert_eq!(drift(&wanted, &found), []);
    assert!(read(&found).unwrap().policy("shop/shop").is_some());
    found["spec"]["failStrategy"] = "FAIL_CLOSE".into();
    found["spec"]["pluginConfig"]["policies"][0]["versions"][1]["weight"] = 1_000_000.into();
    let edits: Vec<_> = drift(&wanted, &found).iter().map(ToString::to_string).collect();
    assert_eq!(
        edits,
        [
            r#"spec.failStrategy: found "FAIL_CLOSE", want "FAIL_OPEN""#,
            "spec.pluginConfig.policies[0].versions[1].weight: found 1000000, want 10000",
        ]
    );
}

#[test]
fn another_module_in_the_spec_is_an_edit_and_not_taken_for_serins_own() {
    let wanted = plugin(&attachment(pods(&[])), 0, &module(), &[], &Leases::default());
    let mut found = wanted.clone();
    found["spec"]["sha256"] = "00".repeat(32).into();
    assert_eq!(module_of(&found), Some(module()));
    assert_eq!(drift(&wanted, &found).len(), 1);
    found["metadata"]["annotations"] = json!({});
    assert_eq!(module_of(&found), None);
}

#[test]
fn the_secret_of_a_modules_registry_goes_with_the_module() {
    let module = module().pulled_with(Some("registry".to_owned()));
    let wanted = plugin(&attachment(pods(&[])), 0, &module, &[], &Leases::default());
    assert_eq!(wanted["spec"]["imagePullSecret"], "registry");
    assert_eq!(module_of(&wanted), Some(module));
}

/// The plugins of one attachment, as a cluster keeps them.
#[derive(Default)]
struct Plugins(BTreeMap<usize, Vec<Value>>);

impl Plugins {
    fn new(plugins: impl IntoIterator<Item = (usize, Vec<Value>)>) -> Self {
        Self(plugins.into_iter().collect())
    }

    fn shards(&self) -> Shards {
        Shards::new(self.0.clone())
    }

    fn apply(&mut self, write: Write) {
        if write.policies.is_empty() {
            self.0.remove(&write.shard);
        } else {
            self.0.insert(write.shard, write.policies);
        }
    }
}

/// Which releases the shards hold, e.g. `0: a b | 2: c`.
fn layout(shards: &Plugins) -> String {
    let shards = shards.0.iter().map(|(shard, policies)| {
        let names: Vec<_> = policies.iter().filter_map(name).collect();
        format!("{shard}: {}", names.join(" "))
    });
    shards.collect::<Vec<_>>().join(" | ")
}

fn place(shards: &mut Plugins, policy: &PolicySpec) -> Vec<usize> {
    let writes = shards.shards().place(policy).unwrap();
    let written = writes.iter().map(|write| write.shard).collect();
    for write in writes {
        shards.apply(write);
    }
    written
}

/// A policy that takes up `share` of a shard's room.
fn large(name: &str, host: &str, share: f64) -> PolicySpec {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a size"
    )]
    let bytes = (ROOM as f64 * share) as usize;
    PolicySpec { salt: "x".repeat(bytes), ..policy(name, &[host], 1) }
}

/// Checks that after placing `policies` in their order the shards are `expected`, and which of them the last one wrote.
fn check_placed(policies: &[PolicySpec], expected: &str, last: &[usize]) {
    let mut shards = Plugins::default();
    let mut written = Vec::new();
    for policy in policies {
        written = place(&mut shards, policy);
    }
    assert_eq!(layout(&shards), expected);
    assert_eq!(written, last, "{expected}");
}

#[test]
fn newcomers_go_where_there_is_room() {
    let (a, b, c) = (large("a", "a.com", 0.6), large("b", "b.com", 0.6), large("c", "c.com", 0.3));
    check_placed(&[a.clone(), b.clone(), c.clone()], "0: a c | 1: b", &[0]);
    check_placed(&[a, c, b], "0: a c | 1: b", &[1]);
}

#[test]
fn who_may_answer_for_the_same_request_is_in_the_same_shard() {
    let (a, b) = (large("a", "a.com", 0.6), large("b", "b.com", 0.6));
    let with = |host| check_placed(&[a.clone(), b.clone(), large("c", host, 0.1)], "0: a | 1: b c", &[1]);
    with("b.com");
    with("b.com:8080");
    with("B.com.");
    let (a, b) = (large("a", "a.com", 0.6), large("b", "b.ns.svc.cluster.local", 0.6));
    let with = |host| check_placed(&[a.clone(), b.clone(), large("c", host, 0.1)], "0: a | 1: b c", &[1]);
    with("b.ns.svc");
    with("b.ns");
    with("*.svc.cluster.local");
}

#[test]
fn a_policy_stays_where_it_is_and_moves_by_being_in_two_places() {
    let (a, b, c) = (large("a", "a.com", 0.5), large("b", "b.com", 0.4), large("c", "c.com", 0.6));
    // It may outgrow the room for newcomers, if only by so much.
    check_placed(&[a.clone(), b.clone(), large("b", "b.com", 0.7)], "0: a b", &[0]);
    check_placed(&[a.clone(), b.clone(), large("b", "b.com", 0.9)], "0: a | 1: b", &[1, 0]);
    // Room that has become free moves nobody.
    let mut shards = Plugins::default();
    for policy in [&a, &b, &c] {
        place(&mut shards, policy);
    }
    assert_eq!(layout(&shards), "0: a b | 1: c");
    for write in shards.shards().remove("a") {
        shards.apply(write);
    }
    assert_eq!(place(&mut shards, &large("c", "c.com", 0.55)), [1]);
    assert_eq!(layout(&shards), "0: b | 1: c");
    // The last to go takes the plugin along.
    assert_eq!(shards.shards().remove("c"), [Write { shard: 1, policies: Vec::new() }]);
    // A host that joins two families brings them together: the smaller one moves, and is written first where it goes.
    let (a, b) = (large("a", "a.com", 0.6), large("b", "b.com", 0.2));
    let filler = large("f", "f.com", 0.3);
    let mut shards = Plugins::new([(0, vec![json!(a), json!(filler)]), (3, vec![json!(b)])]);
    let joined =
        PolicySpec { hosts: vec!["a.com".to_owned(), "b.com".to_owned()], ..large("c", "a.com", 0.05) };
    assert_eq!(place(&mut shards, &joined), [3, 0]);
    assert_eq!(layout(&shards), "0: f | 3: a b c");
}

#[test]
fn a_broken_off_move_is_made_good() {
    let (old, new) = (policy("a", &["a.com"], 1), policy("a", &["a.com"], 2));
    for (first, second) in [(&old, &new), (&new, &old)] {
        let shards = || Plugins::new([(0, vec![json!(first)]), (1, vec![json!(second)])]);
        let mut own = shards();
        assert_eq!(place(&mut own, &policy("a", &["a.com"], 3)), [0, 1]);
        assert_eq!(layout(&own), "0: a");
        // Whoever must be with it does not double it either.
        let mut kin = shards();
        place(&mut kin, &policy("b", &["a.com"], 1));
        assert_eq!(layout(&kin), "0: a b");
        let kept = kin.0[&0][0]["revision"].clone();
        assert_eq!(kept, 2);
    }
}

#[test]
fn a_family_that_fits_into_no_plugin_is_refused_and_nobody_is_touched() {
    let mut shards = Plugins::default();
    for (name, host) in [("a", "a.com"), ("b", "b.com")] {
        place(&mut shards, &large(name, host, 0.6));
    }
    let error = shards.shards().place(&large("c", "*", 0.1)).unwrap_err().to_string();
    assert!(error.starts_with("c: its hosts overlap with those of 2 other releases here"), "{error}");
}

#[test]
fn a_weight_is_never_refused() {
    let mut shards =
        Plugins::new([(0, "a"), (1, "b")].map(|(at, name)| (at, vec![json!(large(name, "x.com", 0.6))])));
    assert_eq!(place(&mut shards, &large("b", "x.com", 0.6)), [1]);
    assert_eq!(place(&mut shards, &large("b", "x.com", 1.6)), [1]);
    assert!(shards.shards().place(&large("b", "*.com", 0.6)).is_err());
}

/// Policies `r0`, `r1`… of `range`, each with a host of its own.
fn numbered(range: std::ops::Range<usize>) -> impl Iterator<Item = PolicySpec> {
    range.map(|i| policy(&format!("shop/r{i}"), &[&format!("r{i}.example.com")], 1))
}

/// Checks how the last ten of `count` policies are placed after the others fill shards of 1,894.
fn check_thousands(count: usize, last: &[usize]) {
    let (all, before): (Vec<_>, _) = (numbered(0..count).collect(), count - 10);
    let chunks = all[..before].chunks(1_894).map(|chunk| chunk.iter().map(policy_json).collect());
    let mut shards = Plugins::new(chunks.enumerate());
    let written: Vec<_> = all[before..].iter().flat_map(|policy| place(&mut shards, policy)).collect();
    assert_eq!(written, last);
    for policies in shards.0.values() {
        assert!(json!(policies).to_string().len() <= ROOM + 2);
    }
    assert_eq!(shards.0.values().map(Vec::len).sum::<usize>(), count);
    // A weight changes one plugin, and moves nobody.
    assert_eq!(place(&mut shards, &policy("shop/r0", &["r0.example.com"], 1_000_000)), [0]);
}

#[test]
fn thousands_of_policies_fill_as_few_plugins_as_it_takes() {
    check_thousands(1_000, &[0; 10]);
    check_thousands(1_904, &[0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    check_thousands(3_794, &[0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    const { assert!(ROOM < ROOM_TO_GROW && ROOM_TO_GROW < 1_500_000) };
}

/// Writes `policies` as those that have waited together, and says the layout after each single write.
fn write_together(plugins: &mut Plugins, policies: &[PolicySpec]) -> Vec<String> {
    let (mut waiting, mut layouts) = (policies, Vec::new());
    while !waiting.is_empty() {
        let Batch { placed, writes } = plugins.shards().batch(waiting);
        waiting = &waiting[placed.len()..];
        for write in writes {
            plugins.apply(write);
            layouts.push(layout(plugins));
        }
    }
    layouts
}

#[test]
fn what_several_releases_want_at_once_is_written_at_once() {
    let policies = [policy("a", &["a.com"], 1), policy("b", &["b.com"], 2), policy("c", &["a.com"], 3)];
    assert_eq!(write_together(&mut Plugins::default(), &policies), ["0: a b c"]);
}

#[test]
fn a_policy_that_moves_is_in_two_places_first_whoever_is_written_with_it() {
    let (a, b) = (large("a", "a.com", 0.5), large("b", "b.com", 0.4));
    let (grown, beside) = (large("b", "b.com", 0.9), policy("c", &["b.com"], 1));
    let plugins = || Plugins::new([(0, vec![json!(a), json!(b)])]);
    assert_eq!(
        write_together(&mut plugins(), &[grown.clone(), beside.clone()]),
        ["0: a b | 1: b", "0: a | 1: b", "0: a | 1: b c"]
    );
    assert_eq!(
        write_together(&mut plugins(), &[a.clone(), grown, beside]),
        ["0: a b", "0: a b | 1: b", "0: a | 1: b", "0: a | 1: b c"]
    );
}
