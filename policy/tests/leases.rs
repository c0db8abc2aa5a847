/*!
Policies whose agent must be heard of: what runs out, when, and what does not.
*/
mod support;

use serde_json::{Value, json};
use serin_policy::{Lease, Proxy, Table};

use support::{Lines, describe, id, policy, spec};

const S: u64 = 1_000_000_000;

/// A table of `policies` with `leases`, and the words of what was refused.
fn read_after(last_good: &Table, policies: &[Value], leases: &Value) -> (Table, Vec<String>) {
    let json = json!({"version": 1, "policies": policies, "leases": leases}).to_string();
    let (table, refusals) = Table::read(json.as_bytes(), &Proxy::default(), last_good);
    (table, refusals.iter().map(ToString::to_string).collect())
}

fn read(policies: &[Value], leases: &Value) -> Table {
    let (table, refusals) = read_after(&Table::default(), policies, leases);
    assert_eq!(refusals, [""; 0]);
    table
}

#[test]
fn a_canary_whose_lease_has_run_out_takes_nobody() {
    let everything = "x-canary: canary\nx-user-type: beta\ncookie: serin=user@example.com";
    let rules = json!({
        "identity": [{"cookie": "serin"}],
        "previewHosts": ["green.example.com"],
        "overrides": [{"header": "x-canary"}],
        "segments": [{"name": "beta", "weight": 1_000_000, "matches": [{"headers": [{"name": "x-user-type", "value": "beta"}]}]}],
        "versions": [{"name": "stable"}, {"name": "canary", "weight": 1_000_000}],
    });
    let policy = policy(&rules);
    for request in [everything, "", ":authority: green.example.com"] {
        let decide = |lease| describe(&policy.decide(&Lines::parse(request), lease, || Some(id("minted"))));
        assert!(decide(Lease::Held).starts_with("canary: "), "{request}");
        assert_eq!(decide(Lease::Held), decide(Lease::Unleased), "{request}");
        assert_eq!(decide(Lease::Lapsed), "stable: lapsed", "{request}");
    }
}

#[test]
fn leases_are_by_name_and_may_come_as_doubles() {
    let policies =
        [spec(&json!({"name": "a/a", "hosts": ["a"]})), spec(&json!({"name": "a/b", "hosts": ["b"]}))];
    let table = read(&policies, &json!({"a/b": 1.5e1, "a/gone": 3}));
    assert_eq!([table.until(0), table.until(1), table.until(2)], [None, Some(15), None]);
    assert_eq!(
        [table.until_of("a/a"), table.until_of("a/b"), table.until_of("a/gone")],
        [None, Some(15), None]
    );
    assert_eq!((table.lease(1, || 14 * S), table.lease(1, || 15 * S)), (Lease::Held, Lease::Lapsed));
    assert_eq!(read(&policies, &json!({})).until(1), None);
}

#[test]
fn nothing_runs_out_where_there_may_be_no_stable_to_go_to() {
    for (changes, until) in
        [(json!({}), Some(15)), (json!({"promoted": true}), None), (json!({"closed": true}), None)]
    {
        assert_eq!(read(&[spec(&changes)], &json!({"shop/shop": 15})).until(0), until, "{changes}");
    }
}

#[test]
fn a_renewal_leaves_the_policy_as_it_is() {
    let policies = [spec(&json!({}))];
    let before = read(&policies, &json!({"shop/shop": 15}));
    let (after, _) = read_after(&before, &policies, &json!({"shop/shop": 30}));
    assert_eq!((before.until(0), after.until(0)), (Some(15), Some(30)));
    let of = |table: &Table| table.policy("shop/shop").cloned().unwrap();
    assert!(std::sync::Arc::ptr_eq(&of(&before), &of(&after)));
}

#[test]
fn what_is_kept_because_its_successor_cannot_be_read_is_kept_no_longer_than_it_was_to_be() {
    let before = read(&[spec(&json!({}))], &json!({"shop/shop": 15}));
    let bad = [spec(&json!({"revision": 8, "salt": ""}))];
    let until =
        |policies: &[Value], leases: &Value| read_after(&before, policies, leases).0.until_of("shop/shop");
    assert_eq!(until(&bad, &json!({})), Some(15), "whatever the successor was to be");
    assert_eq!(until(&bad, &json!({"shop/shop": 30})), Some(30), "its agent is heard of");
    assert_eq!(until(&[spec(&json!({"revision": 8}))], &json!({})), None, "the successor is to stay");
    let (whole, refusals) = Table::read(b"junk", &Proxy::default(), &before);
    assert_eq!((whole.until_of("shop/shop"), refusals.len()), (Some(15), 1));
}

#[test]
fn leases_that_cannot_be_read_are_no_reason_to_refuse_policies() {
    let before = read(&[spec(&json!({}))], &json!({"shop/shop": 15}));
    for leases in [json!("for ever"), json!({"shop/shop": -1}), json!({"shop/shop": 1.5}), json!([1])] {
        let closed = [spec(&json!({"revision": 8, "closed": true}))];
        let (table, refusals) = read_after(&before, &closed, &leases);
        assert!(table.policy("shop/shop").unwrap().is_closed(), "{leases}");
        assert!(refusals[0].starts_with(&format!("leases: {leases}: ")), "{refusals:?}");
        let (table, _) = read_after(&before, &[spec(&json!({"revision": 8}))], &leases);
        assert_eq!(table.until_of("shop/shop"), Some(15), "{leases}");
    }
}
