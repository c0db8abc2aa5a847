/*!
The counters of many releases, in one query and so at one timestamp.

Raw counters are fetched, never `rate()` or `increase()`: those extrapolate, and miss what a series was born with.
What is made of them is in [`PromSample`]. How long a proxy has been up is asked along, so that one which Prometheus only
now begins to scrape does not bring its past with it.
*/
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use jiff::Timestamp;
use serin_policy::series::REVISION;

use super::answer::{self, Parsed};
use super::client::{Client, MOST_SERIES};
use super::error::QueryError;
use super::istio::{self, DURATION, REQUESTS};
use super::promql;
use super::sample::PromSample;
use super::series_index::SeriesIndex;
use crate::observe::counter_deltas::Number;
use serin_release::prometheus::{Access, Istio, Reporter};
use serin_release::{CountSource, Release};

/// How many series are taken when there are many releases, for each of them.
const SERIES_A_RELEASE: usize = 2_000;

/// Up to so many releases are named in the query. More make a pattern that is slower to match than what it saves.
const MOST_NAMED: usize = 50;

/// What an Envoy says of its uptime, in seconds.
pub(super) const UPTIME: &str = "envoy_server_uptime";

/// A release that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `namespace/name`.
    pub release: String,
    /// Which counters are its own.
    pub counters: Counters,
}

impl Subject {
    /// `release`, and the Prometheus that has its counts; `None` where the proxies themselves are asked for them.
    pub fn of(release: &Release) -> Option<(&Access, Self)> {
        let counters = match &release.analysis.source {
            CountSource::Proxies => return None,
            CountSource::Prometheus => Counters::Filter,
            CountSource::Istio(istio) => Counters::Istio(istio.clone()),
        };
        let access = release.analysis.prometheus.as_ref()?;
        Some((access, Self { release: release.name().to_owned(), counters }))
    }
}

/// Which counters are a release's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counters {
    /// Those of the filter.
    Filter,
    /// Istio's standard metrics.
    Istio(Istio),
}

/// Why a release's counters are not all there.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Complaint {
    /// Slow requests cannot be counted: no time of any request is known.
    #[error(
        "there are requests of {place} and no {DURATION}, so slow requests are not counted: let Prometheus keep these \
         series, or leave request-duration out of analysis.metrics"
    )]
    NoBuckets {
        /// One of the proxies that lack them.
        place: String,
    },
    /// Slow requests cannot be counted: no edge tells them from others.
    #[error(
        "no edge of {DURATION} lies at the objective of {objective_ms} ms, so slow requests are not counted: \
         set the objective to an edge ({}), or give the proxies one there",
        Edges(nearest)
    )]
    NoEdge {
        /// The objective.
        objective_ms: u32,
        /// The nearest edges below and above it.
        nearest: Vec<f64>,
    },
}

struct Edges<'e>(&'e [f64]);

impl fmt::Display for Edges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("it has none"),
            [only] => write!(f, "the nearest is {only} ms"),
            [first, rest @ ..] => {
                write!(f, "the nearest are {first}")?;
                rest.iter().try_for_each(|edge| write!(f, " and {edge}"))?;
                f.write_str(" ms")
            }
        }
    }
}

/// Asks one Prometheus for counters.
#[derive(Debug)]
pub struct Counting {
    client: Client,
    /// The edges of histograms that lack the wanted one, by namespace and service.
    edges: HashMap<(String, String), Vec<f64>>,
}

impl Counting {
    /// Asks by way of `client`.
    pub fn new(client: Client) -> Self {
        Self { client, edges: HashMap::new() }
    }

    /// Samples all of `subjects` as they were at `at`, in their order.
    ///
    /// It takes one query, and another one when a histogram is first found to lack the edge at its objective.
    ///
    /// # Errors
    /// When there is no answer. Nothing is lost then: the next sample counts from the last.
    pub async fn sample(
        &mut self,
        subjects: &[Subject],
        at: Timestamp,
    ) -> Result<Vec<PromSample>, QueryError> {
        let Some(query) = query(subjects) else { return Ok(Vec::new()) };
        let most = MOST_SERIES.max(subjects.len().saturating_mul(SERIES_A_RELEASE));
        let body = self.client.ask(&query, at, most).await?;
        let mut series_index = SeriesIndex::of(subjects);
        body.read(|labels, value| series_index.take(labels, value))?;
        let mut samples = series_index.into_samples();
        let mut lacking = Vec::new();
        for (subject, sample) in subjects.iter().zip(&mut samples) {
            if let Counters::Istio(istio) = &subject.counters
                && sample.leave_out_untold()
            {
                lacking.push((istio, sample));
            }
        }
        self.learn_edges(lacking.iter().map(|(istio, _)| *istio), at).await?;
        for (istio, sample) in lacking {
            sample.complain(self.no_edge(istio));
        }
        for (subject, sample) in subjects.iter().zip(&mut samples) {
            if matches!(subject.counters, Counters::Istio(_))
                && let Some(place) = sample.without_times()
            {
                let place = place.to_owned();
                sample.complain(Complaint::NoBuckets { place });
            }
        }
        Ok(samples)
    }

