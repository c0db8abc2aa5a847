/*!
Every proxy in the background: each is asked once an interval, for all releases that want to know, and a look takes what
was answered last.

No look waits for the network, but for a moment where a proxy was never asked before. A fixed number is asked at the same
time. Those that did not answer last time are counted by themselves: waiting for them takes no place from the others.
*/
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::beat::Beat;
use super::scrape::{DEADLINE, Sample, ScrapeError};

/// How many are asked at the same time of those that answered last time, and as many of the others.
const AT_ONCE: usize = 32;

/// How long a look waits for the first answer of a proxy.
const FIRST_ANSWER: Duration = Duration::from_millis(500);

/// How long before a look the last proxy is asked: long enough for its answer, in the same cluster.
const MARGIN: Duration = Duration::from_millis(50);

/// Proxies are asked so long after one another, if there is time for that.
const SPACING: Duration = Duration::from_millis(1);

/// Until a release says how often it looks.
const AT_FIRST: Duration = Duration::from_secs(10);

/// A proxy that no release has wanted to know of for so long is asked no more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Asks a proxy how it is.
pub trait Ask: Send + Sync + 'static {
    /// Asks the one at `address`. That comes to an end within the [`DEADLINE`].
    fn ask(&self, address: IpAddr) -> impl Future<Output = Result<Sample, ScrapeError>> + Send;
}

/// The latest of a proxy.
#[derive(Debug, Clone)]
pub struct Latest {
    /// When it was asked.
    pub at: Timestamp,
    /// What it said, or why there is nothing that one could go by.
    pub sample: Result<Arc<Sample>, String>,
}

/// Asks proxies in the background.
#[derive(Debug)]
pub struct Sampler<A> {
    beat: Beat,
    shared: Arc<Shared<A>>,
    proxies: Mutex<HashMap<IpAddr, Proxy>>,
}

#[derive(Debug)]
struct Shared<A> {
    ask: A,
    answering: Semaphore,
    others: Semaphore,
    /// How many proxies there are.
    count: watch::Sender<u32>,
}

/// A proxy that is asked until this is dropped, or nobody wants to know any more.
#[derive(Debug)]
struct Proxy {
    pace: watch::Sender<Pace>,
    latest: watch::Receiver<Option<Answer>>,
    task: JoinHandle<()>,
}

/// How often a proxy is asked.
#[derive(Debug, Clone, Copy)]
struct Pace {
    every: Duration,
    /// When that was set.
    since: Instant,
    /// When it was last wanted so often.
    wanted: Instant,
    /// When it was last wanted at all.
    known: Instant,
}

#[derive(Debug, Clone)]
struct Answer {
    asked: Instant,
    latest: Latest,
}

impl<A: Ask> Sampler<A> {
    /// Asks nobody yet.
    pub fn new(ask: A, beat: Beat) -> Self {
        let shared = Shared {
            ask,
            answering: Semaphore::new(AT_ONCE),
            others: Semaphore::new(AT_ONCE),
            count: watch::Sender::new(0),
        };
        Self { beat, shared: Arc::new(shared), proxies: Mutex::default() }
    }

    /// The latest of each of `proxies`. One that was never asked is, and is waited for a moment.
    pub async fn latest(&self, proxies: &[IpAddr]) -> Vec<Latest> {
        let known: Vec<_> = {
            let mut all = self.lock();
            proxies.iter().map(|proxy| self.known(&mut all, *proxy)).collect()
        };
        let until = Instant::now() + FIRST_ANSWER;
        // While one is waited for, all are being asked.
        for (_, answers) in known.iter().filter(|(_, answers)| answers.borrow().is_none()) {
            let _ = timeout_at(until, answers.clone().wait_for(Option::is_some)).await;
        }
        known.into_iter().map(|(pace, answers)| pace.latest(answers.borrow().clone())).collect()
    }

    /// Asks `proxies` once in `every` from now on, or more often if another release wants it so.
    pub fn want(&self, proxies: &[IpAddr], every: Duration) {
        let all = self.lock();
        for proxy in proxies.iter().filter_map(|proxy| all.get(proxy)) {
            proxy.pace.send_if_modified(|pace| pace.want(every));
        }
    }

