/*!
The domain of the cluster: Serin writes services' full names, and those end with it.
*/
use super::{Findings, Severity, Subject};

/// The one that Serin knows.
const KNOWN: &str = "cluster.local";

/// The cluster's domain by what its kubelets write into every pod's `resolv.conf`; none outside of a cluster.
pub fn cluster_domain(resolv_conf: &str) -> Option<&str> {
    let searched = resolv_conf.lines().filter_map(|line| line.strip_prefix("search"));
    let mut domains = searched.flat_map(str::split_whitespace);
    domains.find_map(|domain| domain.strip_prefix("svc.")).map(|domain| domain.trim_end_matches('.'))
}

pub(super) fn check(subject: &Subject<'_>, found: &mut Findings) {
    let Some(domain) = subject.cluster_domain.filter(|domain| *domain != KNOWN) else { return };
    let severity = if subject.taken_over { Severity::Warning } else { Severity::Error };
    found.add(
        severity,
        "the cluster's domain",
        format!("is {domain}, and the routes would lead to names under svc.{KNOWN}, which are nobody's here"),
        format!("Serin releases services in clusters whose domain is {KNOWN}"),
    );
}
