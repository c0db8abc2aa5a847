/*!
What the agent remembers between two lives: its state in one file, replaced whole after every change, and the audit
log, which only ever grows.

Neither is the truth about the weight; the ECDS file is. The state says what the agent was about.
*/
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::errors::chain;
use crate::folder_lock::FolderLock;
use crate::observe::counter_deltas::CounterDeltas;
use serin_rollout::{Change, Phase, Status, saved};

/// The agent's own folder.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    /// What was saved, but for when the release was looked at, and when that was.
    saved: (Vec<u8>, Option<Timestamp>),
    /// The revision of the last change in the audit log.
    audited: u64,
    _lock: FolderLock,
}

/// What is remembered of a release.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// `namespace/name`, so that one release's state is never taken for another's.
    pub release: String,
    /// The planner's.
    pub status: Status,
    /// The observer's.
    pub deltas: CounterDeltas,
    /// When the release was last looked at, by the clock of whoever did.
    pub looked: Option<Timestamp>,
}

/// How long nothing but that is not worth a write.
const REFRESH: SignedDuration = SignedDuration::from_secs(5);

/// The form in which a [`State`] is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    release: String,
    status: Value,
    #[serde(alias = "ledger")]
    deltas: CounterDeltas,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked: Option<Timestamp>,
}

/// A line of the audit log.
#[derive(Debug, Serialize, Deserialize)]
struct Entry<'e, C> {
    release: std::borrow::Cow<'e, str>,
    #[serde(flatten)]
    change: C,
}

impl Store {
    /// Opens the folder and recalls the state of `release`, if there is any.
    ///
    /// A state file that cannot be read is put aside, not lost; the agent then goes by the ECDS file alone.
    ///
    /// # Errors
    /// When the folder cannot be used, is another agent's, or belongs to another release.
    pub(super) fn open(folder: &Path, release: &str) -> anyhow::Result<(Self, State)> {
        fs::create_dir_all(folder)
            .with_context(|| format!("--state: {}: cannot make the folder", folder.display()))?;
        let lock = FolderLock::take(&folder.join(".lock"))
            .with_context(|| format!("--state: {}: cannot write there", folder.display()))?;
        let lock = lock.with_context(|| {
            let folder = folder.display();
            format!("--state: {folder}: another agent holds this folder: stop it, or give another one")
        })?;
        let saved = (Vec::new(), None);
        let mut store = Self { folder: folder.to_owned(), saved, audited: 0, _lock: lock };
        let fresh = State { release: release.to_owned(), ..State::default() };
        let mut state = store.recall()?.unwrap_or(fresh);
        anyhow::ensure!(
            state.release == release,
            "--state: {}: holds the state of {}, not of {release}: give another folder",
            folder.display(),
            state.release
        );
        store.audited = store.last_audited()?;
        // Should state and file both be lost, revisions still go on rising: a change with a revision that the log
        // has had would look written down already.
        state.status.revision = state.status.revision.max(store.audited);
        // The agent may have died between saving a decision and writing it down.
        store.audit(&state)?;
        Ok((store, state))
    }

    fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// The audit log, one JSON object a line.
    fn audit_file(&self) -> PathBuf {
        self.folder.join("audit.jsonl")
    }

