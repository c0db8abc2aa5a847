/*!
The agent's own metrics, for whoever watches the watcher.

What is said of a release is one value in one map, and encoded when somebody asks: a release that is taken out of the
map leaves no series of any kind. Only an agent that leads has any.
*/
mod own;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use serin_policy::{Arm, Extra};

use self::own::Own;
pub use self::own::Requests;
use serin_rollout::{
    ArmCounts, Awaits, Counts, Finding, Observation, Plan, Progress, Proxy, ProxyState, ReadingFinding,
    Reason, Status, UsersFinding,
};

/// All releases' metrics, ready to be encoded.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    releases: Arc<Releases>,
    own: Own,
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
    /// What became of messages.
    messages: BTreeMap<&'static str, u64>,
    /// Nothing is done for it as it is.
    is_unfit: bool,
    /// What was found and done; none before the first look.
    look: Option<Look>,
}

#[derive(Debug, Default)]
struct Look {
    weight_ppm: u32,
    revision: u64,
    phase: &'static str,
    /// When it was first seen in it, in seconds since 1970.
    phase_began: i64,
    /// What holds it, and what that waits for.
    holds: Vec<(&'static str, &'static str)>,
    /// In the order of [`PROXY_STATES`].
    proxies: [u64; 4],
    pushes: u64,
    /// Proxies that did not answer, of all looks together.
    unanswered: u64,
    counts: Counts,
    /// Those of versions beside stable and canary, by name.
    others: BTreeMap<String, ArmCounts>,
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
    fn by_version(&self, count: fn(&ArmCounts) -> u64) -> Vec<(Labels<'_>, u64)> {
        let arms = self.look.iter().flat_map(|look| {
            let Counts { stable, canary } = &look.counts;
            let both = [(Arm::Stable.as_str(), stable), (Arm::Canary.as_str(), canary)];
            both.into_iter().chain(look.others.iter().map(|(name, counts)| (name.as_str(), counts)))
        });
        arms.map(|(version, counts)| (vec![("version", version)], count(counts))).collect()
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
        let own = Own::registered(&mut registry);
        registry.register_collector(Box::new(Arc::clone(&releases)));
        Self { registry, releases, own }
    }

    /// This agent leads from now on, or another one does: then there is nothing to tell of any release here.
    pub fn lead(&self, leads: bool) {
        self.own.lead(leads);
        let mut state = self.lock();
        state.follows = !leads;
        if state.follows {
            state.series.clear();
        }
    }

    /// A message of a release was `sent`, has `failed` for good, or was `dropped` because too many waited.
    pub fn message(&self, release: &str, outcome: &'static str) {
        self.change(release, |series| *series.messages.entry(outcome).or_default() += 1);
    }

    /// Something of this code was told of a release.
    pub fn told(&self, release: &str, code: &'static str) {
        self.change(release, |series| *series.told.entry(code).or_default() += 1);
    }

    /// A proxy has asked for a module that neither this agent nor another one has.
    pub fn module_missing(&self) {
        self.own.module_missing();
    }

    /// Takes the time of a look at a release, with all that is decided and written.
    pub async fn timed<T>(&self, look: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let outcome = look.await;
        self.own.look_took(began.elapsed());
        outcome
    }

    /// Where requests to the API server are counted.
    pub const fn requests(&self) -> &Requests {
        self.own.requests()
    }

    /// Nothing is done for the release as it is.
    pub fn unfit(&self, release: &str) {
        self.change(release, |series| series.is_unfit = true);
    }

    /// Proxies were looked at and a plan was carried out.
    pub fn looked(
        &self,
        release: &str,
        planned: &Plan,
        progress: &Progress,
        observation: &Observation,
        pushed: bool,
        second: i64,
    ) {
        let status = &planned.status;
        self.change(release, |series| {
            series.is_unfit = false;
            let look = series.look.get_or_insert_default();
            look.weight_ppm = status.weight().ppm();
            look.revision = status.revision;
            if look.phase != status.phase.code() {
                (look.phase, look.phase_began) = (status.phase.code(), second);
            }
            look.holds = planned.reasons.iter().filter_map(hold).collect();
            look.proxies = PROXY_STATES.map(|state| {
                let is_so = |proxy: &&Proxy| word(&proxy.state, status) == state;
                observation.proxies.iter().filter(is_so).count() as u64
            });
            look.pushes += u64::from(pushed);
            let silent = |proxy: &&Proxy| proxy.silence().is_some();
            look.unanswered += observation.proxies.iter().filter(silent).count() as u64;
            look.counts.add(&Counts::of(&observation.counted));
            for (version, extra) in progress.versions.iter().zip(Extra::ALL) {
                let sum = look.others.entry(version.name.clone()).or_default();
                let own = observation.counted.iter().filter(|cell| cell.is_of(Arm::Extra(extra)));
                own.for_each(|cell| sum.add(cell.counts));
            }
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

/// What holds a release, and what that waits for, if it is in the way.
fn hold(reason: &Reason) -> Option<(&'static str, &'static str)> {
    let Reason::Hold(hold) = reason else { return None };
    let awaits = match hold.awaits() {
        Awaits::Course => return None,
        Awaits::Others => "itself",
        Awaits::Person => "person",
        Awaits::Mending => "mending",
    };
    Some((hold.code(), awaits))
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
        families.gauge("release_holds", "1 for each thing that holds the release", None, |look| {
            let labels = |&(reason, awaits)| (vec![("reason", reason), ("awaits", awaits)], 1_u32);
            look.holds.iter().map(labels).collect()
        })?;
        families.driven()?;
        families.gauge("release_proxies", "Proxies by what they said at the last look", None, |look| {
            let states = PROXY_STATES.into_iter().zip(look.proxies);
            states.map(|(state, proxies)| (vec![("state", state)], proxies)).collect()
        })?;
        families.counter("release_messages", "Messages, by what became of them", |series| {
            series.messages.iter().map(|(outcome, times)| (vec![("outcome", *outcome)], *times)).collect()
        })?;
        families.counter("release_decisions", "What was told of the release, by its reason", |series| {
            series.told.iter().map(|(code, times)| (vec![("reason", *code)], *times)).collect()
        })?;
        families.counter("release_pushes", "Policies handed to proxies", |series| {
            series.look.iter().map(|look| (vec![], look.pushes)).collect()
        })?;
        families.counter(
            "release_unanswered",
            "Proxies that did not answer when they were read",
            |series| series.look.iter().map(|look| (vec![], look.unanswered)).collect(),
        )?;
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
        families
            .gauge("last_look_timestamp", help, Some(&Unit::Seconds), |look| vec![(vec![], look.second)])?;
        let help = "When the release was first seen in its present phase, in seconds since 1970";
        families.gauge("phase_began_timestamp", help, Some(&Unit::Seconds), |look| {
            vec![(vec![], look.phase_began)]
        })
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

    /// Of those that were never looked at too.
    fn driven(&mut self) -> fmt::Result {
        let help = "1 if the release is driven, 0 if it is not accepted as it is.";
        let mut family = self.encoder.encode_descriptor("release_driven", help, None, MetricType::Gauge)?;
        for (release, series) in self.series {
            let driven = u32::from(!series.is_unfit);
            family.encode_family(&[("release", release.as_str())])?.encode_gauge(&driven)?;
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
mod tests;
