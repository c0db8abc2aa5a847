/*!
How callers are recognised, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_policy::Source;
use serin_policy::cookie::{SameSite, Secure};

use super::Scalar;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SessionAffinity {
    pub(crate) sources: Vec<Source>,
    /// None: the cookie is issued as by default, if a cookie source is listed.
    pub(crate) cookie: Option<Cookie>,
    pub(crate) propagation: Propagation,
}

impl Default for SessionAffinity {
    fn default() -> Self {
        let sources = vec![Source::Cookie("serin".to_owned())];
        Self { sources, cookie: None, propagation: Propagation::default() }
    }
}

/// How the id reaches the services behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Propagation {
    /// In the `baggage` member `serin`, which services that forward trace context send on by themselves.
    #[default]
    Baggage,
    /// Not at all.
    None,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Cookie {
    /// None: that of the first cookie source.
    pub(crate) name: Option<String>,
    pub(crate) max_age: Scalar,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: SameSite,
    pub(crate) http_only: bool,
    pub(crate) secure: Secure,
}

impl Default for Cookie {
    fn default() -> Self {
        Self {
            name: None,
            max_age: Scalar::from("7d"),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::default(),
            http_only: true,
            secure: Secure::default(),
        }
    }
}
