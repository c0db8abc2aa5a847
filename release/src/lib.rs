/*!
The Release resource: what a person writes to have a new version released, read, completed and checked.

[`Release::from_yaml`] is the only way to a [`Release`], so whoever holds one holds one that makes sense: the rest of
the agent validates nothing. A refusal lists everything that is wrong at once, each with the field's path, the
value found there and what to write instead.

The way through the room: `resource` has the words people write, with their defaults; `check` turns them into a
[`Release`]; `accepted` asks the filter's own reader whether it would take the result; `policy` makes the document
the proxies get.
*/
mod accepted;
mod analysis;
pub mod approval;
mod check;
pub mod delivery;
pub mod duration;
pub mod faults;
pub mod hook;
pub mod lint;
pub mod mirror;
pub mod notification;
mod object;
mod percent;
mod policy;
mod problem;
pub mod prometheus;
pub mod resource;
pub mod rollback;
pub mod rule;
pub mod status;
#[cfg(test)]
mod tests;
pub mod window;

use std::time::Duration;

use serin_policy::cookie::CookieSpec;
use serin_policy::flags::FlagSpec;
use serin_policy::links::LinkSpec;
use serin_policy::matching::{OverrideSpec, SegmentSpec};
use serin_policy::retries::RetriesSpec;
use serin_policy::{Extra, Source, Weight};

pub use analysis::{Analysis, CountSource, Criterion, CustomMetric, Excess, Metric, NoData, OnNoData};
use approval::Approval;
pub use check::{FoundTemplate, notification as checked_notification, window as checked_window};
use delivery::Delivery;
use faults::Fault;
use mirror::Mirror;
pub use object::{MetricTemplate, ReleaseObject};
pub use percent::Percent;
pub use problem::{Problem, ReleaseError};
pub use resource::{Gate, Propagation};
use rollback::Gradual;
use window::Window;

/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// A release that makes sense, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    name: String,
    run: String,
    /// What people call the stable version.
    pub stable_version: String,
    /// The service whose users are assigned.
    pub service: Service,
    /// Hosts by which clients reach the service; at least one.
    pub hosts: Vec<String>,
    /// Those of the hosts by which testers get the canary.
    pub preview_hosts: Vec<String>,
    /// Path prefix under which requests are assigned; begins with `/`.
    pub path_prefix: String,
    /// Where a caller's sticky id is looked for, in this order; at least one place.
    pub sources: Vec<Source>,
    /// The cookie for callers without an id, if one is issued.
    pub cookie: Option<CookieSpec>,
    /// How the id reaches the services behind.
    pub propagation: Propagation,
    /// How testers choose a version.
    pub overrides: Vec<OverrideSpec>,
    /// The versions beside stable and canary; at most [`Extra::MOST`].
    pub versions: Vec<ExtraVersion>,
    /// How testers choose one in a plain browser, if they may.
    pub links: Option<LinkSpec>,
    /// Groups with weights of their own.
    pub segments: Vec<SegmentSpec>,
    /// Feature flags, told to the application.
    pub flags: Vec<FlagSpec>,
    /// What is injected into answers on purpose.
    pub faults: Vec<Fault>,
    /// The response header that shows the version, if there is to be one.
    pub response_header: Option<String>,
    /// Whether proxies tell their access logs which version a request got, and why.
    pub access_log: bool,
    /// The steps before everybody gets the new version: 1 to 100 of a canary, up to 100 of a blue-green release, their
    /// weights rising.
    pub steps: Vec<Step>,
    /// Whether the first steps may be left out where the traffic is too thin for them: where nobody has written any.
    pub steps_by_traffic: bool,
    /// What a blue-green release has besides; none of a canary.
    pub blue_green: Option<BlueGreen>,
    /// Whose word it takes where a run waits for a person.
    pub approval: Approval,
    /// What the canary gets copies of before it has users; nothing without it.
    pub mirror: Option<Mirror>,
    /// How users of a bad canary go back where that is not grave; all at once without it.
    pub gradual: Option<Gradual>,
    /// How requests are tried again while users go back; as the routes say, without it.
    pub rollback_retries: Option<RetriesSpec>,
    /// When users are moved: the Release's own windows, and those of the agent's operator in a cluster. At any time, without
    /// any.
    pub windows: Vec<Window>,
    /// What the canary is judged by.
    pub analysis: Analysis,
    /// For how long the canary may have users without a look of the agent; none if without end.
    pub lease: Option<Duration>,
}

/// A version beside stable and canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraVersion {
    /// What routes and testers call it.
    pub name: String,
    /// What people call what it runs, if they do: another is another version, and judged anew.
    pub version: Option<String>,
    /// Its share of all callers.
    pub share: Weight,
}

/// How a blue-green release differs from a canary: the new version has all its pods from the beginning, and the old one
/// keeps its own for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlueGreen {
    /// What begins the cutover.
    pub cutover: Gate,
    /// How long the old version is kept after the bake.
    pub keep: Duration,
    /// What ends its time then.
    pub cleanup: Gate,
}

/// The service whose users are assigned to versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Name of the service, a DNS label.
    pub name: String,
    /// Port of the service, from 1; none if people left it to the Service.
    pub port: Option<u16>,
}

/// One step of a release: a share of users and what ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The canary's share while the step lasts: above 0 and above the step before.
    pub weight: Weight,
    /// What must happen, besides a good verdict, before the next step.
    pub pause: Pause,
}

/// What holds a step up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Nothing: the step ends as soon as the analysis passes.
    None,
    /// The step is observed for at least this long.
    For(Duration),
    /// A person approves.
    UntilApproved,
}

impl Release {
    /// Reads a Release from YAML (JSON is YAML too). Its MetricTemplates are documents beside it.
    ///
    /// # Errors
    /// [`ReleaseError::Unreadable`] with the line when the text is no Release at all, otherwise
    /// [`ReleaseError::Invalid`] with everything that is wrong.
    pub fn from_yaml(yaml: &str) -> Result<Self, ReleaseError> {
        check::check(resource::read(yaml)?)
    }

    /// Makes sense of a Release in a cluster, with its templates filled in ([`ReleaseObject::with_templates`]). Its pod
    /// template names the `run` there.
    ///
    /// # Errors
    /// [`ReleaseError::Invalid`] with everything that is wrong.
    pub fn from_object(object: &ReleaseObject, run: &str) -> Result<(Self, Delivery), ReleaseError> {
        check::check_in_cluster(object, run)
    }

    /// `namespace/name`: what this release is called in documents, metrics and logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The versions beside stable and canary, as policies count them.
    pub fn extras(&self) -> impl Iterator<Item = (Extra, &ExtraVersion)> + Clone {
        Extra::ALL.into_iter().zip(&self.versions)
    }

    /// This release as whoever judges `version` is to see it: its callers are those whom the first step moves, and no
    /// segment is the canary's.
    #[must_use]
    pub fn judging(&self, version: &ExtraVersion) -> Self {
        let own = Step { weight: version.share, pause: Pause::None };
        let steps = std::iter::once(own).chain(self.steps.iter().copied()).collect();
        Self { steps, segments: Vec::new(), ..self.clone() }
    }

    /// The canary's version. It names the run: another version is another run.
    pub fn run(&self) -> &str {
        &self.run
    }
}
