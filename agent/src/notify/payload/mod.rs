/*!
A message in the words of each provider, as its documentation has them. Nothing is sent here.

What people or programs have written in a message is theirs, and must stay text: it mentions nobody and makes no links.
*/
mod alertmanager;
mod cards;
mod discord;
mod events;
pub(super) mod github;
mod grafana;
mod pager_duty;
pub(super) mod slack;
#[cfg(test)]
mod tests;
mod webhook;

use serde_json::Value;

use super::Message;
pub(super) use alertmanager::alertmanager;
pub(super) use cards::{google_chat, teams};
pub(super) use discord::discord;
pub(super) use events::cloud_event;
pub(super) use grafana::annotation;
pub(super) use pager_duty::pager_duty;
pub(super) use webhook::webhook;

/// The media type of what a provider is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::notify) enum Media {
    /// JSON.
    Json,
    /// A CloudEvent with its data, in the structured mode of its HTTP binding.
    CloudEvent,
}

impl Media {
    /// As a header has it.
    pub(in crate::notify) const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::CloudEvent => "application/cloudevents+json",
        }
    }
}

/// `text`, cut to `most` characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A colour as `#rrggbb`, by what a message is about.
fn colour(message: &Message) -> u32 {
    use serin_release::resource::Level::{Critical, Info, Warning};
    match message.severity {
        Critical => 0x00D4_3A2F,
        Warning => 0x00E3_A008,
        Info if message.is_good() => 0x002E_B67D,
        Info => 0x0036_81C9,
    }
}

/// A value without the keys that are null.
fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.retain(|_, value| !value.is_null());
    }
    value
}
