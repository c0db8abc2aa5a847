/*!
What people ask for by annotating a Release: `kubectl annotate release shop serin.dev/command=abort`.

A command is heard once. The annotation goes when what came of it is in the saved status, together with what tells this
command from every other: where a save fails, or the agent dies before the annotation is off, nothing is lost, and
nothing is done twice.

The API server says who set the annotation to the second. The same command, by the same program in the same second, is
another one where it comes after the first was taken off. Only an agent that dies in that second takes the two for one.
*/
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{Api, Patch};
use kube::core::DynamicObject;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::people::{self, Unproved};
use super::{api_resources, as_serin, cluster_name};
use serin_release::ReleaseObject;
use serin_release::status::{CommandOutcome, CommandStatus};
use serin_rollout::{Command, CommandKind, Event, Plan, Reason};

/// The annotation with the command.
pub const COMMAND: &str = "serin.dev/command";

/// The annotation that says who gives it, for those who give it for others.
pub const BY: &str = "serin.dev/command-by";

/// The annotation that says why.
pub const REASON: &str = "serin.dev/command-reason";

/// The annotation by which whoever gave it knows the answer again.
pub const ID: &str = "serin.dev/command-id";

/// How much of what people say is kept, in characters.
const LONGEST: usize = 200;

/// A command that a Release carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    /// What tells it from every other command that was ever given.
    pub(super) id: String,
    /// The word that is written there.
    pub(super) word: String,
    /// The command, or what is wrong with it and which there are.
    pub(super) command: Result<Command, String>,
}

impl Given {
    /// That it was heard, and changed nothing because of `why`.
    pub(super) fn refused(&self, why: String, now: Timestamp) -> CommandStatus {
        let outcome = CommandOutcome::Refused;
        CommandStatus { id: self.id.clone(), command: self.word.clone(), at: now, outcome, message: why }
    }

    /// What came of it in a plan that was asked about it.
    pub(super) fn answer(&self, planned: &Plan, now: Timestamp) -> CommandStatus {
        let is_refusal = |reason: &&Reason| matches!(reason, Reason::Event(Event::CommandRefused { .. }));
        match (&self.command, planned.reasons.iter().find(is_refusal)) {
            (Err(why), _) => self.refused(why.clone(), now),
            (Ok(_), Some(refusal)) => self.refused(refusal.to_string(), now),
            (Ok(Command { kind, by, .. }), None) => CommandStatus {
                id: self.id.clone(),
                command: self.word.clone(),
                at: now,
                outcome: CommandOutcome::Taken,
                message: format!("{kind} by {by}"),
            },
        }
    }
}

/// What a name beside a command is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// It is as people say.
    Said,
    /// The API server has let nobody write another one than their own.
    Proved,
}

/// How long a command may be kept waiting to see whether a name is proved that nothing hangs on.
const NAME_PATIENCE: Duration = Duration::from_millis(500);

/// The command that `object` carries; of one that is another than `heard`, whether the name beside it is proved. None, too, of
/// an approval of which nobody can tell yet whose it is.
pub(super) async fn hear(client: &Client, object: &ReleaseObject, heard: Option<&str>) -> Option<Given> {
    let given = read(object, Names::Said)?;
    if heard == Some(given.id.as_str()) || !object.annotations().contains_key(BY) {
        return Some(given);
    }
    let namespace = object.namespace().unwrap_or_default();
    let proved = people::proved_since(client, &namespace);
    let is_since = |since: Timestamp| written(object).is_some_and(|at| since <= at);
    let is_approval = matches!(&given.command, Ok(command) if command.kind == CommandKind::Resume);
    let takes_several = object.spec.approval.as_ref().is_some_and(|approval| approval.required > Some(1));
    if !(is_approval && takes_several) {
        let proved = timeout(NAME_PATIENCE, proved).await;
        let is_proved = proved.is_ok_and(|since| since.is_ok_and(is_since));
        return if is_proved { read(object, Names::Proved) } else { Some(given) };
    }
    let unproved = |why: String| {
        let command = Err(format!("metadata.annotations[{BY}]: {why}"));
        Some(Given { command, ..given.clone() })
    };
    match proved.await {
        Ok(since) if is_since(since) => read(object, Names::Proved),
        Ok(_) => {
            unproved("names had not been proved for long when this was written: give it again".to_owned())
        }
        Err(Unproved::Open(_)) => Some(given),
        Err(Unproved::Unread(kube::Error::Api(status))) if status.is_forbidden() => {
            unproved(format!("{}: have the operator apply this version's manifests", status.message))
        }
        Err(why @ Unproved::Unread(_)) => {
            tracing::warn!(release = %cluster_name(object), "{why}: the approval waits");
            None
        }
    }
}

