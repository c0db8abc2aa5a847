/*!
The names of the series that the filter counts in and the agent reads.

A stock Istio proxy (and the bootstrap that `serin bootstrap` writes) turns the raw name
`tag.shop/shop/canary/step-1;.serin_rq_5xx` into `serin_rq{tag="shop/shop/canary/step-1",
response_code_class="5xx"}`. Both spellings are made and taken apart here, so they cannot drift.
*/
use std::fmt;

use crate::decision::{Arm, Cohort, Reason};
use crate::lanes::Extra;
use crate::policy::Policy;
use crate::refusal::Kind;

/// A counter or histogram kept per version and reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Requests that are over and were answered, by the class of their status: 1 to 5.
    Requests(u8),
    /// Of these, answers below 400 whose gRPC status was not OK and blames the server, as 5xx does.
    GrpcServerErrors,
    /// Of these, answers below 400 whose gRPC status was not OK and does not blame the server, as 4xx does not.
    GrpcClientErrors,
    /// Of these, answers that were no failure by their status, and broke off in the middle.
    Broken,
    /// Requests whose caller left before there was an answer.
    Left,
    /// Requests whose answer took longer than the policy's objective to begin. One that waits for longer counts while
    /// it does, and not again.
    Slow,
    /// Requests that were found waiting for longer than the objective, as [`Slow`](Self::Slow) counts them too.
    Waiting,
    /// Of these, those that are over: they count by their status, or as [`Left`](Self::Left), as well.
    Waited,
    /// Requests whose caller was given an id just then: of these, the share of each version is known beforehand.
    Issued,
    /// Of these, those whose answer shared caches may keep, so that they were not given it after all.
    Withheld,
    /// How long answers took to begin, in milliseconds.
    Time,
}

impl Metric {
    /// Every metric there is.
    pub const ALL: [Self; 15] = [
        Self::Requests(1),
        Self::Requests(2),
        Self::Requests(3),
        Self::Requests(4),
        Self::Requests(5),
        Self::GrpcServerErrors,
        Self::GrpcClientErrors,
        Self::Broken,
        Self::Left,
        Self::Slow,
        Self::Waiting,
        Self::Waited,
        Self::Issued,
        Self::Withheld,
        Self::Time,
    ];

    /// A number below `ALL.len()`, to keep counters in a list.
    pub const fn index(self) -> usize {
        match self {
            Self::Requests(class @ 1..=5) => class as usize - 1,
            Self::Requests(_) => 4,
            Self::GrpcServerErrors => 5,
            Self::GrpcClientErrors => 6,
            Self::Broken => 7,
            Self::Left => 8,
            Self::Slow => 9,
            Self::Waiting => 10,
            Self::Waited => 11,
            Self::Issued => 12,
            Self::Withheld => 13,
            Self::Time => 14,
        }
    }

    /// The metric that counts an answer of gRPC status `code`; none counts OK.
    ///
    /// Which codes blame the server is taken from OpenTelemetry's semantic conventions for RPC server spans.
    pub const fn of_grpc_status(code: u32) -> Option<Self> {
        match code {
            0 => None,
            // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
            2 | 4 | 12..=15 => Some(Self::GrpcServerErrors),
            _ => Some(Self::GrpcClientErrors),
        }
    }

    /// The name in Prometheus, without labels.
    pub const fn prometheus_name(self) -> &'static str {
        match self {
            Self::Requests(_) => "serin_rq",
            Self::GrpcServerErrors => "serin_grpc_server_errors",
            Self::GrpcClientErrors => "serin_grpc_client_errors",
            Self::Broken => "serin_broken",
            Self::Left => "serin_left",
            Self::Slow => "serin_slow",
            Self::Waiting => "serin_waiting",
            Self::Waited => "serin_waited",
            Self::Issued => "serin_issued",
            Self::Withheld => "serin_withheld",
            Self::Time => "serin_rq_time",
        }
    }
}

impl fmt::Display for Metric {
    /// The raw name: a status class is its suffix, which Envoy's own rule makes `response_code_class`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(class) => write!(f, "serin_rq_{class}xx"),
            other => f.write_str(other.prometheus_name()),
        }
    }
}

/// Into how many groups of routes failures are sorted, by a hash of the first segments of the path: enough that a dead
/// route stands out of its group, few enough to keep a series of each.
pub const ROUTE_GROUPS: usize = 16;

