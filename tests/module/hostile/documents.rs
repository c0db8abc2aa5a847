/*!
The documents that are pushed while the hostile requests go on: good, partly good, and junk.
*/
use std::sync::LazyLock;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use serin_policy::grant::Granter;

use super::requests::Junk;

/// Where the proxy says it is.
pub(super) const NAMESPACE: &str = "shop";

pub(super) const COOKIE: &str = "serin";
pub(super) const BAGGAGE: &str = "serin-id";
pub(super) const USER: &str = "x-user-id";
pub(super) const OVERRIDE: &str = "x-canary";
pub(super) const ROUTING: &str = "x-serin-version";
pub(super) const SERVED_BY: &str = "x-served-by";
pub(super) const LINK_COOKIE: &str = "serin-link-edge";

/// Grants for the edge: the proxy's clock is at 1.8e9 and goes on for some hours, so that some have ended, some end
/// meanwhile, and some hold to the end. The last is of another token.
pub(super) static GRANTS: LazyLock<[String; 5]> = LazyLock::new(|| {
    let grant = |granter: &Granter, hours: u64| {
        granter.grant(1, "canary", 1_800_000_000 + hours * 3_600).expect("there is one").0
    };
    let other = Granter::new("somebody else's, 22 letters", "shop/edge");
    [grant(&GRANTER, 0), grant(&GRANTER, 1), grant(&GRANTER, 3), grant(&GRANTER, 1_000), grant(&other, 1_000)]
});

static GRANTER: LazyLock<Granter> =
    LazyLock::new(|| Granter::new("of at least 22 letters and digits", "shop/edge"));

/// Documents to choose from.
pub(super) struct Documents(Vec<Vec<u8>>);

impl Documents {
    pub(super) fn new() -> Self {
        let (edge, sidecar, plain) = (edge(), sidecar(), plain());
        let with = |policy: &Value, field: &str, value: Value| {
            let mut policy = policy.clone();
            policy[field] = value;
            policy
        };
        let closed = with(&edge, "closed", json!(true));
        let everybody = with(&plain, "versions", versions(1_000_000));
        let bad = with(&sidecar, "salt", json!(""));
        let tomorrow = with(&edge, "critical", json!(["tomorrow"]));
        let documents = [
            json!([edge, sidecar, plain]),
            json!([edge, sidecar, plain]),
            json!([
                with(&edge, "counts", json!({"objectiveMs": 0})),
                with(&plain, "hosts", json!(["shop.example.com"]))
            ]),
            json!([closed, everybody, sidecar]),
            json!([plain]),
            json!([edge, bad, plain]),
            json!([tomorrow, sidecar]),
            json!([edge, edge, 7, null, {"name": "shop/none"}]),
            json!([]),
        ];
        // The proxy's clock is at 1.8e9 and goes on for some hours in a test: some leases run out at once, some in it, and some never.
        let leases = [
            json!({}),
            json!({"shop/edge": 0, "shop/cart": 1_800_000_600, "shop/plain": 1.9e9}),
            json!({"shop/edge": 1_800_001_800, "shop/plain": 1, "shop/nobody": 7}),
            json!("for ever"),
        ];
        let good = leases.iter().flat_map(|leases| {
            documents.each_ref().map(|policies| {
                json!({"version": 1, "policies": policies, "leases": leases}).to_string().into_bytes()
            })
        });
        let refused = ["", "{}", "null", r#"{"version": 2, "policies": "of tomorrow"}"#, "\u{feff}{}"];
        Self(good.chain(refused.map(|text| text.as_bytes().to_vec())).collect())
    }

    /// One of them, a part of one, or junk.
    pub(super) fn any(&self, random: &mut StdRng, junk: &Junk) -> Vec<u8> {
        let mut json = self.0.choose(random).expect("there are some").clone();
        match random.random_range(0..20) {
            0 => json.truncate(random.random_range(0..=json.len())),
            1 => return junk.any(random).to_vec(),
            2 if !json.is_empty() => {
                let at = random.random_range(0..json.len());
                json[at] = random.random();
            }
            3 => return vec![b'['; 100_000],
            _ => {}
        }
        json
    }
}

fn versions(ppm: u32) -> Value {
    json!([{"name": "stable"}, {"name": "canary", "weight": ppm}])
}

/// What stands at an edge: everything there is.
fn edge() -> Value {
    let segment =
        |name: &str, weight: u32, one: Value| json!({"name": name, "weight": weight, "matches": [one]});
    json!({
        "name": "shop/edge",
        "revision": 1,
        "hosts": ["shop.example.com", "*.wild.example.com", "[2001:db8::1]:80"],
        "versions": versions(250_000),
        "salt": "shop/edge/1",
        "steps": [10_000, 250_000],
        "identity": [{"header": USER}, {"cookie": COOKIE}, "requestId"],
        "cookie": {"name": COOKIE, "maxAgeSeconds": 60, "domain": "example.com"},
        "baggage": BAGGAGE,
        // `sha256sum` of `open sesame`
        "overrides": [{"header": OVERRIDE,
            "tokenSha256": "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb"}],
        "links": {"key": GRANTER.key()},
        "segments": [
            segment("beta", 1_000_000, json!({"headers": [{"name": "x-user-type", "type": "Prefix", "value": "beta"}]})),
            segment("dark", 0, json!({"cookies": [{"name": "theme", "value": "dark"}], "method": "POST"})),
            segment("half", 500_000, json!({"path": {"type": "Contains", "value": "beta"}})),
        ],
        "responseHeader": SERVED_BY,
        "accessLog": true,
        "counts": {"objectiveMs": 5},
    })
}

/// What stands in the mesh: ids come in baggage.
fn sidecar() -> Value {
    json!({
        "name": "shop/cart",
        "revision": 1e+00,
        "hosts": ["cart.shop.svc.cluster.local"],
        "pathPrefix": "/cart",
        "versions": versions(500_000),
        "salt": "shop/cart/1",
        "identity": [{"baggage": BAGGAGE}, "requestId"],
        "baggage": BAGGAGE,
        "overrides": [{"header": OVERRIDE}],
        "counts": {"objectiveMs": 5},
    })
}

/// Everybody else, a cookie and nothing more.
fn plain() -> Value {
    json!({
        "name": "shop/plain",
        "revision": 1,
        "hosts": ["*"],
        "versions": versions(1_000),
        "salt": "shop/plain/1",
        "identity": [{"cookie": COOKIE}],
        "cookie": {"name": COOKIE, "maxAgeSeconds": 60},
    })
}
