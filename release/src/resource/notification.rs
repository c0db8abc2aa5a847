/*!
Who is told of a release, as people write it. `S` is where a secret is: a [`SecretKey`] in a Release, a file in the agent's
own configuration.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema;
use crate::rule;

/// Somebody who is told of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "S: Deserialize<'de>"))]
#[schemars(extend("x-kubernetes-validations" = one_channel()))]
pub struct Notification<S> {
    /// What the channel is called in the status. No two have one name.
    #[schemars(with = "schema::Label")]
    pub name: String,
    /// What is told: `Info` is what happens to the run, what waits for a person, and all that follows; `Warning` is what
    /// somebody should look at; `Critical` is what somebody must look at now. The default is `Info`.
    #[serde(default)]
    pub severity: Level,
    /// What is told, by the names of events in docs/status.md, such as `RolledBack`, whatever their severity. The default
    /// is to go by `severity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::EventName>>", length(min = 1, max = rule::MAX_EVENTS))]
    pub events: Option<Vec<String>>,
    /// Slack, by an incoming webhook or by a bot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack<S>>,
    /// Microsoft Teams, by a webhook of its Workflows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Address<S>>,
    /// Discord, by a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discord: Option<Address<S>>,
    /// Google Chat, by a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_chat: Option<Address<S>>,
    /// Any address that takes a POST of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook<S>>,
    /// Any address that takes a CloudEvent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_events: Option<Endpoint<S>>,
    /// Prometheus' Alertmanager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<Endpoint<S>>,
    /// PagerDuty's Events API v2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pager_duty: Option<Address<S>>,
    /// Annotations in Grafana.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<Endpoint<S>>,
    /// Deployments of a repository on GitHub, and the status of a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github: Option<GitHub<S>>,
    /// E-mail, by SMTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email<S>>,
}

/// How grave it must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Level {
    /// What happens to the run.
    #[default]
    Info,
    /// What somebody should look at.
    Warning,
    /// What somebody must look at now.
    Critical,
}

/// A key of a Secret of the Release's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// The Secret's name. The agent may read one of each namespace, `serin-notifications`; for another one its ServiceAccount
    /// needs a Role with `get`.
    #[schemars(with = "schema::ObjectName")]
    pub name: String,
    /// The key in it.
    #[schemars(with = "schema::SecretKeyName")]
    pub key: String,
}

/// Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "S: Deserialize<'de>"))]
pub struct Slack<S> {
    /// The channel's id, such as `C024BE91L`, for a bot: there is one message for each run, which is kept up to date, with
    /// the events in its thread. The default is the webhook's own channel, with a message for each event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::SlackChannel>")]
    pub channel: Option<String>,
    /// Where the bot's token is, which has the scope `chat:write`; without a `channel`, where the webhook's address is.
    pub secret_ref: S,
}

/// An address, or a key, that is secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "S: Deserialize<'de>"))]
pub struct Address<S> {
    /// Where the webhook's address is; for PagerDuty, where the integration's key is.
    pub secret_ref: S,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "S: Deserialize<'de>"))]
#[schemars(extend("x-kubernetes-validations" = address()))]
pub struct Endpoint<S> {
    /// The address. The agent's operator says which hosts there may be, but for those of the Release's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Address>")]
    pub url: Option<String>,
    /// Where a bearer token for the `url` is; without a `url`, where the address is. The default is no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<S>,
}

/// An address that takes JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "S: Deserialize<'de>"))]
#[schemars(extend("x-kubernetes-validations" = address()))]
pub struct Webhook<S> {
    /// The address. The agent's operator says which hosts there may be, but for those of the Release's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Address>")]
    pub url: Option<String>,
    /// Where a bearer token for the `url` is; without a `url`, where the address is. The default is no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<S>,
    /// What is sent, as JSON in which `{{ text }}` and so on stand for values with their quotes: `{"text": {{ text }}}`. The
    /// default is all that there is, as docs/notifications.md has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Template>")]
    pub template: Option<String>,
}

/// Deployments on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "S: Deserialize<'de>"))]
pub struct GitHub<S> {
    /// The repository, as `owner/name`. What is deployed there is the tag of the canary's image: it must be a tag, a branch or
    /// a commit of the repository.
    #[schemars(with = "schema::Repository")]
    pub repository: String,
    /// What the environment is called there. The default is `production`.
    #[serde(default = "production")]
    #[schemars(length(min = 1, max = 255))]
    pub environment: String,
    /// Whether the commit gets a status besides, which the canary's pod template names by the annotation
    /// `org.opencontainers.image.revision`. The default is false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub commit_status: bool,
    /// Where a token is that may write the repository's deployments, and its commit statuses if it gets them.
    pub secret_ref: S,
}

/// E-mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound(deserialize = "S: Deserialize<'de>"))]
#[schemars(extend("x-kubernetes-validations" = [schema::validation(
    ".user",
    "!has(self.user) || has(self.secretRef)",
    rule::mail::USER_HAS_PASSWORD,
)]))]
pub struct Email<S> {
    /// The mail server: `smtp://mail.example.com:587`, which is to offer STARTTLS where there is a password, or `smtps://` for
    /// TLS from the first byte. The agent's operator says which there may be, but for Services of the Release's own namespace.
    #[schemars(with = "schema::MailServer")]
    pub url: String,
    /// Who sends it.
    #[schemars(with = "schema::MailAddress")]
    pub from: String,
    /// Who gets it, 1 to 16 of them.
    #[schemars(with = "Vec<schema::MailAddress>", length(min = 1, max = rule::mail::MAX_RECIPIENTS))]
    pub to: Vec<String>,
    /// Whose password it is. The default is `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 254))]
    pub user: Option<String>,
    /// Where the password is. The default is none: nobody is logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<S>,
}

fn production() -> String {
    "production".to_owned()
}

/// The fields of the channels there are, of which a notification has one.
pub const CHANNELS: [&str; 11] = [
    "slack",
    "teams",
    "discord",
    "googleChat",
    "webhook",
    "cloudEvents",
    "alertmanager",
    "pagerDuty",
    "grafana",
    "github",
    "email",
];

fn one_channel() -> Value {
    let given = CHANNELS.map(|channel| format!("has(self.{channel})")).join(", ");
    json!([
        {"rule": format!("[{given}].exists_one(given, given)"), "message": rule::ONE_CHANNEL},
        schema::validation(
            ".grafana",
            "!has(self.grafana) || (has(self.grafana.url) && has(self.grafana.secretRef))",
            rule::GRAFANA,
        ),
    ])
}

fn address() -> Value {
    json!([schema::validation(".url", "has(self.url) || has(self.secretRef)", rule::NO_ADDRESS)])
}
