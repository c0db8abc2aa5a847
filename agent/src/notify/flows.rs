/*!
Providers with whom a run has something that goes on: a message that is kept up to date, a deployment with its statuses.
*/
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
        let deployments = format!("repos/{}/deployments", self.repository);
        let id = if let Some(id) = &due.thread {
            id.clone()
        } else {
            let Some(reference) = github::reference(&due.message) else {
                return Err(Failure::lasting(
                    "the canary's image has no tag, by which GitHub would know what is deployed",
                ));
            };
            let wanted = github::deployment(&due.message, reference, self.environment);
            let answer = self.call(courier, due, &deployments, wanted).await?;
            let deployment: Deployment = serde_json::from_slice(&answer).map_err(|_| {
                Failure::lasting("GitHub makes no deployment: is the image's tag one of the repository?")
            })?;
            deployment.id.to_string()
        };
        let statuses = format!("{deployments}/{id}/statuses");
        let told = async {
            self.call(courier, due, &statuses, github::status(&due.message)).await?;
            if self.commit_status {
                let commit = due.message.canary.commit.as_deref().ok_or_else(|| {
                    Failure::lasting(format!(
                        "the canary's pod template does not say of which commit it is: give it the annotation {}",
                        crate::view::COMMIT
                    ))
                })?;
                let path = format!("repos/{}/statuses/{commit}", self.repository);
                self.call(courier, due, &path, github::commit_status(&due.message)).await?;
            }
            Ok(())
        };
        match told.await {
            Ok(()) => Ok(Some(id)),
            // The deployment is there, and is not made again.
            Err(failure) => Err(Failure { given: Some(id), ..failure }),
        }
    }

    async fn call(&self, courier: &Courier, due: &Due, path: &str, body: Value) -> Result<Vec<u8>, Failure> {
        courier.post(join(&self.api, path)?, Some(self.token), Media::Json, &body, &due.message.id).await
    }
}

fn join(api: &Url, path: &str) -> Result<Url, Failure> {
    api.join(path).map_err(|error| Failure::lasting(format!("{path}: {error}")))
}
