/*!
What there is to tell: a piece of news and how the release stands, for every provider alike.
*/
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::News;
use crate::view::{Counted, Tally, UsersView, View};
use serin_release::resource::Level;
use serin_release::status::{ReleasePhase, Role, Share, StepStatus, VerdictStatus};

/// A message. Its JSON is what a webhook is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What tells it from every other, of every Release. It stays the same however often it is sent.
    pub id: String,
    /// When it was decided or found.
    pub at: Timestamp,
    /// The Release's namespace.
    pub namespace: String,
    /// The Release's name.
    pub name: String,
    /// The service under release.
    pub service: String,
    /// What it is about, by the name that docs/status.md has for it.
    pub event: String,
    /// How grave it is.
    pub severity: Level,
    /// What it is about, in a sentence.
    pub text: String,
    /// Where the release stands.
    pub phase: ReleasePhase,
    /// The run.
    pub run: Option<String>,
    /// The step.
    pub step: Option<StepStatus>,
    /// The share of callers that is to get the new version.
    pub weight: Share,
    /// The new version.
    pub canary: Version,
    /// The one in use.
    pub stable: Version,
    /// The users who have had the new version, where proxies tell.
    pub users: Option<UsersView>,
    /// What the evidence says, while there is any.
    pub evidence: Option<Evidence>,
    /// A page about it, if the operator names one.
    pub link: Option<String>,
}

/// A version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Its Deployment.
    pub deployment: Option<String>,
    /// The image of its first container.
    pub image: Option<String>,
    /// The commit that it was made of, if its pod template says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its requests that were held against the limit for failures, and those that failed.
    pub requests: Option<Requests>,
}

/// Requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// How many.
    pub of: u64,
    /// The failed ones among them.
    pub failed: u64,
}

/// What the evidence says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// In a word.
    pub verdict: VerdictStatus,
    /// In a sentence.
    pub text: String,
}

/// The test that counts failures.
const FAILURES: &str = "request-success-rate";

impl Message {
    /// The `news` of a release as `view` has it.
    pub fn of(id: String, news: &News, view: &View, link: Option<String>, at: Timestamp) -> Self {
        let failures = view
            .verdict
            .iter()
            .flat_map(|verdict| &verdict.tests)
            .find(|test| test.name == FAILURES && test.counts == Counted::Requests);
        let requests = |tally: Option<&Tally>| {
            tally.and_then(|tally| Some(Requests { of: tally.of?, failed: tally.bad }))
        };
        let version = |role: Role, tally: Option<&Tally>| {
            let found = view.versions.iter().find(|version| version.role == role);
            Version {
                deployment: found.and_then(|version| version.deployment.clone()),
                image: found.and_then(|version| version.image.clone()),
                commit: found.and_then(|version| version.commit.clone()),
                requests: requests(tally),
            }
        };
        Self {
            id,
            at,
            namespace: view.namespace.clone(),
            name: view.name.clone(),
            service: view.service.clone(),
            event: news.event.to_owned(),
            severity: news.severity,
            text: news.text.clone(),
            phase: view.phase,
            run: view.run.as_ref().map(|run| run.name.clone()),
            step: view.step,
            weight: view.weight,
            canary: version(Role::Canary, failures.map(|test| &test.canary)),
            stable: version(Role::Stable, failures.and_then(|test| test.stable.as_ref())),
            users: view.users,
            evidence: view
                .verdict
                .as_ref()
                .map(|verdict| Evidence { verdict: verdict.verdict, text: verdict.message.clone() }),
            link,
        }
    }

    /// `namespace/name`.
    pub fn release(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What it is about, in a few words: `canary-demo/myapp: rolled back`.
    pub fn title(&self) -> String {
        let mut words = String::new();
        for letter in self.event.chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push(' ');
            }
            words.extend(letter.to_lowercase());
        }
        format!("{}: {words}", self.release())
    }

    /// Whether it tells of a good end.
    pub fn is_good(&self) -> bool {
        matches!(self.event.as_str(), "Promoted" | "Settled")
    }

    /// How the release stands, as lines with a name each.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("Service", self.service.clone())];
        let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
        let image = |version: &Version| version.image.clone();
        add("New version", image(&self.canary).or_else(|| self.run.clone()));
        add("Stable version", image(&self.stable));
        add("Run", self.run.clone());
        match self.step {
            Some(StepStatus { index, of }) => {
                add("Step", Some(format!("{index} of {of}, at {}", self.weight)));
            }
            None => add("Share", self.run.as_ref().map(|_| self.weight.to_string())),
        }
        add("Users of the new version", self.users.map(met));
        add("Failed, new version", self.canary.requests.map(failed));
        add("Failed, stable version", self.stable.requests.map(failed));
        // What a version was taken back for is what the message is about.
        let is_news = |evidence: &&Evidence| {
            let said = evidence.text.split_once(": ").map_or(&*evidence.text, |(_, said)| said);
            !self.text.contains(said)
        };
        add("Evidence", self.evidence.as_ref().filter(is_news).map(|evidence| evidence.text.clone()));
        facts
    }
}

fn met(UsersView { seen, failed }: UsersView) -> String {
    format!("about {}, {} of them met a failure", grouped(seen), grouped(failed))
}

fn failed(Requests { of, failed }: Requests) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let percent = if of == 0 { 0.0 } else { failed as f64 * 100.0 / of as f64 };
    format!("{} of {} requests ({percent:.2}%)", grouped(failed), grouped(of))
}

/// A number with commas.
fn grouped(number: u64) -> String {
    serin_rollout::Grouped(number).to_string()
}
