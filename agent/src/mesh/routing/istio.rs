/*!
What a VirtualService or a DestinationRule of anybody's says, in full names: Istio reads short ones by the namespace
of the object they stand in.
*/
use serde_json::Value;

use super::MESH;
use crate::mesh::hosts;
use crate::mesh::object::{list, namespace, text, texts};

/// The namespace whose objects Istio takes for defaults of the whole mesh, unless the mesh is told otherwise.
pub(crate) const ROOT_NAMESPACE: &str = "istio-system";

/// The hosts of a VirtualService.
pub fn hosts_of(object: &Value) -> impl Iterator<Item = String> {
    texts(object, "/spec/hosts").map(|host| hosts::resolve(host, namespace(object)))
}

/// The hosts to which a VirtualService leads.
pub fn destinations_of(object: &Value) -> impl Iterator<Item = String> {
    let routes = ["/spec/http", "/spec/tls", "/spec/tcp"].into_iter().flat_map(|kind| list(object, kind));
    let entries = routes.flat_map(|route| list(route, "/route"));
    entries.map(|entry| hosts::resolve(text(entry, "/destination/host"), namespace(object)))
}

/// The places a VirtualService is bound to: `namespace/name` or `mesh`, which is also meant by nothing.
pub fn gateways_of(object: &Value) -> Vec<String> {
    let named: Vec<_> =
        texts(object, "/spec/gateways").map(|name| gateway(name, namespace(object))).collect();
    if named.is_empty() { vec![MESH.to_owned()] } else { named }
}

/// A Gateway's full name: `name`, `./name`, `namespace/name` and the old `name.namespace.svc…` are all in use.
pub fn gateway(name: &str, namespace: &str) -> String {
    if name == MESH {
        return name.to_owned();
    }
    match name.split_once('/') {
        Some((".", name)) => format!("{namespace}/{name}"),
        Some(_) => name.to_owned(),
        None => {
            let mut labels = name.split('.');
            match (labels.next(), labels.next()) {
                (Some(name), Some(of)) => format!("{of}/{name}"),
                _ => format!("{namespace}/{name}"),
            }
        }
    }
}

/// Whether proxies in `of` see an object, by its `exportTo`.
pub(crate) fn is_seen_in(object: &Value, of: &str) -> bool {
    let mut exports = texts(object, "/spec/exportTo").peekable();
    exports.peek().is_none()
        || exports.any(|export| match export {
            "*" => true,
            "." => namespace(object) == of,
            export => export == of,
        })
}

/// Whether any proxy at all sees an object.
pub(crate) fn is_seen(object: &Value) -> bool {
    let exports = list(object, "/spec/exportTo");
    exports.is_empty() || exports.iter().any(|export| export != "~")
}

/// When an object was made, as the API server writes it: these sort as they are.
pub(super) fn created(object: &Value) -> &str {
    text(object, "/metadata/creationTimestamp")
}
