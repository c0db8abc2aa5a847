/*!
What a release needs to know in a cluster besides: the Deployments behind the two versions, where requests come in,
and what becomes of the Deployments in the end.
*/
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use serin_policy::Arm;

use super::hook::Hook;
use super::notification::Notification;

pub use super::resource::{Mode, PodTemplate, PromotionMode};

/// How the two versions stand in a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The Deployment of the stable version.
    pub stable: Target,
    /// The Deployment of the new version; another one.
    pub canary: Target,
    /// What of a pod template makes a version.
    pub pod_template: PodTemplate,
    /// What becomes of the two in the end.
    pub promotion: PromotionMode,
    /// How long the canary's pods are kept after every proxy has stopped sending to them.
    pub scale_down_delay: Duration,
    /// How long a run may wait for the canary's pods.
    pub progress_deadline: Duration,
    /// Whether a person holds everything.
    pub suspended: bool,
    /// How requests get to the two.
    pub routing: Routing,
    /// Which of the operator's Prometheus servers is asked, if one is.
    pub prometheus: Option<Named>,
    /// Who is asked at points of a run.
    pub hooks: Vec<Hook>,
    /// Who is told of it by its own people.
    pub notifications: Vec<Notification>,
}

/// A Prometheus, as a Release in a cluster may name one, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// One of the operator's, by its name.
    Source(String),
    /// By an address, by files or headers, of which this is the first field. The agent would go there, as itself, for
    /// whoever may write a Release: that is the operator's to allow.
    ByAddress(&'static str),
}

impl Delivery {
    /// The same with the two Deployments in each other's places.
    #[must_use]
    pub fn swapped(self) -> Self {
        Self { stable: self.canary, canary: self.stable, ..self }
    }

    /// The Deployment of a version; in a cluster there are these two.
    pub const fn of(&self, arm: Arm) -> &Target {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary | Arm::Extra(_) => &self.canary,
        }
    }
}

/// A Deployment and what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The Deployment's name, in the Release's namespace.
    pub deployment: String,
    /// What scales it, if something does.
    pub autoscaler: Option<Autoscaler>,
    /// Istio's `trafficPolicy` for its subset.
    pub traffic_policy: Option<Value>,
    /// Istio's `headers` for requests that are led there.
    pub headers: Option<Value>,
}

/// What scales a Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoscaler {
    /// What it is.
    pub kind: AutoscalerKind,
    /// Its name, in the Release's namespace.
    pub name: String,
}

/// What there is that scales a Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoscalerKind {
    /// Kubernetes' own.
    HorizontalPodAutoscaler,
    /// KEDA's.
    ScaledObject,
}

/// How requests get to the two versions.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
    /// Who writes the routes.
    pub mode: Mode,
    /// Where requests come in and callers are assigned; at least one place, none twice.
    pub attach_points: Vec<AttachPoint>,
    /// The Service of each version; none where both are subsets of the one that the Release is for.
    pub services: Option<VersionServices>,
    /// The VirtualService's `timeout`.
    pub timeout: Option<String>,
    /// The VirtualService's `retries`.
    pub retries: Option<Value>,
    /// The VirtualService's `fault`.
    pub fault: Option<Value>,
    /// The VirtualService's `corsPolicy`.
    pub cors_policy: Option<Value>,
    /// The VirtualService's `headers`.
    pub headers: Option<Value>,
    /// The VirtualService's `rewrite`.
    pub rewrite: Option<Value>,
    /// The DestinationRule's `trafficPolicy`.
    pub traffic_policy: Option<Value>,
    /// HTTP routes that come before all others, in order.
    pub http: Vec<HttpRoute>,
    /// The VirtualService's `tls`.
    pub tls: Vec<Value>,
    /// The VirtualService's `tcp`.
    pub tcp: Vec<Value>,
    /// The `exportTo` of all objects.
    pub export_to: Option<Vec<String>>,
}

/// An HTTP route that people write beside Serin's.
#[derive(Debug, Clone, PartialEq)]
pub enum HttpRoute {
    /// One of theirs, as Istio has it.
    Theirs(Value),
    /// One that leads to the version that a caller has.
    ToVersions {
        /// Istio's conditions, one of which is to be met. None is about where a caller is: that is Serin's.
        conditions: Vec<Map<String, Value>>,
        /// What else it says: what it does not say it does not have, as with Istio.
        fields: Map<String, Value>,
    },
}

/// A Service for each version, two of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionServices {
    /// Stable's: the one that the Release is for, unless another is named.
    pub stable: String,
    /// The canary's.
    pub canary: String,
}

impl VersionServices {
    /// That of one version.
    pub fn of(&self, arm: Arm) -> &str {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Canary | Arm::Extra(_) => &self.canary,
        }
    }
}

/// A place where requests come in: there the filter runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttachPoint {
    /// The proxies behind an Istio Gateway.
    Gateway {
        /// The Gateway's namespace.
        namespace: String,
        /// The Gateway's name.
        name: String,
    },
    /// The sidecars of one namespace.
    Sidecars {
        /// The namespace.
        namespace: String,
    },
}

impl fmt::Display for AttachPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Sidecars { namespace } => write!(f, "mesh in {namespace}"),
        }
    }
}
