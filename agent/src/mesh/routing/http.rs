/*!
The routes of a VirtualService, in order: Istio takes the first whose conditions are met.
*/
use serde_json::{Value, json};
use serin_policy::Arm;
use serin_policy::document::VERSION_HEADER;
use serin_policy::marks::MARK_HEADER;

use super::services::Destinations;
use super::{MESH, Surroundings, gateways, with};
use crate::mesh::injected;
use crate::mesh::object::{list, text};
use serin_release::Release;
use serin_release::delivery::{AttachPoint, Routing};
use serin_release::mirror::MARK;

/// How the names of the routes for marks begin.
pub(super) const MARKED: &str = "serin-marked-";

/// Those of other ports first, for they ask for a port, and the last ones take what is left. Callers inside the mesh say
/// which port they want, and whoever is on a version is so at every port; at a Gateway all is one.
pub(super) fn routes(release: &Release, routing: &Routing, around: &Surroundings) -> Vec<Value> {
    let to = Destinations { release, routing, around };
    let callers: Vec<_> = routing.attach_points.iter().filter_map(assigned_inside).collect();
    let mut gateways = gateways(routing);
    gateways.retain(|gateway| gateway != MESH);
    let at_gateways = (!gateways.is_empty())
        .then(|| assigned("-gateway", &to, &[json!({"gateways": gateways})], around.ports.main));
    let others = around.ports.others.iter().filter(|_| !callers.is_empty()).flat_map(|&port| {
        let of_port = |route| only_at(route, port);
        let assigned = assigned("", &to, &callers, port).into_iter();
        assigned.chain(stable(&to, port)).map(of_port).collect::<Vec<_>>()
    });
    let inside = (!callers.is_empty()).then(|| assigned("", &to, &callers, around.ports.main));
    let assigned_at = |place: Option<Vec<Value>>| place.into_iter().flatten();
    assigned_at(at_gateways)
        .chain(others)
        .chain(assigned_at(inside))
        .chain(stable(&to, around.ports.main))
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
    let paths = paths(&to.release.path_prefix);
    let with_headers = |headers: Value| {
        let conditions = places.iter().flat_map(|place| {
            let place = with(place.clone(), [("headers", Some(headers.clone()))]);
            paths.iter().map(move |path| with(place.clone(), [("uri", path.clone())])).collect::<Vec<_>>()
        });
        Some(conditions.collect())
    };
    let version = |arm: Arm| json!({"exact": arm.as_str()});
    let marked = to.release.injections().map(|it| {
        let headers = json!({VERSION_HEADER: version(it.arm), MARK_HEADER: {"exact": it.mark}});
        let name = format!("marked-{}{of_place}", it.mark);
        let route = to.route(&name, it.arm, with_headers(headers), port);
        with(route, [("fault", Some(injected::for_istio(it.injected)))])
    });
    let copied = to.release.mirror.is_some().then(|| {
        let headers = json!({VERSION_HEADER: version(Arm::Stable), MARK_HEADER: {"exact": MARK}});
        let name = format!("marked-{MARK}{of_place}");
        let route = to.route(&name, Arm::Stable, with_headers(headers), port);
        let mirrors = json!([{"destination": to.of(Arm::Canary, port), "percentage": {"value": 100}}]);
        with(route, [("mirrors", Some(mirrors))])
    });
    let headers = json!({VERSION_HEADER: version(Arm::Canary)});
    let canary = to.route(&format!("canary{of_place}"), Arm::Canary, with_headers(headers), port);
    marked.chain(copied).chain([canary]).collect()
}

/// Stable's routes to one port, in order. With a path prefix the filter assigns only what is below it: a client's own header
/// on another path is nobody's choice, and goes to stable with all the rest. The rest goes to the *subset*, for the plain
/// service mostly has the canary's pods as well. Where several VirtualServices have the host, Istio moves their last
/// routes, which ask for nothing, behind all others.
fn stable(to: &Destinations<'_>, port: u16) -> Vec<Value> {
    let route = |name, matches| to.route(name, Arm::Stable, matches, port);
    let below: Vec<_> =
        paths(&to.release.path_prefix).into_iter().flatten().map(|path| json!({"uri": path})).collect();
    if below.is_empty() {
        vec![route("stable", None)]
    } else {
        vec![route("stable", Some(below)), route("rest", None)]
    }
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
