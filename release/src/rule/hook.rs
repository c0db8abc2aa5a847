/*!
What the hooks of a Release must be.
*/
use std::time::Duration;

use super::Span;

/// The most hooks.
pub const MAX_HOOKS: usize = 32;
/// The most that is sent along with one.
pub const MAX_METADATA: usize = 32;
/// How often in a row a test may fail at most.
pub const MAX_RETRIES: u32 = 100;
/// How long an answer of a hook may take.
pub const HOOK_TIMEOUT: Span = Span::of(Duration::from_secs(1), Duration::from_mins(10));
/// How long a Job may take.
pub const JOB_TIMEOUT: Span = Span::of(Duration::from_secs(10), Duration::from_hours(6));
/// What to write where a template is none of a Job's.
pub const JOB_TEMPLATE: &str =
    "write a pod's template with a container, such as {spec: {containers: [{name: test, image: tests:v1}]}}";
/// What to write where a Job would have the rights of another than whoever may make one.
pub const JOB_ACCOUNT: &str = "leave it out: a Job of a hook runs as the ServiceAccount default";
/// What to write where a Job's pod would be started again.
pub const JOB_RESTARTS: &str = "write Never, or leave it out: whether it is tried again is what retries says";
/// What to write where a Job is asked again and again, as long as nothing is wrong.
pub const JOB_IS_NO_ALARM: &str =
    "write another point of the run: a rollback hook is asked every few seconds, which takes a url";
/// The most requests a second.
pub const MAX_RATE: u32 = 100;
/// For how long load is made.
pub const LOAD: Span = Span::of(Duration::from_secs(1), Duration::from_mins(10));
/// What to write where load would be counted as users'.
pub const LOAD_IS_BEFORE: &str = "write pre-rollout: load is for a version that has no users yet";
/// What to write where a hook asks nobody, or several.
pub const ONE_KIND: &str = "give a hook one of url, checks, job and load";
/// What to write where something is sent along with what takes nothing.
pub const METADATA_OF_URL: &str = "leave metadata out: it is sent to a url";
/// What to write where there is no new version to ask.
pub const CHECKS_NEED_PODS: &str = "write pre-rollout, rollout, confirm-traffic-increase or confirm-promotion: checks ask the new version, which has pods then";
/// What to write where two hooks have one name.
pub const OTHER_HOOK: &str = "give each hook a name of its own";
/// What to write where a gate has a failure.
pub const FAILURE_OF_TESTS: &str =
    "leave failure out: it belongs to pre-rollout and rollout; the others are gates, or only told";
