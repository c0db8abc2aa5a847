/*!
Users who come, and what becomes of their requests.

Requests of many users at constant rates are one Poisson process, and so is each kind of answer among them. So good
answers are only counted; of bad ones it is also drawn who got them, since it matters whether they are many.
*/
use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serin_policy::evidence::as_f64;
use serin_policy::{Arm, Cohort, Weight};

use super::cells::{Cells, ENOUGH_SEEN};
use super::chance::{Arrivals, binomial, whole};
use super::fault::Change;
use super::life::{PEAK, RETRIES_S, Wrong};
use super::moment::{Moment, Stage};
use super::normal;
use super::population::{Client, FAILED_BY_CANARY, GROUPS, Group, Population, User};
use super::rules::Counted;
use super::times::Times;
use super::trial::Setup;
use serin_rollout::{ArmCounts, Cell, Drawn, MetricReading, MetricValue, ROUTE_GROUPS};

/// What one play's users meet.
pub(super) struct World<'s> {
    setup: Setup<'s>,
    population: Population,
    stage: Stage,
    /// For how long its fault was there.
    faulty: Duration,
    /// Requests that are tried again: when, by whom, of which cohort, for the how-manieth time.
    retries: VecDeque<(f64, User, usize, usize)>,
    /// By user: whether they met the fault.
    met: Vec<bool>,
    answers: u64,
    cells: Cells,
    times: Times,
    /// Requests of each cohort's groups, and the length of the tick they are for.
    arrivals: (Duration, Vec<[Arrivals; GROUPS]>),
    own_metric_is_out: bool,
    next_reading: Duration,
}

/// Whose requests: their cohort, which of its groups, and the version they have.
#[derive(Clone, Copy)]
struct Who {
    cohort: usize,
    kind: usize,
    arm: Arm,
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
/// Of those whom the canary fails some requests, this share.
const FAILED_BY_IT: f64 = 0.3;

impl<'s> World<'s> {
    pub(super) fn draw(setup: Setup<'s>, chance: &mut StdRng) -> Self {
        let population = Population::draw(setup.traffic, setup.life, setup.steps, chance);
        let users = usize::try_from(setup.traffic.users).unwrap_or(usize::MAX) + population.sessions.len();
        Self {
            times: Times::new(&setup),
            setup,
            population,
            stage: Stage::default(),
            faulty: Duration::ZERO,
            retries: VecDeque::new(),
            met: vec![false; users],
            answers: 0,
            cells: Cells::default(),
            arrivals: (Duration::ZERO, Vec::new()),
            own_metric_is_out: false,
            next_reading: READING,
        }
    }