/// When whoever wrote the command wrote it, by the API server's clock: the first of its parts.
fn written(object: &impl ResourceExt) -> Option<Timestamp> {
    let has_written = |entry: &&ManagedFieldsEntry| [COMMAND, BY, ID].iter().any(|name| has_set(entry, name));
    let entries = object.managed_fields().iter().filter(has_written);
    entries.map(|entry| entry.time.as_ref().map(|time| time.0)).min().flatten()
}

/// The command that `object` carries.
fn read(object: &impl ResourceExt, names: Names) -> Option<Given> {
    let text = object.annotations().get(COMMAND)?;
    let setter = setter(object);
    let manager = setter.and_then(|entry| entry.manager.clone()).unwrap_or_else(|| "somebody".to_owned());
    let at = setter.and_then(|entry| entry.time.as_ref()).map(|time| time.0.to_string());
    // As they say themselves, or else the program that did it, as that says. The API server knows who it was, and tells its
    // audit log and admission only.
    let own = object.annotations().get(BY).filter(|name| !name.is_empty() && name.chars().count() <= LONGEST);
    let person = own.filter(|_| names == Names::Proved).cloned();
    let said = |name: &str| {
        object.annotations().get(name).map(|text| text.chars().take(LONGEST).collect::<String>())
    };
    let who = said(BY).unwrap_or_else(|| manager.clone());
    let why = said(REASON).map(|why| format!(", because: {why}")).unwrap_or_default();
    let doubt = if person.is_some() { "" } else { " (not proved)" };
    let by = format!("{who}{doubt}{why}");
    let kind = serde_json::from_value::<CommandKind>(Value::from(text.as_str()));
    let command = match kind {
        Ok(CommandKind::OverrideFreeze) if said(REASON).is_none_or(|why| why.trim().is_empty()) => {
            Err(format!(
                "metadata.annotations[{REASON}]: missing: write why the freeze is overridden, beside the command"
            ))
        }
        Ok(kind) => Ok(Command { kind, by, person }),
        Err(_) => Err(format!(
            "metadata.annotations[{COMMAND}]: {text:?}: write pause, resume, promote, abort, retry or override-freeze"
        )),
    };
    let id = said(ID).unwrap_or_else(|| format!("{text} by {manager} at {}", at.unwrap_or_default()));
    Some(Given { id, word: text.chars().take(LONGEST).collect(), command })
}

