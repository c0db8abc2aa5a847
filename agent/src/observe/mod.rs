/*!
From what proxies say of themselves to what the planner looks at.

[`scrape`] reads one proxy's own statistics and [`fleet`] those of all at once, so that one observation has one time.
[`counter_deltas`] turns running totals into what is new since the last look, and [`Observer`] does so for one release.
[`prometheus`] asks a Prometheus instead.
*/
pub mod counter_deltas;
mod custom;
pub mod fleet;
pub mod latency;
pub mod prometheus;
pub mod scrape;

use jiff::Timestamp;
use serin_policy::series::{Group, Tag};

use counter_deltas::{ClockWentBack, CounterDeltas};
use custom::CustomMetrics;
use fleet::Seen;
use latency::Latency;
use prometheus::counts::{Complaint, Count, Counters, Counting, Subject};
use prometheus::{Client, QueryError};
use scrape::Sample;
use serin_release::prometheus::AccessError;
use serin_release::{Analysis, CountSource, Release};
use serin_rollout::{ArmCounts, Cell, Counts, Drawn, MetricReading, Proxy, ProxyState};

/// What one look at all proxies found.
#[derive(Debug, Default)]
pub struct ProxyReport {
    /// The proxies, as they say they are.
    pub proxies: Vec<Proxy>,
    /// What is new of randomly assigned requests.
    pub counted: Vec<Cell>,
    /// The same in sum and by the proxies' own counters, wherever `counted` comes from.
    pub at_proxies: Counts,
    /// New requests whose caller has no id and can be given none.
    pub unassignable: u64,
    /// What people's own metrics say, of those that were due.
    pub readings: Vec<MetricReading>,
    /// Why the counts are not there, if they are not.
    pub outage: Option<String>,
}

impl ProxyReport {
    fn add(&mut self, place: &str, tag: Tag<'_>, counts: ArmCounts) {
        let drawn = match tag.group {
            Group::Cohort(cohort) => Drawn::Cohort(cohort),
            Group::Split(name) => Drawn::Split(name.to_owned()),
            Group::NoIdentity => {
                self.unassignable += counts.requests;
                return;
            }
            Group::Segment(_) | Group::Override | Group::Closed => return,
        };
        self.counted.push(Cell { place: place.to_owned(), drawn, arm: tag.arm, counts });
    }
}

/// Looks at what proxies say of one release, and at the Prometheus that it names.
#[derive(Debug, Default)]
pub struct Observer {
    latency: Latency,
    source: Source,
    custom: CustomMetrics,
    /// The proxies' own totals where `source` is not the proxies. A restart loses no more than a moment of them.
    own: CounterDeltas,
    /// What `source` and `custom` were made for.
    made_for: Option<Analysis>,
}

impl Observer {
    /// Takes in what the proxies said, asks Prometheus if it is to be asked, and books what is new for `release` in
    /// `counter_deltas`. `complaint` is what is wrong with the present document, for proxies that refuse it.
    pub async fn look(
        &mut self,
        release: &Release,
        deltas: &mut CounterDeltas,
        seen: &[&Seen],
        complaint: Option<&str>,
        now: Timestamp,
    ) -> ProxyReport {
        let mut look = ProxyReport::default();
        match self.prepare(release) {
            Ok(()) => deltas.count_from(self.source.name()),
            Err(error) => look.outage = Some(error.to_string()),
        }
        let is_source = matches!(self.source, Source::Proxies);
        let mut own = ProxyReport::default();
        for Seen { name, address, attach_point, sample } in seen {
            let state = match sample {
                Err(error) => ProxyState::Silent { error: error.clone() },
                Ok(sample) => {
                    self.latency.take_in(address, release.name(), sample);
                    let (deltas, look) =
                        if is_source { (&mut *deltas, &mut look) } else { (&mut self.own, &mut own) };
                    for (tag, new) in deltas.record_proxy(address, release.name(), sample, now) {
                        look.add(attach_point, tag, new);
                    }
                    state(sample, release.name(), complaint)
                }
            };
            look.proxies.push(Proxy { name: name.clone(), state });
        }
        look.at_proxies = Counts::of(if is_source { &look.counted } else { &own.counted });
        match &mut self.source {
            Source::Nowhere => {}
            Source::Proxies => deltas.looked(now),
            Source::Prometheus(counting, subject) => {
                let judges_time = release.analysis.slow.is_some();
                if let Err(error) = count(counting, subject, deltas, now, judges_time, &mut look).await {
                    look.outage = Some(error.to_string());
                }
            }
        }
        self.own.looked(now);
        look.readings = self.custom.read(release, now).await;
        look
    }

