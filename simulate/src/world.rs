/*!
Users who come, and what becomes of their requests.

Requests of many users at constant rates are one Poisson process, and so is each kind of answer among them. So good
answers are only counted; of bad ones it is also drawn who got them, since it matters whether they are many.
*/
use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Poisson};
use serin_policy::{Arm, Cohort, Weight};

use super::cells::{Cells, ENOUGH_SEEN};
use super::fault::{Change, Fault};
use super::life::{COLD, Onset, PEAK, RETRIES_S, Wrong};
use super::normal;
use super::population::{FAILED_BY_CANARY, Group, Population, User};
use super::rules::Counted;
use super::trial::Setup;
use serin_rollout::{ArmCounts, Cell, Drawn, EDGES_MS, MetricReading, MetricValue, ROUTE_GROUPS};

/// What one play's users meet.
pub(super) struct World<'s> {
    setup: Setup<'s>,
    population: Population,
    now: Duration,
    /// The weight, the step (0 before the first) and since when it is so.
    stage: (Weight, usize, Duration),
    /// When the canary got its first share.
    exposed_at: Option<Duration>,
    /// For how long its fault was there.
    faulty: Duration,
    /// Requests that are tried again: when, by whom, of which cohort, for the how-manieth time.
    retries: VecDeque<(f64, User, usize, usize)>,
    /// By user: whether they met the fault.
    met: Vec<bool>,
    answers: u64,
    cells: Cells,
    times: Times,
    own_metric_is_out: bool,
    next_reading: Duration,
}

/// How long requests take: log-normal.
#[derive(Clone, Copy)]
struct Times {
    /// ln of the median in milliseconds.
    median: f64,
    sigma: f64,
    objective: f64,
}

/// How often a route of its own is asked for where one is dead.
const DEAD_ROUTE: f64 = 0.005;
/// What the dead route's group is.
const ITS_GROUP: usize = 3;
/// The share of requests that blame the client, or whose caller leaves, on either version.
const CLIENTS_OWN: f64 = 0.002;
/// How often the metric of one's own is read.
const READING: Duration = Duration::from_secs(15);
/// Of excursions of one's own metric a reading is the last with this chance.
const EXCURSION_ENDS: f64 = 0.3;
impl<'s> World<'s> {
    pub(super) fn draw(setup: Setup<'s>, chance: &mut StdRng) -> Self {
        let population = Population::draw(setup.traffic, setup.life, setup.steps, chance);
        let users = usize::try_from(setup.traffic.users).unwrap_or(usize::MAX) + population.sessions.len();
        let objective = setup.objective.as_secs_f64() * 1000.0;
        let (median, p99) = setup.life.times_ms.unwrap_or((50.0, 0.0));
        let sigma = if p99 > 0.0 {
            (p99 / median).ln() / normal::quantile(0.99)
        } else {
            (objective / median).ln() / normal::quantile(1.0 - setup.traffic.slow.share().clamp(1e-6, 0.5))
        };
        Self {
            setup,
            population,
            now: Duration::ZERO,
            stage: (Weight::ZERO, 0, Duration::ZERO),
            exposed_at: None,
            faulty: Duration::ZERO,
            retries: VecDeque::new(),
            met: vec![false; users],
            answers: 0,
            cells: Cells::default(),
            times: Times { median: median.ln(), sigma, objective },
            own_metric_is_out: false,
            next_reading: READING,
        }
    }

    pub(super) const fn now(&self) -> Duration {
        self.now
    }

    pub(super) const fn faulty(&self) -> Duration {
        self.faulty
    }

    /// Answers that the fault made bad, and how many users got any.
    pub(super) fn met(&self) -> (u64, u64) {
        (self.answers, self.met.iter().filter(|met| **met).count() as u64)
    }

    /// What proxies count until the next look, while the canary has the share `weight`.
    pub(super) fn interval(&mut self, weight: Weight, chance: &mut StdRng) -> Counted {
        if weight != self.stage.0 {
            let step = self.setup.steps.iter().take_while(|step| **step <= weight).count();
            self.stage = (weight, step, self.now);
        }
        if weight > Weight::ZERO {
            self.exposed_at.get_or_insert(self.now);
        }
        let mut sums = vec![ArmCounts::default(); self.population.cohorts.len()];
        let until = self.now + self.setup.interval;
        let tick = if self.setup.life.is_of_moments() { Duration::from_secs(1) } else { self.setup.interval };
        while self.now < until {
            let tick = tick.min(until.saturating_sub(self.now));
            self.tick(tick, &mut sums, chance);
            self.now += tick;
        }
        let mut cells = Vec::with_capacity(sums.len());
        for (i, counts) in sums.into_iter().enumerate().filter(|(_, counts)| counts.requests > 0) {
            let arm = self.arm(i);
            let cohort = if i < self.setup.steps.len() { Cohort::Step(i) } else { Cohort::Rest };
            cells.push(Cell { place: "gateway".to_owned(), drawn: Drawn::Cohort(cohort), arm, counts });
        }
        self.see(&cells, chance);
        Counted { cells, users: self.cells.counts(), readings: self.readings(chance) }
    }

