/*!
The judge: is the canary good enough, on the evidence of this run?

[`Evidence`] takes in what was counted, tick by tick, and gives a [`Verdict`] at any time; the planner knows nothing of
how it comes about. Two tests run for each metric, both of which may be looked at as often as one likes: the canary
against a fixed limit, and the canary against stable in the same moments (`serin_policy::evidence`). All tests
together take a good canary back with a chance of at most [`Analysis::false_rollback`](serin_release::Analysis).

What that promise needs is found out on the way. `baseline` compares those whom a step will move with the rest
while both are still on stable, for users differ and the hash draws users, not requests; the dispersion comes from
stable's own past. `forecast` says how long a fault would take to be caught.
*/
mod baseline;
mod contrast;
mod custom;
mod evidence;
mod findings;
mod forecast;
mod grave;
mod injected;
mod limit;
mod mirrored;
mod numbers;
mod recent;
mod requests;
mod segments;
mod signal;
mod stakes;
mod stratum;
mod tail;
#[cfg(test)]
mod tests;
mod traffic;
mod unjudged;
mod users;
mod verdict;
mod volume;
mod won;

pub use baseline::CohortRatio;
pub use evidence::{Evidence, Moment};
pub use findings::{Finding, ReadingFinding, SegmentFinding, UsersFinding};
pub use forecast::Forecast;
pub use injected::Injected;
pub use limit::{Limit, Raise};
pub use mirrored::MirrorFinding;
pub use numbers::{Grouped, OneIn, Share};
pub use unjudged::{Unjudged, WhyNot};
pub use verdict::{Failure, Judged, Promise, Test, Verdict, Wait};
pub use won::{Reference, TestKind, Won};
