/*!
How things are at a moment of a play, and for how long they stay so.
*/
use std::time::Duration;

use serin_policy::Weight;

use super::life::{COLD, Life, Onset, Trouble};

/// How far a play has come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stage {
    pub(super) now: Duration,
    /// The canary's share.
    pub(super) weight: Weight,
    /// The step, from 1; 0 before the first.
    step: usize,
    /// Since when it is so.
    since: Duration,
    /// When the canary got its first share.
    pub(super) exposed_at: Option<Duration>,
}

/// How things are for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// How much of the canary's fault there is, 0 to 1.
    pub(super) growth: f64,
    /// The share of requests that fails on either version.
    pub(super) trouble: f64,
    /// How much of the peak there is, 0 to 1.
    pub(super) peak: f64,
    /// The share of the canary's requests that cold pods make slow.
    pub(super) cold: f64,
}

/// For so long what grows is taken for constant.
const NEARLY_CONSTANT: Duration = Duration::from_secs(5);
/// The same where it matters when a single request comes.
const ONE_BY_ONE: Duration = Duration::from_secs(1);

impl Stage {
    /// From now on the canary has this share.
    pub(super) fn turn(&mut self, weight: Weight, steps: &[Weight]) {
        if weight != self.weight {
            let step = steps.iter().take_while(|step| **step <= weight).count();
            *self = Self { weight, step, since: self.now, ..*self };
        }
        if weight > Weight::ZERO {
            self.exposed_at.get_or_insert(self.now);
        }
    }

    /// When things are not as they are now any more: at `until`, at the latest.
    pub(super) fn next_change(&self, life: &Life, until: Duration) -> Duration {
        let single_requests = life.retries || life.sessions.is_some();
        let grows = life.peak || matches!(life.onset, Onset::Within(_));
        let trouble = life.trouble.map(|trouble| self.when(trouble));
        let changes = [
            single_requests.then_some(self.now + ONE_BY_ONE),
            grows.then_some(self.now + NEARLY_CONSTANT),
            trouble.map(|(begins, _)| begins),
            trouble.map(|(_, ends)| ends),
            self.cold_until(life),
        ];
        changes.into_iter().flatten().filter(|change| *change > self.now).fold(until, Duration::min)
    }

    pub(super) fn moment(&self, life: &Life) -> Moment {
        let exposed = self.exposed_at.map(|at| self.now.saturating_sub(at));
        let growth = |exposed: Duration| match life.onset {
            Onset::AtOnce => 1.0,
            Onset::At(weight) => f64::from(u8::from(self.weight >= weight)),
            Onset::Within(time) => (exposed.as_secs_f64() / time.as_secs_f64()).min(1.0),
        };
        let is_now = |trouble: &Trouble| {
            let (begins, ends) = self.when(*trouble);
            self.step == trouble.step && self.now >= begins && self.now < ends
        };
        let are_cold = self.cold_until(life).is_some_and(|ends| self.now < ends);
        Moment {
            growth: exposed.map_or(0.0, growth),
            trouble: life.trouble.filter(is_now).map_or(0.0, |trouble| trouble.errors),
            peak: exposed.map_or(0.0, |exposed| life.peak(exposed)),
            cold: life.cold.filter(|_| are_cold).map_or(0.0, |cold| cold.share),
        }
    }

    /// When something that both versions suffer from begins, and ends, if this is its step.
    fn when(&self, trouble: Trouble) -> (Duration, Duration) {
        let begins = self.since + trouble.after;
        (begins, begins + trouble.lasts)
    }

    /// Until when the canary's pods are cold, or were.
    fn cold_until(&self, life: &Life) -> Option<Duration> {
        let exposed_at = self.exposed_at?;
        Some(if life.cold?.at_each_step { self.since } else { exposed_at } + COLD)
    }
}
