/*!
How long the proxy is told to try requests again after a rollback.
*/
use std::time::Duration;

use serde_json::{Value, json};
use serin_tests::module_host::{ModuleHost, Request, values};

fn policy(name: &str, revision: u32, retries: &Value) -> Value {
    json!({
        "name": format!("shop/{name}"),
        "revision": revision,
        "hosts": [format!("{name}.example.com")],
        "versions": [{"name": "stable"}, {"name": "canary", "weight": 0}],
        "closed": true,
        "salt": "1",
        "identity": [{"cookie": "serin"}],
        "retries": retries,
    })
}

fn configure(host: &mut ModuleHost, policies: &[Value]) {
    host.configure(json!({"version": 1, "policies": policies}).to_string().as_bytes()).unwrap();
    assert_eq!(host.take_log(), [""; 0]);
}

/// Compares what the proxy is told of retries for a request that a client has its own wishes for.
fn check(host: &mut ModuleHost, expected: [&str; 3]) {
    let request = Request::get("shop.example.com", "/").header("x-envoy-max-retries", "99");
    let routed = host.request(request).unwrap().routed;
    let of = |name: &str| {
        values(&routed, name)
            .iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect::<Vec<_>>()
            .join("|")
    };
    let told = ["x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-upstream-rq-per-try-timeout-ms"].map(of);
    assert_eq!(told, expected);
}

#[test]
fn requests_are_tried_again_for_as_long_as_was_said_and_no_push_of_others_makes_it_longer() {
    let retries = json!({"attempts": 3, "retryOn": "5xx,reset", "perTryTimeoutMs": 250, "seconds": 60});
    let (told, not_told) = (["5xx,reset", "3", "250"], ["", "99", ""]);
    let mut host = super::host();
    configure(&mut host, &[policy("shop", 1, &Value::Null)]);
    check(&mut host, not_told);
    let shop = policy("shop", 2, &retries);
    configure(&mut host, std::slice::from_ref(&shop));
    check(&mut host, told);
    host.advance(Duration::from_secs(30));
    configure(&mut host, &[policy("other", 1, &retries), shop]);
    host.advance(Duration::from_secs(29));
    check(&mut host, told);
    host.advance(Duration::from_secs(2));
    check(&mut host, not_told);
    // Another policy is another rollback.
    configure(&mut host, &[policy("shop", 3, &retries)]);
    check(&mut host, told);
}