    async fn learn_edges(
        &mut self,
        lacking: impl Iterator<Item = &Istio>,
        at: Timestamp,
    ) -> Result<(), QueryError> {
        let key = |istio: &Istio| (istio.namespace.clone(), istio.service.clone());
        let unknown: Vec<&Istio> = lacking.filter(|istio| !self.edges.contains_key(&key(istio))).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let of_groups = alike(unknown.iter().copied()).into_values().map(|group| {
            let by = "destination_service_namespace,destination_service_name,le";
            format!("group by ({by}) ({})", istio::selector(DURATION, &group, ""))
        });
        let query = of_groups.collect::<Vec<_>>().join(" or ");
        let body = self.client.ask(&query, at, MOST_SERIES).await?;
        for istio in unknown {
            self.edges.insert(key(istio), Vec::new());
        }
        body.read(|labels, _| {
            let label = |name| labels.get(name).to_owned();
            let service = (label("destination_service_namespace"), label("destination_service_name"));
            let edge = labels.get("le").parse().ok().filter(|edge: &f64| edge.is_finite());
            self.edges.entry(service).or_default().extend(edge);
        })?;
        Ok(())
    }

    fn no_edge(&self, istio: &Istio) -> Complaint {
        let edges = self.edges.get(&(istio.namespace.clone(), istio.service.clone()));
        let edges = || edges.into_iter().flatten().copied();
        let objective = f64::from(istio.objective_ms);
        let below = edges().filter(|&edge| edge < objective).max_by(f64::total_cmp);
        let above = edges().filter(|&edge| edge > objective).min_by(f64::total_cmp);
        let nearest = below.into_iter().chain(above).collect();
        Complaint::NoEdge { objective_ms: istio.objective_ms, nearest }
    }
}

/// What `answer`, the text of an answer to the one query, says of each of `subjects`: the part of [`Counting::sample`]
/// that takes no network. `None` if it is no vector.
pub fn samples(subjects: &[Subject], answer: &[u8]) -> Option<Vec<PromSample>> {
    let mut series_index = SeriesIndex::of(subjects);
    let parsed = answer::parse(answer, usize::MAX, |labels, value| series_index.take(labels, value));
    (parsed == Parsed::Vector).then(|| series_index.into_samples())
}

/// The one query for all of `subjects`.
fn query(subjects: &[Subject]) -> Option<String> {
    // The same proxy has the same labels in all of its metrics.
    let uptime_of = |series: &str| format!("({UPTIME} and on (namespace, pod, instance) {series})");
    let mut parts = Vec::new();
    let filter: Vec<&str> = subjects
        .iter()
        .filter(|subject| subject.counters == Counters::Filter)
        .map(|subject| subject.release.as_str())
        .collect();
    if !filter.is_empty() {
        let releases = match filter.len() {
            ..=MOST_NAMED => filter.into_iter().map(promql::literal).collect::<Vec<_>>().join("|"),
            _ => ".+".to_owned(),
        };
        let tags = format!(
            "(?:{releases})/(?:stable|canary)/(?:rest|step-[0-9]+|(?:split|segment):.+|override|no-id)"
        );
        let metrics: Vec<_> = Number::metrics_of_the_filter().collect();
        let metrics = promql::any_of(metrics.iter().map(String::as_str));
        let revision = format!("{REVISION}{{tag=~{}}}", promql::quoted(&releases));
        parts.push(format!("{{__name__=~{metrics},tag=~{}}}", promql::quoted(&tags)));
        parts.push(uptime_of(&revision));
        parts.push(revision);
    }
    let istio = subjects.iter().filter_map(|subject| match &subject.counters {
        Counters::Istio(istio) => Some(istio),
        Counters::Filter => None,
    });
    for group in alike(istio).into_values() {
        let requests = istio::selector(REQUESTS, &group, "");
        parts.push(uptime_of(&requests));
        parts.push(requests);
        parts.push(istio::selector(DURATION, &group, &istio::edges_of(&group)));
    }
    (!parts.is_empty()).then(|| parts.join(" or "))
}

/// Those that one selector can select.
fn alike<'i>(all: impl Iterator<Item = &'i Istio>) -> BTreeMap<(Reporter, &'i str), Vec<&'i Istio>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for istio in all {
        groups.entry((istio.reporter, istio.version_label.as_str())).or_default().push(istio);
    }
    groups
}

#[cfg(test)]
mod tests;
