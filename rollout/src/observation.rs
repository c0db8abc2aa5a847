/*!
What the planner is told: how things are, seen at one moment.
*/
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serin_policy::evidence::Tally;
use serin_policy::{Arm, Cohort, Extra};

use super::commands::Command;
use super::hooks::Answer;
use super::in_force::InForce;
use super::roles::{Roles, RolesUnclear, RouteTargets};
use super::workloads::Workloads;
use serin_release::delivery::Delivery;

/// Everything the planner looks at besides the Release and its own status.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// What the file in front of the proxies says.
    pub in_force: InForce,
    /// All proxies there are.
    pub proxies: Vec<Proxy>,
    /// Those that have closed this run's canary by themselves, by name.
    pub blown_fuses: Vec<String>,
    /// What was counted since the last observation: randomly assigned requests, by all that tells them apart.
    pub counted: Vec<Cell>,
    /// The same in sum and by the proxies' own counters, wherever `counted` comes from.
    pub at_proxies: Counts,
    /// Requests since then that a rule gave to a version, not chance. No two are of the same rule and version.
    pub chosen: Vec<Chosen>,
    /// Requests since then whose caller has no id and can be given none.
    pub unassignable: u64,
    /// New answers to copies of stable's requests, and stable's own to the same.
    pub mirrored: Mirrored,
    /// The different users of this run so far; none where no proxy tells.
    pub users: Option<Users>,
    /// The same of each version beside the two, in the canary's place.
    pub users_of_extras: BTreeMap<Extra, Users>,
    /// What people's own metrics say, of those that were due.
    pub readings: Vec<MetricReading>,
    /// Why nothing could be counted, if nothing could: what was asked, and what came back.
    pub outage: Option<String>,
    /// What people have asked for since the last observation, in order.
    pub commands: Vec<Command>,
    /// Where the release runs.
    pub environment: Environment,
}

/// Where a release runs, and how things are there.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Environment {
    /// In front of plain Envoys: two versions that are somebody else's business.
    #[default]
    Standalone,
    /// In a cluster: two versions that are Deployments, and routes between.
    Cluster(Box<InCluster>),
}

/// How things are in a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct InCluster {
    /// What the Release says of its Deployments and routes, in the `roles` of this observation.
    pub delivery: Delivery,
    /// The Deployments, in the same roles.
    pub workloads: Workloads,
    /// Which Deployment is the stable one, by [`Roles::of`].
    pub roles: Result<Roles, RolesUnclear>,
    /// Where the routes lead; none if they are not there as they should be, or are not to be written.
    pub routes: Option<RouteTargets>,
    /// What stands in the way of moving anybody, besides all that: a contested host, say.
    pub obstacles: Vec<String>,
    /// Those of Serin's objects that somebody else keeps changing.
    pub contested: Vec<Contested>,
    /// What hooks have answered since the last observation.
    pub answers: Vec<Answer>,
    /// Whether somebody else keeps changing the policy, and it was set right too short a time ago to be written again.
    pub policy_waits: bool,
}

/// An object that somebody else keeps changing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contested {
    /// Its kind, namespace and name, and the part of it that is contested.
    pub object: String,
    /// Who changes it, if they leave a name.
    pub by: Option<String>,
}

/// A proxy and what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Name of the proxy, for people.
    pub name: String,
    /// What it says.
    pub state: ProxyState,
}

impl Proxy {
    /// What kept it from answering, if something did.
    pub fn silence(&self) -> Option<&str> {
        match &self.state {
            ProxyState::Silent { error } => Some(error),
            ProxyState::Bypassed | ProxyState::Runs { .. } => None,
        }
    }
}

/// What a proxy says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ProxyState {
    /// It does not answer.
    Silent {
        /// What was got instead of an answer.
        error: String,
    },
    /// It answers but reports no revision: the filter does not run there.
    Bypassed,
    /// The filter runs there.
    Runs {
        /// The revision it goes by; 0 if it never took one.
        revision: u64,
        /// Why it refused the present document, if it did; it then goes on with what it has.
        refused: Option<String>,
        /// Whether the policy's lease has run out there, so that the canary takes no traffic.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        has_lapsed: bool,
    },
}

/// What one of people's own metrics says.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricReading {
    /// The metric's name.
    pub name: String,
    /// Of the canary.
    pub canary: MetricValue,
    /// Of stable, where the two are compared.
    pub stable: Option<MetricValue>,
}

/// What one query came to. That there is nothing, no number, or no answer are three different things.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricValue {
    /// A finite number; the largest there is where it was divided by zero.
    Number(f64),
    /// NaN, as zero divided by zero gives: there was nothing to measure.
    NotANumber,
    /// No series matched the query.
    Empty,
    /// The query failed.
    Failed(String),
}

/// Requests that came to their version in the same way, at the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The attach point where they were assigned; empty where that is not known.
    pub place: String,
    /// Who was drawn.
    pub drawn: Drawn,
    /// The version they got.
    pub arm: Arm,
    /// What became of them.
    pub counts: ArmCounts,
}

impl Cell {
    /// Whether these are requests that the release's own weight gave to `arm`.
    pub fn is_of(&self, arm: Arm) -> bool {
        self.arm == arm && matches!(self.drawn, Drawn::Cohort(_))
    }
}

