/*!
Hooks that are Jobs. One is made for each question, by a name that is made of the question's key: an agent that takes over finds the
Job that there is, and waits for its end.

The agent has the right for it only where a namespace's people give it. A Job then runs with that namespace's rights, as whoever made
it by hand: with no other ServiceAccount than `default`.
*/
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job as JobObject;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use serin_release::ReleaseObject;
use serin_release::hook::Job;
use tokio::time::timeout;

use crate::errors::chain;
use crate::hooks::last_lines;
use crate::mesh::object::RELEASE;
use crate::serve::modules::sha256;

/// How long after its time a Job is waited for: whoever ends it may be late.
const GRACE: Duration = Duration::from_mins(1);

/// How long a Job is there after its end, for people to look at, in seconds: longer than no agent is there.
const KEPT_SECONDS: u32 = 24 * 3600;

/// The other label and the annotation by which a Job of a Release's is known.
const HOOK: &str = "serin.dev/hook";
const KEY: &str = "serin.dev/question";

/// A Job, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    /// Its object.
    object: Value,
    name: String,
    namespace: String,
    /// What tells it from every other.
    key: String,
    limit: Duration,
}

impl Errand {
    /// The Job of a hook of `release` for the question `key`.
    pub(super) fn of(release: &ReleaseObject, hook: &str, job: &Job, key: &str) -> Self {
        let key = sha256(format!("{}/{key}", release.uid().unwrap_or_default()).as_bytes());
        let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        let name = format!("{}-{}-{}", cut(&release.name_any(), 26), cut(hook, 24), cut(&key, 10));
        let namespace = release.namespace().unwrap_or_default();
        let owner = json!({
            "apiVersion": ReleaseObject::api_version(&()),
            "kind": ReleaseObject::kind(&()),
            "name": release.name_any(),
            "uid": release.uid(),
        });
        let object = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {RELEASE: release.name_any(), HOOK: hook},
                "annotations": {KEY: key},
                "ownerReferences": [owner],
            },
            "spec": {
                // Whether it is tried again is the hook's to say.
                "backoffLimit": 0,
                "activeDeadlineSeconds": job.timeout.as_secs().max(1),
                "ttlSecondsAfterFinished": KEPT_SECONDS,
                "template": template(&job.template),
            },
        });
        Self { object, name, namespace, key, limit: job.timeout + GRACE }
    }

    /// Has the Job run, if it does not already, and waits for its end. Returns its last lines, if it leaves any.
    ///
    /// # Errors
    /// Why it has not come to a good end, in a sentence.
    pub(super) async fn run(&self, client: &Client) -> Result<Option<String>, String> {
        let jobs: Api<JobObject> = Api::namespaced(client.clone(), &self.namespace);
        self.make(&jobs).await?;
        let ended = timeout(self.limit, await_condition(jobs.clone(), &self.name, is_over)).await;
        let ended = ended.map_err(|_| format!("Job {} is not over after {:?}", self.name, self.limit))?;
        let ended =
            ended.map_err(|error| format!("Job {} cannot be watched: {}", self.name, chain(&error)))?;
        let ended = ended.ok_or_else(|| format!("Job {} was deleted before its end", self.name))?;
        let lines = self.lines(client).await;
        match verdict(&ended) {
            Some(Err(why)) => {
                let lines = lines.map(|lines| format!(": {lines}")).unwrap_or_default();
                Err(format!("Job {} has failed ({why}){lines}", self.name))
            }
            _ => Ok(lines),
        }
    }

    /// Makes it, unless an agent has.
    async fn make(&self, jobs: &Api<JobObject>) -> Result<(), String> {
        let object: JobObject = serde_json::from_value(self.object.clone())
            .map_err(|error| format!("its template makes no Job: {error}"))?;
        let refused = |error: kube::Error| match error {
            kube::Error::Api(status) if status.code == 403 => format!(
                "the agent may not make Jobs here: whoever may gives it the right by kubectl create rolebinding serin-jobs -n {} \
                 --clusterrole=serin-jobs --serviceaccount=serin-system:serin ({})",
                self.namespace, status.message
            ),
            error => format!("Job {} cannot be made: {}", self.name, chain(&error)),
        };
        match jobs.create(&PostParams::default(), &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let found = jobs.get(&self.name).await.map_err(refused)?;
                let is_its = found.annotations().get(KEY) == Some(&self.key);
                if is_its { Ok(()) } else { Err(format!("there is a Job {} of somebody else's", self.name)) }
            }
            Err(error) => Err(refused(error)),
        }
    }

    /// The last lines of its pod, as the kubelet has them in the pod's status.
    async fn lines(&self, client: &Client) -> Option<String> {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &self.namespace);
        let its = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={}", self.name));
        let found = pods.list(&its).await.ok()?;
        let statuses = found.items.iter().filter_map(|pod| pod.status.as_ref());
        let containers = statuses.flat_map(|status| status.container_statuses.iter().flatten());
        let ended = containers.filter_map(|container| container.state.as_ref()?.terminated.as_ref());
        // Of several containers, what the one that has failed says.
        let said = ended.max_by_key(|ended| ended.exit_code != 0)?.message.as_ref()?;
        last_lines(said)
    }
}

