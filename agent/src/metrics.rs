/*!
The agent's own metrics, for whoever watches the watcher.

What is said of a release is one value in one map, and encoded when somebody asks: a release that is taken out of the
map leaves no series of any kind. Only an agent that leads has any.
*/
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use serin_policy::Arm;

use serin_rollout::{
    ArmCounts, Counts, Finding, Observation, Progress, Proxy, ProxyState, ReadingFinding, Status,
    UsersFinding,
};

/// All releases' metrics, ready to be encoded.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    releases: Arc<Releases>,
}

/// What is said of each release, by its name.
#[derive(Debug, Default)]
struct Releases(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Another agent leads: whatever is found here is its business to tell.
    follows: bool,
    series: BTreeMap<String, Series>,
}

/// What is said of one release.
#[derive(Debug, Default)]
struct Series {
    /// How often each thing was told.
    told: BTreeMap<&'static str, u64>,
    /// What was found and done; none before the first look.
    look: Option<Look>,
}

#[derive(Debug, Default)]
struct Look {
    weight_ppm: u32,
    revision: u64,
    phase: &'static str,
    /// In the order of [`PROXY_STATES`].
    proxies: [u64; 4],
    pushes: u64,
    counts: Counts,
    evidence: Vec<Evidence>,
    /// When it was, in seconds since 1970.
    second: i64,
}

#[derive(Debug)]
struct Evidence {
    metric: String,
    claim: &'static str,
    ln_e: f64,
}

impl Series {
    fn by_version(&self, count: fn(&ArmCounts) -> u64) -> Vec<(Labels<'static>, u64)> {
        let arms = self.look.iter().flat_map(|look| {
            let Counts { stable, canary } = &look.counts;
            [(Arm::Stable, stable), (Arm::Canary, canary)]
        });
        arms.map(|(arm, counts)| (vec![("version", arm.as_str())], count(counts))).collect()
    }
}

impl Evidence {
    fn row(&self) -> (Labels<'_>, f64) {
        (vec![("metric", self.metric.as_str()), ("claim", self.claim)], self.ln_e)
    }
}

const PROXY_STATES: [&str; 4] = ["current", "behind", "bypassed", "silent"];