    /// Asks nobody any more.
    pub fn stop(&self) {
        self.lock().clear();
        self.shared.count.send_replace(0);
    }

    fn known(
        &self,
        all: &mut HashMap<IpAddr, Proxy>,
        address: IpAddr,
    ) -> (Pace, watch::Receiver<Option<Answer>>) {
        if all.get(&address).is_none_or(|proxy| proxy.task.is_finished()) {
            all.retain(|_, proxy| !proxy.task.is_finished());
            all.insert(address, Proxy::begin(address, Arc::clone(&self.shared), self.beat));
            self.shared.count.send_replace(u32::try_from(all.len()).unwrap_or(u32::MAX));
        }
        let proxy = &all[&address];
        let pace = *proxy.pace.borrow();
        (pace, proxy.latest.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Proxy>> {
        self.proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    fn begin<A: Ask>(address: IpAddr, shared: Arc<Shared<A>>, beat: Beat) -> Self {
        let now = Instant::now();
        let (pace, paces) = watch::channel(Pace { every: AT_FIRST, since: now, wanted: now, known: now });
        let (answers, latest) = watch::channel(None);
        let task = tokio::spawn(shared.keep_asking(address, beat, paces, answers));
        Self { pace, latest, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<A: Ask> Shared<A> {
    async fn keep_asking(
        self: Arc<Self>,
        address: IpAddr,
        beat: Beat,
        mut pace: watch::Receiver<Pace>,
        answers: watch::Sender<Option<Answer>>,
    ) {
        // Which of them is asked first is the same before each look, and chance.
        let order = RandomState::new().hash_one(address) % 1000;
        let mut answered = false;
        while pace.borrow().is_known() {
            let slots = if answered { &self.answering } else { &self.others };
            let slot = slots.acquire().await;
            let (at, asked) = (Timestamp::now(), Instant::now());
            let sample = self.ask.ask(address).await.map(Arc::new).map_err(|error| error.to_string());
            drop(slot);
            answered = sample.is_ok();
            answers.send_replace(Some(Answer { asked, latest: Latest { at, sample } }));
            let now = Instant::now();
            loop {
                let every = pace.borrow_and_update().every;
                let next = beat.before_look(every, self.lead(every, order), now);
                tokio::select! {
                    () = sleep_until(next) => break,
                    changed = pace.changed() => if changed.is_err() { return },
                }
            }
        }
    }

    /// How long before a look the proxy is asked that is the `order`th of a thousand.
    fn lead(&self, every: Duration, order: u64) -> Duration {
        let spread = (SPACING * *self.count.borrow()).min(every / 2);
        MARGIN.min(every / 4) + spread * u32::try_from(order).unwrap_or_default() / 1000
    }
}

impl Pace {
    /// Takes down that it is wanted once in `every`; says whether that changes anything.
    fn want(&mut self, every: Duration) -> bool {
        let now = Instant::now();
        self.known = now;
        // Whoever wanted it more often has not said so any more.
        let is_over = now - self.wanted > self.every * 3;
        if every > self.every && !is_over {
            return false;
        }
        self.wanted = now;
        let changes = every != self.every;
        if changes {
            (self.every, self.since) = (every, now);
        }
        changes
    }

    fn is_known(self) -> bool {
        self.known.elapsed() < FORGOTTEN_AFTER.max(self.every * 3)
    }

    /// What there is to go by in an `answer`.
    fn latest(self, answer: Option<Answer>) -> Latest {
        let silent = |why| Latest { at: Timestamp::now(), sample: Err(why) };
        let Some(Answer { asked, latest }) = answer else {
            return silent("it has not answered yet".to_owned());
        };
        // Asked as often as now, it would have said something newer, or nothing.
        if asked.max(self.since).elapsed() > self.every * 2 + DEADLINE {
            // Without how long: what goes on is news once, and not with every second.
            return silent("it has stopped answering".to_owned());
        }
        latest
    }
}

#[cfg(test)]
mod tests;
