/*!
What a request costs in instructions of the module, and how often it goes over the module's border. Both repeat exactly, so
they are a budget: more than 2 % more instructions fail, and any crossing more. `SERIN_BLESS=1 cargo test -p serin-tests --test
module fuel` takes the present figures for new ones.

Instructions are the smaller part of a request's cost: a call to the proxy that returns bytes costs as much as
thousands of them.
*/
use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use serin_policy::grant::Granter;
use serin_tests::module_host::{Crossings, Fuel, ModuleHost, Request, Response};

const BUDGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/module/fuel.tsv");

/// Above the budget by more than this many parts in a hundred is too much.
const SLACK: u64 = 2;

const HEAD: &str = "\
# Instructions of the module for one request of each kind, once all its metrics are defined, and how often it crosses the
# module's border; see fuel.rs.
# kind\trequest headers\tresponse headers\tlog\tcontext\tentries\thost calls\tre-entries
";

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cost {
    fuel: Fuel,
    crossings: Crossings,
}

fn policy(changes: &Value) -> Value {
    let mut policy = json!({
        "name": "shop/shop",
        "revision": 1,
        "hosts": ["shop.example.com", "shop.shop.svc.cluster.local"],
        "versions": [{"name": "stable"}, {"name": "canary", "weight": 250_000}],
        "salt": "shop/shop/1",
        "steps": [10_000, 50_000, 250_000, 500_000],
        "identity": [{"cookie": "serin"}],
        "cookie": {"name": "serin", "maxAgeSeconds": 604_800},
        "responseHeader": "x-served-by",
        "counts": {"objectiveMs": 500},
    });
    policy.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    policy
}

fn configured(policies: &[Value]) -> (ModuleHost, u64) {
    let mut host = super::host();
    let fuel = host.configure(json!({"version": 1, "policies": policies}).to_string().as_bytes()).unwrap();
    assert_eq!(host.take_log(), [""; 0], "nothing was refused");
    (host, fuel)
}

/// The cost of `request` under one policy with `changes`, once a few of its kind have been there.
fn cost(changes: &Value, request: &Request) -> Cost {
    let (mut host, _) = configured(&[policy(changes)]);
    warm_cost(&mut host, request)
}

fn warm_cost(host: &mut ModuleHost, request: &Request) -> Cost {
    // New users are drawn into cohorts, the smallest of 1 %: after so many, all of them have their metrics. And of users
    // so many fill all cells, so that a new one is nothing new. The last is none of those, one in sixteen, for whom random
    // numbers are made anew.
    for _ in 0..20_008 {
        host.request(request.clone()).unwrap();
    }
    cost_of(host, request.clone())
}

fn cost_of(host: &mut ModuleHost, request: Request) -> Cost {
    let outcome = host.request(request).unwrap();
    Cost { fuel: outcome.fuel, crossings: outcome.crossings }
}

/// The cost of a returning user's request where nobody has been in the user's cell before.
fn first_cost() -> Cost {
    let (mut host, _) = configured(&[policy(&json!({}))]);
    let returning =
        |i: u32| Request::get("shop.example.com", "/").header("cookie", format!("serin=user-{i}"));
    for i in 1..=200 {
        host.request(returning(i)).unwrap();
    }
    cost_of(&mut host, returning(0))
}

/// The cost of `request` where the agent's lease runs `until` so many seconds since 1970.
fn leased_cost(request: &Request, until: u64) -> Cost {
    let mut host = super::host();
    let policies = [policy(&json!({}))];
    let document = json!({"version": 1, "policies": policies, "leases": {"shop/shop": until}});
    host.configure(document.to_string().as_bytes()).unwrap();
    warm_cost(&mut host, request)
}

