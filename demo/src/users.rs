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
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::record::Record;
use crate::visit::{Door, Jar};

/// How many users may wait at a time. More than that only come when the service is down, and would bring the
/// machine down with it.
const MOST_WAITING: usize = 512;

/// How far behind a machine that stood still may catch up: users of an hour's sleep are gone.
const LARGEST_LAG: Duration = Duration::from_secs(1);

/// Who comes, where to, and how often.
#[derive(Debug, Clone)]
pub(super) struct UsersOptions {
    /// The proxy.
    pub(super) address: SocketAddr,
    /// The release's host.
    pub(super) host: String,
    /// The cookie that users keep.
    pub(super) cookie: String,
    /// The response header that names the version.
    pub(super) served_by: String,
    /// How many users there are.
    pub(super) count: NonZeroU32,
    /// Requests of all users per second.
    pub(super) rate: NonZeroU32,
    /// What their comings are drawn from.
    pub(super) seed: u64,
}

/// The users, out and about. They are gone when this is dropped.
#[derive(Debug)]
pub(super) struct Users {
    log: Arc<Mutex<Vec<Record>>>,
    rate: watch::Sender<NonZeroU32>,
    turned_away: watch::Receiver<u64>,
    _crowd: JoinSet<()>,
}

impl Users {
    /// Lets the users loose.
    pub(super) fn start(options: &UsersOptions) -> Result<Self> {
        let log = Arc::new(Mutex::new(Vec::new()));
        let (rate, rates) = watch::channel(options.rate);
        let (count, turned_away) = watch::channel(0);
        let crowd = Crowd::new(options, Arc::clone(&log))?;
        let crowd = JoinSet::from_iter([crowd.come(rates, count)]);
        Ok(Self { log, rate, turned_away, _crowd: crowd })
    }

    /// Moves what was written down since the last call to the end of `records`.
    pub(super) fn collect(&self, records: &mut Vec<Record>) {
        records.append(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How many requests were never made because too many users were waiting already.
    pub(super) fn turned_away(&self) -> u64 {
        *self.turned_away.borrow()
    }

    /// Changes how often users come.
    pub(super) fn set_rate(&self, rate: NonZeroU32) {
        self.rate.send_replace(rate);
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

    async fn come(mut self, rates: watch::Receiver<NonZeroU32>, turned_away: watch::Sender<u64>) {
        let mut waiting = JoinSet::new();
        let mut next = Instant::now();
        loop {
            next = (next + self.until_next(*rates.borrow())).max(Instant::now() - LARGEST_LAG);
            sleep_until(next).await;
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
    use crate::record::{Failure, Outcome};

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
        let users = Users::start(&options(address, 5, 2_000)).unwrap();
        collect(&users, 200).await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.iter().filter(|cookie| cookie.is_none()).count(), 5, "each of 5 users is new once");
        let mut cookies: Vec<_> = seen.iter().flatten().collect();
        cookies.sort();
        cookies.dedup();
        assert_eq!(cookies.len(), seen.len() - 5, "each cookie comes back once");
    }

    #[test]
    fn users_come_at_the_rate_that_was_set() {
        let anywhere = "127.0.0.1:1".parse().unwrap();
        let mut crowd = Crowd::new(&options(anywhere, 1, 1), Arc::default()).unwrap();
        for rate in [10_u32, 1_000] {
            let rate = NonZeroU32::new(rate).unwrap();
            let took: Duration = (0..10_000).map(|_| crowd.until_next(rate)).sum();
            let expected = 10_000.0 / f64::from(rate.get());
            assert!((took.as_secs_f64() / expected - 1.0).abs() < 0.05, "{took:?} at {rate} a second");
        }
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_fails_its_users_and_not_the_demo() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let users = Users::start(&options(address, 10, 500)).unwrap();
        let records = collect(&users, 10).await;
        assert!(records.iter().all(|record| record.outcome == Outcome::Failed(Failure::Broken)));
    }
}
