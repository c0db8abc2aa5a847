/*!
Nobody is on the canary, and every proxy reports it: those whom the steps will move are compared with the rest. Then the canary
gets copies of stable's requests, where the Release says so, and after that its first users.
*/
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;
use serin_policy::cookie::OnCacheable;
use serin_policy::evidence::Tally;

use super::Tick;
use super::messages::friendly;
use super::observation::{ArmCounts, Mirrored};
use super::phase::{Phase, elapsed};
use super::reason::Hold;
use super::status::Actor;
use super::steps::Held;
use serin_release::Percent;
use serin_release::mirror::Mirror;
use serin_release::resource::When;

/// The canary gets copies of stable's requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirroring {
    /// The share of them.
    pub share: Weight,
    /// For how long, at least.
    pub duration: Duration,
}

impl fmt::Display for Mirroring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { share, duration } = self;
        write!(
            f,
            "mirror: everybody stays on stable, and the canary gets copies of {share} of the requests for {}",
            friendly(duration)
        )
    }
}

impl Tick<'_> {
    /// Goes on since this time, in which copies are made or not.
    pub(super) fn go_on_at_rest(&mut self, since: Timestamp, mirrors: bool, approved_by: Option<String>) {
        if since == self.now {
            self.status.evidence.begin_step(self.now);
        }
        self.raise_floor();
        self.status.phase = Phase::Starting {
            since: Some(since),
            paused: None,
            held_at: None,
            mirrors,
            approved_by: approved_by.clone(),
        };
        let next = self.next_weight(Weight::ZERO);
        let has_its_pods = self.provide_pods(self.share_at_first());
        // Tests run while the baseline lasts.
        let passes = has_its_pods && self.passes(When::PreRollout, next);
        match self.holds_at_rest(since, mirrors) {
            Held::No => {}
            Held::By(hold) => return self.say(hold),
            Held::ForGood(cause) => {
                self.roll_back(cause);
                return;
            }
        }
        if let Some(share) = self.cookies_withheld() {
            self.say(Hold::CookieWithheld { share });
        } else if !passes {
            // What holds it is said already.
        } else if let Some(mirror) = self.release.mirror.as_ref().filter(|_| !mirrors) {
            self.begin_mirror(mirror, approved_by);
        } else if self.may_rise_to(next) {
            if approved_by.is_none() && self.cutover_takes_a_person(Weight::ZERO) {
                self.say(Hold::AwaitsCutover);
            } else {
                self.rise_above(Weight::ZERO, approved_by.map_or(Actor::Planner, Actor::Operator));
            }
        }
    }

    /// Whether nothing but a person's word is missing for what comes after.
    pub(super) fn rest_is_over(&self, since: Timestamp, mirrors: bool) -> bool {
        mirrors == self.release.mirror.is_some() && matches!(self.holds_at_rest(since, mirrors), Held::No)
    }

    /// The share for which the canary has pods before its first users come: copies are requests like others.
    pub(super) fn share_at_first(&self) -> Weight {
        let copies = self.release.mirror.as_ref().map(|mirror| mirror.share);
        self.next_weight(Weight::ZERO).max(copies.unwrap_or_default())
    }

    /// How long the present part of it lasts at least.
    pub(super) fn time_at_rest(&self, mirrors: bool) -> Duration {
        match &self.release.mirror {
            Some(mirror) if mirrors => mirror.duration,
            _ if mirrors => Duration::ZERO,
            _ => self.baseline(),
        }
    }

    fn begin_mirror(&mut self, mirror: &Mirror, approved_by: Option<String>) {
        self.status.evidence.begin_mirror();
        let phase = Phase::Starting { since: None, paused: None, held_at: None, mirrors: true, approved_by };
        let Mirror { share, duration, .. } = *mirror;
        self.turn(Actor::Planner, phase, Hold::Mirroring(Mirroring { share, duration }));
    }

    /// What holds it there, besides proxies and hooks: time, and answers to copies.
    fn holds_at_rest(&self, since: Timestamp, mirrors: bool) -> Held {
        let (elapsed, duration) = (elapsed(Some(since), None, self.now), self.time_at_rest(mirrors));
        let Some(mirror) = self.release.mirror.as_ref().filter(|_| mirrors) else {
            let is_over = elapsed >= duration;
            return if is_over { Held::No } else { Held::By(Hold::Baseline { duration }) };
        };
        if elapsed < duration {
            return Held::By(Hold::Mirroring(Mirroring { share: mirror.share, duration }));
        }
        let need = self.release.analysis.min_requests;
        let Mirrored { stable, canary } = self.status.evidence.mirrored();
        if canary.requests >= need {
            return Held::No;
        }
        let missing = if canary.requests == 0 && stable.requests >= need {
            Hold::Blocked { why: NO_ANSWERS.to_owned() }
        } else {
            Hold::AwaitsRequests { need }
        };
        self.without_data(missing, Weight::ZERO, elapsed)
    }

    /// The share of requests whose caller is new and cannot be given a cookie, where that is too much.
    fn cookies_withheld(&self) -> Option<Percent> {
        let cookie = self.release.cookie.as_ref()?;
        let ArmCounts { requests, withheld, .. } = self.status.evidence.step().stable;
        let is_much = withheld >= SOME_WITHHELD && withheld.saturating_mul(MOST_WITHHELD) > requests;
        let share = Tally { requests, bad: withheld }.share().filter(|_| is_much)?;
        Percent::at_least(share).filter(|_| cookie.on_cacheable == OnCacheable::Hold)
    }
}

/// What to do where copies were made, and no answer was counted.
const NO_ANSWERS: &str = "the canary got copies of enough requests, and no answer of it was counted: see whether it answers, and in \
                          a mesh whether its pods have sidecars that count (istio_requests_total); or leave mirror out";

/// One in so many requests may be of a new caller who cannot be given a cookie.
const MOST_WITHHELD: u64 = 20;

/// Fewer of them than this are nobody's trouble.
const SOME_WITHHELD: u64 = 20;
