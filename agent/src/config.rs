/*!
What the operator of a cluster's agent gives it in a file: where each Prometheus is, as whom it is asked, and whose
Releases may have it asked; who is told of all releases; which addresses a Release may have called; and when users are moved.

A Release only names a source. It is written by a tenant, and whatever address or file it gave, the agent would go there
and read that as itself.
*/
mod messages;
mod windows;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::UserMessageFormatter;
use serin_release::delivery::Named;
use serin_release::prometheus::{Access, AccessError, Settings};

use self::messages::NotificationsWords;
pub use self::messages::{Messages, SecretFile, unknown_events};
use self::windows::WindowWords;
pub use self::windows::Windows;
use crate::reach::{Origin, Reach};

/// All that the operator says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operator {
    /// The Prometheus servers that Releases may name.
    pub sources: Sources,
    /// Who is told of releases whatever they say.
    pub messages: Messages,
    /// Which addresses Releases may have called.
    pub reach: Reach,
    /// When users are moved, whatever Releases say.
    pub windows: Windows,
}

/// The Prometheus servers that Releases may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<String, Source>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    access: Access,
    /// None for all.
    namespaces: Option<Vec<String>>,
}

/// What makes no sense in the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not YAML, an unknown field, or a value of the wrong kind.
    #[error("{0}")]
    Unreadable(String),
    /// A source that cannot be asked.
    #[error("prometheus.sources.{name}.access.{error}")]
    Source {
        /// The source.
        name: String,
        /// What is wrong with it.
        error: AccessError,
    },
    /// Anything else: the field, the value and the mend.
    #[error("{0}")]
    Wrong(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Words {
    prometheus: PrometheusWords,
    notifications: NotificationsWords,
    allowed_addresses: Option<Vec<String>>,
    windows: Vec<WindowWords>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct PrometheusWords {
    sources: BTreeMap<String, SourceWords>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SourceWords {
    access: Settings,
    namespaces: Option<Vec<String>>,
}

impl Operator {
    /// Reads the file's text.
    ///
    /// # Errors
    /// When it makes no sense, with the field.
    pub fn from_yaml(yaml: &str) -> Result<Self, ConfigError> {
        let words = serde_saphyr::from_str(yaml).map_err(|error| {
            let text = error.render_with_formatter(&UserMessageFormatter);
            ConfigError::Unreadable(text.strip_prefix("error: ").unwrap_or(&text).to_owned())
        })?;
        let Words { prometheus, notifications, allowed_addresses, windows } = words;
        Ok(Self {
            sources: Sources::of(prometheus)?,
            messages: Messages::of(notifications)?,
            reach: allowed_addresses.map_or(Ok(Reach::default()), reach)?,
            windows: Windows::of(windows)?,
        })
    }
}

fn reach(allowed: Vec<String>) -> Result<Reach, ConfigError> {
    let origin = |(i, text): (usize, String)| {
        let parsed = Origin::parse(&text);
        parsed.map_err(|hint| ConfigError::Wrong(format!("allowedAddresses[{i}]: {text:?}: {hint}")))
    };
    allowed.into_iter().enumerate().map(origin).collect::<Result<_, _>>().map(Reach::of)
}

impl Sources {
    fn of(prometheus: PrometheusWords) -> Result<Self, ConfigError> {
        let source = |(name, SourceWords { access, namespaces }): (String, SourceWords)| {
            match Access::try_from(access) {
                Ok(access) => Ok((name, Source { access, namespaces })),
                Err(error) => Err(ConfigError::Source { name, error }),
            }
        };
        prometheus.sources.into_iter().map(source).collect::<Result<_, _>>().map(Self)
    }

    /// The Prometheus that a Release in `namespace` means.
    ///
    /// # Errors
    /// One sentence with the field, the value and the mend, when that is none of the operator's, or not for that namespace.
    pub fn access(&self, named: &Named, namespace: &str) -> Result<&Access, String> {
        let known = self.known_in(namespace);
        let name = match named {
            Named::Source(name) => name,
            Named::ByAddress(field) => {
                return Err(format!(
                    "spec.analysis.prometheus.{field}: in a cluster the agent's operator says where a Prometheus is and by \
                     what credentials: write {{source: NAME}} with {known}, or leave prometheus out for the source default"
                ));
            }
        };
        let source = self.0.get(name).filter(|source| source.is_for(namespace));
        source.map(|source| &source.access).ok_or_else(|| {
            format!(
                "spec.analysis.prometheus.source: {name:?}: the agent's configuration has no source of this name for \
                 namespace {namespace}: name {known}, or have its operator add it to prometheus.sources"
            )
        })
    }

    /// Which there are for a namespace. Those of others are nobody's business there.
    fn known_in(&self, namespace: &str) -> String {
        let names: Vec<_> = self
            .0
            .iter()
            .filter(|(_, source)| source.is_for(namespace))
            .map(|(name, _)| name.as_str())
            .collect();
        if names.is_empty() { "one of those there are (none yet)".to_owned() } else { names.join(" or ") }
    }
}

impl Source {
    fn is_for(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|those| those.iter().any(|one| one == namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
prometheus:
  sources:
    default: {access: {address: 'http://prometheus:9090'}}
    thanos:
      access: {address: 'https://thanos', bearerTokenFile: /etc/serin/token}
      namespaces: [team-a]
";

    /// What a Release in `namespace` gets for what it names: the URL, or a part of the refusal.
    fn check(named: &Named, namespace: &str, expected: Result<&str, &str>) {
        match (Operator::from_yaml(FILE).unwrap().sources.access(named, namespace), expected) {
            (Ok(access), Ok(url)) => assert_eq!(access.query.as_str(), url),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn a_release_has_the_source_that_it_names_and_is_meant_for() {
        let source = |name: &str| Named::Source(name.to_owned());
        check(&source("default"), "team-b", Ok("http://prometheus:9090/api/v1/query"));
        check(&source("thanos"), "team-a", Ok("https://thanos/api/v1/query"));
        check(
            &source("thanos"),
            "team-b",
            Err("\"thanos\": the agent's configuration has no source of this name"),
        );
        check(&source("mimir"), "team-a", Err("name default or thanos"));
        check(&source("mimir"), "team-b", Err("name default, or have"));
    }

    #[test]
    fn whatever_address_a_release_gives_it_gets_none() {
        for field in ["address", "bearerTokenFile"] {
            let refusal = format!("spec.analysis.prometheus.{field}: in a cluster");
            check(&Named::ByAddress(field), "team-a", Err(&refusal));
        }
    }

    #[test]
    fn a_file_that_makes_no_sense_is_refused_with_the_field() {
        for (file, part) in [
            (
                "prometheus: {sources: {a: {access: {address: here}}}}",
                "prometheus.sources.a.access.address: \"here\"",
            ),
            ("prometheus: {sources: {a: {access: {address: 'http://a'}, namespace: [b]}}}", "namespace"),
            (
                "prometheus: {sources: {a: {access: {source: b}}}}",
                "prometheus.sources.a.access.source: \"b\"",
            ),
            ("sources: {}", "sources"),
            (
                "allowedAddresses: [hooks.example.com]",
                "allowedAddresses[0]: \"hooks.example.com\": write a scheme",
            ),
            (
                "notifications: {channels: [{channel: {name: a, slack: {secretRef: {file: /a}}, teams: {secretRef: {file: /b}}}}]}",
                "notifications.channels[0].channel: 2 channels: give one channel",
            ),
            (
                "notifications: {channels: [{channel: {name: a, slack: {secretRef: {file: /a}}, events: [Nonsense]}}]}",
                "notifications.channels[0].channel.events[0]: \"Nonsense\": there is no such event",
            ),
            (
                "notifications: {channels: [{channel: {name: a, slack: {secretRef: {name: a, key: b}}}}]}",
                "file",
            ),
            (
                "windows: [{window: {name: a, kind: deny, schedule: '0 25 * * *', duration: 1h}}]",
                "windows[0].window.schedule: \"0 25 * * *\"",
            ),
            (
                "windows: [{window: {name: a, kind: deny, schedule: '0 0 * * *', duration: 1h, timeZone: Mars}}]",
                "windows[0].window.timeZone: \"Mars\": give the IANA name",
            ),
            ("notifications: {page: 'example.com'}", "notifications.page: \"example.com\""),
        ] {
            let error = Operator::from_yaml(file).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(Operator::from_yaml("{}").unwrap(), Operator::default());
    }
}
