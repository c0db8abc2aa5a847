/*!
One release, played through: users come, a rule looks, until it has taken the canary back or given it to everybody.
*/
use std::time::Duration;

use rand::rngs::StdRng;
use rand_distr::{Distribution, Poisson};
use serin_policy::{Arm, Cohort, Weight};

use super::fault::Fault;
use super::population::{Population, Traffic};
use super::rules::{Rule, Stand};
use serin_rollout::{ArmCounts, Cell, Drawn};

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The canary was taken back.
    TakenBack,
    /// Everybody got the canary.
    Promoted,
    /// Neither, for as long as it was watched.
    Held,
}

/// What came of a release.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trial {
    pub(super) end: End,
    /// From when the canary got its first share until the end.
    pub(super) exposed: Duration,
    /// Looks in this time.
    pub(super) looks: u32,
    /// Answers that were bad because of the fault.
    pub(super) answers: u64,
    /// How many users got any of them.
    pub(super) users: f64,
}

/// What a release is played with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup<'s> {
    pub(super) traffic: &'s Traffic,
    pub(super) fault: Fault,
    pub(super) steps: &'s [Weight],
    /// From look to look.
    pub(super) interval: Duration,
    /// When to stop watching.
    pub(super) longest: Duration,
}

impl Setup<'_> {
    /// Plays a release under `rule`.
    pub(super) fn play(&self, rule: &mut dyn Rule, chance: &mut StdRng) -> Trial {
        let population = Population::draw(self.traffic, self.steps, chance);
        let mut met = vec![[0; 2]; population.cohorts.len()];
        let (mut now, mut exposed, mut looks) = (Duration::ZERO, Duration::ZERO, 0);
        let mut end = End::Held;
        while now < self.longest {
            let weight = match rule.stand() {
                Stand::At(weight) => weight,
                Stand::TakenBack => {
                    end = End::TakenBack;
                    break;
                }
                Stand::Promoted => {
                    end = End::Promoted;
                    break;
                }
            };
            let cells = self.interval(&population, weight, &mut met, chance);
            now += self.interval;
            if weight > Weight::ZERO {
                exposed += self.interval;
                looks += 1;
            }
            rule.look(&cells, now);
        }
        let groups = population.cohorts.iter().flatten().zip(met.iter().flatten());
        Trial {
            end,
            exposed,
            looks,
            answers: met.iter().flatten().sum(),
            users: groups.map(|(group, answers)| group.users_behind(*answers)).sum(),
        }
    }

    /// What proxies count in one interval. Answers that the fault made bad are added to `met`.
    ///
    /// Requests of many users at constant rates are one Poisson process, and so is each kind of answer among them.
    fn interval(
        &self,
        population: &Population,
        weight: Weight,
        met: &mut [[u64; 2]],
        chance: &mut StdRng,
    ) -> Vec<Cell> {
        let seconds = self.interval.as_secs_f64();
        let at_a_time = self.traffic.spread.at_a_time();
        let slow = self.traffic.slow.share();
        let mut cells = Vec::with_capacity(population.cohorts.len());
        for (i, (groups, met)) in population.cohorts.iter().zip(met).enumerate() {
            let moved = self.steps.get(i).map_or(weight == Weight::FULL, |step| *step <= weight);
            let (arm, fault) = if moved { (Arm::Canary, self.fault) } else { (Arm::Stable, Fault::NONE) };
            let mut counts = ArmCounts::default();
            for (group, met) in groups.iter().zip(met) {
                let more_errors = fault.errors.growth(group.errors);
                let in_time = 1.0 - group.errors - more_errors;
                let more_slow = fault.slow.growth(slow);
                let mut draw = |share: f64, at_a_time: f64| {
                    poisson(group.rps * seconds * share / at_a_time, chance) * whole(at_a_time)
                };
                let own = draw(group.errors, at_a_time);
                let added = draw(more_errors, at_a_time);
                let (own_slow, added_slow) = (draw(in_time * slow, 1.0), draw(in_time * more_slow, 1.0));
                let good = draw(in_time * (1.0 - slow - more_slow), 1.0);
                *met += added + added_slow;
                counts.add(ArmCounts {
                    requests: own + added + own_slow + added_slow + good,
                    errors: own + added,
                    afresh: own + added,
                    slow: own_slow + added_slow,
                    ..ArmCounts::default()
                });
            }
            if counts.requests > 0 {
                let cohort = if i < self.steps.len() { Cohort::Step(i) } else { Cohort::Rest };
                cells.push(Cell { place: "gateway".to_owned(), drawn: Drawn::Cohort(cohort), arm, counts });
            }
        }
        cells
    }
}

/// A count that is `mean` on average.
fn poisson(mean: f64, chance: &mut StdRng) -> u64 {
    // Without a mean there is nothing to count.
    Poisson::new(mean).map_or(0, |distribution| whole(distribution.sample(chance)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of one interval")]
fn whole(count: f64) -> u64 {
    count as u64
}
