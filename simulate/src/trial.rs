/*!
One release, played through: users come, a rule looks, until it has taken the canary back or given it to everybody.
*/
use std::time::Duration;

use rand::rngs::StdRng;
use serde::Serialize;
use serin_policy::Weight;

use super::fault::Fault;
use super::life::Life;
use super::population::Traffic;
use super::rules::{Rule, Stand};
use super::world::World;

/// How a release ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
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
    /// From when its fault began until the end.
    pub(super) faulty: Duration,
    /// Looks since the canary got its first share.
    pub(super) looks: u32,
    /// Answers that were bad because of the fault.
    pub(super) answers: u64,
    /// How many users got any of them.
    pub(super) users: u64,
}

/// What a release is played with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup<'s> {
    pub(super) traffic: &'s Traffic,
    pub(super) life: &'s Life,
    pub(super) fault: Fault,
    pub(super) steps: &'s [Weight],
    /// From look to look.
    pub(super) interval: Duration,
    /// When to stop watching.
    pub(super) longest: Duration,
    /// A request that takes longer is slow.
    pub(super) objective: Duration,
}

impl Setup<'_> {
    /// Plays a release under `rule`.
    pub(super) fn play(&self, rule: &mut dyn Rule, chance: &mut StdRng) -> Trial {
        let mut world = World::draw(*self, chance);
        let (mut exposed, mut looks) = (Duration::ZERO, 0);
        let mut end = End::Held;
        while world.now() < self.longest {
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
            let counted = world.interval(weight, chance);
            if weight > Weight::ZERO {
                exposed += self.interval;
                looks += 1;
            }
            rule.look(&counted, world.now());
        }
        let (answers, users) = world.met();
        Trial { end, exposed, faulty: world.faulty(), looks, answers, users }
    }
}
