/*!
The rules that are compared: each sees the same kind of counts, and moves the canary's share by them.
*/
mod flagger;
mod serin;
mod z_test;

use std::time::Duration;

use serin_policy::Weight;
use serin_policy::evidence::Tally;
use serin_release::Metric;

pub(super) use flagger::Flagger;
pub(super) use serin::Serin;
pub(super) use z_test::ZTest;

use serin_rollout::{ArmCounts, Cell, MetricReading, Users};

/// Something that watches a canary and moves its share.
pub(super) trait Rule {
    /// Where the canary stands until the next look.
    fn stand(&self) -> Stand;

    /// Looks at what was counted since the last look, `now` after the beginning.
    fn look(&mut self, counted: &Counted, now: Duration);
}

/// What a rule is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Counted {
    pub(super) cells: Vec<Cell>,
    /// The users so far.
    pub(super) users: Users,
    pub(super) readings: Vec<MetricReading>,
}

/// Where a canary stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// At this share.
    At(Weight),
    /// With everybody.
    Promoted,
    /// Off the air.
    TakenBack,
}

/// Requests, and those that are bad in the sense of a metric that has a limit.
fn bad(counts: &ArmCounts, metric: Metric) -> Tally {
    match metric {
        Metric::RequestDuration => counts.too_slow(),
        _ => counts.failed(),
    }
}
