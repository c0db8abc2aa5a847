/*!
How often Serin sets right what somebody else keeps changing: at once the first time, and then ever more rarely, so that
two writers of one object do not wear out each other, the API server and the proxies.

This goes for every object that Serin writes. What is wanted anew is written at once however long the quarrel has lasted,
and so is whatever takes users off the canary: that is the planner's business.
*/
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::Api;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt};

use super::FIELD_MANAGER;
use serin_rollout::Contested;

/// How long an object is left alone after it was set right for the first time. Each time after that doubles it.
const SHORTEST: Duration = Duration::from_secs(1);

/// How long an object is left alone at most.
const LONGEST: Duration = Duration::from_mins(1);

/// Nothing is kept of an object that nobody has asked about for so long.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// An object that Serin writes, or that part of it which it writes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Object {
    pub(super) kind: ApiResource,
    pub(super) namespace: String,
    pub(super) name: String,
    /// Which part, if not the whole.
    pub(super) part: Option<String>,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name, part } = self;
        write!(f, "{} {namespace}/{name}", kind.kind)?;
        part.as_ref().map_or(Ok(()), |part| write!(f, " ({part})"))
    }
}

/// Something that differs where another state is wanted.
pub(super) fn fingerprint(wanted: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    hasher.finish()
}

/// When an object may be set right again.
#[derive(Debug, Default)]
struct Backoff {
    /// What was last written.
    wanted: Option<u64>,
    /// When; none if the next write need not wait.
    written: Option<Instant>,
    /// How long to leave it alone after that.
    wait: Duration,
    right_since: Option<Instant>,
    /// Whether it was changed again soon after it had been set right.
    is_contested: bool,
}

impl Backoff {
    /// Whether the object, which is otherwise than `wanted`, may be written `now`.
    fn is_due(&mut self, wanted: u64, now: Instant) -> bool {
        self.calm_down(now);
        self.right_since = None;
        if self.wanted != Some(wanted) {
            return true;
        }
        self.is_contested |= !self.wait.is_zero();
        self.written.is_none_or(|at| now.duration_since(at) >= self.wait)
    }

    /// The object was written.
    fn written(&mut self, wanted: u64, now: Instant) {
        if self.wanted == Some(wanted) {
            self.wait = (self.wait * 2).clamp(SHORTEST, LONGEST);
        }
        (self.wanted, self.written) = (Some(wanted), Some(now));
    }

    /// The object is as it is wanted.
    fn is_right(&mut self, now: Instant) {
        self.right_since.get_or_insert(now);
        self.calm_down(now);
    }

    /// What has been right for twice the time that it would be left alone is contested no more.
    fn calm_down(&mut self, now: Instant) {
        if self.right_since.is_some_and(|since| now.duration_since(since) >= self.wait * 2) {
            (self.wait, self.is_contested) = (Duration::ZERO, false);
        }
    }
}

/// What is known of one object.
#[derive(Debug)]
struct Known {
    backoff: Backoff,
    /// The version that was last written: what is older, a watch has yet to bring up to date.
    version: u64,
    /// The other writer, as the object itself says.
    by: Option<String>,
    /// Whether the object was asked for that since it was last written.
    was_asked: bool,
    last_used: Instant,
}

impl Known {
    fn new(now: Instant) -> Self {
        Self { backoff: Backoff::default(), version: 0, by: None, was_asked: false, last_used: now }
    }
}

/// All objects that have been set right.
pub(super) struct Repairs {
    client: Client,
    known: Mutex<HashMap<Object, Known>>,
}

impl Repairs {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Whether `object`, which was `found` in this version and is not as it is `wanted`, may be written. Where somebody
    /// keeps changing it, takes note of who.
    pub(super) async fn is_due(&self, object: &Object, found: Option<u64>, wanted: u64) -> bool {
        let now = Instant::now();
        let (is_due, is_unknown) = {
            let mut all = self.lock();
            all.retain(|_, known| now.duration_since(known.last_used) < FORGOTTEN);
            let known = all.entry(object.clone()).or_insert_with(|| Known::new(now));
            known.last_used = now;
            if found.is_some_and(|found| found < known.version) {
                return false;
            }
            let is_due = known.backoff.is_due(wanted, now);
            let is_unknown = known.backoff.is_contested && known.by.is_none() && !known.was_asked;
            known.was_asked |= is_unknown;
            (is_due, is_unknown)
        };
        if is_unknown {
            let by = self.other_writer(object).await;
            if let Some(known) = self.lock().get_mut(object) {
                known.by = by;
            }
        }
        is_due
    }

    /// `object` was written as it is `wanted`, which made this `version` of it.
    pub(super) fn written(&self, object: &Object, version: u64, wanted: u64) {
        let now = Instant::now();
        let mut all = self.lock();
        let known = all.entry(object.clone()).or_insert_with(|| Known::new(now));
        known.backoff.written(wanted, now);
        (known.version, known.was_asked, known.last_used) = (version, false, now);
    }

    /// `object` is as it is wanted.
    pub(super) fn is_right(&self, object: &Object) {
        let now = Instant::now();
        if let Some(known) = self.lock().get_mut(object) {
            known.backoff.is_right(now);
            known.last_used = now;
            if !known.backoff.is_contested {
                known.by = None;
            }
        }
    }

