/*!
What runs are called, for whoever asks from outside which of them is that of a Deployment's pod template.
*/
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::memory::{Memory, State};
use super::templates::names::Named;
use serin_release::ReleaseObject;

/// What the runs of a Release are called, by what its agent has saved.
#[derive(Debug)]
pub struct Runs<'o> {
    object: &'o ReleaseObject,
    state: State,
}

impl<'o> Runs<'o> {
    /// Those of `object`.
    pub fn of(object: &'o ReleaseObject) -> Self {
        Self { object, state: Memory::open(object).state }
    }

    /// The run of the pod template that `deployment` has now, as the agent calls it, or will when it sees it. None if it runs
    /// nothing.
    pub fn of_deployment(&self, deployment: &Deployment) -> Option<String> {
        let State { names, status, .. } = &self.state;
        let saved: Vec<_> =
            [Some(&*status.run), status.roles.retired.as_deref()].into_iter().flatten().collect();
        let known = names.get(&deployment.name_any());
        // Whoever asks may not read ConfigMaps: they are taken to be as the agent saw them last.
        let config = known.and_then(|known| known.config.as_deref());
        Some(Named::of(deployment, &self.object.spec.pod_template, config, known, &saved)?.run)
    }

    /// Where versions change places: the run that the present canary's Deployment was when it was stable. It is released no
    /// more.
    pub fn retired(&self) -> Option<&str> {
        self.state.status.roles.retired.as_deref()
    }
}