    fn arm(&self, cohort: usize) -> Arm {
        let weight = self.stage.0;
        let moved = self.setup.steps.get(cohort).map_or(weight == Weight::FULL, |step| *step <= weight);
        if moved { Arm::Canary } else { Arm::Stable }
    }

    fn tick(&mut self, tick: Duration, sums: &mut [ArmCounts], chance: &mut StdRng) {
        let life = self.setup.life;
        let seconds = tick.as_secs_f64();
        let exposed = self.exposed_at.map(|at| self.now.saturating_sub(at));
        let growth = self.growth(exposed);
        if exposed.is_some() && growth > 0.0 {
            self.faulty += tick;
        }
        let trouble = self.trouble();
        let peak = exposed.map_or(0.0, |exposed| life.peak(exposed));
        let cold = self.cold();
        for i in 0..self.population.cohorts.len() {
            let arm = self.arm(i);
            let on_canary = arm == Arm::Canary;
            for kind in 0..3 {
                let Some(group) = self.population.cohorts.get(i).and_then(|groups| groups.get(kind)) else {
                    continue;
                };
                let (rps, own) = (group.rps(), group.errors);
                if rps <= 0.0 {
                    continue;
                }
                let all = poisson(rps * seconds, chance);
                if on_canary && let Wrong::ClientErrors | Wrong::Silent = life.wrong {
                    self.answers += all;
                    let Some(sum) = sums.get_mut(i) else { continue };
                    sum.requests += all;
                    let kind =
                        if life.wrong == Wrong::Silent { &mut sum.left } else { &mut sum.client_errors };
                    *kind += all;
                    continue;
                }
                let fault = if on_canary { self.setup.fault } else { Fault::NONE };
                let mut more = fault.errors.growth(own) * if on_canary { growth } else { 0.0 };
                if on_canary && kind == FAILED_BY_CANARY {
                    more += 0.3;
                }
                if on_canary && life.wrong == Wrong::Route {
                    more += DEAD_ROUTE;
                }
                let share = |share: f64| share.clamp(0.0, 1.0);
                let at_a_time = self.setup.traffic.spread.at_a_time();
                let tries = if life.retries { 5.0 } else { 1.0 };
                let own =
                    binomial(all, share((own + trouble) / at_a_time / tries), chance) * whole(at_a_time);
                let added = binomial(all, share(more), chance);
                let failed = (own + added).min(all);
                let slowness = self.slowness(arm, fault.slow, peak, cold);
                let mut counts = self.timed(all - failed, slowness, chance);
                counts.requests = all;
                counts.errors = failed;
                counts.client_errors = binomial(all - failed, CLIENTS_OWN, chance);
                counts.left = binomial(all - failed, CLIENTS_OWN, chance);
                let its_own = self.setup.fault.slow != Change::Times(1.0) || life.slower > 0.0;
                if on_canary && its_own {
                    self.answers += counts.slow;
                }
                self.who_failed(i, kind, arm, (own, added), at_a_time, &mut counts, chance);
                self.who_was_slow(i, kind, arm, counts.slow, its_own && on_canary, chance);
                if let Some(sum) = sums.get_mut(i) {
                    sum.add(counts);
                }
            }
        }
        self.clients_fail(seconds, sums, chance);
        self.try_again(sums, chance);
    }

    /// How much of the fault there is, 0 to 1.
    fn growth(&self, exposed: Option<Duration>) -> f64 {
        let Some(exposed) = exposed else { return 0.0 };
        match self.setup.life.onset {
            Onset::AtOnce => 1.0,
            Onset::At(weight) => f64::from(u8::from(self.stage.0 >= weight)),
            Onset::Within(time) => (exposed.as_secs_f64() / time.as_secs_f64()).min(1.0),
        }
    }

