/*!
The pod templates of the two Deployments: what version each makes, whether both make the same, and what stable's becomes
when it takes the canary's.

What tells the two Deployments apart is no part of the version and stays as it is: labels that are not said to be of the
version, selectors of their own pods, and values that are the Deployment's own name. Templates are plain JSON here, so that
a field of a newer Kubernetes is copied like any other.
*/
pub(super) mod names;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use serin_release::delivery::PodTemplate;

use crate::mesh::object::{Labels, labels, text};

/// Where it is said on which nodes pods are to run: selectors there may mean the Deployment's own pods.
const PLACEMENT: [&str; 2] = ["affinity", "topologySpreadConstraints"];

/// On stable's pod template where the configuration is tracked: the hash of the canary's that it was given.
pub(super) const CONFIG: &str = "serin.dev/config-hash";

/// How variables begin with which Reloader starts the pods of the same version again.
const RELOADER: &str = "STAKATER_";

/// The pod template of a Deployment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    /// What the Deployment is called.
    deployment: String,
    /// The whole of it.
    json: Value,
    /// Its labels that are part of the version.
    of_version: Labels,
    /// The others.
    own: Labels,
    /// Its annotations that are part of the version.
    annotations: Labels,
    /// Its annotations that start the same version again.
    restarts: Labels,
}

impl Template {
    /// The one of `deployment`, which says nothing else that matters here. None if it has none. Where its configuration is
    /// tracked, that is part of the version, as an annotation.
    pub(super) fn of(deployment: &Value, rules: &PodTemplate, config: Option<&str>) -> Option<Self> {
        let template = deployment.pointer("/spec/template")?;
        let selected = labels(deployment, "/spec/selector/matchLabels");
        let is_of_version = |name: &str| rules.has_version_label(name) && !selected.contains_key(name);
        let (of_version, own) =
            labels(template, "/metadata/labels").into_iter().partition(|(name, _)| is_of_version(name));
        let (restarts, mut annotations): (Labels, Labels) = labels(template, "/metadata/annotations")
            .into_iter()
            .partition(|(name, _)| rules.ignores_annotation(name) || config.is_none() && name == CONFIG);
        annotations.extend(config.map(|config| (CONFIG.to_owned(), config.to_owned())));
        Some(Self {
            deployment: text(deployment, "/metadata/name").to_owned(),
            json: template.clone(),
            of_version,
            own,
            annotations,
            restarts,
        })
    }

    /// What makes it a version.
    fn version(&self) -> Value {
        let mut spec = self.json["spec"].clone();
        leave_out_restarts(&mut spec);
        for_each_selector(&mut spec, &mut |selector| self.leave_out_own(selector));
        if self.of_version.is_empty() {
            json!([self.annotations, spec])
        } else {
            json!([self.annotations, spec, self.of_version])
        }
    }

    /// Whether both make the same version.
    pub(super) fn is_same_version(&self, other: &Self) -> bool {
        is_same(&self.version(), &other.version(), [&self.deployment, &other.deployment])
    }

    /// What `stable` becomes when it takes the version of this one: all of it but what is stable's own.
    pub(super) fn given_to(&self, stable: &Self) -> Value {
        let mut given = self.json.clone();
        self.give(&mut given["spec"], Some(&stable.json["spec"]), stable);
        let mut metadata = given["metadata"].as_object().cloned().unwrap_or_default();
        let kept_and_given = |kept: &Labels, given: &Labels| -> Map<String, Value> {
            kept.iter().chain(given).map(|(name, value)| (name.clone(), json!(value))).collect()
        };
        for (field, value) in [
            ("labels", kept_and_given(&stable.own, &self.of_version)),
            ("annotations", kept_and_given(&stable.restarts, &self.annotations)),
        ] {
            metadata.remove(field);
            if !value.is_empty() {
                metadata.insert(field.to_owned(), Value::Object(value));
            }
        }
        given["metadata"] = Value::Object(metadata);
        given
    }

    /// Makes `value`, which is of this one, stable's. `present` is what stable has in its place.
    fn give(&self, value: &mut Value, present: Option<&Value>, stable: &Self) {
        match value {
            Value::String(own)
                if *own == self.deployment
                    && present.and_then(Value::as_str) == Some(&*stable.deployment) =>
            {
                own.clone_from(&stable.deployment);
            }
            Value::Array(values) => {
                for (i, value) in values.iter_mut().enumerate() {
                    self.give(value, present.and_then(|present| present.get(i)), stable);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let present = present.and_then(|present| present.get(name));
                    if PLACEMENT.contains(&&**name) {
                        self.give_placement(value, present, stable);
                    } else if name != "image" {
                        self.give(value, present, stable);
                    }
                }
            }
            _ => {}
        }
    }

