/*!
The canary's answers to copies of stable's requests, against stable's answers to the same requests.

Both are of the same requests, so neither the users nor the methods nor the time of day can differ. What the comparison's proof
asks of the two counts is that they be independent, or that one tends to rise with the other: a request that fails by itself
fails on both, which makes a good canary look better, never worse.
*/
use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Claim, Comparison, Dispersion, Tally};

use super::evidence::Evidence;
use super::findings::needed;
use super::stakes::{Stake, compared, part};
use super::verdict::Judged;
use crate::observation::Mirrored;
use serin_release::{Analysis, Criterion, Metric};

/// What the copies have shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MirrorTest {
    /// Is the canary worse?
    pub(super) worse: Comparison,
    /// All there were.
    pub(super) seen: Mirrored,
    /// Those that were not compared yet: answers of one version whose others may come at the next look.
    open: Mirrored,
}

/// How the answers to copies stand, for people.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MirrorFinding {
    /// The canary's answers to copies.
    pub canary: Tally,
    /// Stable's answers to the requests that were copied.
    pub stable: Tally,
    /// Evidence (ln E) that the canary is worse by more than is allowed.
    pub evidence: f64,
    /// The evidence that takes the canary back without any of other tests.
    pub needed: f64,
}

impl Default for MirrorTest {
    fn default() -> Self {
        Self {
            worse: Comparison::watchful(Claim::Worse),
            seen: Mirrored::default(),
            open: Mirrored::default(),
        }
    }
}

impl MirrorTest {
    pub(super) fn take_in(&mut self, new: Mirrored, allowance: Allowance, dispersion: Dispersion) {
        self.seen.add(new);
        self.open.add(new);
        let Mirrored { stable, canary } = self.open;
        if stable.requests > 0 && canary.requests > 0 {
            self.worse.take_in(canary, stable, allowance, dispersion);
            self.open = Mirrored::default();
        }
    }
}

impl Evidence {
    /// The canary gets copies of stable's requests from now on.
    pub(crate) fn begin_mirror(&mut self) {
        self.mirrored = Some(MirrorTest::default());
    }

    /// Takes in what became of requests of which the canary got a copy.
    pub(crate) fn take_in_mirrored(&mut self, new: Mirrored, analysis: &Analysis) {
        let dispersion = self.failed.contrast.dispersion(analysis.dispersion);
        if let (Some(test), Some(criterion)) = (&mut self.mirrored, of_failures(analysis)) {
            test.take_in(new, criterion.compare, dispersion);
        }
    }

    /// Answers to requests of which the canary got a copy.
    pub fn mirrored(&self) -> Mirrored {
        self.mirrored.as_ref().map(|test| test.seen).unwrap_or_default()
    }

    /// The test of them.
    pub(super) fn of_copies(&self, analysis: &Analysis) -> Option<Stake> {
        let (mirrored, criterion) = (self.mirrored.as_ref()?, of_failures(analysis)?);
        Some(Stake {
            run: (mirrored.seen.canary, mirrored.seen.stable),
            ln_e: mirrored.worse.ln_e(),
            ..Stake::idle(Judged::Copies, compared(criterion.compare), part::MIRRORED)
        })
    }

    /// How they stand, where there were any to be.
    pub fn copies(&self, analysis: &Analysis) -> Option<MirrorFinding> {
        let mirrored = self.mirrored.as_ref()?;
        Some(MirrorFinding {
            canary: mirrored.seen.canary,
            stable: mirrored.seen.stable,
            evidence: mirrored.worse.ln_e(),
            needed: needed(&self.stakes(analysis), &Judged::Copies, analysis),
        })
    }
}

fn of_failures(analysis: &Analysis) -> Option<Criterion> {
    analysis.criterion(Metric::RequestSuccessRate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stable: (u64, u64), canary: (u64, u64)) -> Mirrored {
        let tally = |(requests, bad)| Tally { requests, bad };
        Mirrored { stable: tally(stable), canary: tally(canary) }
    }

    /// The evidence after 60 looks like these.
    fn after(looks: &[Mirrored]) -> f64 {
        let mut test = MirrorTest::default();
        for look in looks.iter().cycle().take(60) {
            test.take_in(*look, Allowance::new(1.5, 0.001), Dispersion::NONE);
        }
        test.worse.ln_e()
    }

    #[test]
    fn only_what_the_canary_fails_by_itself_speaks_against_it() {
        let needed = 100_f64.ln();
        assert!(after(&[of((20, 0), (20, 2))]) > needed);
        // What fails on both is the request's.
        assert!(after(&[of((20, 2), (20, 2))]) < 0.0);
        assert!(after(&[of((20, 0), (20, 0))]) <= 0.0);
        // It makes no difference in which look each of them answers.
        assert!(after(&[of((20, 0), (0, 0)), of((0, 0), (20, 2))]) > needed);
    }
}
