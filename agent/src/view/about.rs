/*!
What does not change about a release while it goes: what it is called, and what steps it has.
*/
use serin_release::resource::Analysis;
use serin_release::{Release, ReleaseObject, Step};

/// What a release is called, and what steps it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) service: &'a str,
    pub(super) generation: Option<i64>,
    /// None where the spec makes no sense.
    pub(super) steps: Option<&'a [Step]>,
}

impl<'a> About<'a> {
    /// That of a Release in a cluster.
    pub(crate) fn object(object: &'a ReleaseObject, steps: Option<&'a [Step]>) -> Self {
        Self {
            name: object.metadata.name.as_deref().unwrap_or_default(),
            namespace: object.metadata.namespace.as_deref().unwrap_or_default(),
            service: object.spec.service.name.as_deref().unwrap_or_default(),
            generation: object.metadata.generation,
            steps,
        }
    }

    /// That of one without a cluster.
    pub(crate) fn release(release: &'a Release) -> Self {
        let (namespace, name) = release.name().split_once('/').unwrap_or(("", release.name()));
        Self {
            name,
            namespace,
            service: &release.service.name,
            generation: None,
            steps: Some(&release.steps),
        }
    }
}

/// The steps of `object`; none where its spec makes no sense.
pub(crate) fn steps_of(object: &ReleaseObject) -> Option<Vec<Step>> {
    // How the canary is judged says nothing of steps, and may stand in other objects.
    let mut object = object.clone();
    object.spec.analysis = Analysis::default();
    Release::from_object(&object, "none").ok().map(|(release, _)| release.steps)
}
