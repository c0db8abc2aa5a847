/*!
What the standalone shows after each tick: to the status page, to the live view, to tests.
*/
use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::{Arm, Weight};

use super::Standalone;
use crate::observe::latency::Percentiles;
use serin_release::Release;
use serin_rollout::{Counts, Observation, Progress, Proxy, Reason, Status};

/// How many decisions a view remembers.
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
    /// The latest decisions, oldest first; a decision that is merely repeated stands here once.
    pub decisions: VecDeque<Decision>,
    /// What holds at this moment: the reasons of the last tick.
    pub standing: Vec<Reason>,
    /// When the proxies were last looked at; none before the first look.
    pub looked_at: Option<Timestamp>,
    /// What kept the last tick from being carried out: a full disk, say.
    pub trouble: Option<String>,
}

/// A decision of the planner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When it was made.
    pub at: Timestamp,
    /// What it was and why.
    pub reason: Reason,
}

impl View {
    pub(super) fn new(release: &Release, status: &Status) -> Self {
        Self {
            release: release.name().to_owned(),
            steps: Vec::new(),
            status: status.clone(),
            progress: status.progress(release, Timestamp::now()),
            proxies: Vec::new(),
            counted: Counts::default(),
            stable_latency: None,
            canary_latency: None,
            decisions: VecDeque::new(),
            standing: Vec::new(),
            looked_at: None,
            trouble: None,
        }
    }
}

impl Standalone {
    /// Shows what was seen and decided: in the view, the log and the metrics.
    pub(super) fn tell(&self, observation: &Observation, reasons: Vec<Reason>, pushed: bool, now: Timestamp) {
        let status = &self.state.status;
        self.view.send_modify(|view| {
            let held = std::mem::take(&mut view.standing);
            for reason in &reasons {
                if held.contains(reason) {
                    continue;
                }
                tracing::info!(release = view.release, code = reason.code(), weight = %status.weight(), "{reason}");
                self.metrics.decided(&view.release, reason);
                if view.decisions.len() == REMEMBERED {
                    view.decisions.pop_front();
                }
                view.decisions.push_back(Decision { at: now, reason: reason.clone() });
            }
            view.standing = reasons;
            self.release.name().clone_into(&mut view.release);
            view.steps = self.release.steps.iter().map(|step| step.weight).collect();
            if view.status.run != status.run {
                view.counted = Counts::default();
            }
            view.status = status.clone();
            view.progress = status.progress(&self.release, now);
            view.proxies.clone_from(&observation.proxies);
            view.counted.add(&Counts::of(&observation.counted));
            view.stable_latency = self.fleet.latency().percentiles(Arm::Stable);
            view.canary_latency = self.fleet.latency().percentiles(Arm::Canary);
            view.looked_at = Some(now);
            view.trouble = None;
        });
        let progress = self.view.borrow().progress.clone();
        self.metrics.looked(self.release.name(), status, &progress, observation, pushed, now.as_second());
    }
}
