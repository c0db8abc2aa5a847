/*!
Who gives commands. A command is an annotation, beside which anybody may write any name; with `manifests/commands` the API server
lets people write their own alone, and then that is who it was.
*/
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::Api;
use kube::core::{Selector, SelectorExt};
use kube::{Client, ResourceExt};

use crate::errors::chain;

/// The policy of `manifests/commands`, and its binding.
const NAME: &str = "serin-commands";

/// Its rule that a name beside a command is one's own: whoever changes either may leave none there but theirs.
const OWN_NAME: &str = "variables.by == '' || variables.command == '' || variables.by == request.userInfo.username \
                        || ['serin.dev/command', 'serin.dev/command-by', 'serin.dev/command-id'].all(name, \
                        variables.annotations[?name].orValue('') == variables.before[?name].orValue(''))";

/// How long after a change of either an API server may not go by it yet.
const SETTLES: SignedDuration = SignedDuration::from_secs(10);

/// How it gets there.
const APPLY: &str = "kubectl apply -k manifests/commands";

/// Whether the API server proves the names beside commands in `namespace`.
///
/// # Errors
/// Why it does not, or why nobody can tell, and the mend.
pub async fn are_proved(client: &Client, namespace: &str) -> Result<(), String> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = tokio::try_join!(
        policies.get_opt(NAME),
        bindings.get_opt(NAME),
        namespaces.get_metadata_opt(namespace)
    );
    let (policy, binding, namespace) =
        found.map_err(|error| format!("who gives commands cannot be looked into: {}", chain(&error)))?;
    let policy = policy.ok_or_else(|| format!("nothing proves who gives commands: {APPLY}"))?;
    if !is_proof(&policy) {
        return Err(format!("ValidatingAdmissionPolicy {NAME} is not this version's: {APPLY}"));
    }
    let now = Timestamp::now();
    let is_new = |changed: Option<Timestamp>| changed.is_some_and(|at| now.duration_since(at) < SETTLES);
    if is_new(changed(&policy)) || is_new(binding.as_ref().and_then(changed)) {
        return Err(format!("{NAME} was changed just now: give it again in {SETTLES:#}"));
    }
    let labels = namespace.map(|namespace| namespace.labels().clone()).unwrap_or_default();
    if binding.is_some_and(|binding| is_bound(&binding, &labels)) {
        Ok(())
    } else {
        Err(format!("ValidatingAdmissionPolicyBinding {NAME} does not deny in this namespace: {APPLY}"))
    }
}

/// When an object was changed last.
fn changed(object: &impl ResourceExt) -> Option<Timestamp> {
    object.managed_fields().iter().filter_map(|entry| Some(entry.time.as_ref()?.0)).max()
}

/// Whether whatever it lets through has one's own name.
fn is_proof(policy: &ValidatingAdmissionPolicy) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let has_rule = spec.validations.iter().flatten().any(|validation| validation.expression == OWN_NAME);
    let is_for_all = spec.match_conditions.iter().flatten().next().is_none();
    has_rule && is_for_all && spec.failure_policy.as_deref().is_none_or(|policy| policy == "Fail")
}

/// Whether it is in force in a namespace with these labels.
fn is_bound(binding: &ValidatingAdmissionPolicyBinding, labels: &BTreeMap<String, String>) -> bool {
    let Some(spec) = &binding.spec else { return false };
    let denies = spec.validation_actions.iter().flatten().any(|action| action == "Deny");
    let is_its = spec.policy_name.as_deref() == Some(NAME) && spec.param_ref.is_none();
    denies && is_its && spec.match_resources.as_ref().is_none_or(|which| covers(which, labels))
}

/// Whether these are all Releases of a namespace with these labels.
fn covers(which: &MatchResources, labels: &BTreeMap<String, String>) -> bool {
    let is_of_some =
        which.resource_rules.iter().chain(&which.exclude_resource_rules).any(|it| !it.is_empty());
    let selects = |selector: &LabelSelector| {
        Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
    };
    !is_of_some
        && which.object_selector.iter().all(|selector| *selector == LabelSelector::default())
        && which.namespace_selector.iter().all(selects)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_manifest_proves_names() {
        let manifest = include_str!("../../../manifests/commands/policy.yaml");
        let mut policy: ValidatingAdmissionPolicy = serde_saphyr::from_str(manifest).unwrap();
        assert!(is_proof(&policy));
        policy.spec.as_mut().unwrap().failure_policy = Some("Ignore".to_owned());
        assert!(!is_proof(&policy));
        let manifest = include_str!("../../../manifests/commands/binding.yaml");
        let binding = serde_saphyr::from_str(manifest).unwrap();
        assert!(is_bound(&binding, &BTreeMap::new()));
    }

    #[test]
    fn a_binding_counts_where_it_denies_every_release_of_a_namespace() {
        let check = |spec: serde_json::Value, expected: bool| {
            let binding = serde_json::from_value(json!({"metadata": {"name": NAME}, "spec": spec})).unwrap();
            let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
            assert_eq!(is_bound(&binding, &labels), expected, "{spec}");
        };
        let spec = |actions: &str, which: serde_json::Value| json!({"policyName": NAME, "validationActions": [actions], "matchResources": which});
        let of_team = |team: &str| json!({"namespaceSelector": {"matchLabels": {"team": team}}});
        check(spec("Deny", json!({"namespaceSelector": {}, "objectSelector": {}})), true);
        check(spec("Deny", of_team("a")), true);
        check(spec("Deny", of_team("b")), false);
        check(spec("Audit", of_team("a")), false);
        check(spec("Deny", json!({"objectSelector": {"matchLabels": {"team": "a"}}})), false);
        check(spec("Deny", json!({"excludeResourceRules": [{"resources": ["releases"]}]})), false);
        check(json!({"policyName": "another", "validationActions": ["Deny"]}), false);
    }
}
