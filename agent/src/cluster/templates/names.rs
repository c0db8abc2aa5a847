/*!
What the version is called that a Deployment's pod template makes: its image's tag, for people, and a hash.

A name lasts for as long as the template does. Another Serin may make it otherwise, and another Kubernetes may fill in a
field that nobody has written. Neither changes the Deployment's generation, nor what its controller numbers its templates
with; so as long as those stay, the version is called what it was called before.
*/
use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serin_release::delivery::PodTemplate;
use xxhash_rust::xxh64::xxh64;

use super::Template;

/// What a Deployment's controller numbers its pod templates with.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// What the versions of Deployments are called, by the Deployments' names.
pub(in super::super) type Names = BTreeMap<String, Named>;

/// A pod template that has a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Named {
    /// What it is called.
    pub(in super::super) run: String,
    /// What this agent would call it, had it no name.
    made: String,
    uid: String,
    generation: i64,
    /// None while its controller has not numbered it.
    revision: Option<String>,
    /// The hash of its configuration, where that is tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) config: Option<String>,
    /// Templates that the Deployment had before and may be given again, which are called otherwise than this agent would
    /// call them; the latest at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Earlier>,
}

/// A template that a Deployment had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Earlier {
    run: String,
    made: String,
}

/// Of more templates nothing is kept.
const MOST_EARLIER: usize = 8;

impl Named {
    /// What the template of `deployment` is called, with this `config` where that is tracked, which was `known` by a name
    /// before. A Deployment that is not may have been given one of these `names` by an agent that kept no more. None if it
    /// runs nothing.
    pub(in super::super) fn of(
        deployment: &Deployment,
        rules: &PodTemplate,
        config: Option<&str>,
        known: Option<&Self>,
        names: &[&str],
    ) -> Option<Self> {
        let template = &deployment.spec.as_ref()?.template;
        let image = template.spec.as_ref()?.containers.first()?.image.as_deref().unwrap_or_default();
        let made = name(image, &Template::of(&json!(deployment), rules, config)?.version());
        let status = deployment.status.as_ref();
        let is_seen = status.and_then(|status| status.observed_generation) == deployment.metadata.generation;
        // A controller that finds another number of pods wanted sees to that first: it has seen the generation then, and
        // the number is still that of the template before. Only with a pod of the template is it the template's. Those of
        // a Deployment that is paused are not numbered.
        let has_pods = status.and_then(|status| status.updated_replicas).is_some_and(|pods| pods > 0);
        let is_paused = deployment.spec.as_ref().is_some_and(|spec| spec.paused == Some(true));
        let is_numbered = is_seen && has_pods && !is_paused;
        let new = Self {
            run: made.clone(),
            made,
            uid: deployment.uid().unwrap_or_default(),
            generation: deployment.metadata.generation.unwrap_or_default(),
            revision: deployment.annotations().get(REVISION).filter(|_| is_numbered).cloned(),
            config: config.map(str::to_owned),
            earlier: known.map(Self::with_earlier).unwrap_or_default(),
        };
        let run = match known {
            Some(known) if known.made == new.made || known.is_template_of(&new) => known.run.clone(),
            Some(known) => {
                let had_before = known.earlier.iter().find(|earlier| earlier.made == new.made);
                had_before.map_or_else(|| new.run.clone(), |earlier| earlier.run.clone())
            }
            None => {
                let earlier = earlier_name(image, template);
                if names.contains(&&*earlier) { earlier } else { new.run.clone() }
            }
        };
        Some(Self { run, ..new })
    }

    /// The templates that are to be known by their names, this one among them.
    fn with_earlier(&self) -> Vec<Earlier> {
        let Self { run, made, earlier, .. } = self;
        let mut all: Vec<_> = earlier.iter().filter(|known| known.made != *made).cloned().collect();
        if run != made {
            all.push(Earlier { run: run.clone(), made: made.clone() });
        }
        all.drain(..all.len().saturating_sub(MOST_EARLIER));
        all
    }

    /// Whether it is called as `other` is, for the same reason. What else is known of it is worth no write of its own: it
    /// changes whenever the Deployment is scaled.
    fn is_called_like(&self, other: &Self) -> bool {
        (&self.run, &self.made, &self.uid) == (&other.run, &other.made, &other.uid)
    }

