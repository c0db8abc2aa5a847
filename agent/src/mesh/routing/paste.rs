/*!
What people are told to paste: YAML as they would have written it.
*/
use serde_json::{Value, json};
use serin_policy::Arm;
use serin_policy::document::VERSION_HEADER;

use super::http::paths;
use super::{Labels, with};
use serin_release::Release;

/// The route of one version, as YAML for `spec.http`.
pub(super) fn route(arm: Arm, destination: &Value, release: &Release) -> String {
    yaml(&json!([entry(arm, destination, release)]))
}

/// The route of one version, as an entry of `spec.http`.
pub(super) fn entry(arm: Arm, destination: &Value, release: &Release) -> Value {
    let header = json!({VERSION_HEADER: {"exact": Arm::Canary.as_str()}});
    let matches: Vec<_> = paths(&release.path_prefix)
        .into_iter()
        .filter_map(|path| match arm {
            Arm::Canary | Arm::Extra(_) => Some(with(json!({"headers": header}), [("uri", path)])),
            Arm::Stable => path.map(|path| json!({"uri": path})),
        })
        .collect();
    let matches = (!matches.is_empty()).then_some(Value::Array(matches));
    with(json!({"route": [{"destination": destination}]}), [("match", matches)])
}

/// A subset, as an entry of a DestinationRule's `spec.subsets`.
pub(super) fn subset(name: &str, labels: &Labels) -> String {
    yaml(&json!([{"name": name, "labels": labels}]))
}

/// Any object, whole.
pub(super) fn yaml(value: &Value) -> String {
    // Plain data always has a YAML form, and JSON is YAML too.
    serde_saphyr::to_string(value).unwrap_or_else(|_| value.to_string())
}
