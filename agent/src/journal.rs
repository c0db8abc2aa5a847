/*!
What there is to tell of a release, each thing once.

Whatever goes on is a reason again at every tick; here it becomes news when it begins. Log and metrics are told from
here; Kubernetes' events, the status' history, the terminal and whoever else wants to know read the [`Entry`]s.
*/
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::field::display;

use crate::metrics::Metrics;
use serin_rollout::{Change, Plan, Reason, Severity};

/// A piece of news.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was found or decided.
    pub at: Timestamp,
    /// What it is.
    pub news: News,
    /// How the weight changed with it, if it did.
    pub change: Option<Change>,
}

/// What there is to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum News {
    /// What the planner decided, waits for or has brought to its end.
    Reason(Reason),
    /// What the agent met or did besides.
    Deed(Deed),
}

/// What the agent met or did, besides what was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// What kind of thing it is.
    pub code: DeedKind,
    /// What it is, for people.
    pub text: String,
}

/// What kind of thing the agent met or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeedKind {
    /// Nothing can be planned for the Release as it is.
    NotDriven,
    /// A command is none that there is, or comes while nothing can be planned.
    CommandRefused,
    /// A route of Serin's own was missing, or edited by somebody else, and was written.
    RoutesWritten,
    /// A `WasmPlugin` of Serin's own was edited by somebody else, and was written.
    PluginWritten,
    /// Something around the service that stands in nobody's way, and that its people should know of.
    Warned,
}

impl DeedKind {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::NotDriven, Self::CommandRefused, Self::RoutesWritten, Self::PluginWritten, Self::Warned];

    /// The word for it: in `CamelCase` as Kubernetes has reasons, and in kebab-case for logs and the labels of metrics.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotDriven => ("NotDriven", "not-driven"),
            Self::CommandRefused => ("CommandRefused", "command-refused"),
            Self::RoutesWritten => ("RoutesWritten", "routes-written"),
            Self::PluginWritten => ("PluginWritten", "plugin-written"),
            Self::Warned => ("Warned", "warned"),
        }
    }

    /// The word for it in `CamelCase`.
    pub const fn name(self) -> &'static str {
        self.words().0
    }

    /// Who should hear of it.
    pub const fn severity(self) -> Severity {
        match self {
            Self::NotDriven | Self::CommandRefused | Self::Warned => Severity::Warning,
            Self::RoutesWritten | Self::PluginWritten => Severity::Info,
        }
    }
}

impl Entry {
    /// What an event says: the news, and how the weight changed with it.
    pub fn told(&self) -> String {
        let Self { news, change, .. } = self;
        match change {
            Some(Change { by, weight_before, weight_after, revision, .. })
                if weight_before != weight_after =>
            {
                format!("{news} ({weight_before} to {weight_after} by {by}, revision {revision})")
            }
            _ => news.to_string(),
        }
    }
}

impl News {
    /// A word for it, in kebab-case.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.code(),
            Self::Deed(deed) => deed.code.words().1,
        }
    }

    /// The same word in `CamelCase`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reason(reason) => reason.name(),
            Self::Deed(deed) => deed.code.name(),
        }
    }

    /// Who should hear of it.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Reason(reason) => reason.severity(),
            Self::Deed(deed) => deed.code.severity(),
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reason(reason) => reason.fmt(f),
            Self::Deed(deed) => f.write_str(&deed.text),
        }
    }
}

/// What has been told of a release in this life of the agent.
#[derive(Debug, Default)]
pub struct Journal {
    /// What was the case after the last tick.
    standing: Vec<News>,
    /// Revision of the last change of the weight that was told.
    change: u64,
}

impl Journal {
    /// What is new in `plan`.
    pub fn news(&self, plan: &Plan, now: Timestamp) -> Vec<Entry> {
        let entry = |news, change| Entry { at: now, news, change };
        // What an earlier life decided and did not get through is pushed again, and told again.
        let change = plan.status.last_change.as_ref().filter(|change| {
            change.revision > self.change && plan.push.is_some_and(|push| push.revision == change.revision)
        });
        let mut news: Vec<_> = Vec::new();
        for reason in &plan.reasons {
            let change = change.filter(|change| change.reason == *reason).cloned();
            let reason = News::Reason(reason.clone());
            if change.is_some() || !self.standing.contains(&reason) {
                news.push(entry(reason, change));
            }
        }
        let is_told = news.iter().any(|entry| entry.change.is_some());
        if let Some(change) = change.filter(|_| !is_told) {
            news.push(entry(News::Reason(change.reason.clone()), Some(change.clone())));
        }
        news
    }

    /// Tells the `news` of `plan`, which is the case from now on.
    pub fn tell(&mut self, release: &str, plan: &Plan, news: &[Entry], metrics: &Metrics) {
        for entry in news {
            log(release, entry);
            metrics.told(release, entry.news.code());
            self.change = entry.change.as_ref().map_or(self.change, |change| change.revision);
        }
        self.standing = plan.reasons.iter().cloned().map(News::Reason).collect();
    }

