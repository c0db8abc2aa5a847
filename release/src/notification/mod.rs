/*!
Who is told of a release: [`resource::Notification`](crate::resource::Notification)s that make sense.
*/
mod template;

pub use template::{JsonTemplate, VALUES};

use crate::resource::{Level, SecretKey};

/// Somebody who is told of a release. `S` is where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification<S = SecretKey> {
    /// What the channel is called.
    pub name: String,
    /// How grave it must be.
    pub severity: Level,
    /// What is told whatever its severity, and nothing else; none to go by the severity.
    pub events: Option<Vec<String>>,
    /// The way.
    pub channel: Channel<S>,
}

/// A way to tell somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel<S> {
    /// Slack, by a webhook.
    Slack {
        /// Its address.
        address: S,
    },
    /// Slack, by a bot.
    SlackBot {
        /// The channel's id.
        channel: String,
        /// The bot's token.
        token: S,
    },
    /// Microsoft Teams.
    Teams {
        /// The webhook's address.
        address: S,
    },
    /// Discord.
    Discord {
        /// The webhook's address.
        address: S,
    },
    /// Google Chat.
    GoogleChat {
        /// The webhook's address.
        address: S,
    },
    /// A POST of JSON.
    Webhook {
        /// Where to.
        to: Target<S>,
        /// What of; all there is, if there is none.
        template: Option<JsonTemplate>,
    },
    /// A CloudEvent.
    CloudEvents {
        /// Where to.
        to: Target<S>,
    },
    /// Prometheus' Alertmanager.
    Alertmanager {
        /// Where it is.
        to: Target<S>,
    },
    /// PagerDuty.
    PagerDuty {
        /// The integration's key.
        key: S,
    },
    /// Annotations in Grafana.
    Grafana {
        /// Where it is.
        url: String,
        /// The token of a service account.
        token: S,
    },
    /// Deployments on GitHub.
    GitHub {
        /// `owner/name`.
        repository: String,
        /// What the environment is called.
        environment: String,
        /// Whether the commit gets a status besides.
        commit_status: bool,
        /// The token.
        token: S,
    },
    /// E-mail.
    Email {
        /// The server.
        url: String,
        /// From whom, and to whom.
        mail: Mail,
        /// The password, if one logs in.
        password: Option<S>,
    },
}

/// A mail's envelope, and who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who sends it.
    pub from: String,
    /// Who gets it; at least one.
    pub to: Vec<String>,
    /// Whose password it is, if not the sender's.
    pub user: Option<String>,
}

/// An address, and as whom it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<S> {
    /// One that is secret.
    Secret(S),
    /// One that everybody may read.
    Open {
        /// The address.
        url: String,
        /// A bearer token, if one is asked for.
        token: Option<S>,
    },
}

impl<S> Channel<S> {
    /// The field of a notification that it is written in.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Slack { .. } | Self::SlackBot { .. } => "slack",
            Self::Teams { .. } => "teams",
            Self::Discord { .. } => "discord",
            Self::GoogleChat { .. } => "googleChat",
            Self::Webhook { .. } => "webhook",
            Self::CloudEvents { .. } => "cloudEvents",
            Self::Alertmanager { .. } => "alertmanager",
            Self::PagerDuty { .. } => "pagerDuty",
            Self::Grafana { .. } => "grafana",
            Self::GitHub { .. } => "github",
            Self::Email { .. } => "email",
        }
    }

    /// Where its secret is, if it has one.
    pub const fn secret(&self) -> Option<&S> {
        match self {
            Self::Slack { address }
            | Self::Teams { address }
            | Self::Discord { address }
            | Self::GoogleChat { address } => Some(address),
            Self::SlackBot { token, .. } | Self::Grafana { token, .. } | Self::GitHub { token, .. } => {
                Some(token)
            }
            Self::PagerDuty { key } => Some(key),
            Self::Email { password, .. } => password.as_ref(),
            Self::Webhook { to, .. } | Self::CloudEvents { to } | Self::Alertmanager { to } => to.secret(),
        }
    }
}

impl<S> Target<S> {
    const fn secret(&self) -> Option<&S> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::Open { token, .. } => token.as_ref(),
        }
    }
}
