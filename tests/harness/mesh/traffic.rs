/*!
Users of a shop, and what became of every single request.
*/
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_local::shop::ERROR_HEADER;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::backend::Answer;
use crate::client::Client;

/// How long a user waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How long traffic goes on if nobody stops it.
const LONGEST: Duration = Duration::from_mins(10);

/// Who asks, where, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The clients of the gateways; a user stays with one of them.
    pub entrances: Vec<Client>,
    /// The users.
    pub users: Vec<User>,
    /// Requests a second, of all users together. A user asks again only when the last answer is there.
    pub rate: NonZeroU32,
    /// What the order of users is drawn from.
    pub seed: u64,
}

impl Plan {
    /// Users who come in by gateways.
    pub fn at(gateways: &[SocketAddr], users: Vec<User>, rate: NonZeroU32, seed: u64) -> Self {
        Self { entrances: gateways.iter().map(|&address| Client::new(address)).collect(), users, rate, seed }
    }
}

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    headers: Vec<(String, String)>,
    keeps_cookies: bool,
}

impl User {
    /// Somebody who has been there before, and has this id in Serin's cookie.
    pub fn returning(id: &str) -> Self {
        Self::with_header("cookie", &format!("serin={id}"))
    }

    /// Somebody who sends a header and knows nothing of cookies.
    pub fn with_header(name: &str, value: &str) -> Self {
        Self { headers: vec![(name.to_owned(), value.to_owned())], keeps_cookies: false }
    }

    /// Somebody with a browser who has never been there, and keeps the cookie that they get.
    pub fn new_visitor() -> Self {
        Self { headers: vec![("sec-fetch-mode".to_owned(), "navigate".to_owned())], keeps_cookies: true }
    }

    fn take(&mut self, cookie: Option<&str>) {
        let Some(cookie) = cookie.filter(|_| self.keeps_cookies) else { return };
        let pair = cookie.split(';').next().unwrap_or_default();
        self.headers.retain(|(name, _)| name != "cookie");
        self.headers.push(("cookie".to_owned(), pair.to_owned()));
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose, as an index into the plan's users.
    pub user: usize,
    /// When it was sent, after the beginning.
    pub sent: Duration,
    /// How long the answer took.
    pub took: Duration,
    /// What they got.
    pub outcome: Outcome,
}

/// What a user got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer of this Deployment, which may be an error that it was told to make.
    Served {
        /// The Deployment.
        deployment: String,
        /// The version deployed there.
        version: String,
        /// Whether it is such an error.
        error: bool,
    },
    /// Anything else: nothing of that kind is any version's doing.
    Failed(String),
}

/// Users at work. They stop when this is dropped.
#[derive(Debug)]
pub struct Traffic {
    records: Arc<Mutex<Vec<Record>>>,
    stop: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl Traffic {
    /// Lets users loose.
    pub fn start(plan: Plan) -> Self {
        let records = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let work = tokio::spawn(work(plan, Arc::clone(&records), stopped));
        Self { records, stop, work }
    }

    /// What has happened so far.
    pub fn so_far(&self) -> Report {
        Report(self.records.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// How many requests have been answered, or given up, so far.
    pub fn requests(&self) -> usize {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sends nothing more, waits for the answers that are missing, and says what happened.
    ///
    /// # Errors
    /// When the users' own code fails.
    pub async fn stop(mut self) -> Result<Report> {
        self.stop.send_replace(true);
        (&mut self.work).await?;
        Ok(self.so_far())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn work(plan: Plan, records: Arc<Mutex<Vec<Record>>>, mut stopped: watch::Receiver<bool>) {
    let began = Instant::now();
    let mut chance = StdRng::seed_from_u64(plan.seed);
    let mut free: Vec<(usize, User)> = plan.users.into_iter().enumerate().collect();
    let mut busy = JoinSet::new();
    let mut tick = interval(Duration::from_secs(1) / plan.rate.get());
    // What was missed while everybody waited for an answer is not made up for.
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            () = sleep_until(began + LONGEST) => break,
            Some(done) = busy.join_next() => free.extend(done),
            _ = tick.tick(), if !free.is_empty() => {
                let (index, mut user) = free.swap_remove(chance.random_range(0..free.len()));
                let client = plan.entrances[index % plan.entrances.len()].clone();
                let records = Arc::clone(&records);
                busy.spawn(async move {
                    let asked = Instant::now();
                    let outcome = ask(&client, &mut user).await;
                    let (sent, took) = (asked.duration_since(began), asked.elapsed());
                    let record = Record { user: index, sent, took, outcome };
                    records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
                    (index, user)
                });
            }
        }
    }
    while busy.join_next().await.is_some() {}
}

async fn ask(client: &Client, user: &mut User) -> Outcome {
    let headers: Vec<(&str, &str)> =
        user.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = match timeout(TIMEOUT, client.get("/", &headers)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Outcome::Failed(format!("{error:#}")),
        Err(_) => return Outcome::Failed("no answer in time".to_owned()),
    };
    let error = answer.header(ERROR_HEADER.as_str()).is_some();
    let said = serde_json::from_str::<Answer>(&answer.body).ok();
    match said.filter(|_| error || answer.status == 200) {
        Some(Answer { deployment, version, .. }) => {
            user.take(answer.header("set-cookie"));
            Outcome::Served { deployment, version, error }
        }
        None => Outcome::Failed(format!("{} {}", answer.status, answer.body)),
    }
}

/// What became of all requests, in the order of their ends.
#[derive(Debug, Clone, Default)]
pub struct Report(pub Vec<Record>);

impl Report {
    /// Those that failed for a reason that is no version's.
    pub fn failures(&self) -> Vec<&Record> {
        self.0.iter().filter(|record| matches!(record.outcome, Outcome::Failed(_))).collect()
    }

    /// Those that a version answered with an error: the first was sent when it was first bad, and so the last.
    pub fn errors(&self) -> Vec<&Record> {
        self.0.iter().filter(|record| matches!(record.outcome, Outcome::Served { error: true, .. })).collect()
    }

    /// The users who met such an error.
    pub fn users_with_errors(&self) -> BTreeSet<usize> {
        self.errors().into_iter().map(|record| record.user).collect()
    }

    /// The Deployments that served each user, in that order, each as often as they came to it.
    pub fn journeys(&self) -> BTreeMap<usize, Vec<&str>> {
        let mut journeys: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for record in &self.0 {
            if let Outcome::Served { deployment, .. } = &record.outcome {
                let journey = journeys.entry(record.user).or_default();
                if journey.last() != Some(&deployment.as_str()) {
                    journey.push(deployment);
                }
            }
        }
        journeys
    }
}
