/*!
Which of two Deployments serves now, and which is for new versions.
*/
use std::cmp::Ordering;

use anyhow::bail;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use serin_agent::mesh::hosts::{resolve, service_host};
use serin_agent::mesh::object::{labels, list, namespace, selects, text};

use super::propose::{Asked, Found, pod_labels, sibling};

/// Words at the end of a Deployment's name that say it serves.
const STABLE: [&str; 7] = ["stable", "primary", "blue", "prod", "production", "old", "current"];
/// And that it is for new versions.
const CANARY: [&str; 6] = ["canary", "green", "preview", "new", "next", "candidate"];

/// The two Deployments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) stable: String,
    pub(super) canary: String,
    /// By what they were told apart.
    pub(super) why: String,
}

/// The two Deployments of `service`, behind which `deployments` are.
pub(super) fn pair(
    found: &Found,
    service: &Service,
    deployments: &[&Deployment],
    asked: &Asked<'_>,
) -> anyhow::Result<Pair> {
    for (flag, name) in [("--stable", asked.stable), ("--canary", asked.canary)] {
        if let Some(name) = name.filter(|name| !found.deployments.iter().any(|one| one.name_any() == **name))
        {
            bail!("{flag}: {name}: there is no such Deployment in {}", found.namespace);
        }
    }
    if let (Some(stable), Some(canary)) = (asked.stable, asked.canary) {
        if stable == canary {
            bail!(
                "--canary: {canary}: name another Deployment than --stable: each version runs in one of its own"
            );
        }
        return Ok(pair_of(stable, canary, "as was asked for"));
    }
    let named = asked.stable.or(asked.canary);
    let others: Vec<_> = deployments.iter().filter(|one| Some(one.name_any().as_str()) != named).collect();
    match (asked.stable, asked.canary, &others[..]) {
        (Some(stable), _, [canary]) => {
            Ok(pair_of(stable, &canary.name_any(), "the other one behind the Service"))
        }
        (_, Some(canary), [stable]) => {
            Ok(pair_of(&stable.name_any(), canary, "the other one behind the Service"))
        }
        (None, None, [one, other]) => Ok(told_apart(found, service, one, other)),
        (None, None, [only]) => Ok(with_its_like(found, &only.name_any())),
        (Some(only), None, []) => Ok(with_its_like(found, only)),
        (_, _, []) => bail!("no Deployment is behind Service {}: name one by --stable", service.name_any()),
        _ => bail!(
            "{} Deployments are behind Service {}: {}: name two of them by --stable and --canary",
            deployments.len(),
            service.name_any(),
            deployments.iter().map(|one| one.name_any()).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn pair_of(stable: &str, canary: &str, why: &str) -> Pair {
    let why = format!("stable is Deployment {stable}, the canary {canary}: {why}.");
    Pair { stable: stable.to_owned(), canary: canary.to_owned(), why }
}

/// A Deployment that is alone behind its Service, with the one that is called alike.
fn with_its_like(found: &Found, only: &str) -> Pair {
    match sibling(found, only)[..] {
        [other] => {
            let other = other.name_any();
            pair_of(only, &other, &format!("only {only} is behind the Service, and {other} is called alike"))
        }
        _ => pair_of(only, &format!("{}-canary", base(only)), "it is alone behind the Service"),
    }
}

/// The name without what tells versions apart.
pub(super) fn base(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((base, last)) if STABLE.contains(&last) || CANARY.contains(&last) || number(last).is_some() => {
            base
        }
        _ => name,
    }
}

/// The number of `v2`.
fn number(word: &str) -> Option<u64> {
    word.strip_prefix('v')?.parse().ok()
}

fn told_apart(found: &Found, service: &Service, one: &Deployment, other: &Deployment) -> Pair {
    let (first, second) = (one.name_any(), other.name_any());
    let replicas =
        |deployment: &Deployment| deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let weights = weights(found, service, [one, other]);
    let age = other.metadata.creation_timestamp.cmp(&one.metadata.creation_timestamp);
    let ways = [
        (weights.map_or(Ordering::Equal, |[one, other]| one.cmp(&other)), "a VirtualService gives it more"),
        (by_name(&first, &second), "by their names"),
        (replicas(one).cmp(&replicas(other)), "it has more pods"),
        (age, "it is older; see that this is so"),
    ];
    let decided = ways.into_iter().find(|(order, _)| *order != Ordering::Equal);
    match decided {
        Some((Ordering::Less, why)) => pair_of(&second, &first, why),
        Some((_, why)) => pair_of(&first, &second, why),
        None => pair_of(&first, &second, "nothing tells them apart but their order; see that this is so"),
    }
}

/// `Greater` where the first serves, by the names.
fn by_name(first: &str, second: &str) -> Ordering {
    let last =
        |name: &str| name.rsplit_once('-').map_or_else(|| name.to_owned(), |(_, last)| last.to_owned());
    let (first, second) = (last(first), last(second));
    let rank = |word: &str| (STABLE.contains(&word), !CANARY.contains(&word));
    match (number(&first), number(&second)) {
        (Some(first), Some(second)) => second.cmp(&first),
        _ => rank(&first).cmp(&rank(&second)),
    }
}

/// What VirtualServices give to the pods of each, by the subsets of DestinationRules.
fn weights(found: &Found, service: &Service, deployments: [&Deployment; 2]) -> Option<[u64; 2]> {
    let host = service_host(&service.name_any(), &found.namespace);
    let is_for = |object: &&std::sync::Arc<serde_json::Value>| {
        resolve(text(object, "/spec/host"), namespace(object)) == host
    };
    let rules = found.routes.iter().filter(|object| text(object, "/kind") == "DestinationRule");
    let subsets: Vec<_> = rules.filter(is_for).flat_map(|rule| list(rule, "/spec/subsets")).collect();
    let services = found.routes.iter().filter(|object| text(object, "/kind") == "VirtualService");
    // A route that asks for something is for testers.
    let routes = services.flat_map(|object| list(object, "/spec/http"));
    for route in routes.filter(|route| list(route, "/match").is_empty()) {
        let entries = list(route, "/route");
        let given = deployments.map(|deployment| {
            let theirs = entries.iter().filter(|entry| {
                let subset = subsets.iter().find(|subset| {
                    text(subset, "/name") == text(entry, "/destination/subset")
                        && selects(&labels(subset, "/labels"), &pod_labels(deployment))
                });
                subset.is_some()
            });
            theirs.map(|entry| entry["weight"].as_u64().unwrap_or(100)).sum::<u64>()
        });
        if given != [0, 0] {
            return Some(given);
        }
    }
    None
}
