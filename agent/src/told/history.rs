/*!
The runs of a Release and every change of their weight, in its status.
*/
use jiff::Timestamp;

use crate::journal::Entry;
use serin_release::status::{RunOutcome, RunRecord, WeightChange};
use serin_rollout::{Change, Phase, Status};

/// How many runs are remembered.
const RUNS: usize = 10;

/// How many changes of the weight are remembered of a run: its steps may be a hundred.
const CHANGES: usize = 120;

/// Takes down what is new.
pub(crate) fn record(history: &mut Vec<RunRecord>, status: &Status, news: &[Entry], now: Timestamp) {
    // What another agent has saved is about some run, and nobody here can say which.
    if status.run.is_empty() || matches!(status.phase, Phase::Unreadable { .. }) {
        return;
    }
    let begins = matches!(status.phase, Phase::Preparing { .. } | Phase::Starting { .. });
    if let Some(latest) = history.first_mut().filter(|latest| latest.run != status.run) {
        latest.outcome.get_or_insert(RunOutcome::Replaced);
    }
    // Where there is nothing to release, there is no run. One that is started again is another one.
    let is_open = history.first().is_some_and(|latest| latest.run == status.run && latest.outcome.is_none());
    if begins && !is_open {
        let record = RunRecord { run: status.run.clone(), started: now, outcome: None, changes: Vec::new() };
        history.insert(0, record);
        history.truncate(RUNS);
    }
    let Some(latest) = history.first_mut().filter(|latest| latest.run == status.run) else { return };
    for change in news.iter().filter_map(|entry| entry.change.as_ref()) {
        let is_of_run = change.run == latest.run && change.weight_before != change.weight_after;
        let change = told(change);
        // What an earlier life decided is news once more when it gets through.
        if is_of_run && latest.changes.last() != Some(&change) {
            if latest.changes.len() >= CHANGES {
                // How it began and how it ends is what people look for.
                latest.changes.remove(CHANGES / 2);
            }
            latest.changes.push(change);
        }
    }
    latest.outcome = match &status.phase {
        Phase::Promoted | Phase::Settled => Some(RunOutcome::Promoted),
        Phase::RolledBack { .. } => Some(RunOutcome::RolledBack),
        Phase::Aborted { .. } => Some(RunOutcome::Aborted),
        _ => None,
    };
}

fn told(Change { at, by, reason, weight_before, weight_after, .. }: &Change) -> WeightChange {
    WeightChange {
        at: *at,
        by: by.to_string(),
        from: (*weight_before).into(),
        to: (*weight_after).into(),
        reason: reason.name().to_owned(),
        message: reason.to_string(),
    }
}