    pub(super) const fn now(&self) -> Duration {
        self.stage.now
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
        self.stage.turn(weight, self.setup.steps);
        let mut sums = vec![ArmCounts::default(); self.population.cohorts.len()];
        let until = self.stage.now + self.setup.interval;
        while self.stage.now < until {
            let tick = self.stage.next_change(self.setup.life, until).saturating_sub(self.stage.now);
            self.tick(tick, &mut sums, chance);
            self.stage.now += tick;
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
        let weight = self.stage.weight;
        let moved = self.setup.steps.get(cohort).map_or(weight == Weight::FULL, |step| *step <= weight);
        if moved { Arm::Canary } else { Arm::Stable }
    }

    fn tick(&mut self, length: Duration, sums: &mut [ArmCounts], chance: &mut StdRng) {
        let moment = self.stage.moment(self.setup.life);
        if moment.growth > 0.0 {
            self.faulty += length;
        }
        if self.arrivals.0 != length {
            let seconds = length.as_secs_f64();
            let arrivals = |groups: &[Group; GROUPS]| {
                groups.each_ref().map(|group| Arrivals::new(group.rps() * seconds))
            };
            self.arrivals = (length, self.population.cohorts.iter().map(arrivals).collect());
        }
        for (cohort, sum) in sums.iter_mut().enumerate() {
            let arm = self.arm(cohort);
            for kind in 0..GROUPS {
                let arrivals = self.arrivals.1.get(cohort).and_then(|groups| groups.get(kind)).copied();
                let requests = arrivals.map_or(0, |arrivals| arrivals.count(chance));
                if requests > 0 {
                    sum.add(self.answers(Who { cohort, kind, arm }, requests, moment, chance));
                }
            }
        }
        self.clients_fail(length.as_secs_f64(), sums, chance);
        self.try_again(sums, chance);
    }

    /// What becomes of so many requests.
    fn answers(&mut self, who: Who, requests: u64, moment: Moment, chance: &mut StdRng) -> ArmCounts {
        let life = self.setup.life;
        let on_canary = who.arm == Arm::Canary;
        if on_canary && matches!(life.wrong, Wrong::ClientErrors | Wrong::Silent) {
            return self.no_good_answers(who, requests, chance);
        }
        let (own, added) = self.failures(who, requests, moment, chance);
        let failed = (own + added).min(requests);
        let slowness = self.slowness(who.arm, moment);
        let mut counts = self.times.of(who.arm, requests - failed, slowness, chance);
        counts.requests = requests;
        counts.errors = failed;
        counts.client_errors = binomial(requests - failed, CLIENTS_OWN, chance);
        counts.left = binomial(requests - failed, CLIENTS_OWN, chance);
        let is_fault = on_canary && (self.setup.fault.slow != Change::Times(1.0) || life.slower > 0.0);
        if is_fault {
            self.answers += counts.slow;
        }
        self.who_failed(who, (own, added), &mut counts, chance);
        self.who_was_slow(who, counts.slow, is_fault, chance);
        counts
    }

    /// What a canary makes of requests that gives nobody a good answer.
    fn no_good_answers(&mut self, who: Who, requests: u64, chance: &mut StdRng) -> ArmCounts {
        self.answers += requests;
        for _ in 0..requests {
            if let Some(user) = self.one_of(who, chance) {
                self.note_met(user);
            }
        }
        match self.setup.life.wrong {
            Wrong::Silent => ArmCounts { requests, left: requests, ..ArmCounts::default() },
            _ => ArmCounts { requests, client_errors: requests, ..ArmCounts::default() },
        }
    }

    /// How many of so many requests fail as they do on stable, and how many more by the canary's fault.
    fn failures(&self, who: Who, requests: u64, moment: Moment, chance: &mut StdRng) -> (u64, u64) {
        let life = self.setup.life;
        let group = self.population.cohorts.get(who.cohort).and_then(|groups| groups.get(who.kind));
        let own = group.map_or(0.0, |group| group.errors);
        let mut more = 0.0;
        if who.arm == Arm::Canary {
            more += self.setup.fault.errors.growth(own) * moment.growth;
            if who.kind == FAILED_BY_CANARY {
                more += FAILED_BY_IT;
            }
            if life.wrong == Wrong::Route {
                more += DEAD_ROUTE;
            }
        }
        let at_a_time = self.setup.traffic.spread.at_a_time();
        let tries = if life.retries { as_f64(RETRIES_S.len() as u64 + 1) } else { 1.0 };
        let causes = binomial(requests, (own + moment.trouble) / at_a_time / tries, chance);
        (causes * whole(at_a_time), binomial(requests, more, chance))
    }

    /// By which factor requests take longer, and the share of them that is slow besides.
    fn slowness(&self, arm: Arm, moment: Moment) -> (f64, f64) {
        let base = self.setup.traffic.slow.share();
        let shared = if moment.peak > 0.0 {
            // The factor that makes the share of slow requests what it is at the peak.
            let z = normal::quantile(1.0 - base.clamp(1e-6, 0.5)) - normal::quantile(1.0 - PEAK);
            (moment.peak * z * self.times.sigma()).exp()
        } else {
            1.0
        };
        match arm {
            Arm::Stable => (shared, 0.0),
            Arm::Canary | Arm::Extra(_) => {
                let slower = self.setup.life.slower;
                let slower = if slower > 0.0 { slower } else { 1.0 };
                (shared * slower, moment.cold + self.setup.fault.slow.growth(base))
            }
        }
    }

    fn who_failed(
        &mut self,
        who: Who,
        (own, added): (u64, u64),
        counts: &mut ArmCounts,
        chance: &mut StdRng,
    ) {
        let each = whole(self.setup.traffic.spread.at_a_time()).max(1);
        for i in 0..own + added {
            let is_fault = i >= own;
            let is_same_users = i % each != 0;
            let matters_whose = self.setup.life.retries || !self.cells.have_all_failed(who.arm);
            if !is_fault && (is_same_users || !matters_whose) {
                Self::route(false, counts, chance);
                continue;
            }
            let Some(user) = self.one_of(who, chance) else { return };
            if is_fault {
                self.answers += 1;
                self.note_met(user);
            }
            self.cells.fails(user, who.arm);
            Self::route(is_fault && self.setup.life.wrong == Wrong::Route, counts, chance);
            if self.setup.life.retries {
                self.retries.push_back((self.stage.now.as_secs_f64(), user, who.cohort, 0));
            }
        }
    }

    fn one_of(&self, Who { cohort, kind, .. }: Who, chance: &mut StdRng) -> Option<User> {
        self.population.cohorts.get(cohort)?.get(kind)?.draw(chance)
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

    fn who_was_slow(&mut self, who: Who, slow: u64, is_fault: bool, chance: &mut StdRng) {
        for _ in 0..slow {
            if !is_fault && self.cells.are_enough_slow(who.arm) {
                return;
            }
            let Some(user) = self.one_of(who, chance) else { return };
            if is_fault {
                self.note_met(user);
            }
            self.cells.is_slow(user, who.arm);
        }
    }

    /// Clients whose time has come fail all their requests.
    fn clients_fail(&mut self, seconds: f64, sums: &mut [ArmCounts], chance: &mut StdRng) {
        let Some(sessions) = self.setup.life.sessions else { return };
        let now = self.stage.now.as_secs_f64();
        let fails = |begins_s: f64| (now - begins_s).rem_euclid(3600.0) < sessions.failing.as_secs_f64();
        let each = Arrivals::new(sessions.rps * seconds);
        for client in self.population.sessions.iter().filter(|client| fails(client.begins_s)) {
            let arm = self.arm(client.cohort);
            let Some(sum) = sums.get_mut(client.cohort) else { continue };
            for _ in 0..each.count(chance) {
                sum.requests += 1;
                sum.errors += 1;
                self.cells.fails(client.user, arm);
                Self::route(false, sum, chance);
            }
        }
        for (cohort, sum) in sums.iter_mut().enumerate() {
            let fine = |client: &&Client| client.cohort == cohort && !fails(client.begins_s);
            let clients = self.population.sessions.iter().filter(fine).count();
            sum.requests += Arrivals::new(as_f64(clients as u64) * sessions.rps * seconds).count(chance);
        }
    }

    /// Failed requests whose time has come are tried again, and fail again.
    fn try_again(&mut self, sums: &mut [ArmCounts], chance: &mut StdRng) {
        let now = self.stage.now.as_secs_f64();
        let mut still = VecDeque::new();
        while let Some((failed, user, cohort, tried)) = self.retries.pop_front() {
            let Some(after) = RETRIES_S.get(tried) else { continue };
            if now < failed + after {
                still.push_back((failed, user, cohort, tried));
                continue;
            }
            self.cells.fails(user, self.arm(cohort));
            if let Some(sum) = sums.get_mut(cohort) {
                sum.requests += 1;
                sum.errors += 1;
                Self::route(false, sum, chance);
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
                Cohort::Rest | Cohort::Lane(_) => self.setup.steps.len(),
            };
            for _ in 0..cell.counts.requests.min(ENOUGH_SEEN.into()) {
                if self.cells.are_enough_seen(cell.arm) {
                    break;
                }
                if let Some(user) = self.one_of(Who { cohort, kind: 0, arm: cell.arm }, chance) {
                    self.cells.is_seen(user, cell.arm);
                }
            }
        }
    }

    /// What the metric of one's own says, when its time has come: a chain of excursions of three readings or so.
    fn readings(&mut self, chance: &mut StdRng) -> Vec<MetricReading> {
        let share = self.setup.life.own_metric;
        if share <= 0.0 || self.stage.exposed_at.is_none() || self.stage.now < self.next_reading {
            return Vec::new();
        }
        self.next_reading = self.stage.now + READING;
        let begins = EXCURSION_ENDS * share / (1.0 - share);
        let changes = if self.own_metric_is_out { EXCURSION_ENDS } else { begins };
        self.own_metric_is_out ^= chance.random_bool(changes);
        let canary = MetricValue::Number(if self.own_metric_is_out { 2.0 } else { 0.0 });
        vec![MetricReading { name: "own".to_owned(), canary, stable: None }]
    }
}
