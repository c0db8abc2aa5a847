/*!
The policies that a Release's proxies are given now, as the `WasmPlugin`s have them.
*/
use anyhow::Context;
use kube::ResourceExt;
use serde_json::Value;
use serin_agent::cluster::inspect;
use serin_agent::mesh::hosts::service_host;
use serin_agent::mesh::object::{full_name, labels, namespace};
use serin_agent::mesh::plugin::contents;
use serin_policy::{Place, Proxy, Table};
use serin_release::ReleaseObject;
use serin_release::status::ProxyCounts;

use super::access::Access;

/// What a Release's proxies are given now.
pub(crate) struct InForce {
    /// A host of the Release.
    pub(crate) host: String,
    /// What proxies report.
    pub(crate) proxies: ProxyCounts,
    pub(crate) plugins: Vec<Plugin>,
}

/// A WasmPlugin that carries a Release's policy.
pub(crate) struct Plugin {
    /// Its name, and which proxies it is for.
    pub(crate) at: String,
    /// All its policies, as a proxy there reads them.
    pub(crate) table: Table,
    /// What a proxy refuses of the Release's, and why.
    pub(crate) refused: Vec<String>,
}

/// Reads what the proxies of the Release `name` are given.
pub(crate) async fn in_force(name: &str, access: &Access) -> anyhow::Result<InForce> {
    let cluster = access.connect().await?;
    let object = cluster.release(name).await?;
    let own = object.namespace().unwrap_or_default();
    let full_name = format!("{own}/{name}");
    let plugins = inspect::plugins(&cluster.client, &object).await?;
    let mut carrying = Vec::new();
    for plugin in plugins {
        let read = contents::read(&plugin).with_context(|| self::full_name(&plugin))?;
        if read.raw(&full_name).is_some() {
            carrying.extend(places(&plugin, &object).map(|place| carried(&plugin, place, &full_name)));
        }
    }
    let routing = &object.spec.routing;
    let host = routing.hosts.as_ref().and_then(|hosts| hosts.first().cloned());
    let service = object.spec.service.name.as_deref().unwrap_or_default();
    Ok(InForce {
        host: host.unwrap_or_else(|| service_host(service, &own)),
        proxies: object.status.as_ref().map(|status| status.proxies).unwrap_or_default(),
        plugins: carrying,
    })
}

/// Where the proxies of `plugin` stand: those of a Gateway are selected by their labels, and one for all proxies of a namespace
/// runs in whichever the Release names.
fn places(plugin: &Value, object: &ReleaseObject) -> impl Iterator<Item = Place> {
    let is_selecting = !labels(plugin, SELECTOR).is_empty();
    let has = |is_mesh: bool| {
        let mut gateways = object.spec.routing.gateways.iter();
        gateways.any(|gateway| (gateway == "mesh") == is_mesh)
    };
    let edge = is_selecting || has(false);
    let inside = !is_selecting && has(true);
    [edge.then_some(Place::Edge), inside.then_some(Place::Inside)].into_iter().flatten()
}

const SELECTOR: &str = "/spec/selector/matchLabels";

fn carried(plugin: &Value, place: Place, release: &str) -> Plugin {
    let config = plugin["spec"]["pluginConfig"].to_string();
    let proxy = Proxy { namespace: Some(namespace(plugin).to_owned()), place };
    let (table, refusals) = Table::read(config.as_bytes(), &proxy, &Table::default());
    let refused = refusals.iter().map(ToString::to_string).filter(|why| why.contains(release));
    let pods: Vec<_> =
        labels(plugin, SELECTOR).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let whose = match place {
        Place::Inside => "sidecars there".to_owned(),
        _ if pods.is_empty() => "gateways there".to_owned(),
        _ => format!("gateways with {}", pods.join(",")),
    };
    Plugin { at: format!("WasmPlugin {}, for {whose}", full_name(plugin)), refused: refused.collect(), table }
}