/// Name in Prometheus, but for the group's number, of the counters of failed requests by [group of routes](crate::route).
/// Each is there from its first failure on.
pub const FAILED_ROUTE: &str = "serin_failed_route_";

/// The group of routes whose failures the metric of this name counts, if it counts any's.
pub fn failed_route(metric: &str) -> Option<usize> {
    metric.strip_prefix(FAILED_ROUTE)?.parse().ok().filter(|&group| group < ROUTE_GROUPS)
}

/// Name in Prometheus of the gauge that says which revision of a policy a proxy runs; its tag is the policy's name.
pub const REVISION: &str = "serin_revision";

/// Name in Prometheus of the gauge that says whether a policy's lease has run out in a proxy: 1 if it has. Its tag is the
/// policy's name.
pub const LAPSED: &str = "serin_lapsed";

/// Name in Prometheus of the counter of [links](crate::links) that were not right, or had ended; its tag is the policy's name.
pub const REFUSED_LINKS: &str = "serin_refused_links";

/// Name in Prometheus of the gauge that says how many policies of the present document a proxy refused.
pub const REFUSED: &str = "serin_refused";

/// Name in Prometheus of the counter of refusals; its tag is the [`Kind`].
pub const REFUSALS: &str = "serin_refusals";

/// Name of the counts of the canary's answers to copies of stable's requests, which a plain Envoy keeps itself.
pub const COPIES: &str = "serin_copies";

/// Name in Prometheus of those answers by the class of their status, with the tag of [`Group::Copied`].
pub const COPIES_ANSWERED: &str = "envoy_cluster_upstream_rq";

/// Raw name of the [`REVISION`] gauge of `policy`.
pub fn raw_revision(policy: &Policy) -> String {
    format!("tag.{};.{REVISION}", policy.name())
}

/// Raw name of the [`LAPSED`] gauge of `policy`.
pub fn raw_lapsed(policy: &Policy) -> String {
    format!("tag.{};.{LAPSED}", policy.name())
}

/// Raw name of the [`REFUSED_LINKS`] counter of `policy`.
pub fn raw_refused_links(policy: &Policy) -> String {
    format!("tag.{};.{REFUSED_LINKS}", policy.name())
}

/// Raw name of the [`REFUSALS`] counter of `kind`.
pub fn raw_refusals(kind: Kind) -> String {
    format!("tag.{kind};.{REFUSALS}")
}

/// Which requests a series counts, as the label `tag` says it: `namespace/release/version/group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'t> {
    /// `namespace/release`.
    pub release: &'t str,
    /// The version.
    pub arm: Arm,
    /// The cohort, or the reason.
    pub group: Group<'t>,
}

/// Requests that came to their version in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group<'t> {
    /// Drawn by their point, of this cohort.
    Cohort(Cohort),
    /// Drawn by their point within the segment of this name.
    Split(&'t str),
    /// Members of the segment of this name, all on one version.
    Segment(&'t str),
    /// Testers.
    Override,
    /// Callers without an id.
    NoIdentity,
    /// Requests while the canary was closed.
    Closed,
    /// Requests while its lease had run out.
    Lapsed,
    /// Requests into which a fault was injected.
    Fault,
    /// Requests of stable of which the canary gets a copy, which count by their cohort as well; and the canary's answers to the
    /// copies.
    Copied,
}

impl<'t> Group<'t> {
    pub(crate) fn of(policy: &'t Policy, reason: Reason) -> Self {
        match reason {
            Reason::Closed => Self::Closed,
            Reason::Lapsed => Self::Lapsed,
            Reason::Override => Self::Override,
            Reason::NoIdentity => Self::NoIdentity,
            Reason::Fault => Self::Fault,
            Reason::Copied => Self::Copied,
            Reason::Bucket(cohort) => Self::Cohort(cohort),
            Reason::Segment(i) => Self::Segment(policy.segment_name(i)),
            Reason::Split(i) => Self::Split(policy.segment_name(i)),
        }
    }

    /// Whether chance chose the version, so that the group may be compared with the same group on the other one.
    pub const fn is_random(self) -> bool {
        matches!(self, Self::Cohort(_) | Self::Split(_))
    }

    fn parse(text: &'t str) -> Option<Self> {
        Some(match text {
            "closed" => Self::Closed,
            "lapsed" => Self::Lapsed,
            "override" => Self::Override,
            "no-id" => Self::NoIdentity,
            "fault" => Self::Fault,
            "copied" => Self::Copied,
            "rest" => Self::Cohort(Cohort::Rest),
            _ => match text.split_once([':', '-'])? {
                ("step", number) => Self::Cohort(Cohort::Step(number.parse::<usize>().ok()?.checked_sub(1)?)),
                ("lane", number) => Self::Cohort(Cohort::Lane(lane(number)?)),
                ("segment", name) => Self::Segment(name),
                ("split", name) => Self::Split(name),
                _ => return None,
            },
        })
    }
}

/// The version whose lane has this number, from 1.
fn lane(number: &str) -> Option<Extra> {
    Extra::ALL.get(number.parse::<usize>().ok()?.checked_sub(1)?).copied()
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Lapsed => f.write_str("lapsed"),
            Self::Override => f.write_str("override"),
            Self::NoIdentity => f.write_str("no-id"),
            Self::Fault => f.write_str("fault"),
            Self::Copied => f.write_str("copied"),
            Self::Cohort(Cohort::Rest) => f.write_str("rest"),
            Self::Cohort(Cohort::Step(i)) => write!(f, "step-{}", i + 1),
            Self::Cohort(Cohort::Lane(extra)) => write!(f, "lane-{}", extra.index() + 1),
            Self::Segment(name) => write!(f, "segment:{name}"),
            Self::Split(name) => write!(f, "split:{name}"),
        }
    }
}

