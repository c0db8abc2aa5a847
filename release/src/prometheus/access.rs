/*!
How a Prometheus is reached, and as whom.
*/
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::resource::schema::Label;

/// How to reach a Prometheus, as people write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// In a cluster: the name of one of the agent's sources, as its configuration has them. All else is the operator's
    /// there, and refused in a Release. The default is `default`.
    #[serde(default)]
    #[schemars(with = "Option<Label>")]
    pub source: Option<String>,
    /// Outside a cluster: where it is, such as `http://prometheus.monitoring:9090`, with the path it is served under if
    /// there is one.
    #[serde(default)]
    pub address: String,
    /// Headers that every query carries, such as a tenant's name. The default is none.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A file in the agent's file system with a bearer token. It is read for each query, so the token may change. The
    /// default is none.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// A user and password for basic authentication. The default is none.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// A file in the agent's file system with the certificates to trust, in PEM, in place of the system's. The default is
    /// none.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Whether the server's certificate is accepted without a check. The default is false.
    #[serde(default)]
    pub insecure_skip_verify: bool,
}

/// A user and password for basic authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// A file in the agent's file system with the password. It is read for each query.
    pub password_file: PathBuf,
}

/// How to reach a Prometheus: [`Settings`] that make sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Where queries go.
    pub query: Url,
    /// Headers that every query carries.
    pub headers: HeaderMap,
    /// As whom queries are made.
    pub identity: Identity,
    /// Whose certificates are good.
    pub trust: Trust,
}

impl Access {
    /// How long an answer may take.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
}

/// As whom queries are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// As nobody.
    Nobody,
    /// As whoever the token says.
    Bearer {
        /// The file with the token.
        token_file: PathBuf,
    },
    /// As a user with a password.
    Basic(BasicAuth),
}

/// Whose certificates are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// There are none to check: plain HTTP.
    Plain,
    /// Those that the system trusts.
    System,
    /// Those of a file.
    Only {
        /// The file, in PEM.
        ca_file: PathBuf,
    },
    /// Anybody's.
    Anybody,
}

/// Settings that do not make sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value}: {hint}")]
pub struct AccessError {
    /// The field of [`Settings`].
    pub field: &'static str,
    /// What stands there.
    pub value: String,
    /// What to do about it.
    pub hint: &'static str,
}

fn wrong(field: &'static str, value: &dyn ToString, hint: &'static str) -> AccessError {
    AccessError { field, value: value.to_string(), hint }
}

impl TryFrom<Settings> for Access {
    type Error = AccessError;

    fn try_from(settings: Settings) -> Result<Self, AccessError> {
        if let Some(source) = settings.source {
            let hint = "give the address: only the agent of a cluster has named sources, for its Releases";
            return Err(wrong("source", &format!("{source:?}"), hint));
        }
        let base = address(&settings.address)?;
        let identity = match (settings.bearer_token_file, settings.basic_auth) {
            (None, None) => Identity::Nobody,
            (Some(token_file), None) => Identity::Bearer { token_file },
            (None, Some(basic)) if basic.username.contains(':') => {
                return Err(wrong("basicAuth.username", &basic.username, "give a user name without a colon"));
            }
            (None, Some(basic)) => Identity::Basic(basic),
            (Some(file), Some(_)) => {
                let hint = "keep one of bearerTokenFile and basicAuth";
                return Err(wrong("bearerTokenFile", &file.display(), hint));
            }
        };
        let is_plain = base.scheme() == "http";
        let trust = match (settings.ca_file, settings.insecure_skip_verify) {
            (None, false) if is_plain => Trust::Plain,
            (None, false) => Trust::System,
            (Some(file), _) if is_plain => {
                let hint = "an http address has no certificate: write https, or leave this out";
                return Err(wrong("caFile", &file.display(), hint));
            }
            (None, true) if is_plain => {
                let hint = "an http address has no certificate: write https, or leave this out";
                return Err(wrong("insecureSkipVerify", &true, hint));
            }
            (Some(ca_file), false) => Trust::Only { ca_file },
            (None, true) => Trust::Anybody,
            (Some(file), true) => {
                let hint = "keep one of caFile and insecureSkipVerify";
                return Err(wrong("caFile", &file.display(), hint));
            }
        };
        let headers = headers(settings.headers, &identity)?;
        Ok(Self { query: query_of(base), headers, identity, trust })
    }
}

