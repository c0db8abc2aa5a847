/*!
Runs that are over, or under way, as they are reported afterwards: what happened when, by whom and why, and for the latest one
what the evidence says.
*/
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{News, UsersView, VerdictView, VersionView, View};
use serin_release::ReleaseObject;
use serin_release::status::{ReleaseStatus, RunOutcome, RunRecord, Share, WeightChange};

/// A run, as the history has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastRun {
    /// What it is called.
    pub run: String,
    /// When it began.
    pub started: Timestamp,
    /// When its weight was changed last.
    pub last_change: Option<Timestamp>,
    /// How it ended; none while it lasts.
    pub outcome: Option<RunOutcome>,
    /// The largest share that its version had.
    pub reached: Share,
    /// Every change of the weight, the latest last.
    pub changes: Vec<WeightChange>,
}

/// A run, as it is reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// The Release's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The run.
    #[serde(flatten)]
    pub past: PastRun,
    /// What only the status of the latest run has.
    pub latest: Option<Latest>,
    /// What was told while it lasted, the latest last. Events do not last for ever.
    pub news: Vec<News>,
}

/// What only the status of the latest run has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latest {
    /// How it stands, in a sentence.
    pub message: String,
    /// The versions, stable first.
    pub versions: Vec<VersionView>,
    /// What the evidence says; none where nothing was judged.
    pub verdict: Option<VerdictView>,
    /// The users whom the version has had, where proxies tell.
    pub users: Option<UsersView>,
}

impl PastRun {
    /// The runs that the status of `object` has, the latest first.
    pub fn all(object: &ReleaseObject) -> Vec<Self> {
        object.status.as_ref().map(Self::all_in).unwrap_or_default()
    }

    /// The runs that `status` has, the latest first.
    pub fn all_in(status: &ReleaseStatus) -> Vec<Self> {
        status.history.iter().map(Self::from).collect()
    }
}

impl From<&RunRecord> for PastRun {
    fn from(record: &RunRecord) -> Self {
        let RunRecord { run, started, outcome, changes } = record;
        Self {
            run: run.clone(),
            started: *started,
            last_change: changes.last().map(|change| change.at),
            outcome: *outcome,
            reached: changes.iter().map(|change| change.to).max().unwrap_or_default(),
            changes: changes.clone(),
        }
    }
}

impl RunReport {
    /// The report of a run of `object`, whose view this is: of the latest one called `run`, or of the latest of all.
    pub fn of(object: &ReleaseObject, view: &View, run: Option<&str>) -> Option<Self> {
        let all = PastRun::all(object);
        let at = all.iter().position(|past| run.is_none_or(|run| past.run == run))?;
        let past = all.get(at)?.clone();
        // The next run's news begin with it.
        let until = at.checked_sub(1).and_then(|next| all.get(next)).map(|next| next.started);
        let is_its = |news: &&News| news.at >= past.started && until.is_none_or(|until| news.at < until);
        let is_latest = view.run.as_ref().is_some_and(|run| run.name == past.run) && at == 0;
        let latest = is_latest.then(|| Latest {
            message: view.message.clone(),
            versions: view.versions.clone(),
            verdict: view.verdict.clone(),
            users: view.users,
        });
        Some(Self {
            name: view.name.clone(),
            namespace: view.namespace.clone(),
            latest,
            news: view.news.iter().filter(is_its).cloned().collect(),
            past,
        })
    }
}
