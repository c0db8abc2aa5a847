/*!
What `serin link` needs to know of a Release in a cluster.
*/
use kube::ResourceExt;
use serin_policy::links::LinkSpec;

use super::access::Access;
use crate::link::Linked;

/// The Release `name`.
pub(crate) async fn linked(name: &str, access: &Access) -> anyhow::Result<Linked> {
    let cluster = access.connect().await?;
    let object = cluster.release(name).await?;
    let spec = &object.spec;
    Ok(Linked {
        name: format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()),
        links: spec
            .links
            .as_ref()
            .map(|links| LinkSpec { query: links.query.clone(), key: links.key.clone() }),
        // Without any, it has its Service's name, which no browser knows.
        hosts: spec.routing.hosts.clone().unwrap_or_default(),
        path_prefix: spec.routing.path_prefix.clone(),
    })
}

/// `namespace/name` of a Release that need not be there yet.
pub(crate) async fn whole_name(name: &str, access: &Access) -> anyhow::Result<String> {
    Ok(format!("{}/{name}", access.connect().await?.namespace))
}