    /// The same for where pods are to run: selectors of the canary's own pods become ones of stable's.
    fn give_placement(&self, value: &mut Value, present: Option<&Value>, stable: &Self) {
        match value {
            Value::Array(values) => {
                for (i, value) in values.iter_mut().enumerate() {
                    self.give_placement(value, present.and_then(|present| present.get(i)), stable);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let present = present.and_then(|present| present.get(name));
                    match present {
                        _ if name != "labelSelector" => self.give_placement(value, present, stable),
                        Some(present) if self.means_as_much(value, present, stable) => {
                            value.clone_from(present);
                        }
                        _ => self.give_selector(value, stable),
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether a `selector` of this one and one of stable's differ in nothing but whose pods they mean.
    fn means_as_much(&self, selector: &Value, of_stable: &Value, stable: &Self) -> bool {
        let (mut one, mut other) = (selector.clone(), of_stable.clone());
        self.leave_out_own(&mut one);
        stable.leave_out_own(&mut other);
        one == other
    }

    /// Has a selector mean stable's pods where it means this one's.
    fn give_selector(&self, selector: &mut Value, stable: &Self) {
        if let Some(Value::Object(wanted)) = selector.get_mut("matchLabels") {
            let means_own = |(name, value): (&String, &Value)| self.is_own(name, value).then(|| name.clone());
            let own: Vec<_> = wanted.iter().filter_map(means_own).collect();
            for name in own {
                match stable.own.get(&name) {
                    Some(value) => wanted.insert(name, json!(value)),
                    None => wanted.remove(&name),
                };
            }
        }
        if let Some(Value::Array(wanted)) = selector.get_mut("matchExpressions") {
            wanted.retain_mut(|expression| {
                let Some(name) = self.own_in(expression) else { return true };
                let value = stable.own.get(&name);
                expression["values"] = json!(value.as_slice());
                value.is_some()
            });
        }
    }

    /// Leaves out of a selector what tells this one's pods from the other's.
    fn leave_out_own(&self, selector: &mut Value) {
        let Some(fields) = selector.as_object_mut() else { return };
        if let Some(Value::Object(wanted)) = fields.get_mut("matchLabels") {
            wanted.retain(|name, value| !self.is_own(name, value));
        }
        if let Some(Value::Array(wanted)) = fields.get_mut("matchExpressions") {
            wanted.retain(|expression| self.own_in(expression).is_none());
        }
        fields.retain(|_, part| part != &json!({}) && part != &json!([]));
    }

    fn is_own(&self, name: &str, value: &Value) -> bool {
        self.own.get(name).is_some_and(|own| value == own)
    }

    /// The label that an expression wants to be as it is here, if it is one of this one's own.
    fn own_in(&self, expression: &Value) -> Option<String> {
        let name = text(expression, "/key");
        let own = self.own.get(name)?;
        (expression["operator"] == "In" && expression["values"] == json!([own])).then(|| name.to_owned())
    }
}

/// Leaves out what only starts the pods of the same version again.
fn leave_out_restarts(spec: &mut Value) {
    let containers = spec.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let Some(fields) = container.as_object_mut() else { continue };
        if let Some(Value::Array(variables)) = fields.get_mut("env") {
            variables.retain(|variable| !text(variable, "/name").starts_with(RELOADER));
        }
        fields.retain(|name, value| name != "env" || value != &json!([]));
    }
}

/// Calls `change` with every selector by which pods are placed.
fn for_each_selector(spec: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    for field in PLACEMENT {
        if let Some(placement) = spec.get_mut(field) {
            for_each_selector_within(placement, change);
        }
    }
}

fn for_each_selector_within(placement: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    match placement {
        Value::Array(values) => {
            for value in values {
                for_each_selector_within(value, change);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "labelSelector" {
                    change(value);
                } else {
                    for_each_selector_within(value, change);
                }
            }
        }
        _ => {}
    }
}

/// Whether two values are the same, but for the `names` of the Deployments that they are of.
fn is_same(one: &Value, other: &Value, names: [&str; 2]) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one == other || [&**one, &**other] == names,
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other, names))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_same = |(name, value): (&String, &Value)| match other.get(name) {
                Some(other) if name == "image" => value == other,
                Some(other) => is_same(value, other, names),
                None => false,
            };
            one.len() == other.len() && one.iter().all(is_same)
        }
        (one, other) => one == other,
    }
}
