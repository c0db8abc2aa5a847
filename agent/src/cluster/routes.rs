/*!
The routes that lead to the two versions: Serin's own, or a check of people's. The plan says where they lead; neither is
touched while weights move.
*/
mod changed;
mod needed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{Api, DeleteParams};
use kube::core::DynamicObject;
use kube::{Client, ResourceExt};
use serde_json::Value;

use self::needed::Written;
pub(super) use self::needed::{Found, Needed, own_names};
use super::api_resources;
use super::repairs::Repairs;
use super::stores::Stores;
use crate::errors::chain;
use crate::mesh::routing::{Subsets, Surroundings, object_name};
use serin_release::ReleaseObject;
use serin_release::delivery::Mode;
use serin_rollout::RouteTargets;

/// What is remembered of a release's routes between two ticks.
#[derive(Debug, Default)]
pub(super) struct RoutesMemory {
    /// How they were when they were last looked at: that holds until something changes.
    looked: Option<(Basis, Found)>,
    /// What was last written, and when: it takes a moment until a watch shows it.
    written: Option<(Basis, RouteTargets, Instant)>,
    /// What was wanted when the routes were last seen to be so: where the same is wanted and they are otherwise, that is
    /// somebody else's doing.
    seen: Option<(Basis, RouteTargets)>,
    /// Since when that to which the routes are to lead is there, and they are to follow.
    halfway_since: Option<Instant>,
    /// Of which generation of the Release the routes are, and since when; no time when what an earlier one had is gone.
    right: Option<(Option<i64>, Option<Instant>)>,
    /// Why the last write came to nothing.
    failure: Option<String>,
}

/// What a look went by.
#[derive(Debug, Clone, PartialEq)]
struct Basis {
    /// Of the objects that may have one of the release's hosts, and of the Services, where it is people who write.
    version: (u64, u64),
    generation: Option<i64>,
    subsets: Subsets,
    around: Option<Surroundings>,
    stable: String,
    retired: Option<String>,
}

/// For how long there are subsets, or a version's Service, before there is the first route to them. Both would reach proxies at
/// once, and a route to a cluster that is still being set up answers 503.
const SUBSETS_FIRST: Duration = Duration::from_secs(3);

/// How long a watch may take to show what was written.
const WATCH_DELAY: Duration = Duration::from_secs(5);

impl RoutesMemory {
    /// Looks at the routes of a release, if anything has changed since the last time.
    pub(super) fn look(&mut self, stores: &Stores, needed: &Needed<'_>, generation: Option<i64>) -> Found {
        let basis = Basis::of(stores, needed, generation);
        match &self.looked {
            Some((known, found)) if *known == basis => found.clone(),
            _ => {
                let found = needed.find(stores);
                self.looked = Some((basis, found.clone()));
                found
            }
        }
    }

    /// Whether that to which they are to lead is written, and the routes are to follow.
    pub(super) const fn is_halfway(&self) -> bool {
        self.halfway_since.is_some()
    }

    /// Why the routes could not be written, if they could not.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Has the routes lead to `targets`, if Serin writes them and they do not. Says what someone else had changed; what was
    /// planned to change, or is written for the first time, is nobody else's.
    pub(super) async fn lead_to(
        &mut self,
        targets: RouteTargets,
        client: &Client,
        stores: &Stores,
        repairs: &Repairs,
        needed: &Needed<'_>,
        owner: &ReleaseObject,
    ) -> Vec<String> {
        let found = self.look(stores, needed, owner.metadata.generation);
        if needed.delivery.routing.mode == Mode::Verify
            || found.targets == Some(targets)
            || !found.obstacles.is_empty()
        {
            self.failure = None;
            if found.targets == Some(targets) {
                self.seen = Some((Basis::of(stores, needed, owner.metadata.generation), targets));
                needed.are_right(repairs);
                self.sweep(client, stores, needed, owner.metadata.generation).await;
            } else {
                self.right = None;
            }
            return Vec::new();
        }
        self.right = None;
        let basis = Basis::of(stores, needed, owner.metadata.generation);
        let is_on_its_way = self
            .written
            .as_ref()
            .is_some_and(|(known, to, at)| *known == basis && *to == targets && at.elapsed() < WATCH_DELAY);
        if is_on_its_way {
            return Vec::new();
        }
        let only_targets = self.halfway_since.map_or_else(
            || {
                let is_first = self.seen.is_none() && needed.is_first(targets, stores);
                needed.leads_to_a_new_service(targets, stores) || is_first && needed.is_reached(stores)
            },
            |since| since.elapsed() < SUBSETS_FIRST,
        );
        match needed.write(targets, only_targets, client, stores, repairs, owner).await {
            Ok(_) if only_targets => {
                self.failure = None;
                self.halfway_since.get_or_insert_with(Instant::now);
                Vec::new()
            }
            Ok(Written { edits, is_all }) => {
                self.failure = None;
                self.halfway_since = None;
                let are_others = self.was_seen(&basis, targets);
                if is_all {
                    self.written = Some((basis, targets, Instant::now()));
                }
                if are_others { edits } else { Vec::new() }
            }
            Err(error) => {
                tracing::warn!(
                    release = needed.release.name(),
                    error = chain(&error),
                    "the routes cannot be written"
                );
                self.failure = Some(chain(&error));
                Vec::new()
            }
        }
    }

