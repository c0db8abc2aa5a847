/*!
Who gives commands. A command is an annotation, beside which anybody may write any name; with `manifests/commands` the API server
lets people write their own alone, and then that is who it was.
*/
use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicySpec,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::Api;
use kube::core::{Selector, SelectorExt};
use kube::{Client, ResourceExt};

use crate::errors::chain;

/// The policy of `manifests/commands`, and its binding.
const NAME: &str = "serin-commands";

/// What the policy has to be.
static OWN: LazyLock<ValidatingAdmissionPolicySpec> = LazyLock::new(|| {
    let manifest = include_str!("../../../manifests/commands/policy.yaml");
    let policy: ValidatingAdmissionPolicy = serde_saphyr::from_str(manifest).unwrap_or_default();
    policy.spec.unwrap_or_default()
});

/// Its rule that a name beside a command is one's own: whoever changes either may leave none there but theirs.
const OWN_NAME: &str = "variables.by == '' || variables.command == '' || variables.by == request.userInfo.username \
                        || ['serin.dev/command', 'serin.dev/command-by', 'serin.dev/command-id'].all(name, \
                        variables.annotations[?name].orValue('') == variables.before[?name].orValue(''))";

/// How long after a change of either an API server may not go by it yet.
const SETTLES: SignedDuration = SignedDuration::from_secs(10);

/// How it gets there.
const APPLY: &str = "kubectl apply -k manifests/commands";

/// Why no name is proved.
#[derive(Debug, thiserror::Error)]
pub enum Unproved {
    /// Anybody may write any name, and the mend.
    #[error("{0}")]
    Open(String),
    /// Nobody can tell.
    #[error("who gives commands cannot be looked into: {}", chain(.0))]
    Unread(kube::Error),
}

/// From when on the API server has let nobody write another name beside a command in `namespace` than their own, by its own clock.
///
/// # Errors
/// Where it lets people, or does not answer.
pub async fn proved_since(client: &Client, namespace: &str) -> Result<Timestamp, Unproved> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = tokio::try_join!(
        policies.get_opt(NAME),
        bindings.get_opt(NAME),
        namespaces.get_metadata_opt(namespace)
    );
    let (policy, binding, namespace) = found.map_err(Unproved::Unread)?;
    let open = |why: String| Unproved::Open(format!("{why}: {APPLY}"));
    let policy = policy.ok_or_else(|| open("nothing proves who gives commands".to_owned()))?;
    if !policy.spec.as_ref().is_some_and(is_proof) {
        return Err(open(format!("ValidatingAdmissionPolicy {NAME} is not this version's")));
    }
    let labels = namespace.map(|namespace| namespace.labels().clone()).unwrap_or_default();
    let binding = binding.filter(|binding| is_bound(binding, &labels)).ok_or_else(|| {
        open(format!("ValidatingAdmissionPolicyBinding {NAME} does not deny in this namespace"))
    })?;
    let last = changed(&policy).max(changed(&binding)).unwrap_or(Timestamp::MIN);
    Ok(last.checked_add(SETTLES).unwrap_or(last))
}

/// When an object was changed last.
fn changed(object: &impl ResourceExt) -> Option<Timestamp> {
    object.managed_fields().iter().filter_map(|entry| Some(entry.time.as_ref()?.0)).max()
}

/// Whether whatever it lets through, of any Release, has one's own name.
fn is_proof(spec: &ValidatingAdmissionPolicySpec) -> bool {
    let has_rule = spec.validations.iter().flatten().any(|validation| validation.expression == OWN_NAME);
    // What the rule's words mean.
    let has_words =
        OWN.variables.iter().flatten().all(|own| spec.variables.iter().flatten().any(|it| it == own));
    let is_for_all = spec.match_conditions.iter().flatten().next().is_none()
        && spec.match_constraints.as_ref().is_some_and(has_every_release);
    has_rule
        && has_words
        && is_for_all
        && spec.failure_policy.as_deref().is_none_or(|policy| policy == "Fail")
}

/// Whether every Release that is made or changed is among these.
fn has_every_release(which: &MatchResources) -> bool {
    let is_any = |selector: &Option<LabelSelector>| selector.iter().all(|it| *it == LabelSelector::default());
    let mut own = OWN.match_constraints.iter().flat_map(|own| own.resource_rules.iter().flatten());
    // Where no scope is written, the API server writes that it is any.
    let is_own = |found: &NamedRuleWithOperations, own: &NamedRuleWithOperations| {
        let scope = found.scope.clone().filter(|scope| scope != "*");
        NamedRuleWithOperations { scope, ..found.clone() } == *own
    };
    is_any(&which.namespace_selector)
        && is_any(&which.object_selector)
        && which.exclude_resource_rules.iter().flatten().next().is_none()
        && own.all(|own| which.resource_rules.iter().flatten().any(|found| is_own(found, own)))
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
        let manifest = include_str!("../../../manifests/commands/binding.yaml");
        let binding = serde_saphyr::from_str(manifest).unwrap();
        assert!(is_proof(&OWN) && is_bound(&binding, &BTreeMap::new()));
    }

    #[test]
    fn a_policy_counts_where_it_is_about_every_release_and_its_words_mean_what_they_say() {
        let check = |path: &str, value: serde_json::Value, expected: bool| {
            let mut spec = serde_json::to_value(&*OWN).unwrap();
            let (parent, name) = path.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[name] = value.clone();
            let spec = serde_json::from_value(spec).unwrap();
            assert_eq!(is_proof(&spec), expected, "{path}: {value}");
        };
        check("/failurePolicy", json!("Ignore"), false);
        check("/matchConditions", json!([{"name": "a", "expression": "false"}]), false);
        check("/matchConstraints/namespaceSelector", json!({}), true);
        check("/matchConstraints/namespaceSelector", json!({"matchLabels": {"team": "a"}}), false);
        check("/matchConstraints/objectSelector", json!({"matchLabels": {"team": "a"}}), false);
        check("/matchConstraints/excludeResourceRules", json!([{"resources": ["releases"]}]), false);
        let rule = |operations: &[&str], scope: &str| {
            json!([{"apiGroups": ["serin.dev"], "apiVersions": ["*"], "operations": operations,
                    "resources": ["releases"], "scope": scope}])
        };
        check("/matchConstraints/resourceRules", rule(&["CREATE", "UPDATE"], "*"), true);
        check("/matchConstraints/resourceRules", rule(&["UPDATE"], "*"), false);
        check("/matchConstraints/resourceRules", rule(&["CREATE", "UPDATE"], "Cluster"), false);
        check("/variables", json!([]), false);
        check("/variables", json!([{"name": "by", "expression": "''"}]), false);
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
