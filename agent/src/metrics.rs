/*!
The agent's own metrics, for whoever watches the watcher.
*/
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use serin_policy::Arm;

use serin_rollout::{
    ArmCounts, Counts, Finding, Observation, Progress, ProxyState, ReadingFinding, Reason, Status,
};

/// All releases' metrics, ready to be encoded.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    weight: Family<ReleaseLabel, Gauge>,
    revision: Family<ReleaseLabel, Gauge>,
    phase: Family<PhaseLabels, Gauge>,
    proxies: Family<ProxyLabels, Gauge>,
    decisions: Family<DecisionLabels, Counter>,
    pushes: Family<ReleaseLabel, Counter>,
    requests: Family<VersionLabels, Counter>,
    errors: Family<VersionLabels, Counter>,
    slow: Family<VersionLabels, Counter>,
    evidence: Family<EvidenceLabels, Gauge<f64, AtomicU64>>,
    last_look: Gauge,
    told: Mutex<BTreeMap<String, Told>>,
}

/// What was last said of a release, to be taken back when it no longer holds.
#[derive(Debug, Default)]
struct Told {
    phase: Option<PhaseLabels>,
    evidence: Vec<EvidenceLabels>,
}

const PROXY_STATES: [&str; 4] = ["current", "behind", "bypassed", "silent"];

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EvidenceLabels {
    release: String,
    metric: String,
    claim: &'static str,
}

impl Metrics {
    /// Metrics of no release yet.
    #[expect(clippy::new_without_default, reason = "there is nothing default about what is registered")]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("serin"),
            weight: Family::default(),
            revision: Family::default(),
            phase: Family::default(),
            proxies: Family::default(),
            decisions: Family::default(),
            pushes: Family::default(),
            requests: Family::default(),
            errors: Family::default(),
            slow: Family::default(),
            evidence: Family::default(),
            last_look: Gauge::default(),
            told: Mutex::default(),
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
        registry.register(
            "release_evidence",
            "Evidence for a claim about the canary, as natural logarithm of the odds; `needed` takes it back",
            self.evidence.clone(),
        );
        let help = "When proxies were last looked at, in seconds since 1970";
        registry.register_with_unit("last_look_timestamp", help, Unit::Seconds, self.last_look.clone());
    }

    /// A decision was made that did not stand before.
    pub fn decided(&self, release: &str, reason: &Reason) {
        let labels = DecisionLabels { release: release.to_owned(), reason: reason.code() };
        self.decisions.get_or_create(&labels).inc();
    }

    /// Proxies were looked at and a plan was carried out.
    pub fn looked(
        &self,
        name: &str,
        status: &Status,
        progress: &Progress,
        observation: &Observation,
        pushed: bool,
        second: i64,
    ) {
        let release = ReleaseLabel { release: name.to_owned() };
        self.weight.get_or_create(&release).set(status.weight().ppm().into());
        self.revision.get_or_create(&release).set(i64::try_from(status.revision).unwrap_or(i64::MAX));
        self.pushes.get_or_create(&release).inc_by(pushed.into());
        let phase = PhaseLabels { release: name.to_owned(), phase: status.phase.code() };
        self.phase.get_or_create(&phase).set(1);
        let told = Told { phase: Some(phase.clone()), evidence: Vec::new() };
        let before = self.lock().insert(name.to_owned(), told).unwrap_or_default();
        if let Some(before) = before.phase.filter(|before| *before != phase) {
            self.phase.remove(&before);
        }
        for state in PROXY_STATES {
            let count =
                observation.proxies.iter().filter(|proxy| word(&proxy.state, status) == state).count();
            let labels = ProxyLabels { release: name.to_owned(), state };
            self.proxies.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let counts = Counts::of(&observation.counted);
        self.count(name, Arm::Stable, counts.stable);
        self.count(name, Arm::Canary, counts.canary);
        for gone in &before.evidence {
            self.evidence.remove(gone);
        }
        for Finding { metric, over, worse, no_worse, needed, .. } in &progress.findings {
            let claims = [("over-limit", over), ("worse", worse), ("no-worse", no_worse), ("needed", needed)];
            for (claim, ln_e) in claims {
                self.tell(name, metric.to_string(), claim, *ln_e);
            }
        }
        for ReadingFinding { name: metric, evidence, needed, .. } in &progress.readings {
            self.tell(name, metric.clone(), "out-of-range", *evidence);
            self.tell(name, metric.clone(), "needed", *needed);
        }
        self.last_look.set(second);
    }

    fn tell(&self, release: &str, metric: String, claim: &'static str, ln_e: f64) {
        let labels = EvidenceLabels { release: release.to_owned(), metric, claim };
        self.evidence.get_or_create(&labels).set(ln_e);
        self.lock().entry(release.to_owned()).or_default().evidence.push(labels);
    }

    fn count(&self, release: &str, arm: Arm, new: ArmCounts) {
        let labels = VersionLabels { release: release.to_owned(), version: arm.as_str() };
        self.requests.get_or_create(&labels).inc_by(new.requests);
        self.errors.get_or_create(&labels).inc_by(new.errors);
        self.slow.get_or_create(&labels).inc_by(new.slow);
    }

    /// The release is gone, and so is what it last was. What it did stays counted.
    pub fn forget(&self, release: &str) {
        let label = ReleaseLabel { release: release.to_owned() };
        self.weight.remove(&label);
        self.revision.remove(&label);
        for state in PROXY_STATES {
            self.proxies.remove(&ProxyLabels { release: release.to_owned(), state });
        }
        let told = self.lock().remove(release).unwrap_or_default();
        if let Some(phase) = &told.phase {
            self.phase.remove(phase);
        }
        for labels in &told.evidence {
            self.evidence.remove(labels);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
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
