/*!
Serin's own planner and judge, as they are, with a proxy that follows every push at once.
*/
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serin_policy::{Lease, Weight};

use super::{Counted, Rule, Stand};
use serin_release::{Pause, Release};
use serin_rollout::{CohortRatio, History, InForce, Observation, Phase, Proxy, ProxyState, Status, plan};

pub(crate) struct Serin {
    release: Release,
    status: Status,
    in_force: InForce,
    /// Every look, where somebody wants to see them.
    history: Option<History>,
}

impl Serin {
    /// At weight 0, with the policy of the new run in front of the proxy. What waits for a person is approved at
    /// once.
    pub(crate) fn new(release: &Release) -> Self {
        let mut release = release.clone();
        for step in &mut release.steps {
            if step.pause == Pause::UntilApproved {
                step.pause = Pause::None;
            }
        }
        let (status, in_force) = (Status::default(), InForce::Nothing);
        let mut serin = Self { release, status, in_force, history: None };
        serin.look(&Counted::default(), Duration::ZERO);
        serin
    }

    /// The same, which keeps what it sees.
    pub(crate) fn recording(release: &Release) -> Self {
        Self { history: Some(History::default()), ..Self::new(release) }
    }

    /// What it saw, and how those whom each step moves fared on stable beside the rest.
    pub(crate) fn into_history(self) -> (History, Vec<CohortRatio>) {
        let cohorts = self.status.evidence.cohorts(&self.release.analysis);
        (self.history.unwrap_or_default(), cohorts)
    }
}

impl Rule for Serin {
    fn stand(&self) -> Stand {
        match self.status.phase {
            Phase::Promoted => Stand::Promoted,
            Phase::RolledBack { .. } | Phase::Aborted { .. } => Stand::TakenBack,
            _ => Stand::At(match self.in_force {
                InForce::Policy { weight, .. } => weight,
                InForce::Nothing | InForce::Unreadable { .. } => Weight::ZERO,
            }),
        }
    }

    fn look(&mut self, counted: &Counted, now: Duration) {
        let proxy = |revision| {
            let state = ProxyState::Runs { revision, refused: None, has_lapsed: false };
            Proxy { name: "gateway".to_owned(), state }
        };
        let observation = Observation {
            proxies: match self.in_force {
                InForce::Policy { revision, .. } => vec![proxy(revision)],
                InForce::Nothing | InForce::Unreadable { .. } => Vec::new(),
            },
            in_force: self.in_force.clone(),
            counted: counted.cells.clone(),
            users: Some(counted.users),
            readings: counted.readings.clone(),
            ..Observation::default()
        };
        let since = SignedDuration::try_from(now).unwrap_or(SignedDuration::MAX);
        let now = Timestamp::UNIX_EPOCH.saturating_add(since).unwrap_or(Timestamp::MAX);
        let outcome = plan(&self.release, &self.status, &observation, now);
        self.status = outcome.status;
        if let Some(history) = &mut self.history {
            history.note(&self.status, &counted.cells, &self.release, now);
        }
        if let Some(push) = outcome.push {
            self.in_force = InForce::Policy {
                run: self.release.run().to_owned(),
                revision: push.revision,
                weight: push.weight,
                closed: push.closed,
                lease: Lease::Unleased,
            };
        }
    }
}
