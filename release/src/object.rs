/*!
Releases and MetricTemplates as a cluster keeps them. What is said here of the kinds is all that a client needs to find
them.
*/
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, NamespaceResourceScope, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{self, FoundTemplate};
use crate::problem::ReleaseError;
use crate::resource::{MetricTemplateSpec, Spec, TemplateRef};
use crate::status::ReleaseStatus;

/// Releases new versions of a service to its users, step by step, and goes back on evidence.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseObject {
    /// What every object of a cluster has.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// How new versions of a service are released.
    pub spec: Spec,
    /// How a release is doing. Written by Serin only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ReleaseStatus>,
}

impl ReleaseObject {
    /// The same with what its metrics leave out as their MetricTemplates have it, for which `find` looks in a namespace. It
    /// needs them no more.
    ///
    /// # Errors
    /// [`ReleaseError::Invalid`] with every template that is not there, is not shared with this namespace or makes no sense.
    pub fn with_templates(
        &self,
        find: impl Fn(&TemplateRef, &str) -> FoundTemplate,
    ) -> Result<Self, ReleaseError> {
        check::with_templates(self, find)
    }
}

impl Resource for ReleaseObject {
    const API_VERSION: &'static str = "serin.dev/v1alpha1";
    const GROUP: &'static str = "serin.dev";
    const KIND: &'static str = "Release";
    const VERSION: &'static str = "v1alpha1";
    const URL_PATH_SEGMENT: &'static str = "releases";
    type Scope = NamespaceResourceScope;
}

impl Metadata for ReleaseObject {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A metric that several Releases share: a query, with its limits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MetricTemplate {
    /// What every object of a cluster has.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// The metric, and with whom it is shared.
    pub spec: MetricTemplateSpec,
}

impl Resource for MetricTemplate {
    const API_VERSION: &'static str = "serin.dev/v1alpha1";
    const GROUP: &'static str = "serin.dev";
    const KIND: &'static str = "MetricTemplate";
    const VERSION: &'static str = "v1alpha1";
    const URL_PATH_SEGMENT: &'static str = "metrictemplates";
    type Scope = NamespaceResourceScope;
}

impl Metadata for MetricTemplate {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
