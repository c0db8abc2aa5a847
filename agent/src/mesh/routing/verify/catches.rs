/*!
Which requests a route takes, as far as it matters: everybody's, the canary's, or not all of either.
*/
use serde_json::{Map, Value};
use serin_policy::Arm;
use serin_policy::document::VERSION_HEADER;

use crate::mesh::object::{list, text, texts};
use crate::mesh::routing::istio::gateway;
use serin_release::delivery::AttachPoint;

/// What a route takes of the requests under the release's path prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Catches {
    /// Every one, whatever its headers.
    All,
    /// Those with the canary's header, every one.
    Canary,
    /// Those with the canary's header, if they meet other conditions too.
    SomeOfCanary,
    /// Others, or not all of them.
    Other,
}

/// What `route`, of an object in namespace `of`, takes of what comes in at `point` under `prefix`.
pub(super) fn catches(route: &Value, of: &str, point: &AttachPoint, prefix: &str) -> Catches {
    let place = super::gateway(point);
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let conditions = list(route, "/match");
    if conditions.is_empty() {
        return Catches::All;
    }
    let here = conditions.iter().filter(|condition| {
        let mut gateways = texts(condition, "/gateways").peekable();
        // Where there are gateways, Istio does not look at the callers' namespace.
        if gateways.peek().is_some() {
            return gateways.any(|name| gateway(name, of) == place);
        }
        let callers = text(condition, "/sourceNamespace");
        callers.is_empty() || are_in(point, callers)
    });
    let each: Vec<_> = here.map(|one| condition(one, prefix)).collect();
    if all_paths(each.iter().filter(|one| one.header == Header::Any)) {
        Catches::All
    } else if all_paths(each.iter().filter(|one| one.header != Header::Other)) {
        Catches::Canary
    } else if each.iter().any(|one| one.names_canary) {
        Catches::SomeOfCanary
    } else {
        Catches::Other
    }
}

/// Whether those who are assigned at `point` are in `namespace`. Where a Gateway's pods are, its name does not tell.
fn are_in(point: &AttachPoint, namespace: &str) -> bool {
    matches!(point, AttachPoint::Sidecars { namespace: callers } if callers == namespace)
}

/// Whether conditions leave out no path under the prefix. Whole segments take two of them: the prefix itself, and
/// what is below it.
fn all_paths<'c>(conditions: impl Iterator<Item = &'c Condition>) -> bool {
    let (mut itself, mut below) = (false, false);
    for condition in conditions {
        match condition.paths {
            Paths::All => return true,
            Paths::Itself => itself = true,
            Paths::Below => below = true,
            Paths::Other => {}
        }
    }
    itself && below
}

struct Condition {
    header: Header,
    paths: Paths,
    names_canary: bool,
}

#[derive(PartialEq, Eq)]
enum Header {
    Any,
    Canary,
    Other,
}

#[derive(PartialEq, Eq)]
enum Paths {
    All,
    Itself,
    Below,
    Other,
}

fn condition(condition: &Value, prefix: &str) -> Condition {
    let none = Map::new();
    let fields = condition.as_object().unwrap_or(&none);
    let headers = fields.get("headers").and_then(Value::as_object).unwrap_or(&none);
    let names_canary = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case(VERSION_HEADER) && text(value, "/exact") == Arm::Canary.as_str()
    });
    // These narrow nothing; `gateways` and `sourceNamespace` have been looked at.
    let harmless = ["uri", "headers", "gateways", "sourceNamespace", "name", "ignoreUriCase", "statPrefix"];
    let narrower = fields.iter().any(|(field, value)| {
        let void = value.as_object().is_some_and(Map::is_empty);
        !void && !harmless.contains(&field.as_str())
    });
    let header = match (narrower, names_canary, headers.len()) {
        (false, _, 0) => Header::Any,
        (false, true, 1) => Header::Canary,
        _ => Header::Other,
    };
    Condition { header, paths: paths(fields.get("uri"), prefix), names_canary }
}

/// Istio compares prefixes character by character: `/shop` takes `/shop/cart`, and `/shopping` as well.
fn paths(uri: Option<&Value>, prefix: &str) -> Paths {
    let Some(uri) = uri else { return Paths::All };
    let begins = text(uri, "/prefix");
    if begins == "/" || (!begins.is_empty() && prefix.starts_with(begins)) || text(uri, "/regex") == ".*" {
        Paths::All
    } else if begins.strip_suffix('/') == Some(prefix) {
        Paths::Below
    } else if !prefix.is_empty() && text(uri, "/exact") == prefix {
        Paths::Itself
    } else {
        Paths::Other
    }
}