    /// The share of requests that fails on either version.
    fn trouble(&self) -> f64 {
        let Some(trouble) = self.setup.life.trouble else { return 0.0 };
        let (_, step, since) = self.stage;
        let begins = since + trouble.after;
        let is_now = step == trouble.step && self.now >= begins && self.now < begins + trouble.lasts;
        if is_now { trouble.errors } else { 0.0 }
    }

    /// The share of the canary's requests that cold pods make slow.
    fn cold(&self) -> f64 {
        let Some(cold) = self.setup.life.cold else { return 0.0 };
        let since = if cold.at_each_step { Some(self.stage.2) } else { self.exposed_at };
        let is_now = self.exposed_at.is_some() && since.is_some_and(|since| self.now < since + COLD);
        if is_now { cold.share } else { 0.0 }
    }

    /// By which factor requests take longer, and the share of them that is slow besides.
    fn slowness(&self, arm: Arm, slow: Change, peak: f64, cold: f64) -> (f64, f64) {
        let life = self.setup.life;
        let base = self.setup.traffic.slow.share();
        // The factor that makes the share of slow requests what it is at the peak.
        let z = normal::quantile(1.0 - base.clamp(1e-6, 0.5)) - normal::quantile(1.0 - PEAK);
        let shared = (peak * z * self.times.sigma).exp();
        match arm {
            Arm::Stable => (shared, 0.0),
            Arm::Canary => {
                let slower = if life.slower > 0.0 { life.slower } else { 1.0 };
                (shared * slower, cold + slow.growth(base))
            }
        }
    }

    /// Times of so many answers.
    fn timed(&self, answers: u64, (factor, besides): (f64, f64), chance: &mut StdRng) -> ArmCounts {
        let mut counts = ArmCounts { timed: answers, ..ArmCounts::default() };
        let slow = binomial(answers, besides.min(1.0), chance);
        // From the slowest to the fastest, each edge has some more of those that are left.
        let (mut left, mut beyond, mut before) = (answers - slow, 0, 0.0);
        for (i, edge) in EDGES_MS.iter().enumerate().rev() {
            let share = self.times.beyond(f64::from(*edge), factor);
            let more = binomial(left, ((share - before) / (1.0 - before)).clamp(0.0, 1.0), chance);
            (left, beyond, before) = (left - more, beyond + more, share);
            let cold = if f64::from(*edge) <= self.times.objective { slow } else { 0 };
            if let Some(count) = counts.slower_than.get_mut(i) {
                *count = beyond + cold;
            }
            if (f64::from(*edge) - self.times.objective).abs() < 1.0 {
                counts.slow = beyond + slow;
            }
        }
        counts
    }

    #[expect(clippy::too_many_arguments, reason = "who, where, and what")]
    fn who_failed(
        &mut self,
        cohort: usize,
        kind: usize,
        arm: Arm,
        (own, added): (u64, u64),
        at_a_time: f64,
        counts: &mut ArmCounts,
        chance: &mut StdRng,
    ) {
        let each = whole(at_a_time).max(1);
        for i in 0..own + added {
            let Some(user) = self.one_of(cohort, kind, chance) else { return };
            let is_fault = i >= own;
            if !is_fault && i % each != 0 {
                // One of a cluster: the same user's.
                Self::route(false, counts, chance);
                continue;
            }
            if is_fault {
                self.answers += 1;
                self.note_met(user);
            }
            self.cells.fails(user, arm);
            Self::route(is_fault && self.setup.life.wrong == Wrong::Route, counts, chance);
            if self.setup.life.retries {
                self.retries.push_back((self.now.as_secs_f64(), user, cohort, 0));
            }
        }
    }

    fn one_of(&self, cohort: usize, kind: usize, chance: &mut StdRng) -> Option<User> {
        let group: &Group = self.population.cohorts.get(cohort)?.get(kind)?;
        group.draw(chance)
    }

    fn note_met(&mut self, user: User) {
        if let Some(met) = self.met.get_mut(user as usize) {
            *met = true;
        }
    }

    fn route(is_dead: bool, counts: &mut ArmCounts, chance: &mut StdRng) {
        let group = if is_dead { ITS_GROUP } else { chance.random_range(0..ROUTE_GROUPS) };
        if let Some(count) = counts.failed_by_route.get_mut(group) {
            *count += 1;
        }
    }

    fn who_was_slow(
        &mut self,
        cohort: usize,
        kind: usize,
        arm: Arm,
        slow: u64,
        is_fault: bool,
        chance: &mut StdRng,
    ) {
        for _ in 0..slow {
            if !is_fault && self.cells.are_enough_slow(arm) {
                return;
            }
            let Some(user) = self.one_of(cohort, kind, chance) else { return };
            if is_fault {
                self.note_met(user);
            }
            self.cells.is_slow(user, arm);
        }
    }

