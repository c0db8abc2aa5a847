/*!
A Release as a cluster keeps it. What is said here of the kind is all that a client needs to find it.
*/
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, NamespaceResourceScope, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::Spec;
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
