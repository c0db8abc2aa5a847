/*!
`serin simulate`: what a release and a given traffic would make of a bad canary, and of a good one.

Simulated users come to a service whose canary has a fault, or none, and a rule watches: Serin's own planner and judge
as they are, Flagger's rule, and a z-test that is looked at all the time. [`Scenario::simulate`] plays many releases
under each and says how often and how soon the fault was caught, how many users met it, and how often a good canary
was thrown away. It is pure: the same [`Scenario`] gives the same [`Report`].

The way through the room: `population` draws users, `play` lets them come, `rules` watch, `figures` sums up.
*/
mod cells;
mod chance;
mod fault;
mod figures;
mod life;
mod moment;
mod normal;
mod pictures;
mod population;
mod report;
mod rules;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod trial;
mod world;

use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serin_policy::Weight;

pub use fault::{Change, Fault};
pub use figures::{Bad, Good, Range, Share};
pub use life::{Life, Named, Wrong};
pub use pictures::Picture;
pub use population::{Spread, Traffic};
pub use report::{Example, Report, RuleReport};
pub use table::{LifeReport, RULES, Row};
pub use trial::End;

use rules::{Flagger, Rule, Serin, ZTest};
use serin_release::{Pause, Release};
use trial::{Setup, Trial};

/// What is released where no Release is given: every default.
pub const DEFAULT_RELEASE: &str = "{apiVersion: serin.dev/v1alpha1, kind: Release, metadata: {name: simulated}, \
                                   spec: {service: {name: simulated}, canary: {version: simulated}}}";

/// How often Flagger's rule looks where nothing else is said.
const FLAGGER_INTERVAL: Duration = Duration::from_mins(1);

/// How often the z-test looks where nothing else is said: as often as a Prometheus scrapes.
const Z_TEST_INTERVAL: Duration = Duration::from_secs(15);

/// How many times as long as a release takes at least it is watched.
const PATIENCE: u32 = 4;

/// What is simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The release: its steps, and what its canary is judged by.
    pub release: Release,
    /// What users do.
    pub traffic: Traffic,
    /// What is not as in a quiet world.
    pub life: Life,
    /// What is wrong with the bad canary.
    pub fault: Fault,
    /// How many releases of each kind are played under each rule.
    pub runs: NonZeroU32,
    /// What chance is seeded with.
    pub seed: u64,
    /// How often every rule looks; none for Serin as often as the release says,
    /// Flagger's rule every minute and the z-test every 15 s.
    pub interval: Option<Duration>,
    /// How many failed checks are too many for Flagger's rule.
    pub threshold: u32,
}

/// The rules that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Serin,
    Flagger,
    ZTest,
    Sequential,
}

impl Scenario {
    /// Plays it all. It takes seconds, on every core there is.
    pub fn simulate(&self) -> Report {
        let rules = [Kind::Serin, Kind::Flagger, Kind::ZTest, Kind::Sequential].map(|kind| {
            let name = match kind {
                Kind::Serin => "Serin".to_owned(),
                Kind::Flagger => "Flagger's rule".to_owned(),
                Kind::ZTest => "peeking z-test".to_owned(),
                Kind::Sequential => "sequential test".to_owned(),
            };
            let (bad, good) = (self.plays(kind, self.fault), self.plays(kind, Fault::NONE));
            let interval = self.interval(kind);
            RuleReport { name, interval, bad: Bad::of(&bad), good: Good::of(&good) }
        });
        Report::new(self, rules.into(), [self.fault, Fault::NONE].map(|fault| self.example(fault)))
    }

    /// The first of the runs under Serin's rule, from look to look.
    fn example(&self, fault: Fault) -> Example {
        let mut rule = Serin::recording(&self.release);
        let end = self.play(&mut rule, fault, self.interval(Kind::Serin), 0).end;
        let (history, cohorts) = rule.into_history();
        Example { fault: fault.to_string(), steps: self.weights(), end, history, cohorts }
    }

    /// Plays every run under a new rule of this kind.
    fn plays(&self, kind: Kind, fault: Fault) -> Vec<Trial> {
        match kind {
            Kind::Serin => self.plays_under(fault, self.interval(kind), || Serin::new(&self.release)),
            Kind::Flagger => {
                self.plays_under(fault, self.interval(kind), || Flagger::new(&self.release, self.threshold))
            }
            Kind::ZTest => self.plays_under(fault, self.interval(kind), || ZTest::peeking(&self.release)),
            Kind::Sequential => {
                self.plays_under(fault, self.interval(kind), || ZTest::sequential(&self.release))
            }
        }
    }

    fn interval(&self, kind: Kind) -> Duration {
        self.interval.unwrap_or(match kind {
            Kind::Serin => self.release.analysis.interval,
            Kind::Flagger => FLAGGER_INTERVAL,
            Kind::ZTest | Kind::Sequential => Z_TEST_INTERVAL,
        })
    }

    /// Plays every run under a rule of its own, on every core. Each run has chances of its own, so that it does not
    /// matter which core plays it.
    fn plays_under<R: Rule>(
        &self,
        fault: Fault,
        interval: Duration,
        rule: impl Fn() -> R + Sync,
    ) -> Vec<Trial> {
        let play = |run: u32| self.play(&mut rule(), fault, interval, run);
        let runs = self.runs.get();
        let cores =
            thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
        let share = runs.div_ceil(cores);
        thread::scope(|scope| {
            let shares = (0..cores).map(|core| (core * share).min(runs)..((core + 1) * share).min(runs));
            let workers: Vec<_> =
                shares.map(|share| scope.spawn(|| share.map(play).collect::<Vec<_>>())).collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        })
    }

    /// Plays the run of this number under `rule`.
    fn play(&self, rule: &mut dyn Rule, fault: Fault, interval: Duration, run: u32) -> Trial {
        let steps = self.weights();
        let longest = self.shortest() * PATIENCE;
        let objective = Duration::from_millis(self.release.analysis.objective_ms.into());
        let (traffic, life) = (&self.traffic, &self.life);
        let setup = Setup { traffic, life, fault, steps: &steps, interval, longest, objective };
        let mut chance = StdRng::seed_from_u64(self.seed.wrapping_add(u64::from(run) << 32));
        setup.play(rule, &mut chance)
    }

    fn weights(&self) -> Vec<Weight> {
        self.release.steps.iter().map(|step| step.weight).collect()
    }

    /// How long a good canary takes at least until it is out.
    fn shortest(&self) -> Duration {
        let pauses = self.release.steps.iter().filter_map(|step| match step.pause {
            Pause::For(pause) => Some(pause),
            Pause::None | Pause::UntilApproved => None,
        });
        let looks = u32::try_from(self.release.steps.len()).unwrap_or(u32::MAX).saturating_add(1);
        let looking = self.interval.unwrap_or(FLAGGER_INTERVAL).saturating_mul(looks * 3);
        self.release.analysis.baseline + pauses.sum::<Duration>() + looking
    }
}