    /// Clients whose time has come fail all their requests.
    fn clients_fail(&mut self, seconds: f64, sums: &mut [ArmCounts], chance: &mut StdRng) {
        let Some(sessions) = self.setup.life.sessions else { return };
        for i in 0..self.population.sessions.len() {
            let Some(client) = self.population.sessions.get(i).copied() else { return };
            let since = (self.now.as_secs_f64() - client.begins_s).rem_euclid(3600.0);
            let requests = poisson(sessions.rps * seconds, chance);
            let Some(sum) = sums.get_mut(client.cohort) else { continue };
            sum.requests += requests;
            if since < sessions.failing.as_secs_f64() {
                let arm = self.arm(client.cohort);
                for _ in 0..requests {
                    let mut counts = ArmCounts { errors: 1, ..ArmCounts::default() };
                    self.cells.fails(client.user, arm);
                    Self::route(false, &mut counts, chance);
                    if let Some(sum) = sums.get_mut(client.cohort) {
                        sum.add(counts);
                    }
                }
            }
        }
    }

    /// Failed requests whose time has come are tried again, and fail again.
    fn try_again(&mut self, sums: &mut [ArmCounts], chance: &mut StdRng) {
        let now = self.now.as_secs_f64();
        let mut still = VecDeque::new();
        while let Some((failed, user, cohort, tried)) = self.retries.pop_front() {
            let Some(after) = RETRIES_S.get(tried) else { continue };
            if now < failed + after {
                still.push_back((failed, user, cohort, tried));
                continue;
            }
            let mut counts = ArmCounts { requests: 1, errors: 1, ..ArmCounts::default() };
            let arm = self.arm(cohort);
            self.cells.fails(user, arm);
            Self::route(false, &mut counts, chance);
            if let Some(sum) = sums.get_mut(cohort) {
                sum.add(counts);
            }
            still.push_back((now, user, cohort, tried + 1));
        }
        self.retries = still;
    }

    /// Marks users of good answers as seen, until there are several.
    fn see(&mut self, cells: &[Cell], chance: &mut StdRng) {
        for cell in cells {
            let Drawn::Cohort(cohort) = cell.drawn else { continue };
            let cohort = match cohort {
                Cohort::Step(i) => i,
                Cohort::Rest => self.setup.steps.len(),
            };
            for _ in 0..cell.counts.requests.min(ENOUGH_SEEN.into()) {
                if self.cells.are_enough_seen(cell.arm) {
                    break;
                }
                if let Some(user) = self.one_of(cohort, 0, chance) {
                    self.cells.is_seen(user, cell.arm);
                }
            }
        }
    }

    /// What the metric of one's own says, when its time has come: a chain of excursions of three readings or so.
    fn readings(&mut self, chance: &mut StdRng) -> Vec<MetricReading> {
        let share = self.setup.life.own_metric;
        if share <= 0.0 || self.exposed_at.is_none() || self.now < self.next_reading {
            return Vec::new();
        }
        self.next_reading = self.now + READING;
        let begins = EXCURSION_ENDS * share / (1.0 - share);
        let changes = if self.own_metric_is_out { EXCURSION_ENDS } else { begins };
        self.own_metric_is_out ^= chance.random_bool(changes);
        let canary = MetricValue::Number(if self.own_metric_is_out { 2.0 } else { 0.0 });
        vec![MetricReading { name: "own".to_owned(), canary, stable: None }]
    }
}

impl Times {
    /// The share of requests that takes longer than so many milliseconds, where all take `factor` times as long.
    fn beyond(self, ms: f64, factor: f64) -> f64 {
        1.0 - normal::below((ms.ln() - self.median - factor.ln()) / self.sigma)
    }
}

/// A count that is `mean` on average.
fn poisson(mean: f64, chance: &mut StdRng) -> u64 {
    // Without a mean there is nothing to count.
    Poisson::new(mean).map_or(0, |distribution| whole(distribution.sample(chance)))
}

/// How many of `n` there are of which each is with this chance.
fn binomial(n: u64, share: f64, chance: &mut StdRng) -> u64 {
    if n == 0 || share <= 0.0 {
        return 0;
    }
    rand_distr::Binomial::new(n, share.min(1.0)).map_or(0, |distribution| distribution.sample(chance))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of one interval")]
fn whole(count: f64) -> u64 {
    count as u64
}
