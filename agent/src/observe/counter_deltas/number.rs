/*!
What a series adds to.
*/
use serin_policy::series::{self, Metric};

/// Which of a version's numbers a series adds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Requests that did not fail, or of which another series says that they failed.
    Requests,
    /// Failures among requests that another series counts.
    Errors,
    /// Requests that failed.
    RequestsAndErrors,
    /// Requests that were answered with a client's error.
    RequestsAndClientErrors,
    /// Clients' errors among requests that another series counts.
    ClientErrors,
    /// Requests whose caller left before there was an answer.
    RequestsAndLeft,
    /// Requests that took longer than the objective.
    Slow,
    /// Requests that count already, for they were found waiting, and that other series have counted again at their end.
    CountedBefore,
    /// Requests whose caller was given an id just then.
    Issued,
    /// Of these, requests whose caller was not given it after all.
    Withheld,
    /// Failures of this group of routes, among those that other series count.
    FailedRoute(usize),
    /// All requests whose time was taken: those that are not [`Number::InTime`] were slow.
    Timed,
    /// Requests that did not take longer than the objective.
    InTime,
}

impl Number {
    /// What a series of the filter's own adds to, if it matters here.
    pub fn of_the_filter(metric: &str, class: &str) -> Option<Self> {
        let is = |known: Metric| metric == known.prometheus_name();
        match class {
            "5xx" if is(Metric::Requests(5)) => Some(Self::RequestsAndErrors),
            "4xx" if is(Metric::Requests(4)) => Some(Self::RequestsAndClientErrors),
            "5xx" if metric == series::COPIES_ANSWERED => Some(Self::RequestsAndErrors),
            _ if is(Metric::Requests(5)) || metric == series::COPIES_ANSWERED => Some(Self::Requests),
            _ if is(Metric::GrpcServerErrors) || is(Metric::Broken) => Some(Self::Errors),
            _ if is(Metric::GrpcClientErrors) => Some(Self::ClientErrors),
            _ if is(Metric::Left) => Some(Self::RequestsAndLeft),
            _ if is(Metric::Slow) => Some(Self::Slow),
            _ if is(Metric::Waiting) => Some(Self::Requests),
            _ if is(Metric::Waited) => Some(Self::CountedBefore),
            _ if is(Metric::Issued) => Some(Self::Issued),
            _ if is(Metric::Withheld) => Some(Self::Withheld),
            _ => series::failed_route(metric).map(Self::FailedRoute),
        }
    }

    /// The metrics of the filter's own that add to any number, as Prometheus knows them.
    pub fn metrics_of_the_filter() -> impl Iterator<Item = String> {
        let named = [
            Metric::Requests(5),
            Metric::GrpcServerErrors,
            Metric::GrpcClientErrors,
            Metric::Broken,
            Metric::Left,
            Metric::Slow,
            Metric::Waiting,
            Metric::Waited,
            Metric::Issued,
            Metric::Withheld,
        ];
        let routes = (0..series::ROUTE_GROUPS).map(|group| format!("{}{group}", series::FAILED_ROUTE));
        named.map(|metric| metric.prometheus_name().to_owned()).into_iter().chain(routes)
    }
}
