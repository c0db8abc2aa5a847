/*!
What many plays come to, each figure with how far chance may have moved it.
*/

use serde::Serialize;
use serin_policy::evidence::as_f64;

use super::trial::{End, Trial};

/// What came of bad canaries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bad {
    /// How often the canary was taken back.
    pub caught: Share,
    /// After how many seconds from the canary's first share, where it was; none where it never was.
    pub seconds: Option<Range>,
    /// After how many looks.
    pub looks: Option<Range>,
    /// Users who met the fault before the canary was taken back or given to everybody, on average.
    pub users: f64,
    /// Answers that the fault made bad until then, on average.
    pub answers: f64,
}

/// What came of good canaries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Good {
    /// How often the canary was taken back.
    pub thrown_away: Share,
    /// How often it was neither out nor taken back after four times as long as it takes at least.
    pub held: Share,
    /// After how many seconds from its first share it was out; none where it never was.
    pub seconds: Option<Range>,
}

/// How often something happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// So often.
    pub count: usize,
    /// Of so many.
    pub of: usize,
    /// The true share is at least this, with 95 % confidence.
    pub low: f64,
    /// And at most this.
    pub high: f64,
}

/// Where the middle and most of some numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    /// A quarter is at most this.
    pub lower_quartile: f64,
    /// Half are at most this.
    pub median: f64,
    /// Three quarters are at most this.
    pub upper_quartile: f64,
    /// 90 % are at most this.
    pub p90: f64,
}

impl Bad {
    pub(super) fn of(plays: &[Trial]) -> Self {
        let caught = || plays.iter().filter(|play| play.end == End::TakenBack);
        Self {
            caught: Share::of(plays, End::TakenBack),
            seconds: Range::of(caught().map(|play| play.faulty.as_secs_f64())),
            looks: Range::of(caught().map(|play| f64::from(play.looks))),
            users: mean(plays.iter().map(|play| as_f64(play.users))),
            answers: mean(plays.iter().map(|play| as_f64(play.answers))),
        }
    }
}

impl Good {
    pub(super) fn of(plays: &[Trial]) -> Self {
        let out = plays.iter().filter(|play| play.end == End::Promoted);
        Self {
            thrown_away: Share::of(plays, End::TakenBack),
            held: Share::of(plays, End::Held),
            seconds: Range::of(out.map(|play| play.exposed.as_secs_f64())),
        }
    }
}

impl Share {
    /// The plays that ended so.
    fn of(plays: &[Trial], end: End) -> Self {
        let count = plays.iter().filter(|play| play.end == end).count();
        let (low, high) = wilson(count as u64, plays.len() as u64);
        Self { count, of: plays.len(), low, high }
    }

    /// The share itself.
    pub fn share(self) -> f64 {
        as_f64(self.count as u64) / as_f64(self.of as u64)
    }
}

/// Where the share is with 95 % confidence of which `count` of `of` were seen: Wilson's interval (Wilson, "Probable
/// Inference, the Law of Succession, and Statistical Inference", 1927).
pub(super) fn wilson(count: u64, of: u64) -> (f64, f64) {
    /// 95 % of a standard normal variable is within this.
    const Z: f64 = 1.959_964;
    let n = as_f64(of);
    let share = as_f64(count) / n;
    let middle = share + Z * Z / (2.0 * n);
    let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let within = |bound: f64| (bound / scale).clamp(0.0, 1.0);
    (within(middle - reach), within(middle + reach))
}

impl Range {
    fn of(numbers: impl Iterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable_by(f64::total_cmp);
        let quantile =
            |percent: usize| numbers.get((numbers.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self {
            lower_quartile: quantile(25)?,
            median: quantile(50)?,
            upper_quartile: quantile(75)?,
            p90: quantile(90)?,
        })
    }
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = as_f64(numbers.len() as u64);
    numbers.sum::<f64>() / count
}
