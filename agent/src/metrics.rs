/*!
The agent's own metrics, for whoever watches the watcher.
*/
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use serin_policy::Arm;

use crate::rollout::{ArmCounts, Counts, Observation, ProxyState, Reason, Status};

/// One release's metrics, ready to be encoded.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    release: String,
    weight: Family<ReleaseLabel, Gauge>,
    revision: Family<ReleaseLabel, Gauge>,
    phase: Family<PhaseLabels, Gauge>,
    proxies: Family<ProxyLabels, Gauge>,
    decisions: Family<DecisionLabels, Counter>,
    pushes: Family<ReleaseLabel, Counter>,
    requests: Family<VersionLabels, Counter>,
    errors: Family<VersionLabels, Counter>,
    slow: Family<VersionLabels, Counter>,
    last_look: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabel {
    release: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    release: String,
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProxyLabels {
    release: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    release: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    release: String,
    version: &'static str,
}

impl Metrics {
    /// Metrics of `release`, all at zero.
    pub fn new(release: &str) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("serin"),
            release: release.to_owned(),
            weight: Family::default(),
            revision: Family::default(),
            phase: Family::default(),
            proxies: Family::default(),
            decisions: Family::default(),
            pushes: Family::default(),
            requests: Family::default(),
            errors: Family::default(),
            slow: Family::default(),
            last_look: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "build",
            "What this agent was built from",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "release_weight_ppm",
            "Share of users set to get the canary, in ppm",
            self.weight.clone(),
        );
        registry.register(
            "release_revision",
            "Revision of the policy wanted in proxies",
            self.revision.clone(),
        );
        registry.register("release_phase", "1 for the phase the release is in", self.phase.clone());
        registry.register(
            "release_proxies",
            "Proxies by what they said at the last look",
            self.proxies.clone(),
        );
        registry.register("release_decisions", "Decisions by their reason", self.decisions.clone());
        registry.register("release_pushes", "Policies handed to proxies", self.pushes.clone());
        registry.register(
            "release_requests",
            "Randomly assigned requests, by version",
            self.requests.clone(),
        );
        registry.register("release_errors", "Those that failed", self.errors.clone());
        registry.register("release_slow", "Those that took longer than the objective", self.slow.clone());
        let help = "When proxies were last looked at, in seconds since 1970";
        registry.register_with_unit("last_look_timestamp", help, Unit::Seconds, self.last_look.clone());
    }

    /// A decision was made that did not stand before.
    pub fn decided(&self, reason: &Reason) {
        self.decisions
            .get_or_create(&DecisionLabels { release: self.release.clone(), reason: reason.code() })
            .inc();
    }

    /// Proxies were looked at and a plan was carried out.
    pub fn looked(&self, status: &Status, observation: &Observation, pushed: bool, second: i64) {
        let release = ReleaseLabel { release: self.release.clone() };
        self.weight.get_or_create(&release).set(status.weight().ppm().into());
        self.revision.get_or_create(&release).set(i64::try_from(status.revision).unwrap_or(i64::MAX));
        self.pushes.get_or_create(&release).inc_by(pushed.into());
        self.phase.clear();
        self.phase
            .get_or_create(&PhaseLabels { release: self.release.clone(), phase: status.phase.code() })
            .set(1);
        for state in ["current", "behind", "bypassed", "silent"] {
            let count =
                observation.proxies.iter().filter(|proxy| word(&proxy.state, status) == state).count();
            let labels = ProxyLabels { release: self.release.clone(), state };
            self.proxies.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let counts = Counts::of(&observation.counted);
        self.count(Arm::Stable, counts.stable);
        self.count(Arm::Canary, counts.canary);
        self.last_look.set(second);
    }

    fn count(&self, arm: Arm, new: ArmCounts) {
        let labels = VersionLabels { release: self.release.clone(), version: arm.as_str() };
        self.requests.get_or_create(&labels).inc_by(new.requests);
        self.errors.get_or_create(&labels).inc_by(new.errors);
        self.slow.get_or_create(&labels).inc_by(new.slow);
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// Never in practice: a `String` takes what it is given.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn word(state: &ProxyState, status: &Status) -> &'static str {
    match state {
        ProxyState::Silent { .. } => "silent",
        ProxyState::Bypassed => "bypassed",
        ProxyState::Runs { revision, .. } if *revision == status.revision => "current",
        ProxyState::Runs { .. } => "behind",
    }
}