impl<'t> Tag<'t> {
    /// The tag of requests that `policy` gave `arm` for `reason`.
    pub fn of(policy: &'t Policy, arm: Arm, reason: Reason) -> Self {
        Self { release: policy.name(), arm, group: Group::of(policy, reason) }
    }

    /// The raw name of `metric` for these requests.
    pub fn raw_name(&self, metric: Metric) -> String {
        format!("tag.{self};.{metric}")
    }

    /// The raw name of the counter of failures of these requests on routes of `group`.
    pub fn raw_failed_route(&self, group: usize) -> String {
        format!("tag.{self};.{FAILED_ROUTE}{group}")
    }

    /// Takes the label's value apart; `None` for what the filter did not write.
    pub fn parse(tag: &'t str) -> Option<Self> {
        let (rest, group) = tag.rsplit_once('/')?;
        let (release, arm) = rest.rsplit_once('/')?;
        let arm = Arm::of_word(arm)?;
        Some(Self { release, arm, group: Group::parse(group)? })
    }
}

impl fmt::Display for Tag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.release, self.arm.as_str(), self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_as_it_was_written() {
        let groups = [
            ("closed", Group::Closed),
            ("lapsed", Group::Lapsed),
            ("override", Group::Override),
            ("no-id", Group::NoIdentity),
            ("fault", Group::Fault),
            ("copied", Group::Copied),
            ("rest", Group::Cohort(Cohort::Rest)),
            ("step-1", Group::Cohort(Cohort::Step(0))),
            ("lane-4", Group::Cohort(Cohort::Lane(Extra::ALL[3]))),
            ("segment:beta-2", Group::Segment("beta-2")),
            ("split:us-west", Group::Split("us-west")),
        ];
        for (text, group) in groups {
            let tag = Tag { release: "shop/shop", arm: Arm::Canary, group };
            assert_eq!(tag.to_string(), format!("shop/shop/canary/{text}"));
            assert_eq!(Tag::parse(&tag.to_string()), Some(tag));
        }
        for arm in Arm::all() {
            let tag = Tag { release: "shop/shop", arm, group: Group::Override };
            assert_eq!(Tag::parse(&tag.to_string()), Some(tag));
        }
        for foreign in
            ["", "a/b", "shop/shop/v2/step-1", "shop/shop/canary/step-0", "shop/shop/canary/lane-5"]
        {
            assert_eq!(Tag::parse(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_group_of_routes_comes_back_from_its_counters_name() {
        let tag = Tag::parse("shop/shop/canary/step-1").unwrap();
        for group in 0..ROUTE_GROUPS {
            let raw = tag.raw_failed_route(group);
            let name = raw.strip_prefix("tag.shop/shop/canary/step-1;.").unwrap();
            assert_eq!(failed_route(name), Some(group));
        }
        for foreign in ["serin_failed_route_", "serin_failed_route_16", "serin_failed_route_x", "serin_rq"] {
            assert_eq!(failed_route(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_metrics_index_is_its_place_in_the_list() {
        for (at, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric.index(), at);
        }
    }
}