    /// Tells something that was done.
    pub fn did(
        &self,
        release: &str,
        code: DeedKind,
        text: String,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Entry {
        let entry = Entry { at: now, news: News::Deed(Deed { code, text }), change: None };
        log(release, &entry);
        metrics.told(release, entry.news.code());
        entry
    }

    /// Tells why nothing can be planned, unless that was so before.
    pub fn stands_still(
        &mut self,
        release: &str,
        why: &str,
        metrics: &Metrics,
        now: Timestamp,
    ) -> Option<Entry> {
        let news = News::Deed(Deed { code: DeedKind::NotDriven, text: why.to_owned() });
        if self.standing == [news.clone()] {
            return None;
        }
        self.standing = vec![news];
        Some(self.did(release, DeedKind::NotDriven, why.to_owned(), metrics, now))
    }
}

/// One line, as loud as its severity.
fn log(release: &str, Entry { news, change, .. }: &Entry) {
    let code = news.code();
    let change = change.as_ref();
    let from = change.map(|change| display(change.weight_before));
    let to = change.map(|change| display(change.weight_after));
    let by = change.map(|change| display(&change.by));
    let (run, revision) = (change.map(|change| change.run.as_str()), change.map(|change| change.revision));
    match news.severity() {
        Severity::Info => tracing::info!(release, code, run, revision, from, to, by, "{news}"),
        Severity::Warning => tracing::warn!(release, code, run, revision, from, to, by, "{news}"),
        Severity::Critical => tracing::error!(release, code, run, revision, from, to, by, "{news}"),
    }
}

#[cfg(test)]
mod tests {
    use serin_policy::Weight;
    use serin_rollout::{Actor, Besides, Event, Hold, Push, Status};

    use super::*;

    fn weight(percent: u32) -> Weight {
        Weight::from_ppm(percent * 10_000).unwrap()
    }

    fn step_begun() -> Reason {
        Event::StepBegun { step: 1, of: 2, weight: weight(10), by: Actor::Planner }.into()
    }

    fn waits() -> Reason {
        Hold::AwaitsRequests { need: 100 }.into()
    }

    /// A plan with these reasons; with a `push`, of a change for which [`step_begun`] is the reason.
    fn planned(reasons: &[Reason], push: Option<u64>) -> Plan {
        let change = |revision| Change {
            at: Timestamp::UNIX_EPOCH,
            by: Actor::Planner,
            reason: step_begun(),
            run: "v2".to_owned(),
            weight_before: Weight::ZERO,
            weight_after: weight(10),
            closed: false,
            revision,
        };
        let push_of = |revision| Push {
            revision,
            weight: weight(10),
            closed: false,
            promoted: false,
            besides: Besides::Nothing,
        };
        Plan {
            status: Status { last_change: push.map(change), ..Status::default() },
            push: push.map(push_of),
            term: serin_rollout::Term::Open,
            wanted: None,
            reasons: reasons.to_vec(),
        }
    }

    /// The codes of what each of these plans has new, with a `!` where the weight changes.
    #[track_caller]
    fn check(plans: &[Plan], expected: &[&[&str]]) {
        let (mut journal, metrics) = (Journal::default(), Metrics::new());
        let told: Vec<Vec<_>> = plans
            .iter()
            .map(|plan| {
                let news = journal.news(plan, Timestamp::UNIX_EPOCH);
                journal.tell("shop", plan, &news, &metrics);
                let code = |entry: &Entry| {
                    let change = if entry.change.is_some() { "!" } else { "" };
                    format!("{}{change}", entry.news.code())
                };
                news.iter().map(code).collect()
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_merely_goes_on_is_told_once() {
        let waiting = planned(&[waits()], None);
        check(
            &[waiting.clone(), waiting.clone(), planned(&[step_begun()], None), waiting],
            &[&["awaits-requests"], &[], &["step-begun"], &["awaits-requests"]],
        );
    }

    #[test]
    fn a_change_of_the_weight_is_told_with_its_reason_and_not_again_when_it_is_pushed_again() {
        let pushed_again = planned(&[waits()], Some(7));
        check(
            &[planned(&[step_begun(), waits()], Some(7)), pushed_again],
            &[&["step-begun!", "awaits-requests"], &[]],
        );
    }

    #[test]
    fn what_an_earlier_life_decided_is_told_when_it_gets_through() {
        check(&[planned(&[waits()], Some(7))], &[&["awaits-requests", "step-begun!"]]);
    }

    #[test]
    fn why_nothing_can_be_planned_is_told_once() {
        let (mut journal, metrics) = (Journal::default(), Metrics::new());
        let mut told = |why| {
            let entry = journal.stands_still("shop", why, &metrics, Timestamp::UNIX_EPOCH);
            entry.map(|entry| entry.news.to_string())
        };
        assert_eq!(told("no host"), Some("no host".to_owned()));
        assert_eq!(told("no host"), None);
        assert_eq!(told("no Gateway"), Some("no Gateway".to_owned()));
    }
}