/// Whether nobody need wait for it any more.
fn is_over(job: Option<&JobObject>) -> bool {
    job.is_none_or(|job| verdict(job).is_some())
}

/// Whether it has ended, and well.
fn verdict(job: &JobObject) -> Option<Result<(), String>> {
    if conditions::is_job_completed().matches_object(Some(job)) {
        return Some(Ok(()));
    }
    let found = job.status.as_ref()?.conditions.as_ref()?;
    let failed = found.iter().find(|found| found.type_ == "Failed" && found.status == "True")?;
    Some(Err(failed.reason.clone().unwrap_or_else(|| "no reason given".to_owned())))
}

/// The pod's template, and what a Job in a mesh takes besides, unless it says otherwise.
fn template(words: &Value) -> Value {
    let mut template = words.clone();
    let or_set = |value: &mut Value, word: Value| {
        if value.is_null() {
            *value = word;
        }
    };
    or_set(&mut template["spec"]["restartPolicy"], json!("Never"));
    // A sidecar that nobody ends would keep the Job from its own end.
    or_set(&mut template["metadata"]["labels"]["sidecar.istio.io/inject"], json!("false"));
    for container in template["spec"]["containers"].as_array_mut().into_iter().flatten() {
        // What it says last comes with the pod's status, which the agent may read; logs it may not.
        or_set(&mut container["terminationMessagePolicy"], json!("FallbackToLogsOnError"));
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand(key: &str) -> Errand {
        let release =
            json!({"metadata": {"name": "shop", "namespace": "canary-demo", "uid": "7"}, "spec": {}});
        let template = json!({"spec": {"containers": [{"name": "test", "image": "tests:v1"}]}});
        let job = Job { template, timeout: Duration::from_mins(2) };
        Errand::of(&serde_json::from_value(release).unwrap(), "smoke", &job, key)
    }

    #[test]
    fn one_question_has_one_job() {
        let (first, again, other) = (errand("v2/smoke/1"), errand("v2/smoke/1"), errand("v2/smoke/2"));
        assert_eq!((&first.name, &first.object), (&again.name, &again.object));
        assert_ne!(first.name, other.name);
        assert!(first.name.starts_with("shop-smoke-") && first.name.len() == 21, "{}", first.name);
        let spec = &first.object["spec"];
        assert_eq!((&spec["backoffLimit"], &spec["activeDeadlineSeconds"]), (&json!(0), &json!(120)));
        assert_eq!(first.object["metadata"]["ownerReferences"][0]["uid"], "7");
    }

    #[test]
    fn a_template_is_left_as_it_is_but_for_what_a_job_takes() {
        let words = json!({
            "metadata": {"labels": {"sidecar.istio.io/inject": "true"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "terminationMessagePolicy": "File"}, {"name": "b"}]},
        });
        let mut expected = words.clone();
        expected["spec"]["containers"][1]["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
        assert_eq!(template(&words), expected);
    }
}