    fn recall(&mut self) -> anyhow::Result<Option<State>> {
        let path = self.state_file();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{}: cannot read it", path.display())),
        };
        match serde_json::from_slice(&bytes) {
            Ok(Saved { release, status, deltas, looked }) => {
                // What a newer agent has written is left as it is, for one that can read it.
                let status = saved::read(status).unwrap_or_else(|why| Status::unreadable(&why));
                Ok(Some(State { release, status, deltas, looked }))
            }
            Err(error) => {
                let aside =
                    self.folder.join(format!("state.unreadable-{}.json", Timestamp::now().as_second()));
                fs::rename(&path, &aside)?;
                tracing::warn!(%error, kept = %aside.display(), "the state file is unreadable; going by the ECDS file");
                Ok(None)
            }
        }
    }

    /// Saves `state`, if it has changed, and writes its last change of the weight into the audit log, if it is not
    /// there yet. A log that cannot be written holds nobody, least of all on the way back: the error is logged, and the
    /// change is written with the next save, if none has come after it.
    ///
    /// # Errors
    /// When the state cannot be written; the old state is still there then.
    pub(super) fn save(&mut self, state: &State) -> anyhow::Result<()> {
        if let Phase::Unreadable { .. } = state.status.phase {
            return Ok(());
        }
        let State { release, status, deltas, looked } = state.clone();
        let mut form = Saved { release, status: saved::write(&status), deltas, looked: None };
        let rest = serde_json::to_vec(&form)?;
        let (saved, saved_looked) = &self.saved;
        let is_old = saved_looked
            .zip(looked)
            .is_none_or(|(before, looked)| looked.duration_since(before).abs() >= REFRESH);
        if rest != *saved || is_old {
            form.looked = looked;
            let bytes = serde_json::to_vec(&form)?;
            let path = self.state_file();
            let context = || format!("{}: cannot write it", path.display());
            let mut file = tempfile::NamedTempFile::new_in(&self.folder).with_context(context)?;
            file.write_all(&bytes).with_context(context)?;
            file.persist(&path).with_context(context)?;
            self.saved = (rest, looked);
        }
        if let Err(error) = self.audit(state) {
            tracing::error!("a change of the weight is not in the audit log: {}", chain(error.as_ref()));
        }
        Ok(())
    }

    fn audit(&mut self, state: &State) -> anyhow::Result<()> {
        let Some(change) = state.status.last_change.as_ref().filter(|change| change.revision > self.audited)
        else {
            return Ok(());
        };
        let path = self.audit_file();
        let context = || format!("{}: cannot write it", path.display());
        let mut line = serde_json::to_vec(&Entry::<&Change> { release: (&state.release).into(), change })?;
        line.push(b'\n');
        let mut file = OpenOptions::new().create(true).append(true).open(&path).with_context(context)?;
        file.write_all(&line).with_context(context)?;
        file.sync_data().with_context(context)?;
        self.audited = change.revision;
        Ok(())
    }

    fn last_audited(&self) -> anyhow::Result<u64> {
        let path = self.audit_file();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error).with_context(|| format!("{}: cannot read it", path.display())),
        };
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        // A line cut off by a crash is none: its change is written again.
        let revisions = lines.filter_map(|line| serde_json::from_str::<Entry<'_, Change>>(&line).ok());
        Ok(revisions.map(|entry| entry.change.revision).max().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serin_policy::Weight;
    use serin_rollout::{Actor, Event};

    use super::*;

    #[test]
    fn when_it_was_last_looked_is_kept_and_worth_no_write_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut state) = Store::open(folder.path(), "shop/shop").unwrap();
        let mut check = |look: i64, run: &str, kept: i64| {
            state.status.run = run.to_owned();
            state.looked = Some(Timestamp::from_second(look).unwrap());
            store.save(&state).unwrap();
            let found = store.recall().unwrap().unwrap().looked;
            assert_eq!(found.map(Timestamp::as_second), Some(kept), "{look}");
        };
        check(100, "v2", 100);
        check(104, "v2", 100);
        check(105, "v2", 105);
        check(106, "v3", 106);
        // The clock was set back.
        check(50, "v3", 50);
    }

    #[test]
    fn an_audit_log_that_cannot_be_written_holds_no_change_and_gets_it_later() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, mut state) = Store::open(folder.path(), "shop/shop").unwrap();
        state.status.run = "v2".to_owned();
        state.status.last_change = Some(Change {
            at: Timestamp::UNIX_EPOCH,
            by: Actor::Planner,
            reason: Event::StepBegun { step: 1, of: 2, weight: Weight::ZERO, by: Actor::Planner }.into(),
            run: "v2".to_owned(),
            weight_before: Weight::ZERO,
            weight_after: Weight::ZERO,
            closed: false,
            revision: 7,
        });
        let in_the_way = store.audit_file();
        fs::create_dir(&in_the_way).unwrap();
        store.save(&state).unwrap();
        assert_eq!(store.recall().unwrap().unwrap().status.run, "v2");
        fs::remove_dir(&in_the_way).unwrap();
        store.save(&state).unwrap();
        assert_eq!(store.last_audited().unwrap(), 7);
    }
}