    /// Takes away what the routes led to before the Release was edited, when proxies know where they lead now.
    async fn sweep(
        &mut self,
        client: &Client,
        stores: &Stores,
        needed: &Needed<'_>,
        generation: Option<i64>,
    ) {
        let fresh = (generation, Some(Instant::now()));
        let (_, since) = self.right.take_if(|(known, _)| *known == generation).unwrap_or(fresh);
        let is_due = since.is_some_and(|since| since.elapsed() >= WATCH_DELAY);
        let swept = if is_due { needed.take_leftovers_away(client, stores).await } else { Ok(()) };
        if let Err(error) = &swept {
            tracing::warn!(
                release = needed.release.name(),
                error = chain(error),
                "an unused object stays for now"
            );
        }
        self.right = Some((generation, since.filter(|_| !is_due || swept.is_err())));
    }

    /// Whether the routes were seen as they are wanted to be.
    fn was_seen(&self, basis: &Basis, targets: RouteTargets) -> bool {
        self.seen.as_ref().is_some_and(|(seen, to)| *to == targets && seen.wants_the_same(basis))
    }
}

impl Basis {
    /// Whether the routes are wanted the same, whatever has become of them.
    fn wants_the_same(&self, other: &Self) -> bool {
        let version = self.version;
        *self == Self { version, ..other.clone() }
    }

    fn of(stores: &Stores, needed: &Needed<'_>, generation: Option<i64>) -> Self {
        Self {
            version: needed.version(stores),
            generation,
            subsets: needed.subsets.clone(),
            around: needed.around.cloned(),
            stable: needed.delivery.stable.deployment.clone(),
            retired: needed.retired.map(str::to_owned),
        }
    }
}

/// Takes the route away that Serin made for `release`. Says whether there was one.
///
/// # Errors
/// When the API server refuses, or does not answer.
pub(super) async fn take_away(
    client: &Client,
    stores: &Stores,
    release: &ReleaseObject,
) -> Result<bool, kube::Error> {
    let kind = api_resources::virtual_service();
    let (namespace, name) = (release.namespace().unwrap_or_default(), object_name(&release.name_any()));
    let is_own = |route: &Arc<Value>| {
        let owners = route.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|owner| owner["uid"].as_str() == release.uid().as_deref())
    };
    if !stores.routes.get(&kind, &namespace, &name).as_ref().is_some_and(is_own) {
        return Ok(false);
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &kind);
    match api.delete(&name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(true),
        other => other.map(|_| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(version: u64, generation: i64, stable: &str) -> Basis {
        let (stable, generation) = (stable.to_owned(), Some(generation));
        Basis {
            version: (version, 0),
            generation,
            subsets: Subsets::default(),
            around: None,
            stable,
            retired: None,
        }
    }

    #[test]
    fn only_what_has_changed_while_the_same_is_wanted_is_somebody_elses_doing() {
        let (apart, both) = (RouteTargets::Apart, RouteTargets::BothToCanary);
        let fresh = RoutesMemory::default();
        assert!(!fresh.was_seen(&basis(1, 1, "shop"), apart), "the first routes");
        let memory = RoutesMemory { seen: Some((basis(1, 1, "shop"), apart)), ..fresh };
        for (basis, targets, expected, what) in [
            (basis(2, 1, "shop"), apart, true, "an edit of a route"),
            (basis(2, 1, "shop"), both, false, "a plan"),
            (basis(2, 2, "shop"), apart, false, "an edit of the Release"),
            (basis(2, 1, "shop-canary"), apart, false, "versions that have changed places"),
        ] {
            assert_eq!(memory.was_seen(&basis, targets), expected, "{what}");
        }
    }
}