fn measured() -> BTreeMap<&'static str, Cost> {
    let plain = json!({});
    let id = "0123456789abcdef0123456789abcdef";
    let get = Request::get("shop.example.com", "/cart?item=7");
    let returning = get.clone().header("cookie", format!("theme=dark; serin={id}; lang=en"));
    let segment = |name: &str| json!({"name": name, "weight": 1_000_000, "matches": [{"headers": [{"name": "x-user-type", "value": name}]}]});
    let segments = json!({"segments": [segment("staff"), segment("beta"), segment("trial")]});
    // `sha256sum` of `open sesame`
    let sesame = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";
    let guarded = json!({"overrides": [{"header": "x-canary", "tokenSha256": sesame}]});
    let in_cart = json!({"name": "cart", "weight": 1_000_000, "matches": [{"path": {"type": "Prefix", "value": "/cart"}}]});
    let by_path = json!({"pathPrefix": "/cart", "segments": [in_cart]});
    let sent_on = json!({"baggage": "serin"});
    let sidecar = json!({"identity": [{"baggage": "serin"}], "cookie": null, "baggage": "serin"});

    let many: Vec<_> = (0..1_000)
        .map(|i| policy(&json!({"name": format!("shop/p{i}"), "hosts": [format!("p{i}.example.com")]})))
        .chain([policy(&plain)])
        .collect();
    let (mut crowded, reading_many) = configured(&many);
    let (_, reading_one) = configured(&[policy(&plain)]);
    let reading = |fuel| Cost { fuel: Fuel { context: fuel, ..Fuel::default() }, ..Cost::default() };
    let (mut empty, _) = configured(&[]);
    let tester = get.clone().header("x-canary", "canary");
    let overrides = json!({"overrides": [{"header": "x-canary"}]});
    // The clock of the host stands at 1.8e9.
    let granter = Granter::new("of at least 22 letters and digits", "shop/shop");
    let linked = json!({"links": {"key": granter.key()}});
    let (grant, _) = granter.grant(1, "canary", 1_900_000_000).unwrap();
    let link = Request::get("shop.example.com", &format!("/cart?item=7&serin={grant}"));
    let by_link = get.clone().header("cookie", format!("theme=dark; serin-link-shop={grant}"));
    let grpc =
        Response { trailers: Some(vec![("grpc-status".into(), "13".into())]), ..Response::status(200) };

    BTreeMap::from([
        ("returning user", cost(&plain, &returning)),
        ("returning user, first seen in this run", first_cost()),
        ("returning user, by a lease", leased_cost(&returning, 4_000_000_000)),
        ("returning user, the lease has run out", leased_cost(&returning, 1)),
        ("returning user, nothing counted", cost(&json!({"counts": null}), &returning)),
        ("returning user, one policy of 1001", warm_cost(&mut crowded, &returning)),
        (
            "returning user, id sent on in baggage",
            cost(&sent_on, &returning.clone().header("baggage", "a=b,c=d")),
        ),
        (
            "returning user, second cookie line",
            cost(&plain, &get.clone().header("cookie", "a=b").header("cookie", format!("serin={id}"))),
        ),
        ("returning user, told to the access log", cost(&json!({"accessLog": true}), &returning)),
        ("new user", cost(&plain, &get)),
        ("new user, nothing counted", cost(&json!({"counts": null}), &get)),
        ("sub-resource of a new user", cost(&plain, &get.clone().header("sec-fetch-mode", "no-cors"))),
        (
            "in the mesh, id from baggage",
            cost(&sidecar, &get.clone().header("baggage", format!("a=b,serin={id}"))),
        ),
        ("override", cost(&overrides, &tester)),
        (
            "override, nothing counted",
            cost(&json!({"overrides": [{"header": "x-canary"}], "counts": null}), &tester),
        ),
        ("returning user, a gRPC failure", cost(&plain, &returning.clone().answered(Some(grpc)))),
        ("no policy at all", warm_cost(&mut empty, &returning)),
        ("override with token", cost(&guarded, &get.clone().header("x-canary", "canary:open sesame"))),
        ("returning user, where there are links", cost(&linked, &returning)),
        ("a link", cost(&linked, &link)),
        ("a link that is not right", cost(&linked, &Request::get("shop.example.com", "/cart?serin=canary"))),
        ("a tester who came by a link", cost(&linked, &by_link)),
        ("preview host", cost(&json!({"previewHosts": ["shop.example.com"]}), &get)),
        ("path prefix, and a segment by path", cost(&by_path, &returning)),
        ("segment, third of three", cost(&segments, &get.clone().header("x-user-type", "trial"))),
        ("closed", cost(&json!({"closed": true}), &returning)),
        ("no answer: the client left", cost(&plain, &returning.clone().answered(None))),
        ("returning user, a failure", cost(&plain, &returning.clone().answered(Some(Response::status(503))))),
        ("no policy for the host", cost(&plain, &Request::get("elsewhere.example.com", "/"))),
        // Whole documents, in the last column.
        ("reading 1 policy", reading(reading_one)),
        ("reading 1001 policies", reading(reading_many)),
    ])
}

/// Each with the most that it may be above its budget, in parts in a hundred.
fn columns(cost: Cost) -> [(&'static str, u64, u64); 7] {
    let Fuel { request_headers, response_headers, log, context } = cost.fuel;
    let Crossings { entries, host_calls, reentries } = cost.crossings;
    [
        ("request headers", request_headers, SLACK),
        ("response headers", response_headers, SLACK),
        ("log", log, SLACK),
        ("context", context, SLACK),
        ("entries", entries.into(), 0),
        ("host calls", host_calls.into(), 0),
        ("re-entries", reentries.into(), 0),
    ]
}

#[test]
fn no_kind_of_request_costs_more_than_its_budget() {
    let measured = measured();
    if std::env::var_os("SERIN_BLESS").is_some() {
        let mut text = HEAD.to_owned();
        for (kind, cost) in &measured {
            let figures = columns(*cost).map(|(_, figure, _)| figure.to_string());
            writeln!(text, "{kind}\t{}", figures.join("\t")).unwrap();
        }
        std::fs::write(BUDGET, text).unwrap();
    }
    let budget = std::fs::read_to_string(BUDGET).unwrap();
    let mut rows: BTreeMap<_, _> = budget
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .collect();
    let mut over = String::new();
    for (kind, cost) in measured {
        let Some(row) = rows.remove(kind) else {
            writeln!(over, "{kind}: no budget").unwrap();
            continue;
        };
        let allowed: Vec<u64> = row.split('\t').map(|figure| figure.parse().expect("a number")).collect();
        let columns = columns(cost);
        assert_eq!(allowed.len(), columns.len(), "{kind}: {row:?}");
        for ((column, used, slack), allowed) in columns.into_iter().zip(allowed) {
            if used * 100 > allowed * (100 + slack) {
                writeln!(over, "{kind}, {column}: {used}, allowed {allowed}").unwrap();
            }
        }
    }
    for kind in rows.keys() {
        writeln!(over, "{kind}: a budget, but no such kind").unwrap();
    }
    let bless = "SERIN_BLESS=1 cargo test -p serin-tests --test module fuel";
    assert!(over.is_empty(), "{over}If this is meant: {bless}");
}

#[test]
fn the_same_requests_cost_the_same_again() {
    let get = Request::get("shop.example.com", "/");
    assert_eq!(cost(&json!({}), &get), cost(&json!({}), &get));
}
