/*!
What is to be told, and what was told: a part of what is saved of a release.

A message enters in the same write as the decision that it tells of. Each attempt to send it is written down before it is made,
and what came of it afterwards; so two agents do not send the same at the same time, an agent of the past sends nothing, and one
that takes over goes on where the other was.
*/
use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Failure, Message};
use serin_policy::Weight;
use serin_release::notification::Notification;
use serin_release::resource::Level;
use serin_rollout::{Awaits, Reason, Severity};

/// What is told though nobody needs to look at it: how a run goes.
const MILESTONES: [&str; 8] =
    ["Started", "NewRun", "StepBegun", "ApprovalGiven", "Promoting", "Promoted", "Settled", "Retried"];

/// Something that comes and goes is told once in so long.
const QUIET: SignedDuration = SignedDuration::from_mins(10);

/// How long until an attempt that nobody knows the end of is made again; longer than [one takes](super::courier::ATTEMPT).
const FIRST_AGAIN: SignedDuration = SignedDuration::from_secs(20);

/// The longest time between two attempts.
const LONGEST_AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// How often a message is tried: for about an hour.
const ATTEMPTS: u32 = 16;

/// How many messages wait at most. When there are more, the oldest is left untold.
const WAITING: usize = 32;

/// A piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Its name, in `CamelCase`.
    pub event: &'static str,
    /// What it is, in a sentence.
    pub text: String,
    /// How grave it is.
    pub severity: Level,
    /// Whether it is told at `Info`.
    is_of_interest: bool,
    /// Whether it lasts, and is found at every look.
    stands: Stands,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    /// It happened, once.
    Not,
    /// For as long as it holds the run; it may come and go.
    AsHold,
    /// Until something else begins.
    AsOutcome,
}

impl From<&Reason> for News {
    fn from(reason: &Reason) -> Self {
        let event = reason.name();
        let waits_for_a_person = matches!(reason, Reason::Hold(hold) if hold.awaits() == Awaits::Person);
        Self {
            event,
            text: reason.to_string(),
            severity: match reason.severity() {
                Severity::Info => Level::Info,
                Severity::Warning => Level::Warning,
                Severity::Critical => Level::Critical,
            },
            is_of_interest: waits_for_a_person || MILESTONES.contains(&event),
            stands: match reason {
                Reason::Event(_) => Stands::Not,
                Reason::Hold(_) => Stands::AsHold,
                Reason::Outcome(_) => Stands::AsOutcome,
            },
        }
    }
}

impl News {
    /// Whether `notification` is told of it.
    fn is_for<S>(&self, notification: &Notification<S>) -> bool {
        match &notification.events {
            Some(events) => events.iter().any(|event| event == self.event),
            None => {
                self.severity >= notification.severity && (self.severity > Level::Info || self.is_of_interest)
            }
        }
    }
}

/// Which channel is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "of", content = "name", rename_all = "kebab-case")]
pub enum Key {
    /// One of the Release's own.
    Release(String),
    /// One of the operator's.
    Operator(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(name) => f.write_str(name),
            Self::Operator(name) => write!(f, "{name} of the operator"),
        }
    }
}

/// What is to be told of a release, and what was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Outbox {
    /// How many messages there were.
    number: u64,
    /// What lasts, and was told or found before anybody was to be told; none until the first look.
    told: Option<Vec<Told>>,
    /// What is still to be sent, the oldest first.
    waiting: Vec<Waiting>,
    /// What a provider has given to go on with, by channel.
    threads: Vec<Thread>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    event: String,
    /// The run that it was told of; of what holds it, its share too.
    about: String,
    at: Timestamp,
    is_outcome: bool,
    /// Whether it was so at the last look.
    stands: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Waiting {
    message: Message,
    to: Vec<Attempts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Attempts {
    channel: Key,
    made: u32,
    again: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Thread {
    channel: Key,
    run: String,
    id: String,
}

/// A message that is to be sent now, to one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// The channel.
    pub channel: Key,
    /// The message.
    pub message: Message,
    /// What the provider has given for this run, if it has.
    pub thread: Option<String>,
}

/// What came of sending a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The channel.
    pub channel: Key,
    /// The message's id.
    pub message: String,
    /// What to go on with, if the provider has given something; or why it did not get there, and whether it may yet.
    pub outcome: Result<Option<String>, Failure>,
}

impl Outbox {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is new among `reasons`, which are found of `run` at `weight`.
    pub fn news(&mut self, reasons: &[Reason], run: &str, weight: Weight, now: Timestamp) -> Vec<News> {
        let found: Vec<News> = reasons.iter().map(News::from).collect();
        let is_found = |event: &str| reasons.iter().any(|reason| reason.name() == event);
        // How the last run ended before anybody was to be told of anything is no news.
        let is_first = self.told.is_none();
        let told = self.told.get_or_insert_default();
        told.retain_mut(|told| {
            told.stands &= is_found(&told.event);
            is_found(&told.event) || (!told.is_outcome && now.duration_since(told.at) < QUIET)
        });
        let mut new = Vec::new();
        for news in found {
            let is_outcome = news.stands == Stands::AsOutcome;
            if news.stands != Stands::Not {
                let about = if is_outcome { run.to_owned() } else { format!("{run} {weight}") };
                let is_same = |told: &&mut Told| told.event == news.event && told.about == about;
                if let Some(known) = told.iter_mut().find(is_same)
                    && (known.stands || now.duration_since(known.at) < QUIET)
                {
                    known.stands = true;
                    continue;
                }
                told.retain(|told| told.event != news.event);
                told.push(Told { event: news.event.to_owned(), about, at: now, is_outcome, stands: true });
            }
            if !(is_outcome && is_first) {
                new.push(news);
            }
        }
        new
    }

