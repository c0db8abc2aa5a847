/*!
The versions beside stable and canary: each has a share that people write, and is judged against stable by itself.

A version whose share is new has its callers stay on stable for the baseline first, as those of a step do: so it is known
how they fare without it. Then it is open, until people change it or the evidence is against it: then it alone is taken
back. Raising and lowering an open version's share is people's own doing, and takes effect at once.
*/
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serin_policy::lanes::beside_stable;
use serin_policy::{Arm, Cohort, Extra, PolicySpec, Weight};
use serin_release::{ExtraVersion, Release};

use super::analysis::{Evidence, Failure, Moment, Verdict};
use super::clocks::move_by;
use super::observation::{Cell, Counts, Drawn};
use super::reason::Event;
use super::status::Status;
use super::{Phase, Tick, Write};

/// How the versions beside stable and canary stand, by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Versions(BTreeMap<String, VersionState>);

/// How one of them stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionState {
    /// What people call what it runs, if they do. Another is another version.
    version: Option<String>,
    /// Its share, as it was last written.
    share: Weight,
    /// Where it stands.
    pub stage: VersionStage,
    /// What it has shown so far.
    pub evidence: Box<Evidence>,
}

/// Where a version stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum VersionStage {
    /// Its callers are on stable still, to be compared with the rest.
    Baseline {
        /// Since when every proxy goes by that.
        since: Option<Timestamp>,
    },
    /// It has its share.
    Open,
    /// It was bad: its callers are on stable, and stay there until people change it or say retry.
    TakenBack {
        /// Since when.
        at: Timestamp,
        /// What was bad.
        failure: Box<Failure>,
    },
}

impl VersionState {
    fn new(found: &ExtraVersion) -> Self {
        Self {
            version: found.version.clone(),
            share: found.share,
            stage: VersionStage::Baseline { since: None },
            evidence: Box::default(),
        }
    }

    /// Whether it takes traffic.
    pub fn is_open(&self) -> bool {
        self.stage == VersionStage::Open
    }
}

impl Versions {
    /// Whether there are none.
    pub fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// How the version of this name stands.
    pub fn of(&self, name: &str) -> Option<&VersionState> {
        self.0.get(name)
    }

    /// Whether any takes traffic.
    pub(super) fn any_is_open(&self) -> bool {
        self.0.values().any(VersionState::is_open)
    }

    /// The share of all callers that they have together.
    fn taken(&self) -> Weight {
        let open = self.0.values().filter(|state| state.is_open());
        Weight::from_ppm(open.map(|state| state.share.ppm()).sum()).unwrap_or(Weight::FULL)
    }

    /// The wall clock has moved by `step` without that much time going by.
    pub(super) fn clock_moved(&mut self, step: SignedDuration) {
        for VersionState { stage, evidence, .. } in self.0.values_mut() {
            evidence.clock_moved(step);
            match stage {
                VersionStage::Baseline { since } => since.iter_mut().for_each(move_by(step)),
                VersionStage::TakenBack { at, .. } => move_by(step)(at),
                VersionStage::Open => {}
            }
        }
    }
}

impl Status {
    /// The policy that is wanted in front of the proxies.
    pub fn policy(&self, release: &Release) -> PolicySpec {
        let mut policy = self.push().policy(release);
        for version in policy.versions.iter_mut().skip(Arm::BOTH.len()) {
            version.closed = !self.versions.of(&version.name).is_some_and(VersionState::is_open);
        }
        policy
    }

    /// The share of the canary among those who are on it or on stable.
    pub fn beside_stable(&self, canary: Weight) -> Weight {
        beside_stable(canary, self.versions.taken())
    }

    /// The share of all callers whom the version of this name is to get at present.
    pub fn share_of(&self, version: &str) -> Weight {
        self.versions.of(version).filter(|state| state.is_open()).map_or(Weight::ZERO, |state| state.share)
    }

    /// Stable's share of all callers.
    pub fn stables_share(&self) -> Weight {
        let canary = if self.is_closed() { Weight::ZERO } else { self.weight() };
        let taken = self.versions.taken().ppm().saturating_add(canary.ppm());
        Weight::from_ppm(Weight::FULL.ppm().saturating_sub(taken)).unwrap_or_default()
    }
}