/// Who was drawn by their point.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drawn {
    /// Callers of this cohort, against the release's weight.
    Cohort(Cohort),
    /// Members of the segment of this name, against the segment's own weight.
    Split(String),
}

/// Requests that a rule gave to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Which rule.
    pub by: Chooser,
    /// The version they got.
    pub arm: Arm,
    /// What became of them.
    pub counts: ArmCounts,
}

/// What gives requests to a version without a draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chooser {
    /// A segment of this name whose members are all on one version.
    Segment(String),
    /// A tester's header.
    Override,
    /// Whatever it was: a fault was injected into their answers.
    Fault,
}

/// Counts of randomly assigned traffic, by version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// The stable version's.
    pub stable: ArmCounts,
    /// The canary's.
    pub canary: ArmCounts,
}

impl Counts {
    /// All of `cells` of the two.
    pub fn of(cells: &[Cell]) -> Self {
        cells.iter().fold(Self::default(), |mut sum, cell| {
            match cell.arm {
                Arm::Stable => sum.stable.add(cell.counts),
                Arm::Canary => sum.canary.add(cell.counts),
                Arm::Extra(_) => {}
            }
            sum
        })
    }

    /// Adds `other` to these.
    pub fn add(&mut self, other: &Self) {
        self.stable.add(other.stable);
        self.canary.add(other.canary);
    }
}

/// Answers to requests of which the canary got a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mirrored {
    /// Stable's, which the callers got.
    pub stable: Tally,
    /// The canary's, which nobody got.
    pub canary: Tally,
}

impl Mirrored {
    /// Adds `other` to these.
    pub const fn add(&mut self, other: Self) {
        self.stable.add(other.stable);
        self.canary.add(other.canary);
    }
}

/// The different users of a run so far, by version: only ever more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Users {
    /// The stable version's.
    pub stable: ArmUsers,
    /// The canary's.
    pub canary: ArmUsers,
}

/// One version's different users, counted in cells: each user falls into one of [`CELLS`](serin_policy::users::CELLS) by
/// a hash of their id, and a cell counts once, however many fall into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArmUsers {
    /// Cells with a user whose request was answered by this version.
    pub seen: u32,
    /// Cells with a user who met a failure.
    pub failed: u32,
    /// Cells with a user who met an answer slower than the objective.
    pub slow: u32,
    /// Cells whose first failure in the run, over both versions, was of this one. Only callers whom the release's own
    /// weight assigns count here.
    pub first_failed: u32,
}

/// The edges, in milliseconds, at which the distribution of request times is counted: those of Envoy's default buckets
/// that matter for answers people wait for.
pub const EDGES_MS: [u32; 12] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

/// Into how many groups of routes failures are sorted, by a hash of the first segments of the path.
pub const ROUTE_GROUPS: usize = serin_policy::series::ROUTE_GROUPS;

/// One version's counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ArmCounts {
    /// Requests answered, those whose caller left, and those that wait for longer than the objective. One that does
    /// counts when that is found and not again at its end, so its error may come in a later interval than it.
    pub requests: u64,
    /// Those that failed, an answer broken off in the middle among them.
    pub errors: u64,
    /// Those that took longer than the objective, requests that hang for longer than that among them.
    pub slow: u64,
    /// Those whose caller was given an id just then.
    pub issued: u64,
    /// Of these, those whose answer shared caches may keep, so that the caller was not given it after all.
    #[serde(skip_serializing_if = "is_zero")]
    pub withheld: u64,
    /// Those that were answered with a client's error: 4xx, or a gRPC status that blames the client.
    #[serde(skip_serializing_if = "is_zero")]
    pub client_errors: u64,
    /// Those whose caller left before there was an answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub left: u64,
    /// Those whose time was taken and whose edges are known.
    #[serde(skip_serializing_if = "is_zero")]
    pub timed: u64,
    /// Of the timed ones, those that took longer than each of [`EDGES_MS`].
    #[serde(skip_serializing_if = "are_zero")]
    pub slower_than: [u64; EDGES_MS.len()],
    /// The failed ones, by group of routes.
    #[serde(skip_serializing_if = "are_zero")]
    pub failed_by_route: [u64; ROUTE_GROUPS],
}

impl ArmCounts {
    /// The requests, and those that failed.
    pub const fn failed(&self) -> Tally {
        Tally { requests: self.requests, bad: self.errors }
    }

    /// The requests, and those that took longer than the objective.
    pub const fn too_slow(&self) -> Tally {
        Tally { requests: self.requests, bad: self.slow }
    }

    /// Adds `other` to these.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.slow += other.slow;
        self.issued += other.issued;
        self.withheld += other.withheld;
        self.client_errors += other.client_errors;
        self.left += other.left;
        self.timed += other.timed;
        add_each(&mut self.slower_than, &other.slower_than);
        add_each(&mut self.failed_by_route, &other.failed_by_route);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn are_zero(counts: &[u64]) -> bool {
    counts.iter().all(is_zero)
}

fn add_each(sums: &mut [u64], more: &[u64]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}
