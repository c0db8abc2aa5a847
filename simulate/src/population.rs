/*!
Simulated users: how much each does, whose requests fail, and which step of a release moves them.
*/
use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal};
use serin_policy::Weight;

use super::life::{Life, Wrong};
use serin_release::Percent;

/// What users do and how stable answers them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Traffic {
    /// Requests of all users per second.
    pub rps: f64,
    /// How many users there are.
    pub users: u32,
    /// How unlike users are in how much they do: σ of a log-normal distribution.
    pub activity: f64,
    /// The share of requests that fails on stable.
    pub errors: Percent,
    /// The share of requests that is slow on stable.
    pub slow: Percent,
    /// How failures are spread.
    pub spread: Spread,
}

/// How failures are spread over users and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Every request by itself.
    Independent,
    /// Besides those of the rest, 1 % of users fail 30 % of their requests, on either version.
    Sticky,
    /// So many at a time, all of one user.
    Clusters(u32),
}

/// The share of users who fail more than others where failures stick to users.
const BROKEN_USERS: f64 = 0.01;
/// The share of their requests that fails.
const BROKEN_REQUESTS: f64 = 0.3;
/// How many failures come at a time where nothing else is said.
const CLUSTER: u32 = 5;
/// The largest cluster that can be asked for.
const LARGEST_CLUSTER: u32 = 1000;

impl Spread {
    /// How many failures come at a time.
    pub(super) fn at_a_time(self) -> f64 {
        match self {
            Self::Independent | Self::Sticky => 1.0,
            Self::Clusters(size) => f64::from(size),
        }
    }
}

impl FromStr for Spread {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HINT: &str = "write independent, sticky, clusters, or clusters:N with N from 2 to 1000";
        match text.split_once(':') {
            None if text == "independent" => Ok(Self::Independent),
            None if text == "sticky" => Ok(Self::Sticky),
            None if text == "clusters" => Ok(Self::Clusters(CLUSTER)),
            Some(("clusters", size)) => {
                let size = size.parse().map_err(|_| HINT)?;
                (2..=LARGEST_CLUSTER).contains(&size).then_some(Self::Clusters(size)).ok_or(HINT)
            }
            _ => Err(HINT),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Independent => f.write_str("independent"),
            Self::Sticky => f.write_str("sticky"),
            Self::Clusters(size) => write!(f, "clusters:{size}"),
        }
    }
}

/// Users of one cohort whose requests fail alike.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// The users, and the sum of what they and all before them do, in requests per second.
    users: Vec<(f64, User)>,
    /// The share of requests that fails on stable.
    pub(super) errors: f64,
}

/// A user, by number.
pub(super) type User = u32;

impl Group {
    fn push(&mut self, user: User, rps: f64) {
        self.users.push((self.rps() + rps, user));
    }

    /// What all of them do, in requests per second.
    pub(super) fn rps(&self) -> f64 {
        self.users.last().map_or(0.0, |(sum, _)| *sum)
    }

    /// One of them, by how much each does; none where there are none.
    pub(super) fn draw(&self, chance: &mut StdRng) -> Option<User> {
        let at = chance.random_range(0.0..1.0) * self.rps();
        let user = self.users.partition_point(|(sum, _)| *sum <= at);
        self.users.get(user.min(self.users.len().checked_sub(1)?)).map(|(_, user)| *user)
    }
}

/// Users of a release, by the step that moves them; those whom only the promotion moves come last.
#[derive(Debug, Clone)]
pub(super) struct Population {
    /// Those who are as most are, those who often fail on either version, and those whom the canary fails.
    pub(super) cohorts: Vec<[Group; GROUPS]>,
    /// Clients that fail now and then, with when they begin to within the hour.
    pub(super) sessions: Vec<Client>,
}

/// A client that fails now and then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) user: User,
    pub(super) cohort: usize,
    /// Seconds after the full hour.
    pub(super) begins_s: f64,
}

/// How many groups a cohort has.
pub(super) const GROUPS: usize = 3;

/// Which of a cohort's groups the canary fails.
pub(super) const FAILED_BY_CANARY: usize = 2;

/// The share of users whom the canary fails, where it fails some.
const SEGMENT: f64 = 0.03;

impl Population {
    /// Draws users for a release with these steps: their points, what they do, and who of them often fails.
    pub(super) fn draw(traffic: &Traffic, life: &Life, steps: &[Weight], chance: &mut StdRng) -> Self {
        let base = traffic.errors.share();
        let group = |errors| Group { errors, ..Group::default() };
        let mut cohorts = vec![[group(base), group(BROKEN_REQUESTS.max(base)), group(base)]; steps.len() + 1];
        let activities = activities(traffic, chance);
        let scale = traffic.rps / activities.iter().sum::<f64>();
        let cohort = |chance: &mut StdRng| {
            let point = chance.random_range(0..Weight::FULL.ppm());
            steps.iter().take_while(|weight| weight.ppm() <= point).count()
        };
        for (user, activity) in (0..).zip(&activities) {
            let cohort = cohort(chance);
            let broken = traffic.spread == Spread::Sticky && chance.random_bool(BROKEN_USERS);
            let segment = life.wrong == Wrong::Segment && chance.random_bool(SEGMENT);
            let kind = if segment { FAILED_BY_CANARY } else { usize::from(broken) };
            if let Some(group) = cohorts.get_mut(cohort).and_then(|groups| groups.get_mut(kind)) {
                group.push(user, activity * scale);
            }
        }
        let clients = life.sessions.map_or(0, |sessions| sessions.clients);
        let first = User::try_from(activities.len()).unwrap_or(User::MAX);
        let client = |i| Client {
            user: first + i,
            cohort: cohort(chance),
            begins_s: chance.random_range(0.0..3600.0),
        };
        Self { cohorts, sessions: (0..clients).map(client).collect() }
    }
}

/// How much each user does, with no unit yet.
fn activities(traffic: &Traffic, chance: &mut impl Rng) -> Vec<f64> {
    let users = usize::try_from(traffic.users).unwrap_or(usize::MAX);
    match LogNormal::new(0.0, traffic.activity) {
        Ok(distribution) => distribution.sample_iter(chance).take(users).collect(),
        // A σ that is no number is refused where it is read.
        Err(_) => vec![1.0; users],
    }
}