fn address(text: &str) -> Result<Url, AccessError> {
    const HINT: &str = "write an address like http://prometheus.monitoring:9090";
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| wrong("address", &format!("{text:?}"), HINT))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("address", &url, "leave out what follows the path"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let value = format!("a user at {}", url.host_str().unwrap_or_default());
        return Err(wrong("address", &value, "leave the user out of it: use basicAuth"));
    }
    Ok(url)
}

fn query_of(mut base: Url) -> Url {
    let path = format!("{}/api/v1/query", base.path().trim_end_matches('/'));
    base.set_path(&path);
    base
}

fn headers(written: BTreeMap<String, String>, identity: &Identity) -> Result<HeaderMap, AccessError> {
    let mut headers = HeaderMap::new();
    for (name, value) in written {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(wrong(
                "headers",
                &format!("{name:?}"),
                "write the name of a header, such as x-scope-orgid",
            ));
        };
        if header == AUTHORIZATION && *identity != Identity::Nobody {
            let hint = "leave it out: bearerTokenFile or basicAuth sets it";
            return Err(wrong("headers", &header, hint));
        }
        // Values may be secrets: they are not shown.
        let Ok(mut value) = HeaderValue::from_str(&value) else {
            return Err(wrong(
                "headers",
                &header,
                "give it a value of visible characters: a header cannot carry others",
            ));
        };
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl Fn(&mut Settings), expected: Result<&str, &str>) {
        let mut settings = Settings { address: "https://prometheus:9090".to_owned(), ..Settings::default() };
        change(&mut settings);
        match (Access::try_from(settings), expected) {
            (Ok(access), Ok(query)) => assert_eq!(access.query.as_str(), query),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn queries_go_below_the_path_of_the_address() {
        let addresses = [
            ("http://prometheus:9090", "http://prometheus:9090/api/v1/query"),
            ("http://mimir/prometheus", "http://mimir/prometheus/api/v1/query"),
            ("https://mimir/a/b/", "https://mimir/a/b/api/v1/query"),
        ];
        for (address, query) in addresses {
            check(|settings| address.clone_into(&mut settings.address), Ok(query));
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_the_mend() {
        for address in ["", "prometheus:9090", "ftp://prometheus", "/api"] {
            let error = format!("address: {address:?}: write an address like http://");
            check(|settings| address.clone_into(&mut settings.address), Err(&error));
        }
        check(|settings| settings.address.push_str("/?a=b"), Err("leave out what follows the path"));
    }

    #[test]
    fn a_name_is_no_address() {
        check(
            |settings| settings.source = Some("thanos".to_owned()),
            Err("source: \"thanos\": give the address"),
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = Settings { address: "http://ann:hunter2@x".to_owned(), ..Settings::default() };
        let error = Access::try_from(settings).unwrap_err().to_string();
        assert!(error.contains("use basicAuth") && !error.contains("hunter2"), "{error}");
        let headers = [("x-key".to_owned(), "secret".to_owned())].into();
        let settings = Settings { address: "http://x".to_owned(), headers, ..Settings::default() };
        assert!(!format!("{:?}", Access::try_from(settings).unwrap()).contains("secret"));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let basic =
            |username: &str| Some(BasicAuth { username: username.to_owned(), password_file: "/p".into() });
        check(
            |settings| {
                settings.basic_auth = basic("ann");
                settings.bearer_token_file = Some("/token".into());
            },
            Err("bearerTokenFile: /token: keep one of bearerTokenFile and basicAuth"),
        );
        check(|settings| settings.basic_auth = basic("a:b"), Err("basicAuth.username: a:b"));
        check(
            |settings| {
                settings.ca_file = Some("/ca".into());
                settings.insecure_skip_verify = true;
            },
            Err("caFile: /ca: keep one of caFile and insecureSkipVerify"),
        );
        check(
            |settings| {
                settings.address = "http://x".to_owned();
                settings.ca_file = Some("/ca".into());
            },
            Err("caFile: /ca: an http address has no certificate"),
        );
        check(
            |settings| {
                settings.basic_auth = basic("ann");
                settings.headers.insert("Authorization".to_owned(), "Token x".to_owned());
            },
            Err("headers: authorization: "),
        );
    }
}
