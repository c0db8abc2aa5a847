/*!
Bringing a message to its provider, once: what comes of an attempt says whether another one makes sense.
*/
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use serin_release::notification::{Channel, Target};
use url::Url;

use super::payload::{self, Media};
use super::{Due, email, flows};
use crate::http;

/// How long one request may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(6);

/// How long an attempt may take: no channel takes more than three requests. It is over before another one begins.
pub(super) const ATTEMPT: Duration = TIMEOUT.saturating_mul(3);

/// How much of an answer is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What a provider has given to go on with, if it has.
pub type Delivered = Option<String>;

/// Why a message did not get there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// In a sentence, without anything secret.
    pub why: String,
    /// Whether another attempt makes sense.
    pub again: bool,
    /// How long the provider asks to be left alone.
    pub after: Option<Duration>,
    /// What it has given to go on with nevertheless.
    pub given: Option<String>,
}

impl Failure {
    /// One that may pass.
    pub fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: true, after: None, given: None }
    }

    /// One that stays until somebody mends it.
    pub fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: false, after: None, given: None }
    }
}

/// Brings messages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Courier {
    http: reqwest::Client,
}

impl Courier {
    /// One that has sent nothing yet.
    ///
    /// # Errors
    /// When there is no TLS to be had.
    pub fn new() -> reqwest::Result<Self> {
        // Secrets must not follow to wherever a redirect points, nor anybody else be reached by one.
        let http = http::secure().timeout(TIMEOUT).redirect(Policy::none());
        // GitHub answers nobody who does not say who they are.
        Ok(Self { http: http.user_agent(concat!("serin/", env!("CARGO_PKG_VERSION"))).build()? })
    }

    /// Brings `due` to `channel`, whose secret is `secret`. `check` says whether an address may be called.
    ///
    /// # Errors
    /// When it did not get there, or nobody can tell.
    pub async fn bring<S: Sync>(
        &self,
        due: &Due,
        channel: &Channel<S>,
        secret: Option<&str>,
        check: impl Fn(&str) -> Result<Url, String> + Sync,
    ) -> Result<Delivered, Failure> {
        let message = &due.message;
        let secret = secret.map(str::trim);
        let held = || secret.ok_or_else(|| Failure::lasting("its secret is missing"));
        let open = |address: &str| check(address).map_err(Failure::lasting);
        let (url, token, media, body) = match channel {
            Channel::SlackBot { channel, token: _ } => {
                let api = open("https://slack.com/api/")?;
                return flows::slack_bot(self, &api, channel, held()?, due).await;
            }
            Channel::GitHub { repository, environment, commit_status, token: _ } => {
                let github = flows::GitHub {
                    api: open("https://api.github.com/")?,
                    repository,
                    environment,
                    commit_status: *commit_status,
                    token: held()?,
                };
                return github.tell(self, due).await;
            }
            Channel::Email { url, mail, password } => {
                let password = password.as_ref().map(|_| held()).transpose()?;
                return email::send(&open(url)?, mail, password, due).await;
            }
            Channel::Slack { address: _ } => {
                (open(held()?)?, None, Media::Json, payload::slack::message(message))
            }
            Channel::Teams { address: _ } => (open(held()?)?, None, Media::Json, payload::teams(message)),
            Channel::Discord { address: _ } => (open(held()?)?, None, Media::Json, payload::discord(message)),
            Channel::GoogleChat { address: _ } => {
                let mut url = open(held()?)?;
                // Without it Google Chat takes no notice of the thread.
                url.query_pairs_mut()
                    .append_pair("messageReplyOption", "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD");
                (url, None, Media::Json, payload::google_chat(message))
            }
            Channel::Webhook { to, template } => {
                let (address, token) = address_of(to, held)?;
                (open(address)?, token, Media::Json, payload::webhook(message, template.as_ref()))
            }
            Channel::CloudEvents { to } => {
                let (address, token) = address_of(to, held)?;
                (open(address)?, token, Media::CloudEvent, payload::cloud_event(message))
            }
            Channel::Alertmanager { to } => {
                let (address, token) = address_of(to, held)?;
                let url = below(open(address)?, "api/v2/alerts");
                (url, token, Media::Json, payload::alertmanager(message))
            }
            Channel::PagerDuty { key: _ } => {
                let url = open("https://events.pagerduty.com/v2/enqueue")?;
                (url, None, Media::Json, payload::pager_duty(message, held()?))
            }
            Channel::Grafana { url, token: _ } => {
                let url = below(open(url)?, "api/annotations");
                (url, Some(held()?), Media::Json, payload::annotation(message))
            }
        };
        self.post(url, token, media, &body, &message.id).await.map(|_| None)
    }

    /// Posts `body`, and returns what came back. Whoever takes a message twice can tell by its `id`.
    pub(super) async fn post(
        &self,
        url: Url,
        token: Option<&str>,
        media: Media,
        body: &Value,
        id: &str,
    ) -> Result<Vec<u8>, Failure> {
        let mut request =
            self.http.post(url).header(CONTENT_TYPE, media.as_str()).header("idempotency-key", id);
        if let Some(token) = token {
            request = bearer(request, token)?;
        }
        let response = request.body(body.to_string()).send().await;
        let response = response.map_err(|error| {
            let error = error.without_url();
            Failure::passing(format!("no answer: {}", crate::errors::chain(&error)))
        })?;
        answered(response).await
    }
}

/// Where `to` is, and by which token; `held` has its secret.
fn address_of<'t, S>(
    to: &'t Target<S>,
    held: impl Fn() -> Result<&'t str, Failure>,
) -> Result<(&'t str, Option<&'t str>), Failure> {
    Ok(match to {
        Target::Open { url, token: None } => (url, None),
        Target::Open { url, token: Some(_) } => (url, Some(held()?)),
        Target::Secret(_) => (held()?, None),
    })
}

/// `path` below `url`.
fn below(mut url: Url, path: &str) -> Url {
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/{path}"));
    url
}

fn bearer(request: RequestBuilder, token: &str) -> Result<RequestBuilder, Failure> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Failure::lasting("its token is no text for a header: is there a line break in it?"))?;
    value.set_sensitive(true);
    Ok(request.header(AUTHORIZATION, value))
}

/// What came back, if it was taken. What a refusal says stays here: it may be of somebody whom the Release must not read.
async fn answered(mut response: Response) -> Result<Vec<u8>, Failure> {
    let status = response.status();
    if !status.is_success() {
        let passing = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            );
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Err(Failure {
            why: format!("it answers {status}"),
            again: passing,
            after: after.map(Duration::from_secs),
            given: None,
        });
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            break;
        }
    }
    Ok(body)
}
