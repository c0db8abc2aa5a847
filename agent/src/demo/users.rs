/*!
Simulated users: they come at a set rate whether the service keeps up or not, each with a cookie jar, and each
writes down what they got.

A user waits for their answer before they ask again, so that the order of one user's versions is never in doubt.
*/
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::{OwnedMutexGuard, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep_until;

use crate::demo::record::Record;
use crate::demo::visit::{Door, Jar};

/// How many users may wait at a time. More than that only come when the service is down, and would bring the
/// machine down with it.
const MOST_WAITING: usize = 512;

/// How far behind a machine that stood still may catch up: users of an hour's sleep are gone.
const LARGEST_LAG: Duration = Duration::from_secs(1);

/// Who comes, where to, and how often.
#[derive(Debug, Clone)]
pub struct UsersOptions {
    /// The proxy.
    pub address: SocketAddr,
    /// The release's host.
    pub host: String,
    /// The cookie that users keep.
    pub cookie: String,
    /// The response header that names the version.
    pub served_by: String,
    /// How many users there are.
    pub count: NonZeroU32,
    /// Requests of all users per second.
    pub rate: NonZeroU32,
    /// What their comings are drawn from.
    pub seed: u64,
}

/// The users, out and about. They are gone when this is dropped.
#[derive(Debug)]
pub struct Users {
    log: Arc<Mutex<Vec<Record>>>,
    rate: watch::Sender<NonZeroU32>,
    turned_away: watch::Receiver<u64>,
    stop: oneshot::Sender<()>,
    crowd: JoinHandle<()>,
}

impl Users {
    /// Lets the users loose.
    pub fn start(options: UsersOptions) -> Result<Self> {
        let log = Arc::new(Mutex::new(Vec::new()));
        let (rate, rates) = watch::channel(options.rate);
        let (count, turned_away) = watch::channel(0);
        let (stop, stopped) = oneshot::channel();
        let crowd = Crowd::new(&options, Arc::clone(&log))?;
        let crowd = tokio::spawn(crowd.come(rates, count, stopped));
        Ok(Self { log, rate, turned_away, stop, crowd })
    }

    /// Moves what was written down since the last call to the end of `records`.
    pub fn collect(&self, records: &mut Vec<Record>) {
        records.append(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How many requests were never made because too many users were waiting already.
    pub fn turned_away(&self) -> u64 {
        *self.turned_away.borrow()
    }

    /// Changes how often users come.
    pub fn set_rate(&self, rate: NonZeroU32) {
        self.rate.send_replace(rate);
    }

    /// Lets nobody in any more, waits for those who are waiting, and returns what is not collected yet.
    pub async fn stop(self) -> Vec<Record> {
        let _ = self.stop.send(());
        // A crowd that panicked has its records in the log all the same.
        let _ = self.crowd.await;
        std::mem::take(&mut *self.log.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Crowd {
    chance: StdRng,
    /// Whoever is waiting for an answer holds on to their jar.
    jars: Vec<Arc<tokio::sync::Mutex<Jar>>>,
    door: Arc<Door>,
    log: Arc<Mutex<Vec<Record>>>,
}

impl Crowd {
    fn new(options: &UsersOptions, log: Arc<Mutex<Vec<Record>>>) -> Result<Self> {
        let chance = StdRng::seed_from_u64(options.seed);
        let jars = (0..options.count.get()).map(|_| Arc::default()).collect();
        Ok(Self { chance, jars, door: Arc::new(Door::new(options)?), log })
    }

    async fn come(
        mut self,
        rates: watch::Receiver<NonZeroU32>,
        turned_away: watch::Sender<u64>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut waiting = JoinSet::new();
        let mut next = tokio::time::Instant::now();
        loop {
            next = (next + self.until_next(*rates.borrow())).max(tokio::time::Instant::now() - LARGEST_LAG);
            tokio::select! {
                _ = &mut stopped => break,
                () = sleep_until(next) => {}
            }
            while waiting.try_join_next().is_some() {}
            let Some((user, mut jar)) = self.someone().filter(|_| waiting.len() < MOST_WAITING) else {
                turned_away.send_modify(|count| *count += 1);
                continue;
            };
            let (door, log) = (Arc::clone(&self.door), Arc::clone(&self.log));
            waiting.spawn(async move {
                let record = door.visit(user, &mut jar).await;
                log.lock().unwrap_or_else(PoisonError::into_inner).push(record);
            });
        }
        while waiting.join_next().await.is_some() {}
    }

    /// Comings that do not know of each other are this far apart.
    fn until_next(&mut self, rate: NonZeroU32) -> Duration {
        let share: f64 = self.chance.random();
        Duration::from_secs_f64(-(1.0 - share).ln() / f64::from(rate.get()))
    }

    /// A user who is not waiting for an answer.
    fn someone(&mut self) -> Option<(u32, OwnedMutexGuard<Jar>)> {
        const TRIES: u32 = 16;
        (0..TRIES).find_map(|_| {
            let index = self.chance.random_range(0..self.jars.len());
            let jar = Arc::clone(self.jars.get(index)?).try_lock_owned().ok()?;
            Some((u32::try_from(index).ok()?, jar))
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{COOKIE, HeaderMap, SET_COOKIE};

    use super::*;
    use crate::demo::record::{Failure, Outcome};

    const ANSWER: &str = r#"{"deployment": "canary", "version": "v2", "x-serin-version": "canary"}"#;

    /// A service that gives everybody a number in a cookie, and says how many came with theirs.
    async fn numbering() -> (SocketAddr, Arc<Mutex<Vec<Option<String>>>>) {
        let seen: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let answer = {
            let seen = Arc::clone(&seen);
            move |headers: HeaderMap| {
                let cookie = headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned());
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(cookie);
                    seen.len()
                };
                let cookie = (SET_COOKIE, format!("serin=number-{number}; Path=/"));
                async move {
                    (
                        [
                            cookie,
                            (hyper::header::HeaderName::from_static("x-served-by"), "canary".to_owned()),
                        ],
                        ANSWER,
                    )
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
        (address, seen)
    }

    fn options(address: SocketAddr, count: u32, rate: u32) -> UsersOptions {
        UsersOptions {
            address,
            host: "shop.example.com".to_owned(),
            cookie: "serin".to_owned(),
            served_by: "x-served-by".to_owned(),
            count: NonZeroU32::new(count).unwrap(),
            rate: NonZeroU32::new(rate).unwrap(),
            seed: 3,
        }
    }

    async fn collect(users: &Users, at_least: usize) -> Vec<Record> {
        let mut records = Vec::new();
        while records.len() < at_least {
            tokio::task::yield_now().await;
            users.collect(&mut records);
        }
        records
    }

    #[tokio::test]
    async fn every_user_sends_back_the_cookie_of_their_last_answer() {
        let (address, seen) = numbering().await;
        let users = Users::start(options(address, 5, 2_000)).unwrap();
        let mut records = collect(&users, 200).await;
        records.extend(users.stop().await);
        let seen = seen.lock().unwrap();
        assert_eq!(records.len(), seen.len());
        assert_eq!(seen.iter().filter(|cookie| cookie.is_none()).count(), 5, "each of 5 users is new once");
        let mut cookies: Vec<_> = seen.iter().flatten().collect();
        cookies.sort();
        cookies.dedup();
        assert_eq!(cookies.len(), seen.len() - 5, "each cookie comes back once");
    }

    #[tokio::test]
    async fn users_come_at_the_rate_that_was_set_and_that_can_be_changed() {
        let (address, _) = numbering().await;
        let users = Users::start(options(address, 1_000, 500)).unwrap();
        let took = |records: &[Record]| {
            let (first, last) = (records.first().unwrap().sent, records.last().unwrap().sent);
            last.duration_since(first).as_secs_f64()
        };
        let slowly = took(&collect(&users, 200).await);
        users.set_rate(NonZeroU32::new(2_000).unwrap());
        let quickly = took(&collect(&users, 200).await);
        assert!((0.25..0.7).contains(&slowly), "200 at 500 a second took {slowly} s");
        assert!(quickly < slowly / 2.0, "200 at 2,000 a second took {quickly} s, at 500 {slowly} s");
        assert_eq!(users.turned_away(), 0);
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_fails_its_users_and_not_the_demo() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let users = Users::start(options(address, 10, 500)).unwrap();
        let records = collect(&users, 10).await;
        assert!(records.iter().all(|record| record.outcome == Outcome::Failed(Failure::Broken)));
    }
}