impl Tick<'_> {
    /// Brings the versions' states to what the Release says of them. It comes after policy and status were compared.
    pub(super) fn keep_versions(&mut self) {
        let Self { release, now, .. } = *self;
        let mut are_changed = false;
        let mut kept = std::mem::take(&mut self.status.versions.0);
        let mut states = BTreeMap::new();
        for found in &release.versions {
            let state = match kept.remove(&found.name) {
                Some(mut state) if state.version == found.version => {
                    let before = std::mem::replace(&mut state.share, found.share);
                    if before != found.share {
                        are_changed = true;
                        let begins =
                            before == Weight::ZERO || matches!(state.stage, VersionStage::TakenBack { .. });
                        if begins {
                            state = VersionState::new(found);
                        } else if state.is_open() {
                            state.evidence.begin_step(now);
                        }
                    }
                    state
                }
                _ => {
                    are_changed = true;
                    VersionState::new(found)
                }
            };
            states.insert(found.name.clone(), state);
        }
        self.status.versions.0 = states;
        if are_changed && self.write != Write::NotYet {
            self.write = self.write.max(Write::Anew);
        }
    }

    /// Takes in what was counted of the versions, opens those that have had their baseline, and takes back those that the
    /// evidence is against.
    pub(super) fn judge_versions(&mut self) {
        if self.release.versions.is_empty() || self.write == Write::NotYet {
            return;
        }
        let all_report = self.all_report();
        let may_open = all_report && !self.is_suspended() && self.is_not_frozen().is_ok();
        let release = self.release;
        for (extra, version) in release.extras() {
            let Some(mut state) = self.status.versions.0.remove(&version.name) else { continue };
            if let Some(event) = self.judge_version((extra, version), &mut state, all_report, may_open) {
                self.write = Write::Anew;
                self.say(event);
            }
            self.status.versions.0.insert(version.name.clone(), state);
        }
    }

    /// The same of one of them, which is out of the status meanwhile.
    fn judge_version(
        &self,
        (extra, version): (Extra, &ExtraVersion),
        state: &mut VersionState,
        all_report: bool,
        may_open: bool,
    ) -> Option<Event> {
        let (release, now) = (self.release.judging(version), self.now);
        let is_open = state.is_open();
        let stable = if self.status.weight() == Weight::FULL {
            Weight::FULL.ppm().saturating_sub(self.status.versions.taken().ppm() + state.share.ppm())
        } else {
            self.status.stables_share().ppm().saturating_sub(if is_open { state.share.ppm() } else { 0 })
        };
        let odds = match (is_open, u64::from(stable) + u64::from(state.share.ppm())) {
            (false, _) | (_, 0) => Weight::ZERO,
            (true, both) => ratio(state.share, both),
        };
        let moment = Moment { step_index: usize::from(is_open), settled: all_report.then_some(odds), now };
        let is_watched = match &mut state.stage {
            VersionStage::Baseline { since } => {
                if all_report {
                    since.get_or_insert(now);
                }
                since.is_some()
            }
            VersionStage::Open => true,
            VersionStage::TakenBack { .. } => false,
        };
        if is_watched {
            let cells = cells_of(&self.observation.counted, extra, self.status.weight() == Weight::FULL);
            let users = self.observation.users_of_extras.get(&extra).copied();
            state.evidence.take_in(&cells, users, moment, &release);
        }
        match &state.stage {
            VersionStage::Baseline { since: Some(since) }
                if may_open
                    && state.share > Weight::ZERO
                    && now.duration_since(*since).unsigned_abs() >= release.analysis.baseline =>
            {
                state.stage = VersionStage::Open;
                state.evidence.begin_step(now);
                Some(Event::VersionOpened { version: version.name.clone(), share: state.share })
            }
            VersionStage::Open => {
                let Verdict::Fail(failure) = state.evidence.verdict(&release.analysis, now) else {
                    return None;
                };
                state.stage = VersionStage::TakenBack { at: now, failure: Box::new(failure.clone()) };
                let (version, share) = (version.name.clone(), state.share);
                Some(Event::VersionTakenBack { version, share, failure: Box::new(failure) })
            }
            _ => None,
        }
    }

    /// Has versions that were taken back begin anew. Returns whether there were any.
    pub(super) fn retry_versions(&mut self) -> bool {
        let mut any = false;
        for found in &self.release.versions {
            if let Some(state) = self.status.versions.0.get_mut(&found.name)
                && matches!(state.stage, VersionStage::TakenBack { .. })
            {
                *state = VersionState::new(found);
                any = true;
            }
        }
        any
    }

    /// Whether another run takes the place of the last one: users are counted from nothing.
    pub(super) fn users_begin_anew(&mut self) {
        self.status.versions.0.values_mut().for_each(|state| state.evidence.users_begin_anew());
    }

    /// Whether nobody but versions beside the two needs a lease: the canary takes no traffic.
    pub(super) fn versions_need_lease(&self) -> bool {
        let is_closed = self.status.is_closed() && !matches!(self.status.phase, Phase::Unreadable { .. });
        is_closed && self.status.versions.any_is_open()
    }

    /// What was counted of stable and the canary.
    pub(super) fn counted_of_both(&self) -> Vec<Cell> {
        let of_both = |cell: &&Cell| matches!(cell.arm, Arm::Stable | Arm::Canary);
        self.observation.counted.iter().filter(of_both).cloned().collect()
    }
}

