/*!
From what proxies say of themselves to what the planner looks at.

[`scrape`] reads one proxy's own statistics. Where there are many releases a [`sampler`] does so in the background, for
all of them, and a [`prometheus::collector`] asks a Prometheus likewise, both just before the [`beat`] at which releases
are looked at. A [`fleet`] asks when it is looked at. [`counter_deltas`] turn running totals into what is new since the
last look, and [`Observer`] does so for one release.
*/
pub mod arrivals;
pub mod beat;
pub mod copies;
pub mod counter_deltas;
mod custom;
pub mod fleet;
pub mod latency;
pub mod prometheus;
pub mod sampler;
pub mod scrape;
mod times;
mod users;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serin_policy::evidence::Tally;
use serin_policy::series::{Group, Tag};
use serin_policy::{Arm, Extra, fuse};
use serin_release::{CountSource, Metric, Release};
use serin_rollout::{
    ArmCounts, Cell, Chooser, Chosen, Counts, Drawn, MetricReading, Mirrored, Proxy, ProxyState, Users,
};

use counter_deltas::{ClockWentBack, CounterDeltas};
use custom::CustomMetrics;
use latency::Latency;
use prometheus::Count;
use prometheus::collector::Collected;
use prometheus::counts::Complaint;
use scrape::Sample;

/// What one look at a release found.
#[derive(Debug, Default)]
pub struct ProxyReport {
    /// The proxies, as they say they are.
    pub proxies: Vec<Proxy>,
    /// Those that have closed this run's canary by themselves, by name.
    pub blown_fuses: Vec<String>,
    /// What is new of randomly assigned requests.
    pub counted: Vec<Cell>,
    /// The same in sum and by the proxies' own counters, wherever `counted` comes from.
    pub at_proxies: Counts,
    /// New requests that a rule gave to a version, not chance.
    pub chosen: Vec<Chosen>,
    /// New answers to requests of which the canary got a copy, by the proxies' own counters.
    pub mirrored: Mirrored,
    /// New requests that proxies gave to the canary, by a draw or a rule, and those that failed, by their own counters.
    pub given_to_canary: Tally,
    /// New requests whose caller has no id and can be given none.
    pub unassignable: u64,
    /// The different users of this run so far; none where no proxy tells.
    pub users: Option<Users>,
    /// The same of each version beside stable and canary, in the canary's place.
    pub users_of_extras: BTreeMap<Extra, Users>,
    /// What people's own metrics say, of those that were due.
    pub readings: Vec<MetricReading>,
    /// Why the counts are not there, if they are not.
    pub outage: Option<String>,
}

impl ProxyReport {
    fn add(&mut self, attach_point: &str, tag: Tag<'_>, counts: ArmCounts) {
        let drawn = match tag.group {
            Group::Cohort(cohort) => Drawn::Cohort(cohort),
            Group::Split(name) => Drawn::Split(name.to_owned()),
            Group::NoIdentity => {
                self.unassignable += counts.requests;
                return;
            }
            Group::Segment(name) => {
                return self.add_chosen(Chooser::Segment(name.to_owned()), tag.arm, counts);
            }
            Group::Fault => return self.add_chosen(Chooser::Fault, tag.arm, counts),
            Group::Override => return self.add_chosen(Chooser::Override, tag.arm, counts),
            Group::Copied => {
                let of_arm = match tag.arm {
                    Arm::Stable => &mut self.mirrored.stable,
                    Arm::Canary | Arm::Extra(_) => &mut self.mirrored.canary,
                };
                return of_arm.add(counts.failed());
            }
            Group::Closed | Group::Lapsed => return,
        };
        self.counted.push(Cell { place: attach_point.to_owned(), drawn, arm: tag.arm, counts });
    }

    fn all_of_canary(&self) -> Tally {
        let mut all = Counts::of(&self.counted).canary.failed();
        let chosen = self.chosen.iter().filter(|chosen| chosen.arm == Arm::Canary);
        chosen.for_each(|chosen| all.add(chosen.counts.failed()));
        all
    }

    fn add_chosen(&mut self, by: Chooser, arm: Arm, counts: ArmCounts) {
        match self.chosen.iter_mut().find(|known| known.by == by && known.arm == arm) {
            Some(known) => known.counts.add(counts),
            None => self.chosen.push(Chosen { by, arm, counts }),
        }
    }
}

/// What one proxy last said, or why it said nothing.
#[derive(Debug)]
pub struct ProxySample {
    /// What people know it by.
    pub name: String,
    /// Where it is asked: this tells it from all others.
    pub address: String,
    /// Where it assigns callers: proxies of one attach point are alike.
    pub attach_point: Arc<str>,
    /// When it was asked.
    pub at: Timestamp,
    /// What it said.
    pub sample: Result<Arc<Sample>, String>,
}

/// Makes of what proxies and Prometheus say what is new of one release.
#[derive(Debug, Default)]
pub struct Observer {
    latency: Latency,
    custom: CustomMetrics,
    /// The proxies' own totals where counts come from a Prometheus. A restart loses no more than a moment of them.
    own: CounterDeltas,
    /// The same with what was reported last: they count when that is saved.
    unsaved: Option<CounterDeltas>,
}

