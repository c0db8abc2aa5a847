/*!
Several plugins of a proxy in one module: proxies share a module between plugins that are set up alike.
*/
use serde_json::json;
use serin_tests::module_host::{ModuleHost, Request, values};

const SHOPS: [&str; 2] = ["first.example.com", "second.example.com"];

/// Configures the plugin of this shop alone, which is all canary or all stable.
fn configure(host: &mut ModuleHost, shop: &str, weight: u32) {
    let policy = json!({
        "name": "shop/shop",
        "revision": 1,
        "hosts": [shop],
        "versions": [{"name": "stable"}, {"name": "canary", "weight": weight}],
        "salt": "shop/shop/1",
        "steps": [10_000],
        "identity": [{"cookie": "serin"}],
        "counts": {"objectiveMs": 500},
    });
    host.turn_to_plugin(shop);
    host.configure(json!({"version": 1, "policies": [policy]}).to_string().as_bytes()).unwrap();
    assert_eq!(host.take_log(), [""; 0]);
}

/// The versions that a user of each shop gets by the plugin of `plugin`.
fn check(host: &mut ModuleHost, plugin: &str, expected: [&str; 2]) {
    host.turn_to_plugin(plugin);
    let got = SHOPS.map(|shop| {
        let outcome = host.request(Request::get(shop, "/").header("cookie", "serin=ann")).unwrap();
        values(&outcome.routed, "x-serin-version")
            .iter()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect::<String>()
    });
    assert_eq!(got, expected, "by the plugin of {plugin}");
}

#[test]
fn each_plugin_of_a_proxy_goes_by_its_own_policies() {
    let mut host = super::host();
    let [first, second] = SHOPS;
    configure(&mut host, first, 1_000_000);
    check(&mut host, first, ["canary", ""]);
    configure(&mut host, second, 0);
    check(&mut host, first, ["canary", ""]);
    check(&mut host, second, ["", "stable"]);
    // A push to one is nothing to the other.
    configure(&mut host, second, 1_000_000);
    configure(&mut host, first, 0);
    check(&mut host, first, ["stable", ""]);
    check(&mut host, second, ["", "canary"]);
}
