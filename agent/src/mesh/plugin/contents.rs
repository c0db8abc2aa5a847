/*!
What a WasmPlugin says, read back from the cluster: there, and nowhere else, stands which weight is in force.

One object holds the policies of many releases, and writing one must not change another, not even one that a newer
Serin wrote and this one cannot make sense of. So policies are kept as the JSON they are.
*/
use serde_json::Value;
use serin_policy::{Document, Leases, Policy, Proxy, Refusal, Table};

/// What a plugin says.
#[derive(Debug)]
pub struct Contents {
    /// The policies word for word.
    pub policies: Vec<Value>,
    /// Until when those hold that hold only for so long.
    pub leases: Leases,
    table: Table,
    refusals: Vec<Refusal>,
}

/// A plugin whose policies cannot be told apart, so that none of them can be written without losing others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "spec.pluginConfig is {found}, want {{\"version\": {}, \"policies\": […]}}: update Serin, or delete the WasmPlugin \
     to have it written anew",
    Document::VERSION
)]
pub struct Unreadable {
    found: String,
}

/// Reads a WasmPlugin. One without a configuration has no policies.
///
/// # Errors
/// When there is a configuration that is not a list of policies in a format known here.
pub fn read(plugin: &Value) -> Result<Contents, Unreadable> {
    let config = match plugin.pointer("/spec/pluginConfig") {
        None | Some(Value::Null) => {
            return Ok(Contents {
                policies: Vec::new(),
                leases: Leases::default(),
                table: Table::default(),
                refusals: Vec::new(),
            });
        }
        Some(config) => config,
    };
    // A number may come back as a double.
    let is_known = |version: f64| (version - f64::from(Document::VERSION)).abs() < f64::EPSILON;
    let known = config.get("version").and_then(Value::as_f64).is_some_and(is_known);
    match config.get("policies") {
        Some(Value::Array(policies)) if known => {
            let json = config.to_string();
            let (table, refusals) = Table::read(json.as_bytes(), &Proxy::default(), &Table::default());
            let leases = Leases::of_document(json.as_bytes());
            Ok(Contents { policies: policies.clone(), leases, table, refusals })
        }
        _ => {
            let found: String = config.to_string().chars().take(60).collect();
            Err(Unreadable { found })
        }
    }
}

impl Contents {
    /// The policy of `release` that is in force.
    pub fn policy(&self, release: &str) -> Option<&Policy> {
        self.table.policy(release).map(AsRef::as_ref)
    }

    /// When the canary of `release` loses its users if no agent is heard of, in seconds since 1970, if ever.
    pub fn until(&self, release: &str) -> Option<u64> {
        self.table.until_of(release)
    }

    /// The policy of `release` as it is written, whether or not the filter takes it.
    pub fn raw(&self, release: &str) -> Option<&Value> {
        self.policies.iter().find(|policy| name(policy) == Some(release))
    }

    /// What the filter refuses of it, and why.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }
}

/// The release a policy belongs to.
pub fn name(policy: &Value) -> Option<&str> {
    policy.get("name")?.as_str()
}

/// Puts policies in the order of their names, so that who comes when makes no difference; what has no name comes last.
pub(super) fn sort(policies: &mut [Value]) {
    policies.sort_by(|one, other| match (name(one), name(other)) {
        (Some(one), Some(other)) => one.cmp(other),
        (one, other) => one.is_none().cmp(&other.is_none()),
    });
}
