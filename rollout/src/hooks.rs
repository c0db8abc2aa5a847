/*!
Those who are asked at points of a run: whom to ask next, and what their answers mean.

What is to be asked is a part of the saved status, so it is asked by whoever leads, and under one key for the same question.
Nobody waits here: while an answer is missing, evidence is taken in and people are obeyed.
*/
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use super::Tick;
use super::cause::Cause;
use super::phase::Phase;
use super::reason::{Event, Hold};
use serin_release::hook::Hook;
use serin_release::resource::{HookFailure, When};

/// A question, and what is known of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The hook.
    pub hook: String,
    /// What is asked about: the run, and the share that the canary is to get.
    pub about: String,
    /// How often it was asked, this time included.
    pub times: u32,
    /// Whether there is no answer yet to the last time.
    pub is_open: bool,
    /// When it was asked, or answered, the last time.
    pub at: Timestamp,
    /// How often in a row the answer was no.
    #[serde(default)]
    pub noes: u32,
    /// The last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Said>,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// Yes.
    Yes,
    /// No, or nothing that makes sense.
    No(String),
}

impl Question {
    /// One to `hook`, that is asked at `now` or not at all yet.
    fn new(hook: &Hook, about: String, now: Timestamp, is_open: bool) -> Self {
        let (hook, times) = (hook.name.clone(), u32::from(is_open));
        Self { hook, about, times, is_open, at: now, noes: 0, answer: None }
    }

    fn is_of(&self, hook: &Hook, about: &str) -> bool {
        self.hook == hook.name && self.about == about
    }

    /// What tells this asking from every other, of this Release: a run that is started again is asked about again.
    pub fn key(&self) -> String {
        format!("{}/{}/{}@{}", self.about, self.hook, self.times, self.at.as_millisecond())
    }
}

/// An answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The question's key.
    pub key: String,
    /// Yes, with what there is to tell of it, or why not.
    pub outcome: Result<Option<String>, String>,
}

/// What hooks have to say at some point of a run.
enum Word {
    /// Nothing holds it.
    Open,
    /// It is held.
    Shut(Hold),
    /// The canary is taken back.
    Back(Cause),
}