    /// Makes what the release's analysis needs, when it is another than before.
    fn prepare(&mut self, release: &Release) -> Result<(), AccessError> {
        if self.made_for.as_ref() != Some(&release.analysis) {
            self.source = Source::Nowhere;
            self.source = Source::of(release)?;
            self.custom.use_client(release)?;
            self.made_for = Some(release.analysis.clone());
        }
        Ok(())
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

/// Where counts come from.
#[derive(Debug, Default)]
enum Source {
    /// Nowhere: it is not known yet.
    #[default]
    Nowhere,
    /// The proxies themselves.
    Proxies,
    /// A Prometheus.
    Prometheus(Box<Counting>, Subject),
}

impl Source {
    fn of(release: &Release) -> Result<Self, AccessError> {
        let counters = match &release.analysis.source {
            CountSource::Proxies => return Ok(Self::Proxies),
            CountSource::Prometheus => Counters::Filter,
            CountSource::Istio(istio) => Counters::Istio(istio.clone()),
        };
        let Some(access) = release.analysis.prometheus.clone() else { return Ok(Self::Nowhere) };
        let subject = Subject { release: release.name().to_owned(), counters };
        Ok(Self::Prometheus(Box::new(Counting::new(Client::new(access)?)), subject))
    }

    /// A word for it: places are called otherwise in each.
    const fn name(&self) -> &'static str {
        match self {
            Self::Nowhere => "nowhere",
            Self::Proxies => "proxies",
            Self::Prometheus(_, Subject { counters: Counters::Filter, .. }) => "prometheus",
            Self::Prometheus(_, Subject { counters: Counters::Istio(_), .. }) => "istio",
        }
    }
}

/// Why Prometheus' counts are not there.
#[derive(Debug, thiserror::Error)]
enum Uncounted {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Clock(#[from] ClockWentBack),
    #[error(transparent)]
    Incomplete(#[from] Complaint),
    #[error(
        "Prometheus answers, and knows no series of {0}: does it scrape the proxies, and do the clocks agree?"
    )]
    Nothing(String),
}

async fn count(
    counting: &mut Counting,
    subject: &Subject,
    deltas: &mut CounterDeltas,
    now: Timestamp,
    judges_time: bool,
    look: &mut ProxyReport,
) -> Result<(), Uncounted> {
    let looks = counting.look(std::slice::from_ref(subject), now).await?;
    for seen in &looks {
        if seen.is_empty() {
            return Err(Uncounted::Nothing(subject.release.clone()));
        }
        for Count { place, tag, counts } in seen.record(deltas, now)? {
            look.add(place, tag, counts);
        }
        // All that can be missing are slow requests.
        if let Some(complaint) = seen.complaint().filter(|_| judges_time) {
            return Err(complaint.clone().into());
        }
    }
    Ok(())
}

fn state(sample: &Sample, release: &str, complaint: Option<&str>) -> ProxyState {
    let refused = (sample.refused > 0).then(|| {
        complaint.map_or_else(
            || format!("{} ({})", sample.refused, sample.kinds_refused.join(", ")),
            str::to_owned,
        )
    });
    match sample.revisions.get(release) {
        Some(&revision) => ProxyState::Runs { revision, refused },
        // A proxy whose first document was refused runs the filter, with no policy of ours in it.
        None if refused.is_some() => ProxyState::Runs { revision: 0, refused },
        None => ProxyState::Bypassed,
    }
}
