/*!
Counts of all releases in the background: each Prometheus is asked one query for all releases that have their counts from
it, and a look takes what was answered last.

No look waits for an answer, so a Prometheus that is slow or away holds up its own releases only, and they say so.
*/
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serin_release::prometheus::Access;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::asker::Asker;
use super::counts::Subject;
use super::sample::PromSample;
use crate::observe::beat::Beat;

/// How long before a look Prometheus is asked, at most.
const LEAD: Duration = Duration::from_millis(200);

/// What comes to be wanted within so long is asked for in one query.
const GATHER: Duration = Duration::from_millis(50);

/// A first answer that takes longer than this is worth a word.
const FIRST_ANSWER: Duration = Duration::from_millis(500);

/// And so is any other that takes longer than this.
const SLOW: Duration = Duration::from_secs(2);

/// Until a release says how often it looks.
const AT_FIRST: Duration = Duration::from_secs(10);

/// What no release has wanted for so long is asked for no more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// What a Prometheus knows of one release.
#[derive(Debug, Clone)]
pub enum Collected {
    /// Nothing yet: it is being asked for the first time.
    NotYet,
    /// The counters.
    Counters {
        /// As they were at this time.
        at: Timestamp,
        /// What they were.
        sample: Arc<PromSample>,
    },
    /// Nothing, and why.
    Outage(String),
}

/// Asks in the background, each Prometheus by itself.
#[derive(Debug)]
pub struct Collectors {
    beat: Beat,
    all: Mutex<Vec<Collector>>,
}

/// Asks one Prometheus, until this is dropped or nobody wants to know anything of it any more.
#[derive(Debug)]
struct Collector {
    access: Access,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// By release.
    wanted: Mutex<BTreeMap<String, Wanted>>,
    /// Something is to be asked for sooner.
    sooner: Notify,
}

/// What a release wants to know.
#[derive(Debug)]
struct Wanted {
    subject: Subject,
    every: Duration,
    /// When it was last wanted.
    known: Instant,
    /// Since when an answer may be expected: that is when it was last had, or wanted more often.
    since: Instant,
    /// When it was last asked for.
    asked: Option<Instant>,
    latest: Collected,
}

impl Collectors {
    /// Asks nobody yet.
    pub fn new(beat: Beat) -> Self {
        Self { beat, all: Mutex::default() }
    }

    /// What the Prometheus behind `access` last said of `subject`.
    pub fn latest(&self, access: &Access, subject: &Subject) -> Collected {
        let shared = self.shared(access);
        let mut all = shared.lock();
        if let Some(wanted) = all.get_mut(&subject.release).filter(|wanted| wanted.subject == *subject) {
            wanted.known = Instant::now();
            return wanted.collected(access);
        }
        all.insert(subject.release.clone(), Wanted::new(subject.clone()));
        shared.sooner.notify_one();
        Collected::NotYet
    }

    /// Has `subject` asked for once in `every` from now on.
    pub fn want(&self, access: &Access, subject: &Subject, every: Duration) {
        let shared = self.shared(access);
        let mut all = shared.lock();
        if let Some(wanted) = all.get_mut(&subject.release).filter(|wanted| wanted.every != every) {
            wanted.every = every;
            wanted.since = Instant::now();
            shared.sooner.notify_one();
        }
    }

    /// Asks nobody any more.
    pub fn stop(&self) {
        self.lock().clear();
    }

    fn shared(&self, access: &Access) -> Arc<Shared> {
        let mut all = self.lock();
        all.retain(|collector| !collector.task.is_finished());
        let known = all.iter().find(|collector| collector.access == *access);
        Arc::clone(match known {
            Some(collector) => &collector.shared,
            None => &all.push_mut(Collector::begin(access.clone(), self.beat)).shared,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Collector>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector {
    fn begin(access: Access, beat: Beat) -> Self {
        let shared = Arc::<Shared>::default();
        let task = tokio::spawn(keep_asking(access.clone(), Arc::clone(&shared), beat));
        Self { access, shared, task }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_asking(access: Access, shared: Arc<Shared>, beat: Beat) {
    let mut asker = Asker::new(access);
    loop {
        let due = match shared.due(beat) {
            Due::Now(due) => due,
            Due::At(at) => {
                if timeout_at(at, shared.sooner.notified()).await.is_ok() {
                    sleep(GATHER).await;
                }
                continue;
            }
            Due::Never => {
                if timeout(FORGOTTEN_AFTER, shared.sooner.notified()).await.is_err() {
                    return;
                }
                sleep(GATHER).await;
                continue;
            }
        };
        let at = Timestamp::now();
        for (subject, found) in asker.ask(due, at).await {
            shared.publish(&subject, at, found);
        }
    }
}

/// What is to be asked for.
enum Due {
    Now(Vec<Subject>),
    At(Instant),
    /// Nobody wants anything.
    Never,
}

impl Shared {
    /// Takes down that what is due is being asked for.
    fn due(&self, beat: Beat) -> Due {
        let now = Instant::now();
        let mut all = self.lock();
        all.retain(|_, wanted| wanted.is_known());
        let Some(first) = all.values().map(|wanted| wanted.due(beat)).min() else { return Due::Never };
        if first > now {
            return Due::At(first);
        }
        let due = all.values_mut().filter(|wanted| wanted.due(beat) <= now);
        let due = due.map(|wanted| {
            wanted.asked = Some(now);
            wanted.subject.clone()
        });
        Due::Now(due.collect())
    }

    fn publish(&self, subject: &Subject, at: Timestamp, found: Result<PromSample, String>) {
        let mut all = self.lock();
        // It may have been edited meanwhile.
        if let Some(wanted) = all.get_mut(&subject.release).filter(|wanted| wanted.subject == *subject) {
            wanted.since = Instant::now();
            wanted.latest = match found {
                Ok(sample) => Collected::Counters { at, sample: Arc::new(sample) },
                Err(why) => Collected::Outage(why),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    fn new(subject: Subject) -> Self {
        let now = Instant::now();
        Self { subject, every: AT_FIRST, known: now, since: now, asked: None, latest: Collected::NotYet }
    }

    fn is_known(&self) -> bool {
        self.known.elapsed() < FORGOTTEN_AFTER.max(self.every * 3)
    }

    fn due(&self, beat: Beat) -> Instant {
        let before = |asked| beat.before_look(self.every, LEAD.min(self.every / 5), asked);
        self.asked.map_or(self.since, before)
    }

    fn collected(&self, access: &Access) -> Collected {
        let expected = match self.latest {
            Collected::NotYet => FIRST_ANSWER,
            Collected::Counters { .. } => self.every * 2 + SLOW,
            // It is told until there is an answer.
            Collected::Outage(_) => Duration::MAX,
        };
        if self.since.elapsed() > expected {
            // Without how long: what goes on is news once, and not with every second.
            return Collected::Outage(format!("no answer from {} in time", access.query));
        }
        self.latest.clone()
    }
}
