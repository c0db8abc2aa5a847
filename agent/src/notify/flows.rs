/*!
Providers with whom a run has something that goes on: a message that is kept up to date, a deployment with its statuses.
*/
use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::payload::{Media, github, slack};
use super::{Courier, Delivered, Due, Failure};

/// What Slack answers, with 200 whatever it is.
#[derive(Deserialize)]
struct SlackAnswer {
    ok: bool,
    error: Option<String>,
    ts: Option<String>,
}

/// Slack's errors that pass.
const PASSING: [&str; 5] =
    ["internal_error", "fatal_error", "ratelimited", "request_timeout", "service_unavailable"];

/// A bot of Slack: the first message of a run is kept up to date, and what happens then goes into its thread.
pub(super) async fn slack_bot(
    courier: &Courier,
    api: &Url,
    channel: &str,
    token: &str,
    due: &Due,
) -> Result<Delivered, Failure> {
    let call = async |method: &str, body: Value| -> Result<SlackAnswer, Failure> {
        let url = join(api, method)?;
        let answer = courier.post(url, Some(token), Media::Json, &body, &due.message.id).await?;
        let answer: SlackAnswer =
            serde_json::from_slice(&answer).map_err(|_| Failure::passing("Slack answers with no JSON"))?;
        match answer.error {
            None if answer.ok => Ok(answer),
            error => {
                let error = error.unwrap_or_default();
                let again = PASSING.contains(&error.as_str());
                Err(Failure { why: format!("Slack answers {error}"), again, after: None, given: None })
            }
        }
    };
    let Some(ts) = &due.thread else {
        return Ok(call("chat.postMessage", slack::in_channel(&due.message, channel, None)).await?.ts);
    };
    // What can be done twice comes first.
    call("chat.update", slack::in_channel(&due.message, channel, Some(ts))).await?;
    call("chat.postMessage", slack::in_thread(&due.message, channel, ts)).await?;
    Ok(Some(ts.clone()))
}

/// What GitHub answers to a new deployment.
#[derive(Deserialize)]
struct Deployment {
    id: u64,
}

/// What is kept of a run's deployment.
struct Deployed {
    /// As GitHub calls it.
    id: String,
    /// The last message that it has had the status of.
    told: Option<String>,
}

impl From<&str> for Deployed {
    fn from(text: &str) -> Self {
        let (id, told) = text.split_once(' ').map_or((text, None), |(id, told)| (id, Some(told.to_owned())));
        Self { id: id.to_owned(), told }
    }
}

impl fmt::Display for Deployed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, told } = self;
        f.write_str(id)?;
        told.iter().try_for_each(|told| write!(f, " {told}"))
    }
}

/// A repository on GitHub.
pub(super) struct GitHub<'c> {
    pub(super) api: Url,
    pub(super) repository: &'c str,
    pub(super) environment: &'c str,
    /// Whether the commit gets a status besides.
    pub(super) commit_status: bool,
    pub(super) token: &'c str,
}

impl GitHub<'_> {
    /// A deployment for each run, with a status for each event; and the same status of the commit, if that is wanted.
    pub(super) async fn tell(&self, courier: &Courier, due: &Due) -> Result<Delivered, Failure> {
        let message = &due.message;
        let deployments = format!("repos/{}/deployments", self.repository);
        let Deployed { id, told } = match &due.thread {
            Some(thread) => Deployed::from(thread.as_str()),
            None => Deployed { id: self.deploy(courier, due, &deployments).await?, told: None },
        };
        // Workflows run on each status of a deployment, so none is sent twice.
        if told.as_ref() != Some(&message.id) {
            let path = format!("{deployments}/{id}/statuses");
            let status = self.call(courier, due, &path, github::status(message)).await;
            status.map_err(|failure| Failure { given: Some(id.clone()), ..failure })?;
        }
        let told = Deployed { id, told: Some(message.id.clone()) }.to_string();
        if self.commit_status {
            let status = self.tell_of_commit(courier, due).await;
            status.map_err(|failure| Failure { given: Some(told.clone()), ..failure })?;
        }
        Ok(Some(told))
    }

    /// Makes a deployment, and returns its id.
    async fn deploy(&self, courier: &Courier, due: &Due, deployments: &str) -> Result<String, Failure> {
        let reference = github::reference(&due.message).ok_or_else(|| {
            Failure::lasting("the canary's image has no tag, by which GitHub would know what is deployed")
        })?;
        let wanted = github::deployment(&due.message, reference, self.environment);
        let answer = self.call(courier, due, deployments, wanted).await?;
        let made = serde_json::from_slice::<Deployment>(&answer).map_err(|_| {
            Failure::lasting("GitHub makes no deployment: is the image's tag one of the repository?")
        })?;
        Ok(made.id.to_string())
    }

    async fn tell_of_commit(&self, courier: &Courier, due: &Due) -> Result<(), Failure> {
        let commit = due.message.canary.commit.as_deref().ok_or_else(|| {
            Failure::lasting(format!(
                "the canary's pod template does not say of which commit it is: give it the annotation {}",
                crate::view::COMMIT
            ))
        })?;
        let path = format!("repos/{}/statuses/{commit}", self.repository);
        self.call(courier, due, &path, github::commit_status(&due.message)).await.map(drop)
    }

    async fn call(&self, courier: &Courier, due: &Due, path: &str, body: Value) -> Result<Vec<u8>, Failure> {
        courier.post(join(&self.api, path)?, Some(self.token), Media::Json, &body, &due.message.id).await
    }
}

fn join(api: &Url, path: &str) -> Result<Url, Failure> {
    api.join(path).map_err(|error| Failure::lasting(format!("{path}: {error}")))
}
