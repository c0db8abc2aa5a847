/*!
The MetricTemplates that a Release's metrics name, filled in from what the watch knows. A change of one is a change of every
Release that names it, from the next look on.
*/
use std::sync::Arc;

use futures::FutureExt;
use kube::runtime::reflector::ObjectRef;

use super::Cluster;
use serin_release::resource::TemplateRef;
use serin_release::{FoundTemplate, ReleaseError, ReleaseObject};

/// The Release with what its metrics leave out.
///
/// # Errors
/// With every template that it cannot have.
pub(super) fn filled_in(
    cluster: &Cluster,
    object: &Arc<ReleaseObject>,
) -> Result<Arc<ReleaseObject>, ReleaseError> {
    let mut metrics = object.spec.analysis.metrics.iter().flatten();
    if metrics.all(|metric| metric.template_ref.is_none()) {
        return Ok(Arc::clone(object));
    }
    object.with_templates(|reference, namespace| find(cluster, reference, namespace)).map(Arc::new)
}

fn find(cluster: &Cluster, reference: &TemplateRef, namespace: &str) -> FoundTemplate {
    if let Some(own) = cluster.namespace.as_ref().filter(|own| *own != namespace) {
        return FoundTemplate::Unseen(format!(
            "this agent sees the MetricTemplates of namespace {own} and of no other: create it there, and leave the namespace out"
        ));
    }
    let templates = &cluster.stores.templates;
    if templates.wait_until_ready().now_or_never().is_none() {
        return FoundTemplate::Unseen(
            "this agent cannot see MetricTemplates: have its operator apply the CRD and the rights of its version".to_owned(),
        );
    }
    match templates.get(&ObjectRef::new(&reference.name).within(namespace)) {
        None => FoundTemplate::Missing,
        Some(found) => match &found.0 {
            Ok(template) => FoundTemplate::There(Box::new(template.spec.clone())),
            Err(error) => FoundTemplate::Unreadable(error.error.clone()),
        },
    }
}