/// `share` as a share of `all`, in ppm.
fn ratio(share: Weight, all: u64) -> Weight {
    let ppm = u64::from(share.ppm()) * u64::from(Weight::FULL.ppm()) / all.max(1);
    u32::try_from(ppm).ok().and_then(|ppm| Weight::from_ppm(ppm).ok()).unwrap_or(Weight::FULL)
}

/// What was counted, as the judge of `extra` is to see it: that version in the canary's place, and its callers as those of
/// the first step. Once everybody else is on the canary, that is what there is to compare with.
fn cells_of(counted: &[Cell], extra: Extra, is_canary_everybodys: bool) -> Vec<Cell> {
    let seen = |cell: &Cell| {
        let arm = match cell.arm {
            Arm::Stable => Arm::Stable,
            Arm::Canary if is_canary_everybodys => Arm::Stable,
            Arm::Extra(own) if own == extra => Arm::Canary,
            Arm::Canary | Arm::Extra(_) => return None,
        };
        let drawn = match &cell.drawn {
            Drawn::Cohort(Cohort::Lane(own)) if *own == extra => Drawn::Cohort(Cohort::Step(0)),
            Drawn::Cohort(Cohort::Step(step)) => Drawn::Cohort(Cohort::Step(step + 1)),
            Drawn::Cohort(_) => Drawn::Cohort(Cohort::Rest),
            Drawn::Split(segment) => Drawn::Split(segment.clone()),
        };
        Some(Cell { place: cell.place.clone(), drawn, arm, counts: cell.counts })
    };
    counted.iter().filter_map(seen).collect()
}

/// How a version beside stable and canary stands, for people to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionProgress {
    /// Its name.
    pub name: String,
    /// The share that people have written.
    pub share: Weight,
    /// The share that it is to get at present.
    pub weight: Weight,
    /// What stable answered since it was opened or its share was changed, and in the canary's place, what it did.
    pub counted: Counts,
    /// What the judge makes of it; none while its callers are on stable still.
    pub verdict: Option<Verdict>,
}

impl VersionProgress {
    /// The verdict in a sentence of this version.
    pub fn because(&self) -> String {
        match &self.verdict {
            None => format!("{} of the callers stay on stable for the baseline, to be compared", self.share),
            Some(Verdict::Fail(failure)) => format!("taken back: {}", failure.told_of(&self.name)),
            Some(verdict) => verdict.to_string().replace("the canary", &self.name),
        }
    }
}

impl Status {
    /// How the versions beside stable and canary stand, in the Release's order.
    pub(super) fn progress_of_versions(&self, release: &Release, now: Timestamp) -> Vec<VersionProgress> {
        let one = |version: &ExtraVersion| {
            let state = self.versions.of(&version.name)?;
            let verdict = match &state.stage {
                VersionStage::Baseline { .. } => None,
                VersionStage::Open => Some(state.evidence.verdict(&release.analysis, now)),
                VersionStage::TakenBack { failure, .. } => Some(Verdict::Fail((**failure).clone())),
            };
            let (name, share) = (version.name.clone(), version.share);
            let weight = self.share_of(&name);
            Some(VersionProgress { name, share, weight, counted: *state.evidence.step(), verdict })
        };
        release.versions.iter().filter_map(one).collect()
    }
}
