/*!
What the standalone shows after each tick: to the status page, to the live view, to tests.
*/
use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::{Arm, Weight};

use super::Standalone;
use crate::journal::Entry;
use crate::observe::latency::Percentiles;
use crate::told::report;
use crate::view::board::{Look, Written};
use serin_release::Release;
use serin_rollout::{Counts, History, Observation, Plan, Progress, Proxy, Reason, Status};

/// How much news a view remembers.
const REMEMBERED: usize = 50;

/// What the agent knows after a tick.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    /// `namespace/name`.
    pub release: String,
    /// The weights of the release's steps.
    pub steps: Vec<Weight>,
    /// The planner's own account.
    pub status: Status,
    /// How far the present step is.
    pub progress: Progress,
    /// The proxies, as they were at the last look.
    pub proxies: Vec<Proxy>,
    /// What has been counted in this run and this life of the agent: randomly assigned requests only.
    pub counted: Counts,
    /// How long stable's requests took in this run.
    pub stable_latency: Option<Percentiles>,
    /// How long the canary's did.
    pub canary_latency: Option<Percentiles>,
    /// The run from look to look, in this life of the agent.
    #[serde(default)]
    pub history: History,
    /// The latest news, oldest first.
    pub journal: VecDeque<Entry>,
    /// What holds at this moment: the reasons of the last tick.
    pub standing: Vec<Reason>,
    /// When the proxies were last looked at; none before the first look.
    pub looked_at: Option<Timestamp>,
    /// What kept the last tick from being carried out: a full disk, say.
    pub trouble: Option<String>,
}

impl View {
    pub(crate) fn new(release: &Release, status: &Status) -> Self {
        Self {
            release: release.name().to_owned(),
            steps: Vec::new(),
            status: status.clone(),
            progress: status.progress(release, Timestamp::now()),
            proxies: Vec::new(),
            counted: Counts::default(),
            stable_latency: None,
            canary_latency: None,
            history: History::default(),
            journal: VecDeque::new(),
            standing: Vec::new(),
            looked_at: None,
            trouble: None,
        }
    }
}

impl Standalone {
    /// Shows what was seen and decided: in the view, the log and the metrics.
    pub(super) fn tell(&mut self, observation: &Observation, planned: &Plan, now: Timestamp) {
        let (name, status) = (self.release.name(), &self.state.status);
        let news = self.journal.news(planned, now);
        self.journal.tell(name, planned, &news, &self.metrics);
        let progress = status.progress(&self.release, now);
        let pushed = planned.push.is_some();
        report::show(
            &mut self.told,
            None,
            &report::Tick {
                release: &self.release,
                observation,
                planned,
                news: &news,
                rejection: None,
                warnings: &[],
                now,
            },
        );
        self.board.note(Look {
            written: Written::Release(Arc::clone(&self.release)),
            told: self.told.clone(),
            news: &news,
            release: &self.release,
            status,
            counted: &observation.counted,
            deployments: Vec::new(),
            proxies: &observation.proxies,
            latency: self.fleet.latency(),
            now,
        });
        self.metrics.looked(name, planned, &progress, observation, pushed, now.as_second());
        self.view.send_modify(|view| {
            view.journal.extend(news);
            view.journal.drain(..view.journal.len().saturating_sub(REMEMBERED));
            view.standing.clone_from(&planned.reasons);
            name.clone_into(&mut view.release);
            view.steps = self.release.steps.iter().map(|step| step.weight).collect();
            if view.status.run != status.run {
                view.counted = Counts::default();
            }
            view.status = status.clone();
            view.progress = progress;
            view.proxies.clone_from(&observation.proxies);
            view.counted.add(&Counts::of(&observation.counted));
            view.stable_latency = self.fleet.latency().percentiles(Arm::Stable);
            view.canary_latency = self.fleet.latency().percentiles(Arm::Canary);
            view.history.note(status, &observation.counted, &self.release, now);
            view.looked_at = Some(now);
            view.trouble = None;
        });
    }
}