impl Metrics {
    /// Metrics of no release yet.
    #[expect(clippy::new_without_default, reason = "there is nothing default about what is registered")]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("serin");
        let releases = Arc::new(Releases::default());
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What this agent was built from", version);
        registry.register_collector(Box::new(Arc::clone(&releases)));
        Self { registry, releases }
    }

    /// This agent leads from now on, or another one does: then there is nothing to tell of any release here.
    pub fn lead(&self, leads: bool) {
        let mut state = self.lock();
        state.follows = !leads;
        if state.follows {
            state.series.clear();
        }
    }

    /// Something of this code was told of a release.
    pub fn told(&self, release: &str, code: &'static str) {
        self.change(release, |series| *series.told.entry(code).or_default() += 1);
    }

    /// Proxies were looked at and a plan was carried out.
    pub fn looked(
        &self,
        release: &str,
        status: &Status,
        progress: &Progress,
        observation: &Observation,
        pushed: bool,
        second: i64,
    ) {
        self.change(release, |series| {
            let look = series.look.get_or_insert_default();
            look.weight_ppm = status.weight().ppm();
            look.revision = status.revision;
            look.phase = status.phase.code();
            look.proxies = PROXY_STATES.map(|state| {
                let is_so = |proxy: &&Proxy| word(&proxy.state, status) == state;
                observation.proxies.iter().filter(is_so).count() as u64
            });
            look.pushes += u64::from(pushed);
            look.counts.add(&Counts::of(&observation.counted));
            look.evidence = evidence(progress);
            look.second = second;
        });
    }

    /// The release is gone, and so is everything that was said of it.
    pub fn forget(&self, release: &str) {
        self.lock().series.remove(release);
    }

    /// Forgets every release but those that there are.
    pub fn forget_all_but(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().series.retain(|release, _| is_there(release));
    }

    fn change(&self, release: &str, change: impl FnOnce(&mut Series)) {
        let mut state = self.lock();
        // A tick that was under way when the lease was lost has nothing to add.
        if !state.follows {
            change(state.series.entry(release.to_owned()).or_default());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.releases.lock()
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// Never in practice: a `String` takes what it is given.
    pub fn encode(&self) -> Result<String, fmt::Error> {
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

fn evidence(progress: &Progress) -> Vec<Evidence> {
    let of_requests = progress.findings.iter().flat_map(|finding| {
        let Finding { metric, over, worse, no_worse, needed, .. } = finding;
        let claims = [
            ("over-limit", *over),
            ("worse", Some(*worse)),
            ("no-worse", *no_worse),
            ("needed", Some(*needed)),
        ];
        claims
            .into_iter()
            .filter_map(|(claim, ln_e)| Some(Evidence { metric: metric.to_string(), claim, ln_e: ln_e? }))
    });
    let of_users = progress.users.iter().flat_map(|finding| {
        let UsersFinding { evidence, needed, .. } = finding;
        let claims = [("worse", evidence), ("needed", needed)];
        claims.map(|(claim, ln_e)| Evidence { metric: "failing-users".to_owned(), claim, ln_e: *ln_e })
    });
    let of_readings = progress.readings.iter().flat_map(|finding| {
        let ReadingFinding { name, evidence, needed, .. } = finding;
        let claims = [("out-of-range", evidence), ("needed", needed)];
        claims.map(|(claim, ln_e)| Evidence { metric: name.clone(), claim, ln_e: *ln_e })
    });
    of_requests.chain(of_users).chain(of_readings).collect()
}

impl Releases {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Labels of a series after that of its release.
type Labels<'l> = Vec<(&'static str, &'l str)>;

impl Collector for Releases {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.lock();
        let mut families = Families { encoder, series: &state.series };
        families.gauge(
            "release_weight_ppm",
            "Share of users set to get the canary, in ppm",
            None,
            |look| vec![(vec![], look.weight_ppm)],
        )?;
        families.gauge("release_revision", "Revision of the policy wanted in proxies", None, |look| {
            vec![(vec![], look.revision)]
        })?;
        families.gauge("release_phase", "1 for the phase the release is in", None, |look| {
            vec![(vec![("phase", look.phase)], 1_u32)]
        })?;
        families.gauge("release_proxies", "Proxies by what they said at the last look", None, |look| {
            let states = PROXY_STATES.into_iter().zip(look.proxies);
            states.map(|(state, proxies)| (vec![("state", state)], proxies)).collect()
        })?;
        families.counter("release_decisions", "What was told of the release, by its reason", |series| {
            series.told.iter().map(|(code, times)| (vec![("reason", *code)], *times)).collect()
        })?;
        families.counter("release_pushes", "Policies handed to proxies", |series| {
            series.look.iter().map(|look| (vec![], look.pushes)).collect()
        })?;
        families.counter("release_requests", "Randomly assigned requests, by version", |series| {
            series.by_version(|counts| counts.requests)
        })?;
        families.counter("release_errors", "Those that failed", |series| {
            series.by_version(|counts| counts.errors)
        })?;
        families.counter("release_slow", "Those that took longer than the objective", |series| {
            series.by_version(|counts| counts.slow)
        })?;
        families.gauge(
            "release_evidence",
            "Evidence for a claim about the canary, as natural logarithm of the odds; `needed` takes it back",
            None,
            |look| look.evidence.iter().map(Evidence::row).collect(),
        )?;
        let help = "When proxies were last looked at, in seconds since 1970";
        families.gauge("last_look_timestamp", help, Some(&Unit::Seconds), |look| vec![(vec![], look.second)])
    }
}

/// Writes families of series, one of each for each release.
struct Families<'e, 's> {
    encoder: DescriptorEncoder<'e>,
    series: &'s BTreeMap<String, Series>,
}

impl Families<'_, '_> {
    fn gauge<V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        of: impl for<'s> Fn(&'s Look) -> Vec<(Labels<'s>, V)>,
    ) -> fmt::Result {
        let mut family =
            self.encoder.encode_descriptor(name, &format!("{help}."), unit, MetricType::Gauge)?;
        for (release, series) in self.series {
            for (labels, value) in series.look.iter().flat_map(&of) {
                let labels = [vec![("release", release.as_str())], labels].concat();
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        of: impl for<'s> Fn(&'s Series) -> Vec<(Labels<'s>, u64)>,
    ) -> fmt::Result {
        let mut family =
            self.encoder.encode_descriptor(name, &format!("{help}."), None, MetricType::Counter)?;
        for (release, series) in self.series {
            for (labels, value) in of(series) {
                let labels = [vec![("release", release.as_str())], labels].concat();
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serin_release::Release;
    use serin_rollout::{Cell, Drawn, Environment, InForce};

    use super::*;

    fn release() -> Release {
        let yaml = "apiVersion: serin.dev/v1alpha1\nkind: Release\nmetadata: {name: shop}\nspec: {service: {name: shop}, \
                    canary: {version: v2}}\n";
        Release::from_yaml(yaml).unwrap()
    }

    fn look(metrics: &Metrics, name: &str) {
        let (release, status) = (release(), Status { revision: 3, ..Status::default() });
        let progress = status.progress(&release, Timestamp::UNIX_EPOCH);
        let counts = ArmCounts { requests: 5, errors: 2, slow: 1, ..ArmCounts::default() };
        let cohort = Drawn::Cohort(serin_policy::Cohort::Rest);
        let cell = Cell { place: "gateway".to_owned(), drawn: cohort, arm: Arm::Canary, counts };
        let observation = Observation {
            in_force: InForce::Nothing,
            proxies: vec![Proxy { name: "edge-1".to_owned(), state: ProxyState::Bypassed }],
            counted: vec![cell],
            at_proxies: Counts::default(),
            chosen: Vec::new(),
            unassignable: 0,
            users: None,
            readings: Vec::new(),
            outage: None,
            commands: Vec::new(),
            environment: Environment::Standalone,
        };
        metrics.told(name, "started");
        metrics.looked(name, &status, &progress, &observation, true, 1_000);
    }

    /// The series of releases, without the agent's own.
    fn series(metrics: &Metrics) -> Vec<String> {
        let text = metrics.encode().unwrap();
        let of_release = |line: &&str| !line.starts_with('#') && !line.starts_with("serin_build");
        text.lines().filter(of_release).map(str::to_owned).collect()
    }

    #[test]
    fn each_release_has_its_series() {
        let metrics = Metrics::new();
        look(&metrics, "shop/shop");
        look(&metrics, "shop/shop");
        insta::assert_snapshot!(metrics.encode().unwrap());
    }

    #[test]
    fn what_is_gone_leaves_no_series_of_any_kind() {
        let metrics = Metrics::new();
        look(&metrics, "shop/old");
        look(&metrics, "shop/new");
        metrics.forget("shop/old");
        assert!(series(&metrics).iter().all(|line| line.contains("shop/new")), "{:?}", series(&metrics));
        metrics.forget_all_but(|release| release == "shop/old");
        assert_eq!(series(&metrics), [""; 0]);
    }

    #[test]
    fn only_an_agent_that_leads_tells_of_releases() {
        let metrics = Metrics::new();
        look(&metrics, "shop/shop");
        metrics.lead(false);
        // A tick that was under way.
        look(&metrics, "shop/shop");
        assert_eq!(series(&metrics), [""; 0]);
        metrics.lead(true);
        look(&metrics, "shop/shop");
        assert!(!series(&metrics).is_empty());
    }
}
