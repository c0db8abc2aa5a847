/*!
From a Release to the policy the proxies get.
*/
use serde::Serialize;
use serin_policy::cookie::OnCacheable;
use serin_policy::document::{Caches, CountsSpec, VERSION_HEADER, VersionSpec};
use serin_policy::matching::SegmentSpec;
use serin_policy::{Arm, PolicySpec, Weight};
use sha2::{Digest, Sha256};

use super::mirror::Mirror;
use super::{ExtraVersion, Propagation, Release, faults};

/// The baggage member in which the id travels on.
const BAGGAGE_MEMBER: &str = "serin";

impl Release {
    /// The policy that gives the canary `weight`, or takes all traffic off it when `closed`.
    ///
    /// A `promoted` canary is the version everybody should get, but for those who go to stable first when that has become
    /// the same: segments are dropped then, or their members would stay behind.
    pub fn policy(&self, revision: u64, weight: Weight, closed: bool, promoted: bool) -> PolicySpec {
        // Faults come first: a request that meets one is not copied.
        let mirrored = self.mirror.as_ref().map(Mirror::mark);
        let version = |arm: Arm, weight| VersionSpec { name: arm.as_str().to_owned(), weight, closed: false };
        let extra = |version: &ExtraVersion| VersionSpec {
            name: version.name.clone(),
            weight: Some(version.share),
            closed: false,
        };
        let both = [version(Arm::Stable, None), version(Arm::Canary, Some(weight))];
        // Of the canary's segments nobody is left behind, and others' members keep what they have.
        let is_kept = |segment: &&SegmentSpec| !promoted || segment.version.is_some();
        let (salt, run) = if self.versions.is_empty() {
            (self.salt(), None)
        } else {
            (self.name.clone(), Some(self.run.clone()))
        };
        PolicySpec {
            name: self.name.clone(),
            revision,
            critical: Vec::new(),
            hosts: self.hosts.clone(),
            path_prefix: self.path_prefix.clone(),
            versions: both.into_iter().chain(self.versions.iter().map(extra)).collect(),
            closed,
            promoted,
            salt,
            run,
            steps: self.steps.iter().map(|step| step.weight).collect(),
            identity: self.sources.clone(),
            cookie: self.cookie.clone(),
            baggage: (self.propagation == Propagation::Baggage).then(|| BAGGAGE_MEMBER.to_owned()),
            preview_hosts: self.preview_hosts.clone(),
            overrides: self.overrides.clone(),
            links: self.links.clone(),
            segments: self.segments.iter().filter(is_kept).cloned().collect(),
            flags: self.flags.clone(),
            marks: faults::marks(&self.faults, promoted).into_iter().chain(mirrored).collect(),
            request_header: VERSION_HEADER.to_owned(),
            response_header: self.response_header.clone(),
            access_log: self.access_log,
            counts: Some(CountsSpec { objective_ms: self.analysis.objective_ms }),
            fuse: self.analysis.fuse(),
            retries: None,
            caches: if promoted { Caches::LeftAlone } else { self.caches(Caches::PrivateCanary) },
        }
    }

    /// What is done for caches, if anything is to be done for them.
    fn caches(&self, caches: Caches) -> Caches {
        match &self.cookie {
            Some(cookie) if cookie.on_cacheable == OnCacheable::Ignore => Caches::LeftAlone,
            _ => caches,
        }
    }

    /// The same `policy`, where it takes users off the canary: requests are tried again for a while, if that is asked for, and
    /// no browser keeps a page of the canary's.
    pub fn going_back(&self, policy: PolicySpec) -> PolicySpec {
        let caches = self.caches(Caches::WholeAnswers);
        PolicySpec { retries: self.rollback_retries.clone(), caches, ..policy }
    }

    /// What tells this run from every other; its points are salted with it too, unless there are versions beside stable and
    /// canary, whose callers keep their points from run to run.
    pub fn salt(&self) -> String {
        format!("{}/{}", self.name, self.run)
    }

    /// Changes when anything in the policy does but its revision and weight: an edit of the Release that does
    /// not start a new run must reach the proxies too.
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.mirroring(self.policy(0, Weight::ZERO, false, false)))
    }

    /// Changes when any rule does that may lead somebody to the canary besides its weight. None without one.
    pub fn rules_fingerprint(&self) -> Option<u64> {
        let Self { preview_hosts, overrides, links, segments, .. } = self;
        let brings = |segment: &&SegmentSpec| segment.weight > Weight::ZERO && segment.version.is_none();
        let segments: Vec<_> = segments.iter().filter(brings).collect();
        let is_any = !(preview_hosts.is_empty() && overrides.is_empty() && segments.is_empty());
        match links {
            Some(links) => Some(fingerprint(&(preview_hosts, overrides, segments, links))),
            None => is_any.then(|| fingerprint(&(preview_hosts, overrides, segments))),
        }
    }
}

/// Changes when `document` does.
fn fingerprint(document: &impl Serialize) -> u64 {
    // It is plain data and always has a JSON form; were there none, no edit could be told from another.
    let json = serde_json::to_vec(document).unwrap_or_default();
    Sha256::digest(json).iter().take(8).fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
}
