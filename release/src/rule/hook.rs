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
/// What to write where a hook asks nobody, or several.
pub const ONE_KIND: &str = "give a hook one of url and checks";
/// What to write where something is sent along with what takes nothing.
pub const METADATA_OF_URL: &str = "leave metadata out: it is sent to a url";
/// What to write where there is no new version to ask.
pub const CHECKS_NEED_PODS: &str = "write pre-rollout, rollout, confirm-traffic-increase or confirm-promotion: checks ask the new version, which has pods then";
/// What to write where two hooks have one name.
pub const OTHER_HOOK: &str = "give each hook a name of its own";
/// What to write where a gate has a failure.
pub const FAILURE_OF_TESTS: &str =
    "leave failure out: it belongs to pre-rollout and rollout; the others are gates, or only told";
