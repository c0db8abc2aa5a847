/*!
Which of an answer's series are whose: pure, and cheap enough for a thousand releases.
*/
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use serin_policy::series::{REVISION, Tag};
use xxhash_rust::xxh64::xxh64;

use super::answer::Labels;
use super::counts::{Counters, Subject, UPTIME};
use super::istio::{self, DURATION, REQUESTS};
use super::sample::{Of, Origin, PromSample, Seen};
use crate::observe::counter_deltas::{Number, matters};
use crate::observe::scrape::whole;

/// Labels that say how a series was scraped, not what it counts: two jobs may scrape the same proxy.
const OF_THE_SCRAPE: [&str; 5] = ["container", "endpoint", "instance", "job", "service"];

/// Labels that tell one Prometheus from another one that scrapes the same pods: what Thanos, Mimir, Grafana's and the
/// Prometheus Operator's documentation name.
const OF_THE_REPLICA: [&str; 5] =
    ["__replica__", "prometheus", "prometheus_replica", "receive_replica", "replica"];

/// Sorts series into samples, as they come.
pub(super) struct SeriesIndex<'s> {
    subjects: &'s [Subject],
    samples: Vec<PromSample>,
    index: Index<'s>,
    uptimes: HashMap<Origin, u64>,
    /// Where the series in hand comes from.
    origin: Origin,
}

impl<'s> SeriesIndex<'s> {
    /// Nothing is seen yet.
    pub(super) fn of(subjects: &'s [Subject]) -> Self {
        Self {
            subjects,
            samples: subjects.iter().map(|subject| PromSample::of(&subject.release)).collect(),
            index: Index::of(subjects),
            uptimes: HashMap::new(),
            origin: Origin::default(),
        }
    }

    /// Takes one series.
    pub(super) fn take(&mut self, labels: &Labels<'_>, value: f64) {
        if value.is_nan() {
            return;
        }
        let value = whole(value);
        write_origin(&mut self.origin, labels);
        match labels.get("__name__") {
            UPTIME => {
                let uptime = self.uptimes.entry(self.origin.clone()).or_default();
                *uptime = value.max(*uptime);
            }
            REVISION => {
                if let Some(&at) = self.index.by_release.get(labels.get("tag")) {
                    self.samples[at].view(&self.origin);
                }
            }
            REQUESTS | DURATION => self.take_istios(labels, value),
            metric => self.take_the_filters(metric, labels, value),
        }
    }

    fn take_istios(&mut self, labels: &Labels<'_>, value: u64) {
        let service = (labels.get("destination_service_namespace"), labels.get("destination_service_name"));
        for &at in self.index.by_service.get(&service).into_iter().flatten() {
            if let Counters::Istio(istio) = &self.subjects[at].counters
                && let Some((arm, adds_to)) = istio::sort(istio, labels)
            {
                let seen = Seen { of: Of::Arm(arm), adds_to, value };
                self.samples[at].view(&self.origin).see(istio_series(labels), seen);
            }
        }
    }

    fn take_the_filters(&mut self, metric: &str, labels: &Labels<'_>, value: u64) {
        let tag = labels.get("tag");
        let class = labels.get("response_code_class");
        if let Some(parsed) = Tag::parse(tag).filter(|tag| matters(tag.group))
            && let Some(&at) = self.index.by_release.get(parsed.release)
            && let Some(adds_to) = Number::of_the_filter(metric, class)
        {
            let before_tag = [metric, "{", class, "}/"].concat();
            let seen = Seen { of: Of::Tag { from: before_tag.len() }, adds_to, value };
            self.samples[at].view(&self.origin).see(before_tag + tag, seen);
        }
    }

    /// What was seen of each of the subjects, in their order.
    pub(super) fn into_samples(mut self) -> Vec<PromSample> {
        for sample in &mut self.samples {
            sample.are_up(&self.uptimes);
        }
        self.samples
    }
}

struct Index<'s> {
    by_release: HashMap<&'s str, usize>,
    by_service: HashMap<(&'s str, &'s str), Vec<usize>>,
}

impl<'s> Index<'s> {
    fn of(subjects: &'s [Subject]) -> Self {
        let mut index = Self { by_release: HashMap::new(), by_service: HashMap::new() };
        for (at, subject) in subjects.iter().enumerate() {
            match &subject.counters {
                Counters::Filter => {
                    index.by_release.insert(&subject.release, at);
                }
                Counters::Istio(istio) => {
                    for service in BTreeSet::from([&istio.service, &istio.canary_service]) {
                        index.by_service.entry((&istio.namespace, service)).or_default().push(at);
                    }
                }
            }
        }
        index
    }
}

fn write_origin(Origin { cluster, pod, replica }: &mut Origin, labels: &Labels<'_>) {
    for part in [&mut *cluster, &mut *pod, &mut *replica] {
        part.clear();
    }
    cluster.push_str(labels.get("cluster"));
    // Writing to a string cannot fail.
    match labels.get("pod") {
        "" => pod.push_str(labels.get("instance")),
        name => _ = write!(pod, "{}/{name}", labels.get("namespace")),
    }
    for name in OF_THE_REPLICA {
        match labels.get(name) {
            "" => {}
            value => _ = write!(replica, "{name}={value} "),
        }
    }
}

/// What tells a series of Istio's from all others of its place. It has two dozen labels, so only their hash is kept:
/// the sum of each label's own, for their order says nothing.
fn istio_series(labels: &Labels<'_>) -> String {
    let says_what = |name: &str| !OF_THE_SCRAPE.iter().chain(&OF_THE_REPLICA).any(|other| *other == name);
    let hash = labels.iter().filter(|(name, _)| says_what(name)).fold(0, |sum: u64, (name, value)| {
        sum.wrapping_add(xxh64(value.as_bytes(), xxh64(name.as_bytes(), 0)))
    });
    format!("{hash:016x}")
}