    /// Lets whatever `concerns` somebody be written at once, the next time.
    pub(super) fn hurry(&self, concerns: impl Fn(&Object) -> bool) {
        for (_, known) in self.lock().iter_mut().filter(|(object, _)| concerns(object)) {
            known.backoff.written = None;
        }
    }

    /// What somebody keeps changing, of all that `concerns` somebody.
    pub(super) fn contested(&self, concerns: impl Fn(&Object) -> bool) -> Vec<Contested> {
        let all = self.lock();
        let contested = all.iter().filter(|(object, known)| known.backoff.is_contested && concerns(object));
        let mut contested: Vec<_> = contested
            .map(|(object, known)| Contested { object: object.to_string(), by: known.by.clone() })
            .collect();
        contested.sort_by(|one, other| one.object.cmp(&other.object));
        contested
    }

    /// Who has changed `object` last besides Serin, by its own account; none if nobody has left a name, or it is not there.
    async fn other_writer(&self, object: &Object) -> Option<String> {
        let Object { kind, namespace, name, .. } = object;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, kind);
        // What is not known now is asked for after the next write.
        let found = api.get_metadata(name).await.ok()?;
        other_manager(found.managed_fields()).map(str::to_owned)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Object, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The manager that has written last, besides Serin. Controllers write a status, which is nobody else's business.
fn other_manager(fields: &[ManagedFieldsEntry]) -> Option<&str> {
    let others = fields.iter().filter(|entry| {
        entry.manager.as_deref() != Some(FIELD_MANAGER) && entry.subresource.as_deref() != Some("status")
    });
    others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    /// What happens to an object at a time, in tenths of a second.
    enum Happens {
        /// It is found otherwise than wanted, and may be written or not.
        Changed(u64, bool),
        Right(u64),
    }
    use Happens::{Changed, Right};

    /// An object that is written whenever it may be. Checks that, and returns whether it is contested in the end.
    #[track_caller]
    fn check(history: &[Happens]) -> bool {
        let (mut backoff, began) = (Backoff::default(), Instant::now());
        let at = |tenths: u64| began + Duration::from_millis(tenths * 100);
        for happens in history {
            match *happens {
                Changed(tenths, expected) => {
                    assert_eq!(backoff.is_due(7, at(tenths)), expected, "at {tenths}");
                    if expected {
                        backoff.written(7, at(tenths));
                    }
                }
                Right(tenths) => backoff.is_right(at(tenths)),
            }
        }
        backoff.is_contested
    }

    #[test]
    fn the_first_repair_is_immediate_and_each_later_one_waits_twice_as_long() {
        // It is made, and set right for the first time.
        assert!(!check(&[Changed(0, true), Right(1), Changed(2, true)]));
        let quarrel = [
            Changed(0, true),
            Changed(1, true),
            Changed(2, false),
            Right(3),
            Changed(10, false),
            Changed(11, true),
            Changed(30, false),
            Changed(31, true),
            Right(32),
            Changed(70, false),
            Changed(71, true),
        ];
        assert!(check(&quarrel));
    }

    #[test]
    fn nothing_waits_longer_than_a_minute() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..100 {
            backoff.written(7, now);
        }
        assert!(!backoff.is_due(7, now + Duration::from_secs(59)));
        assert!(backoff.is_due(7, now + LONGEST));
    }

    #[test]
    fn what_was_right_for_twice_the_wait_is_set_right_at_once_again() {
        // It is left alone for two seconds.
        for (until, expected) in [(51, true), (52, false)] {
            let contested = [Changed(0, true), Changed(1, true), Changed(2, false), Changed(11, true)];
            let history: Vec<_> = contested.into_iter().chain([Right(12), Right(until)]).collect();
            assert_eq!(check(&history), expected, "right until {until}");
        }
        assert!(!check(&[Changed(0, true), Changed(1, true), Right(2), Changed(22, true)]));
    }

    #[test]
    fn another_wanted_state_is_written_at_once() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..4 {
            backoff.written(7, now);
        }
        assert!(!backoff.is_due(7, now));
        assert!(backoff.is_due(8, now));
        backoff.written(8, now);
        // The quarrel goes on where it was.
        assert!(!backoff.is_due(8, now + Duration::from_secs(3)));
        assert!(backoff.is_due(8, now + Duration::from_secs(4)));
    }

    #[test]
    fn the_other_writer_is_who_wrote_last_besides_serin_and_the_status() {
        let entry = |manager: &str, second: u32, subresource: Option<&str>| -> ManagedFieldsEntry {
            let time = format!("2026-01-01T00:00:0{second}Z");
            from_value(json!({"manager": manager, "time": time, "subresource": subresource})).unwrap()
        };
        let fields = [
            entry("helm", 1, None),
            entry("argocd", 4, Some("scale")),
            entry(FIELD_MANAGER, 8, None),
            entry("kube-controller-manager", 9, Some("status")),
        ];
        assert_eq!(other_manager(&fields), Some("argocd"));
        assert_eq!(other_manager(&fields[2..]), None);
    }
}
