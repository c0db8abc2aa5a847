/*!
What copies of stable's requests must be.
*/
use std::time::Duration;

use super::Span;

/// How long the canary gets them at least.
pub const DURATION: Span = Span::of(Duration::from_secs(1), Duration::from_hours(7 * 24));
/// What to write where it gets none.
pub const SOME: &str = "give more than 0%, or leave mirror out";
/// What to write where it gets those of no method.
pub const METHODS: &str = "name at least one method, or leave it out for [GET, HEAD, OPTIONS]";
/// What to write where nobody may write the route that they take.
pub const NEEDS_MANAGED: &str = "mirror: leave it out, or let routing.mode be Managed: copies take a route of their own, and with \
                                 Verify Serin writes none";
/// What to write where the answers to them are not judged.
pub const IS_JUDGED: &str = "have request-success-rate among spec.analysis.metrics, by which the answers to copies are judged, or leave mirror out";
