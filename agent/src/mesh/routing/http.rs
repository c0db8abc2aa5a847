/*!
The routes of a VirtualService, in order: Istio takes the first whose conditions are met.
*/
use serde_json::{Map, Value, json};
use serin_policy::Arm;
use serin_policy::document::VERSION_HEADER;
use serin_policy::marks::MARK_HEADER;

use super::services::Destinations;
use super::{MESH, Surroundings, gateways, with};
use crate::mesh::injected;
use crate::mesh::object::{list, text};
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Delivery, HttpRoute, Routing};
use serin_release::mirror::MARK;

/// How the names of the routes for marks begin.
pub(super) const MARKED: &str = "serin-marked-";

/// What people write comes before what takes the rest.
pub(super) fn routes(release: &Release, delivery: &Delivery, around: &Surroundings) -> Vec<Value> {
    let to = |rule: Rule| Destinations { release, delivery, around, rule };
    let written = delivery.routing.http.iter().enumerate().flat_map(|(i, route)| match route {
        HttpRoute::Theirs(route) => vec![route.clone()],
        HttpRoute::ToVersions { conditions, fields } => {
            to_versions(&to(Rule::written(i, conditions, fields, &release.path_prefix)))
        }
    });
    written.chain(to_versions(&to(Rule::of_the_rest(&delivery.routing, &release.path_prefix)))).collect()
}

/// To which requests a group of routes is for, and what is special about them.
pub(super) struct Rule {
    /// What their names end in.
    pub(super) name: String,
    /// Conditions one of which they meet, as objects; there is at least one.
    asks: Vec<Value>,
    /// What they have besides, in Istio's words.
    pub(super) fields: Map<String, Value>,
    /// Whether all that is left goes to stable.
    takes_the_rest: bool,
}