    /// Whether it is the template that `other` is of, by what the Deployment says of it.
    fn is_template_of(&self, other: &Self) -> bool {
        let is_same_revision = self.revision.is_some() && self.revision == other.revision;
        // A configuration that is not known, because tracking has just begun, is no other.
        let is_same_config = self.config.is_none() || other.config.is_none() || self.config == other.config;
        is_same_config && self.uid == other.uid && (self.generation == other.generation || is_same_revision)
    }
}

/// Whether `one` and `other` call the same versions by the same names.
pub(in super::super) fn are_same(one: &Names, other: &Names) -> bool {
    one.len() == other.len()
        && one.iter().all(|(name, named)| other.get(name).is_some_and(|other| named.is_called_like(other)))
}

/// The name for a `version` with this image.
fn name(image: &str, version: &Value) -> String {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    let tag = name.split_once(['@', ':']).map_or("latest", |(_, tag)| tag);
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    let tag: String = tag.chars().map(safe).take(40).collect();
    let hash = xxh64(version.to_string().as_bytes(), 0) >> 32;
    format!("{tag}-{hash:08x}")
}

/// The name by which agents knew it that kept nothing but the name: of all but the labels.
fn earlier_name(image: &str, template: &PodTemplateSpec) -> String {
    let metadata = template.metadata.as_ref();
    let mut annotations = metadata.and_then(|metadata| metadata.annotations.clone()).unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/restartedAt");
    name(image, &json!([annotations, template.spec]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Deployment in its second generation and first revision, otherwise as `edit` has it.
    fn deployment(edit: impl Fn(&mut Value)) -> Deployment {
        let labels = json!({"app": "shop", "version": "canary"});
        let mut deployment = json!({
            "metadata": {"name": "shop-canary", "uid": "u1", "generation": 2, "annotations": {REVISION: "1"}},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "app", "image": "registry/shop:v2"}]},
                },
            },
            "status": {"observedGeneration": 2, "updatedReplicas": 1},
        });
        edit(&mut deployment);
        serde_json::from_value(deployment).unwrap()
    }

    fn named(deployment: &Deployment, known: Option<&Named>, names: &[&str]) -> Named {
        Named::of(deployment, &PodTemplate::default(), None, known, names).unwrap()
    }

    /// A field that nobody has written, as another Kubernetes or another Serin knows of it.
    fn with_a_default(deployment: &mut Value) {
        deployment["spec"]["template"]["spec"]["hostUsers"] = json!(true);
    }

    /// Whether a version keeps its name where, `edit`ed, its template comes with a field that nobody has written.
    #[track_caller]
    fn check(expected: bool, edit: impl Fn(&mut Value)) {
        let before = named(&deployment(|_| {}), None, &[]);
        let after = named(
            &deployment(|deployment| {
                with_a_default(deployment);
                edit(deployment);
            }),
            Some(&before),
            &[],
        );
        assert_ne!(before.made, after.made);
        assert_eq!(before.run == after.run, expected, "{before:?}, {after:?}");
    }

    #[test]
    fn a_version_is_called_by_its_tag_and_by_all_that_makes_it() {
        let run = named(&deployment(|_| {}), None, &[]).run;
        assert!(run.starts_with("v2-"), "{run}");
        let other = |edit: fn(&mut Value)| named(&deployment(edit), None, &[]).run != run;
        assert!(other(|it| it["spec"]["template"]["spec"]["priority"] = json!(7)));
        assert!(other(|it| it["spec"]["template"]["metadata"]["labels"]["istio.io/rev"] = json!("1-28")));
        assert!(!other(|it| it["spec"]["template"]["metadata"]["labels"]["track"] = json!("canary")));
        assert!(!other(|it| it["spec"]["template"]["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/restartedAt": "now"})));
    }

    #[test]
    fn a_field_that_nobody_has_written_makes_no_new_version() {
        check(true, |_| {});
        // Scaled meanwhile, and seen by its controller, which has found no new template.
        check(true, |it| {
            (it["metadata"]["generation"], it["status"]["observedGeneration"]) = (json!(3), json!(3));
        });
    }

    #[test]
    fn a_field_that_somebody_has_written_does() {
        check(false, |it| it["metadata"]["generation"] = json!(3));
        check(false, |it| {
            (it["metadata"]["generation"], it["status"]["observedGeneration"]) = (json!(3), json!(3));
            it["metadata"]["annotations"][REVISION] = json!("2");
        });
        // The controller has seen to the number of pods, and not yet to the template.
        check(false, |it| {
            (it["metadata"]["generation"], it["status"]["observedGeneration"]) = (json!(3), json!(3));
            it["status"]["updatedReplicas"] = json!(0);
        });
        // The controller gives no number to a template that it does not roll out.
        check(false, |it| {
            (it["metadata"]["generation"], it["status"]["observedGeneration"]) = (json!(3), json!(3));
            it["spec"]["paused"] = json!(true);
        });
        check(false, |it| it["metadata"]["uid"] = json!("u2"));
    }

    #[test]
    fn an_edit_that_is_undone_gives_a_version_its_name_again() {
        let before = named(&deployment(|_| {}), None, &[]);
        let upgraded = named(&deployment(with_a_default), Some(&before), &[]);
        assert_ne!(upgraded.made, before.made);
        let at = |generation: u64, edit: fn(&mut Value)| {
            deployment(move |it| {
                with_a_default(it);
                (it["metadata"]["generation"], it["status"]["observedGeneration"]) =
                    (json!(generation), json!(generation));
                it["metadata"]["annotations"][REVISION] = json!(generation.to_string());
                edit(it);
            })
        };
        let edited =
            named(&at(3, |it| it["spec"]["template"]["spec"]["priority"] = json!(7)), Some(&upgraded), &[]);
        assert_ne!(edited.run, before.run);
        let saved: Named = serde_json::from_value(json!(edited)).unwrap();
        let undone = named(&at(4, |_| {}), Some(&saved), &[]);
        assert_eq!(undone.run, before.run);
        // The same once more, and after many others.
        let mut known = undone;
        for generation in 5..5 + 2 * MOST_EARLIER as u64 {
            let image = format!("shop:v{generation}");
            let other = at(generation, |_| {});
            let mut other = json!(other);
            other["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
            known = named(&serde_json::from_value(other).unwrap(), Some(&known), &[]);
        }
        assert_eq!(named(&at(50, |_| {}), Some(&known), &[]).run, before.run);
    }

    #[test]
    fn a_configuration_that_is_tracked_makes_a_version_when_it_changes_and_not_when_tracking_begins() {
        let with = |config: Option<&str>, known: Option<&Named>| {
            Named::of(&deployment(|_| {}), &PodTemplate::default(), config, known, &[]).unwrap()
        };
        let before = with(None, None);
        let tracked = with(Some("1"), Some(&before));
        assert_eq!(tracked.run, before.run);
        let changed = with(Some("2"), Some(&tracked));
        assert_ne!(changed.run, before.run);
        assert_eq!(with(Some("1"), Some(&changed)).run, before.run, "an edit that is undone");
    }

    #[test]
    fn what_changes_with_every_scaling_is_worth_no_write_of_its_own() {
        let names = |edit: fn(&mut Value)| {
            Names::from([("shop-canary".to_owned(), named(&deployment(edit), None, &[]))])
        };
        let before = names(|_| {});
        assert!(are_same(&before, &names(|it| it["metadata"]["generation"] = json!(3))));
        assert!(!are_same(&before, &names(|it| it["metadata"]["uid"] = json!("u2"))));
        assert!(!are_same(&before, &names(|it| it["spec"]["template"]["spec"]["priority"] = json!(7))));
        assert!(!are_same(&before, &Names::new()));
    }

    #[test]
    fn the_name_stays_when_the_template_is_restarted_after_an_upgrade() {
        let before = named(&deployment(|_| {}), None, &[]);
        let upgraded = named(&deployment(with_a_default), Some(&before), &[]);
        let restarted = deployment(|it| {
            with_a_default(it);
            it["metadata"]["generation"] = json!(3);
            it["spec"]["template"]["metadata"]["annotations"] =
                json!({"kubectl.kubernetes.io/restartedAt": "now"});
        });
        assert_eq!(named(&restarted, Some(&upgraded), &[]).run, before.run);
    }

    /// Agents kept nothing but the name at first, and left all labels out of it.
    #[test]
    fn a_name_that_an_older_agent_has_saved_is_kept() {
        let labelled = deployment(|it| {
            it["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] = json!("v2");
        });
        let older = "v2-d8994244";
        let new = named(&labelled, None, &[]);
        assert_ne!(new.run, older);
        let kept = named(&labelled, None, &["v1-00000000", older]);
        assert_eq!(kept.run, older);
        assert_eq!(named(&labelled, Some(&kept), &[]).run, older, "from then on it is known");
    }
}
