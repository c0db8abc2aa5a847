/*!
What an agent shows of the releases that it knows: each as people are told of it, with its run from look to look, for pictures. It
is kept in memory. The agent that drives a Release knows its proxies and latencies besides; whoever else follows what the API
server has of it goes by the state that is saved there.
*/
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde::Serialize;
use serin_policy::Arm;

use super::{About, News, PastRun, View, steps_of};
use crate::journal;
use crate::observe::latency::{Latency, Percentiles};
use serin_release::status::ReleaseStatus;
use serin_release::{Release, ReleaseObject, Step};
use serin_rollout::{Cell, CohortRatio, History, Proxy, Severity, Status};

/// How much of what was told is remembered.
const NEWS: usize = 50;

/// The Releases, by `namespace/name`.
#[derive(Debug, Default)]
pub struct Board(RwLock<BTreeMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    written: Written,
    /// None where the spec makes no sense.
    steps: Option<Vec<Step>>,
    told: ReleaseStatus,
    history: History,
    cohorts: Vec<CohortRatio>,
    /// What only whoever drives it knows.
    driven: Option<Driven>,
}

/// A release, as its people wrote it.
#[derive(Debug, Clone)]
pub(crate) enum Written {
    /// In a cluster. Its own status is an older one.
    Object(Arc<ReleaseObject>),
    /// Without one.
    Release(Arc<Release>),
}

#[derive(Debug, Default)]
struct Driven {
    deployments: Vec<Arc<Deployment>>,
    news: VecDeque<News>,
    latency: Latencies,
    proxies: Vec<Proxy>,
    revision: u64,
}

/// A Release, for pages.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// As people are told of it.
    pub view: View,
    /// Its last runs, the latest first.
    pub runs: Vec<PastRun>,
    /// The run from look to look, since this agent knows it: the share over time, and the evidence of each kind of tests.
    pub history: History,
    /// How those whom each step moves fared on stable before.
    pub cohorts: Vec<CohortRatio>,
    /// How long requests took in this run, where this agent drives it.
    pub latency: Latencies,
    /// The proxies, where this agent drives it.
    pub proxies: Vec<Proxy>,
    /// The revision of the policy that all of them are to run.
    pub revision: u64,
}

/// How long requests of each version took in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// Those of stable; none before the first.
    pub stable: Option<Percentiles>,
    /// Those of the canary.
    pub canary: Option<Percentiles>,
}

/// What a look at a release has come to.
#[derive(Debug)]
pub(crate) struct Look<'l> {
    pub(crate) written: Written,
    /// What people are told, without the saved state, which is an agent's business, and much.
    pub(crate) told: ReleaseStatus,
    pub(crate) news: &'l [journal::Entry],
    pub(crate) release: &'l Release,
    pub(crate) status: &'l Status,
    pub(crate) counted: &'l [Cell],
    pub(crate) deployments: Vec<Arc<Deployment>>,
    pub(crate) proxies: &'l [Proxy],
    pub(crate) latency: &'l Latency,
    pub(crate) now: Timestamp,
}

impl From<&Latency> for Latencies {
    fn from(latency: &Latency) -> Self {
        Self { stable: latency.percentiles(Arm::Stable), canary: latency.percentiles(Arm::Canary) }
    }
}

impl From<&journal::Entry> for News {
    fn from(entry: &journal::Entry) -> Self {
        Self {
            at: entry.at,
            reason: entry.news.name().to_owned(),
            message: entry.told(),
            warning: entry.news.severity() != Severity::Info,
        }
    }
}

impl Entry {
    fn of(written: &Written) -> Self {
        Self {
            written: written.clone(),
            steps: None,
            told: ReleaseStatus::default(),
            history: History::default(),
            cohorts: Vec::new(),
            driven: None,
        }
    }

    fn view(&self, deployments: &[Deployment], news: Vec<News>) -> View {
        let about = match &self.written {
            Written::Object(object) => About::object(object, self.steps.as_deref()),
            Written::Release(release) => About::release(release),
        };
        View::made(about, &self.told, deployments, news)
    }
}

impl Board {
    /// Takes note of a look of whoever drives the release.
    pub(crate) fn note(&self, look: Look<'_>) {
        let Look { written, told, news, release, status, counted, deployments, proxies, latency, now } = look;
        let cohorts = status.evidence.cohorts(&release.analysis);
        let (proxies, latency) = (proxies.to_vec(), Latencies::from(latency));
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(release.name().to_owned()).or_insert_with(|| Entry::of(&written));
        entry.history.note(status, counted, release, now);
        (entry.written, entry.told, entry.cohorts) = (written, told, cohorts);
        entry.steps = Some(release.steps.clone());
        let driven = entry.driven.get_or_insert_default();
        driven.news.extend(news.iter().map(News::from));
        driven.news.drain(..driven.news.len().saturating_sub(NEWS));
        (driven.deployments, driven.proxies, driven.latency) = (deployments, proxies, latency);
        driven.revision = status.revision;
    }

    /// Takes note of a Release as the API server has it, and of the state that is `saved` there, where it can be read. What
    /// whoever drives it knows better is left as it is.
    pub fn follow(&self, object: &ReleaseObject, saved: Option<&Status>, now: Timestamp) {
        let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        if self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&name)
            .is_some_and(|it| it.driven.is_some())
        {
            return;
        }
        let told = ReleaseStatus { state: None, ..object.status.clone().unwrap_or_default() };
        let run = told.run.as_deref().unwrap_or("none");
        let release = Release::from_object(object, run).map(|(release, _)| release);
        let steps = release.as_ref().ok().map(|release| release.steps.clone()).or_else(|| steps_of(object));
        let written = Written::Object(Arc::new(ReleaseObject { status: None, ..object.clone() }));
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(name).or_insert_with(|| Entry::of(&written));
        if let (Ok(release), Some(status)) = (&release, saved) {
            entry.history.note(status, &[], release, now);
            entry.cohorts = status.evidence.cohorts(&release.analysis);
        }
        (entry.written, entry.told, entry.steps) = (written, told, steps);
    }

    /// Nobody here drives a release any longer: it is followed from now on.
    pub(crate) fn rest(&self, name: &str) {
        if let Some(entry) = self.0.write().unwrap_or_else(PoisonError::into_inner).get_mut(name) {
            entry.driven = None;
        }
    }

    /// Another agent drives them all.
    pub(crate) fn rest_all(&self) {
        for entry in self.0.write().unwrap_or_else(PoisonError::into_inner).values_mut() {
            entry.driven = None;
        }
    }

    /// Forgets a Release that is gone.
    pub fn forget(&self, name: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// All Releases, as their status has them.
    pub fn all(&self) -> Vec<View> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().map(|entry| entry.view(&[], Vec::new())).collect()
    }

    /// A Release; none if it is not known here.
    pub fn of(&self, name: &str) -> Option<Shown> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(name)?;
        let Entry { told, history, cohorts, driven, .. } = entry;
        let unknown = Driven::default();
        let Driven { deployments, news, latency, proxies, revision } = driven.as_ref().unwrap_or(&unknown);
        let deployments: Vec<_> = deployments.iter().map(|it| (**it).clone()).collect();
        Some(Shown {
            view: entry.view(&deployments, news.iter().cloned().collect()),
            runs: PastRun::all_in(told),
            history: history.clone(),
            cohorts: cohorts.clone(),
            latency: *latency,
            proxies: proxies.clone(),
            revision: *revision,
        })
    }
}
