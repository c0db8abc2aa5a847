/*!
The contract between all builds of Serin: golden points, decisions and documents.

These run natively, in the agent's world, and on Node in wasm32, in the filter's: 32-bit sizes and another code
generator must not move a single caller. `tests/module/on_node.rs` runs this file there.
*/
mod support;

use serde_json::json;
use serin_policy::{Id, Point, Proxy, Table};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test;

use support::{Lines, decide, describe, document, policy, spec};

#[cfg_attr(all(target_arch = "wasm32", target_os = "unknown"), wasm_bindgen_test)]
#[cfg_attr(not(all(target_arch = "wasm32", target_os = "unknown")), test)]
fn everybody_stands_where_the_other_implementation_puts_them() {
    let rows = include_str!("points.tsv").lines().filter(|line| !line.starts_with('#'));
    let mut checked = 0;
    for row in rows {
        let [salt, id, hash, point] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row:?}") };
        let hashed = xxhash_rust::xxh64::xxh64(format!("{salt}\0{id}").as_bytes(), 0);
        assert_eq!(format!("{hashed:016x}"), hash, "hash of {row:?}");
        let id = Id::try_from(id.as_bytes()).unwrap();
        assert_eq!(Point::of(salt, &id).get().to_string(), point, "point of {row:?}");
        checked += 1;
    }
    assert!(checked >= 40, "only {checked} rows");
}

#[cfg_attr(all(target_arch = "wasm32", target_os = "unknown"), wasm_bindgen_test)]
#[cfg_attr(not(all(target_arch = "wasm32", target_os = "unknown")), test)]
fn golden_requests_get_their_golden_answers() {
    let policy = policy(&json!({
        "versions": [{"name": "stable"}, {"name": "canary", "weight": 549_012}],
        "steps": [10_000, 549_012, 1_000_000],
        "identity": [{"header": "x-user-id"}, {"cookie": "serin"}, {"baggage": "serin"}, "requestId"],
        "cookie": {"name": "serin", "maxAgeSeconds": 604_800},
        // sha256sum of `open sesame`
        "overrides": [{"header": "x-canary",
            "tokenSha256": "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb"}],
        "segments": [
            {"name": "beta", "matches": [{"headers": [{"name": "x-user-type", "value": "beta"}]}], "weight": 1_000_000},
            {"name": "half", "matches": [{"path": {"type": "Prefix", "value": "/half"}}], "weight": 551_796},
        ],
    }));
    for (request, expected) in [
        // alice stands at 549011, the id of zeros at 551796, ! at 9665: points.tsv says so. In a header, alice is others' word.
        ("x-user-id: alice", "stable: bucket step 3; header 2bd806c97f0e00af1a1fc3328fa763a9"),
        ("cookie: a=b; serin=alice", "canary: bucket step 2; cookie alice"),
        ("baggage: a=b, serin=alice;ttl=1", "canary: bucket step 2; baggage alice"),
        ("cookie: serin=!", "canary: bucket step 1; cookie !"),
        (
            "cookie: serin=00000000000000000000000000000000",
            "stable: bucket step 3; cookie 00000000000000000000000000000000",
        ),
        ("sec-fetch-mode: cors\nx-request-id: alice", "canary: bucket step 2; request id alice"),
        ("sec-fetch-mode: no-cors", "stable: no identity"),
        ("x-canary: canary:open sesame", "canary: override"),
        ("x-canary: canary:wrong\ncookie: serin=alice", "canary: bucket step 2; cookie alice"),
        ("x-user-type: beta", "canary: segment 1"),
        (":path: /half?x\ncookie: serin=alice", "canary: split segment 2; cookie alice"),
        (
            ":path: /half\ncookie: serin=00000000000000000000000000000000",
            "stable: split segment 2; cookie 00000000000000000000000000000000",
        ),
    ] {
        assert_eq!(describe(&decide(&policy, &Lines::parse(request))), expected, "{request}");
    }
}

#[cfg_attr(all(target_arch = "wasm32", target_os = "unknown"), wasm_bindgen_test)]
#[cfg_attr(not(all(target_arch = "wasm32", target_os = "unknown")), test)]
fn a_golden_document_is_read_with_its_one_bad_policy_named() {
    let json = document(&[
        spec(&json!({"revision": 9_007_199_254_740_992_u64, "hosts": ["shop.shop.svc.cluster.local:8080"]})),
        spec(&json!({"name": "shop/bad", "salt": ""})),
        spec(
            &json!({"name": "shop/rest", "hosts": ["*"], "pathPrefix": "/rest", "responseHeader": "x-served-by"}),
        ),
    ]);
    let (table, refusals) = Table::read(&json, &Proxy::of("", Some("shop")), &Table::default());
    let refusals: Vec<_> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        refusals,
        [r#"policies[1].salt: "": give a text without zero bytes, such as namespace/release/run"#]
    );
    let found = |authority: &str, path: &str| {
        let policy = table.find(authority.as_bytes(), || Some(path.as_bytes().to_vec()));
        policy.map(|(at, policy)| (at, policy.name().to_owned(), policy.revision()))
    };
    assert_eq!(found("shop:8080", "/"), Some((0, "shop/shop".to_owned(), 9_007_199_254_740_992)));
    assert_eq!(found("anything", "/rest/x?y"), Some((1, "shop/rest".to_owned(), 7)));
    assert_eq!(found("anything", "/"), None);
}