impl Rule {
    fn of_the_rest(routing: &Routing, prefix: &str) -> Self {
        let Routing { timeout, retries, fault, cors_policy, headers, rewrite, .. } = routing;
        let fields = [
            ("timeout", timeout.clone().map(Value::String)),
            ("retries", retries.clone()),
            ("fault", fault.clone()),
            ("corsPolicy", cors_policy.clone()),
            ("headers", headers.clone()),
            ("rewrite", rewrite.clone()),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let asks = below(prefix, &[Map::new()]);
        Self { name: String::new(), asks, fields: fields.collect(), takes_the_rest: true }
    }

    /// Of a route that people write: what it asks for, below the prefix.
    fn written(
        i: usize,
        conditions: &[Map<String, Value>],
        fields: &Map<String, Value>,
        prefix: &str,
    ) -> Self {
        let asks = below(prefix, conditions);
        Self { name: format!("-http-{i}"), asks, fields: fields.clone(), takes_the_rest: false }
    }
}

/// The conditions, those that ask for no path at the paths below the prefix.
fn below(prefix: &str, conditions: &[Map<String, Value>]) -> Vec<Value> {
    let asks = conditions.iter().flat_map(|condition| {
        let condition = Value::Object(condition.clone());
        let paths = if condition.get("uri").is_some() { vec![None] } else { paths(prefix) };
        paths.into_iter().map(move |path| with(condition.clone(), [("uri", path)]))
    });
    asks.collect()
}

/// Those of other ports first, for they ask for a port, and the last ones take what is left. Callers inside the mesh say
/// which port they want, and whoever is on a version is so at every port; at a Gateway all is one.
fn to_versions(to: &Destinations<'_>) -> Vec<Value> {
    let (routing, around) = (&to.delivery.routing, to.around);
    let callers: Vec<_> = routing.attach_points.iter().filter_map(assigned_inside).collect();
    let mut gateways = gateways(routing);
    gateways.retain(|gateway| gateway != MESH);
    let at_gateways = (!gateways.is_empty())
        .then(|| assigned("-gateway", to, &[json!({"gateways": gateways})], around.ports.main));
    let others = around.ports.others.iter().filter(|_| !callers.is_empty()).flat_map(|&port| {
        let of_port = |route| only_at(route, port);
        let assigned = assigned("", to, &callers, port).into_iter();
        assigned.chain(stable(to, port)).map(of_port).collect::<Vec<_>>()
    });
    let inside = (!callers.is_empty()).then(|| assigned("", to, &callers, around.ports.main));
    let assigned_at = |place: Option<Vec<Value>>| place.into_iter().flatten();
    assigned_at(at_gateways)
        .chain(others)
        .chain(assigned_at(inside))
        .chain(stable(to, around.ports.main))
        .collect()
}

/// The condition that a caller is where sidecars run the filter, which writes the header: elsewhere it is anybody's own.
/// Istio does not look at a condition's namespace where that has `gateways`.
fn assigned_inside(point: &AttachPoint) -> Option<Value> {
    match point {
        AttachPoint::Gateway { .. } => None,
        AttachPoint::Sidecars { namespace } => Some(json!({"sourceNamespace": namespace})),
    }
}

/// `route` for nobody but callers inside the mesh who want `port`.
fn only_at(mut route: Value, port: u16) -> Value {
    let conditions = list(&route, "/match");
    let any = [json!({})];
    let conditions = if conditions.is_empty() { &any[..] } else { conditions };
    let here = |condition: &Value| {
        let inside = condition.get("sourceNamespace").is_none().then(|| json!([MESH]));
        with(condition.clone(), [("gateways", inside), ("port", Some(json!(port)))])
    };
    let conditions: Vec<_> = conditions.iter().map(here).collect();
    route["match"] = Value::Array(conditions);
    route["name"] = json!(format!("{}-{port}", text(&route, "/name")));
    route
}

/// The routes to one port of requests with the filter's headers, from one of `places`: those with a mark, which ask for more,
/// then the canary's. Gateways' go before all others: one that stands in a namespace of callers meets their condition too.
fn assigned(of_place: &str, to: &Destinations<'_>, places: &[Value], port: u16) -> Vec<Value> {
    let with_headers = |headers: Map<String, Value>| {
        let asks = places.iter().flat_map(|place| to.rule.asks.iter().map(move |asks| (place, asks)));
        let conditions = asks.map(|(place, asks)| {
            let mut condition = place.as_object().cloned().unwrap_or_default();
            let mut asked = asks["headers"].as_object().cloned().unwrap_or_default();
            asked.extend(headers.clone());
            condition.extend(asks.as_object().cloned().unwrap_or_default());
            condition.insert("headers".to_owned(), Value::Object(asked));
            Value::Object(condition)
        });
        Some(conditions.collect())
    };
    let headers = |headers: &[(&str, Value)]| {
        headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>()
    };
    let version = |arm: Arm| json!({"exact": arm.as_str()});
    let marked = |mark: &str, arm: Arm| {
        let headers = headers(&[(VERSION_HEADER, version(arm)), (MARK_HEADER, json!({"exact": mark}))]);
        to.route(&format!("marked-{mark}{of_place}"), arm, with_headers(headers), port)
    };
    let injections = to.release.injections();
    let faulty = injections
        .map(|it| with(marked(&it.mark, it.arm), [("fault", Some(injected::for_istio(it.injected)))]));
    let copied = to.release.mirror.is_some().then(|| {
        let mirrors = json!([{"destination": to.of(Arm::Canary, port), "percentage": {"value": 100}}]);
        with(marked(MARK, Arm::Stable), [("mirrors", Some(mirrors))])
    });
    let headers = headers(&[(VERSION_HEADER, version(Arm::Canary))]);
    let canary = to.route(&format!("canary{of_place}"), Arm::Canary, with_headers(headers), port);
    faulty.chain(copied).chain([canary]).collect()
}

/// Stable's routes to one port, in order. With a path prefix the filter assigns only what is below it: a client's own header
/// on another path is nobody's choice, and goes to stable with all the rest. The rest goes to the *subset*, for the plain
/// service mostly has the canary's pods as well. Where several VirtualServices have the host, Istio moves their last
/// routes, which ask for nothing, behind all others.
fn stable(to: &Destinations<'_>, port: u16) -> Vec<Value> {
    let route = |name, matches| to.route(name, Arm::Stable, matches, port);
    if to.rule.asks.iter().all(|asks| *asks == json!({})) {
        return vec![route("stable", None)];
    }
    let mut routes = vec![route("stable", Some(to.rule.asks.clone()))];
    if to.rule.takes_the_rest {
        let mut rest = route("rest", None);
        // It is of what is under the prefix.
        if let Some(rest) = rest.as_object_mut() {
            rest.remove("rewrite");
        }
        routes.push(rest);
    }
    routes
}

/// Istio's conditions for "under `prefix` by whole segments", which is how the filter has it: `/shop` is not
/// `/shopping`. One of them must be met; none is no condition.
pub(super) fn paths(prefix: &str) -> Vec<Option<Value>> {
    match prefix.strip_suffix('/').unwrap_or(prefix) {
        "" => vec![None],
        prefix => {
            vec![Some(json!({"exact": prefix})), Some(json!({"prefix": format!("{prefix}/")}))]
        }
    }
}