impl Observer {
    /// Records what is new for `release` in `deltas`: of what a Prometheus has `collected`, or else of the proxies' own
    /// counters. `complaint` is what is wrong with the present document, for proxies that refuse it.
    ///
    /// Of a sample that was recorded before nothing is new. One that was taken before the last push shows the revision
    /// before it: the same answer holds a proxy's revision and what it has counted under it.
    pub fn report(
        &mut self,
        release: &Release,
        deltas: &mut CounterDeltas,
        samples: &[ProxySample],
        collected: Option<Collected>,
        complaint: Option<&str>,
        now: Timestamp,
    ) -> ProxyReport {
        deltas.count_from(match &release.analysis.source {
            CountSource::Proxies => "proxies",
            CountSource::Prometheus => "prometheus",
            CountSource::Istio(_) => "istio",
        });
        let mut report = ProxyReport::default();
        match collected {
            None => {
                self.take_in(release, deltas, samples, &mut report);
                report.at_proxies = Counts::of(&report.counted);
                report.given_to_canary = report.all_of_canary();
                deltas.looked(now);
            }
            Some(collected) => {
                let (mut at_proxies, mut own) = (ProxyReport::default(), self.own.clone());
                self.take_in(release, &mut own, samples, &mut at_proxies);
                report.at_proxies = Counts::of(&at_proxies.counted);
                report.given_to_canary = at_proxies.all_of_canary();

                own.looked(now);
                self.unsaved = Some(own);
                let counted = count(release, deltas, samples, collected, &mut report);
                report.outage = counted.err().map(|error| error.to_string());
                report.mirrored = at_proxies.mirrored;
            }
        }
        report.users = deltas.users.take_in(release, samples);
        report.users_of_extras = deltas.users.of_extras(release);
        report.proxies = samples.iter().map(|sample| proxy(sample, release.name(), complaint)).collect();
        let blown_in = fuse::blown_in(&release.salt());
        let is_blown = |sample: &Sample| sample.fuses.get(release.name()) == Some(&blown_in);
        let blown = samples.iter().filter(|it| it.sample.as_deref().is_ok_and(is_blown));
        report.blown_fuses = blown.map(|it| it.name.clone()).collect();
        match self.custom.read(release, now) {
            Ok(readings) => report.readings = readings,
            Err(error) => report.outage = Some(error.to_string()),
        }
        report
    }

    /// What was reported last is saved. Until then the next report has it once more.
    pub fn saved(&mut self) {
        if let Some(own) = self.unsaved.take() {
            self.own = own;
        }
        self.custom.saved();
    }

    /// Takes in what the proxies have counted themselves.
    fn take_in(
        &mut self,
        release: &Release,
        deltas: &mut CounterDeltas,
        samples: &[ProxySample],
        report: &mut ProxyReport,
    ) {
        for ProxySample { address, attach_point, at, sample, .. } in samples {
            let Ok(sample) = sample else { continue };
            self.latency.take_in(address, release.name(), sample);
            for (tag, new) in deltas.record_proxy(address, release.name(), sample, *at) {
                report.add(attach_point, tag, new);
            }
        }
    }

    /// How long requests took since [`clear_latency`](Self::clear_latency).
    pub const fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Another run begins.
    pub fn clear_latency(&mut self) {
        self.latency.clear();
    }
}

/// Why Prometheus' counts are not there.
#[derive(Debug, thiserror::Error)]
enum Uncounted {
    #[error("{0}")]
    Outage(String),
    #[error(transparent)]
    Clock(#[from] ClockWentBack),
    #[error(transparent)]
    Incomplete(#[from] Complaint),
    #[error(
        "Prometheus answers, and knows no series of {0}: does it scrape the proxies, and do the clocks agree?"
    )]
    Nothing(String),
}

fn count(
    release: &Release,
    deltas: &mut CounterDeltas,
    proxies: &[ProxySample],
    collected: Collected,
    report: &mut ProxyReport,
) -> Result<(), Uncounted> {
    let (at, sample) = match collected {
        Collected::NotYet => return Ok(()),
        Collected::Outage(why) => return Err(Uncounted::Outage(why)),
        Collected::Counters { at, sample } => (at, sample),
    };
    if sample.is_empty() {
        return Err(Uncounted::Nothing(release.name().to_owned()));
    }
    // Prometheus knows pods; which attach point they are of, the proxies' names tell.
    let points: HashMap<_, _> = proxies.iter().map(|proxy| (&*proxy.name, &*proxy.attach_point)).collect();
    for Count { place, tag, counts } in sample.record(deltas, at)? {
        report.add(points.get(place).copied().unwrap_or_default(), tag, counts);
    }
    // All that can be missing are slow requests.
    match sample.complaint().filter(|_| release.analysis.criterion(Metric::RequestDuration).is_some()) {
        Some(complaint) => Err(complaint.clone().into()),
        None => Ok(()),
    }
}

fn proxy(ProxySample { name, sample, .. }: &ProxySample, release: &str, complaint: Option<&str>) -> Proxy {
    let state = match sample {
        Ok(sample) => state(sample, release, complaint),
        Err(error) => ProxyState::Silent { error: error.clone() },
    };
    Proxy { name: name.clone(), state }
}

fn state(sample: &Sample, release: &str, complaint: Option<&str>) -> ProxyState {
    let refused = (sample.refused > 0).then(|| {
        complaint.map_or_else(
            || format!("{} ({})", sample.refused, sample.kinds_refused.join(", ")),
            str::to_owned,
        )
    });
    match sample.revisions.get(release) {
        Some(&revision) => {
            let has_lapsed = sample.lapsed.contains(release);
            ProxyState::Runs { revision, refused, has_lapsed }
        }
        // A proxy whose first document was refused runs the filter, with no policy of ours in it.
        None if refused.is_some() => ProxyState::Runs { revision: 0, refused, has_lapsed: false },
        None => ProxyState::Bypassed,
    }
}

#[cfg(test)]
mod tests;