    /// Those of `channels` that are told of `news`.
    pub fn audience<'n, S: 'n>(
        news: &News,
        channels: impl IntoIterator<Item = (Key, &'n Notification<S>)>,
    ) -> Vec<Key> {
        channels.into_iter().filter(|(_, channel)| news.is_for(channel)).map(|(key, _)| key).collect()
    }

    /// The id of the next message of the Release with this uid.
    pub fn next_id(&mut self, uid: &str) -> String {
        self.number += 1;
        format!("{uid}-{}", self.number)
    }

    /// Puts `message` in, for these channels. Returns to whom the oldest one is left untold instead, if there are too many.
    pub fn put(&mut self, message: Message, channels: Vec<Key>) -> Vec<Key> {
        let again = message.at;
        let to = channels.into_iter().map(|channel| Attempts { channel, made: 0, again }).collect();
        self.waiting.push(Waiting { message, to });
        if self.waiting.len() <= WAITING {
            return Vec::new();
        }
        self.waiting.remove(0).to.into_iter().map(|left| left.channel).collect()
    }

    /// Forgets what is for channels that are there no more.
    pub fn keep_only(&mut self, is_there: impl Fn(&Key) -> bool) {
        for waiting in &mut self.waiting {
            waiting.to.retain(|to| is_there(&to.channel));
        }
        self.waiting.retain(|waiting| !waiting.to.is_empty());
        self.threads.retain(|thread| is_there(&thread.channel));
    }

    /// Writes down an attempt for each message that is due, and returns them. A channel gets one after the other.
    pub fn begin(&mut self, now: Timestamp) -> Vec<Due> {
        let mut seen: Vec<Key> = Vec::new();
        let mut due = Vec::new();
        for Waiting { message, to } in &mut self.waiting {
            for attempts in to {
                if seen.contains(&attempts.channel) {
                    continue;
                }
                seen.push(attempts.channel.clone());
                if attempts.again > now {
                    continue;
                }
                attempts.made += 1;
                attempts.again = now.saturating_add(pause(attempts.made)).unwrap_or(now);
                let is_its = |thread: &&Thread| {
                    thread.channel == attempts.channel && Some(&thread.run) == message.run.as_ref()
                };
                let thread = self.threads.iter().find(is_its).map(|thread| thread.id.clone());
                due.push(Due { channel: attempts.channel.clone(), message: message.clone(), thread });
            }
        }
        due
    }

    /// The wall clock has moved by `step` without that much time going by.
    pub fn clock_moved(&mut self, step: SignedDuration) {
        let attempts = self.waiting.iter_mut().flat_map(|waiting| &mut waiting.to);
        let told = self.told.iter_mut().flatten().map(|told| &mut told.at);
        for time in attempts.map(|attempts| &mut attempts.again).chain(told) {
            *time = time.checked_add(step).unwrap_or(*time);
        }
    }

    /// When the next message is due, if one waits.
    pub fn next(&self) -> Option<Timestamp> {
        let mut first: BTreeMap<&Key, Timestamp> = BTreeMap::new();
        for to in self.waiting.iter().flat_map(|waiting| &waiting.to) {
            first.entry(&to.channel).or_insert(to.again);
        }
        first.into_values().min()
    }

    /// Takes in what came of an attempt. Returns the message's event where that is the end of it.
    pub fn end(&mut self, delivery: &Delivery, now: Timestamp) -> Option<String> {
        let Delivery { channel, message, outcome } = delivery;
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.message.id == *message)?;
        let attempts = waiting.to.iter_mut().find(|to| to.channel == *channel)?;
        let given = match outcome {
            Ok(given) => given,
            Err(failure) => &failure.given,
        };
        if let Some(id) = given {
            let run = waiting.message.run.clone().unwrap_or_default();
            self.threads.retain(|thread| thread.channel != *channel);
            self.threads.push(Thread { channel: channel.clone(), run, id: id.clone() });
        }
        if let Err(Failure { again: true, after, .. }) = outcome
            && attempts.made < ATTEMPTS
        {
            if let Some(after) = after.and_then(|after| SignedDuration::try_from(after).ok()) {
                let after = now.saturating_add(after.min(LONGEST_AGAIN)).unwrap_or(now);
                attempts.again = attempts.again.max(after);
            }
            return None;
        }
        let event = waiting.message.event.clone();
        waiting.to.retain(|to| to.channel != *channel);
        self.waiting.retain(|waiting| !waiting.to.is_empty());
        Some(event)
    }
}

/// How long after so many attempts the next one is made.
fn pause(made: u32) -> SignedDuration {
    let factor = 1 << made.saturating_sub(1).min(8);
    FIRST_AGAIN.checked_mul(factor).unwrap_or(LONGEST_AGAIN).min(LONGEST_AGAIN)
}

#[cfg(test)]
mod tests;