/// Takes the command `id` off the Release `name`, if that still carries it: while it was carried out, another one may have
/// been given in its place. Says in which version of the Release there is no command, if it was taken off.
///
/// # Errors
/// When the API server refuses or does not answer. It is tried again at the next tick.
pub(super) async fn take_off(
    releases: &Api<DynamicObject>,
    name: &str,
    id: &str,
) -> Result<Option<u64>, kube::Error> {
    let present = releases.get_metadata(name).await?;
    if read(&present, Names::Said).is_none_or(|given| given.id != id) {
        return Ok(None);
    }
    let removal = json!({COMMAND: null, BY: null, REASON: null, ID: null});
    let metadata = json!({"resourceVersion": present.resource_version(), "annotations": removal});
    let patch = Patch::Merge(json!({"metadata": metadata}));
    match releases.patch(name, &as_serin(), &patch).await {
        Ok(without) => Ok(Some(api_resources::version(&without))),
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who set the annotation, and when.
fn setter(object: &impl ResourceExt) -> Option<&ManagedFieldsEntry> {
    object.managed_fields().iter().rev().find(|entry| has_set(entry, COMMAND))
}

/// Whether it was by this entry that the annotation `name` was set.
fn has_set(entry: &ManagedFieldsEntry, name: &str) -> bool {
    let annotations =
        entry.fields_v1.as_ref().and_then(|fields| fields.0.pointer("/f:metadata/f:annotations"));
    annotations.is_some_and(|set| set.get(format!("f:{name}")).is_some())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn object(command: &str, time: &str) -> ReleaseObject {
        serde_json::from_value(json!({
            "metadata": {
                "name": "shop",
                "annotations": {COMMAND: command},
                "managedFields": [
                    {"manager": "kubectl-create", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {}}},
                    {"manager": "kubectl-annotate", "time": time,
                     "fieldsV1": {"f:metadata": {"f:annotations": {format!("f:{COMMAND}"): {}}}}},
                ],
            },
            "spec": {"service": {"name": "shop"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_command_is_told_from_the_same_one_given_later() {
        let read = |time| read(&object("resume", time), Names::Said).unwrap();
        let (first, later) = (read("2026-01-01T00:00:00Z"), read("2026-01-01T00:00:05Z"));
        assert_eq!(
            first.command,
            Ok(Command {
                kind: CommandKind::Resume,
                by: "kubectl-annotate (not proved)".to_owned(),
                person: None
            })
        );
        assert_ne!(first.id, later.id);
        assert_eq!(first, read("2026-01-01T00:00:00Z"));
    }

    #[test]
    fn who_waits_for_the_answer_gives_the_id() {
        let mut object = object("abort", "2026-01-01T00:00:00Z");
        object.metadata.annotations.get_or_insert_default().insert(ID.to_owned(), "7f3a".to_owned());
        let given = read(&object, Names::Said).unwrap();
        let refused = Event::CommandRefused {
            command: CommandKind::Abort,
            by: "ann".to_owned(),
            why: serin_rollout::NotNow::NothingInProgress,
        };
        for (reasons, outcome, message) in [
            (vec![], CommandOutcome::Taken, "abort by kubectl-annotate (not proved)"),
            (vec![refused.into()], CommandOutcome::Refused, "abort by ann refused: no run is in progress"),
        ] {
            let (status, term) = (serin_rollout::Status::default(), serin_rollout::Term::Open);
            let plan = Plan { status, push: None, term, wanted: None, reasons };
            let answer = given.answer(&plan, Timestamp::UNIX_EPOCH);
            assert_eq!((answer.id.as_str(), answer.command.as_str()), ("7f3a", "abort"));
            assert_eq!((answer.outcome, answer.message.as_str()), (outcome, message));
        }
    }

    #[test]
    fn who_and_why_are_told_as_somebody_says() {
        let mut object = object("abort", "2026-01-01T00:00:00Z");
        let annotations = object.metadata.annotations.get_or_insert_default();
        annotations.insert(BY.to_owned(), "ann".to_owned());
        annotations.insert(REASON.to_owned(), "errors".repeat(100));
        let read = |names| read(&object, names).unwrap().command.unwrap();
        let Command { by, person, .. } = read(Names::Said);
        assert!(by.starts_with("ann (not proved), because: errorserrors") && person.is_none(), "{by}");
        assert_eq!(by.chars().count(), "ann (not proved), because: ".len() + LONGEST);
        let Command { by, person, .. } = read(Names::Proved);
        assert!(by.starts_with("ann, because: errorserrors") && person.as_deref() == Some("ann"), "{by}");
    }

    #[test]
    fn nobody_overrides_a_freeze_without_a_reason() {
        let mut object = object("override-freeze", "2026-01-01T00:00:00Z");
        let refusal = read(&object, Names::Said).unwrap().command.unwrap_err();
        assert!(refusal.contains("[serin.dev/command-reason]: missing: write why"), "{refusal}");
        let annotations = object.metadata.annotations.get_or_insert_default();
        annotations.insert(REASON.to_owned(), "the login is broken".to_owned());
        let command = read(&object, Names::Said).unwrap().command.unwrap();
        assert_eq!(command.kind, CommandKind::OverrideFreeze);
        assert!(command.by.ends_with("because: the login is broken"), "{}", command.by);
    }

    #[test]
    fn what_is_no_command_is_answered_with_those_there_are() {
        let given = read(&object("stop", "2026-01-01T00:00:00Z"), Names::Said).unwrap();
        assert!(given.command.unwrap_err().contains("\"stop\": write pause, resume"));
    }

    /// An API server with a Release that carries `command`, and how many writes it has seen.
    async fn api_server(command: &str) -> (Api<DynamicObject>, Arc<AtomicUsize>) {
        crate::http::install_crypto();
        let mut release = json!(object(command, "2026-01-01T00:00:00Z"));
        release["apiVersion"] = json!("serin.dev/v1alpha1");
        release["kind"] = json!("Release");
        release["metadata"]["resourceVersion"] = json!("7");
        let writes = Arc::<AtomicUsize>::default();
        let written = Arc::clone(&writes);
        let present = release.clone();
        let answers = axum::routing::get(async move || axum::Json(present)).patch(async move || {
            written.fetch_add(1, Ordering::Relaxed);
            axum::Json(release)
        });
        let pages = axum::Router::new().fallback_service(answers);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, pages).into_future());
        let client = kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
        (api_resources::releases(client, "shop"), writes)
    }

    #[tokio::test]
    async fn only_the_command_that_was_heard_is_taken_off() {
        let heard = read(&object("resume", "2026-01-01T00:00:00Z"), Names::Said).unwrap().id;
        for (present, expected, writes_expected) in [("resume", Some(7), 1), ("abort", None, 0)] {
            let (releases, writes) = api_server(present).await;
            let off = take_off(&releases, "shop", &heard).await.unwrap();
            assert_eq!((off, writes.load(Ordering::Relaxed)), (expected, writes_expected), "{present}");
        }
    }
}