impl Tick<'_> {
    /// Takes in what was answered since the last look.
    pub(super) fn take_in_answers(&mut self) {
        let Some(cluster) = self.in_cluster() else { return };
        let (hooks, answers) = (&cluster.delivery.hooks, cluster.answers.clone());
        // One that is no longer in the spec is asked no more.
        self.status.questions.retain(|question| hooks.iter().any(|hook| hook.name == question.hook));
        for Answer { key, outcome } in &answers {
            let is_its = |question: &&mut Question| question.is_open && question.key() == *key;
            let Some(question) = self.status.questions.iter_mut().find(is_its) else { continue };
            (question.is_open, question.at) = (false, self.now);
            question.noes = if outcome.is_ok() { 0 } else { question.noes.saturating_add(1) };
            question.answer = Some(outcome.clone().map_or_else(Said::No, |_| Said::Yes));
            if let Ok(Some(told)) = outcome {
                let (hook, told) = (question.hook.clone(), told.clone());
                self.say(Event::HookPassed { hook, told });
            }
        }
    }

    /// A run begins: what was asked before is about another one.
    pub(super) fn forget_answers(&mut self) {
        self.status.questions.clear();
    }

    /// Takes the canary back if a `rollback` hook says so. Returns whether it did.
    pub(super) fn leave_at_a_hooks_word(&mut self) -> bool {
        let may_go_back = matches!(
            self.status.phase,
            Phase::Starting { .. }
                | Phase::Progressing(_)
                | Phase::OffPlan { .. }
                | Phase::Receding(_)
                | Phase::Promoting
                | Phase::Baking(_)
                | Phase::Keeping(_)
        );
        if !may_go_back {
            return false;
        }
        for hook in self.hooks(When::Rollback) {
            let question = self.ask(&hook, "", true);
            if question.answer == Some(Said::Yes) {
                let (weight, why) = (self.status.weight(), "it says so".to_owned());
                return self.roll_back(Cause::Hook { weight, hook: hook.name, why });
            }
        }
        false
    }

    /// Whether no hook of this kind holds the run, which is to have `next` of the callers. Says what does, or takes the canary
    /// back.
    pub(super) fn passes(&mut self, when: When, next: Weight) -> bool {
        let mut passes = true;
        for hook in self.hooks(when) {
            let about = if when == When::ConfirmTrafficIncrease { next.to_string() } else { String::new() };
            let question = self.ask(&hook, &about, when == When::Rollout);
            match word(&hook, &question, self.status.weight()) {
                Word::Open => {}
                Word::Shut(hold) => {
                    self.say(hold);
                    passes = false;
                }
                Word::Back(cause) => {
                    self.roll_back(cause);
                    return false;
                }
            }
        }
        passes
    }

    /// Whether all `confirm-rollout` hooks have said yes: the canary gets no pods before.
    pub(super) fn is_confirmed(&self) -> bool {
        let about = self.about("");
        self.hooks(When::ConfirmRollout).iter().all(|hook| {
            let known = self.status.questions.iter().find(|question| question.is_of(hook, &about));
            known.is_some_and(|question| question.answer == Some(Said::Yes))
        })
    }

    /// Before the canary gets its pods. Nobody is asked at a time at which nothing begins.
    pub(super) fn may_begin(&mut self) -> bool {
        !self.tell_freeze() && self.passes(When::ConfirmRollout, Weight::ZERO)
    }

    /// Before the canary gets `next` of the callers: its gates, and for all of them those of the promotion.
    pub(super) fn may_rise_to(&mut self, next: Weight) -> bool {
        if self.tell_freeze() {
            return false;
        }
        let gate = if next < Weight::FULL { When::ConfirmTrafficIncrease } else { When::ConfirmPromotion };
        self.passes(gate, next)
    }

    /// Tells `post-rollout` hooks that the run is over. Only those who were there while it lasted are told.
    pub(super) fn tell_hooks_of_the_end(&mut self) {
        let is_over = matches!(
            self.status.phase,
            Phase::Promoted | Phase::Settled | Phase::RolledBack { .. } | Phase::Aborted { .. }
        );
        for hook in self.hooks(When::PostRollout) {
            let about = self.about("");
            let known = self.status.questions.iter().find(|question| question.is_of(&hook, &about));
            match known.map(|question| question.noes) {
                None if self.status.phase.is_under_way() => {
                    self.status.questions.push(Question::new(&hook, about, self.now, false));
                }
                Some(noes) if is_over && noes <= hook.retries => drop(self.ask(&hook, "", false)),
                _ => {}
            }
        }
    }

    fn hooks(&self, when: When) -> Vec<Hook> {
        let hooks = self.in_cluster().map_or(&[][..], |cluster| &cluster.delivery.hooks);
        hooks.iter().filter(|hook| hook.when == when).cloned().collect()
    }

    fn about(&self, what: &str) -> String {
        if what.is_empty() { self.status.run.clone() } else { format!("{}/{what}", self.status.run) }
    }

    /// What `hook` is asked, anew where it is time: after a no, and after a yes too, if it is asked `again_and_again`.
    fn ask(&mut self, hook: &Hook, about: &str, again_and_again: bool) -> Question {
        let (now, about) = (self.now, self.about(about));
        let Some(question) = self.status.questions.iter_mut().find(|it| it.is_of(hook, &about)) else {
            let question = Question::new(hook, about, now, true);
            self.status.questions.push(question.clone());
            return question;
        };
        let is_due = question.times == 0 || since(question.at, now) >= hook.interval;
        let is_wanted = again_and_again || question.answer != Some(Said::Yes);
        if !question.is_open && is_due && is_wanted {
            question.times = question.times.saturating_add(1);
            (question.is_open, question.at) = (true, now);
        }
        question.clone()
    }
}

/// What the last answer of `hook` means.
fn word(hook: &Hook, question: &Question, weight: Weight) -> Word {
    let name = || hook.name.clone();
    let awaits = |why: Option<String>| Word::Shut(Hold::AwaitsHook { hook: name(), when: hook.when, why });
    match &question.answer {
        // What passed when the canary had fewer users passes until it fails.
        Some(Said::Yes) => Word::Open,
        None => awaits(None),
        Some(Said::No(why)) if !hook.when.is_test() || question.noes <= hook.retries => {
            awaits(Some(why.clone()))
        }
        Some(Said::No(why)) => match hook.failure {
            HookFailure::Hold => Word::Shut(Hold::HookFails { hook: name(), why: why.clone() }),
            HookFailure::Rollback => Word::Back(Cause::Hook { weight, hook: name(), why: why.clone() }),
            HookFailure::Ignore => Word::Open,
        },
    }
}

/// How long ago that was; a clock that was set back has measured nothing.
fn since(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}
