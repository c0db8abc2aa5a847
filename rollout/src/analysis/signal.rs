/*!
What can be bad about a request.
*/
use serin_policy::evidence::Tally;
use serin_release::Metric;

use crate::observation::{ArmCounts, EDGES_MS, ROUTE_GROUPS};

/// One thing that can be bad about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signal {
    /// It failed.
    Failed,
    /// It took longer than the objective.
    Slow,
    /// It took longer than the edge of this place in [`EDGES_MS`].
    SlowerThan(usize),
    /// It failed, on this group of routes.
    FailedRoute(usize),
    /// It was answered with a client's error.
    ClientError,
    /// Its caller left before there was an answer.
    Left,
}

impl Signal {
    /// All that there can be of a metric; nothing where it is not about single requests.
    pub(super) fn of(metric: Metric) -> Vec<Self> {
        match metric {
            Metric::RequestSuccessRate => vec![Self::Failed],
            Metric::RequestDuration => vec![Self::Slow],
            Metric::LatencyTail => (0..EDGES_MS.len()).map(Self::SlowerThan).collect(),
            Metric::RouteErrors => (0..ROUTE_GROUPS).map(Self::FailedRoute).collect(),
            Metric::ClientErrors => vec![Self::ClientError],
            Metric::ClientAborts => vec![Self::Left],
            Metric::TrafficShare => Vec::new(),
        }
    }

    /// Whether a canary whose caches are cold may be bad in this sense.
    pub(super) const fn is_of_time(self) -> bool {
        matches!(self, Self::Slow | Self::SlowerThan(_) | Self::Left)
    }
}

impl ArmCounts {
    /// The requests, and those that are bad in this sense.
    pub(super) fn of(&self, signal: Signal) -> Tally {
        let at = |counts: &[u64], i: usize| counts.get(i).copied().unwrap_or_default();
        let (requests, bad) = match signal {
            Signal::Failed => (self.requests, self.errors),
            Signal::Slow => (self.requests, self.slow),
            Signal::SlowerThan(edge) => (self.timed, at(&self.slower_than, edge)),
            Signal::FailedRoute(group) => (self.requests, at(&self.failed_by_route, group)),
            Signal::ClientError => (self.requests, self.client_errors),
            Signal::Left => (self.requests, self.left),
        };
        Tally { requests, bad }
    }
}
