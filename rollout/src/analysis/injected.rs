/*!
Requests into whose answers a fault was injected on purpose. They are counted, so that people see what a fault does, and judged
by nobody: what became of them is not the version's doing.
*/
use serde::{Deserialize, Serialize};
use serin_policy::Arm;

use crate::observation::{Chooser, Chosen};

/// How many requests of each version in this run met a fault that was injected on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Injected {
    /// Of stable.
    pub stable: u64,
    /// Of the canary.
    pub canary: u64,
}

impl Injected {
    /// Whether there are none.
    pub const fn is_none(&self) -> bool {
        self.stable == 0 && self.canary == 0
    }

    pub(super) fn take_in(&mut self, chosen: &[Chosen]) {
        for Chosen { arm, counts, .. } in chosen.iter().filter(|chosen| chosen.by == Chooser::Fault) {
            let sum = match arm {
                Arm::Stable => &mut self.stable,
                Arm::Canary => &mut self.canary,
                Arm::Extra(_) => continue,
            };
            *sum = sum.saturating_add(counts.requests);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use serin_policy::{Cohort, Weight};

    use super::*;
    use crate::analysis::{Evidence, Moment, Verdict, Wait};
    use crate::observation::{ArmCounts, Cell, Drawn};
    use serin_release::Release;

    /// A canary whose users had a tenth of the requests while they were on stable. Now it has a third of these, and another
    /// 70 a second count for a fault, if the Release has any at the time.
    fn run(faults: &str) -> (Release, Evidence, Timestamp) {
        let yaml = format!(
            "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop}}
spec:
  service: {{name: shop}}
  canary: {{version: v2}}
  strategy: {{canary: {{steps: [{{setWeight: 10}}, {{setWeight: 50}}]}}}}
  analysis: {{minRequests: 100, warmUp: 0s}}
  faults: [{faults}]
"
        );
        let release = Release::from_yaml(&yaml).unwrap();
        let (mut evidence, mut now) = (Evidence::default(), Timestamp::UNIX_EPOCH);
        for second in 0..260 {
            let step_index = usize::from(second >= 200);
            let (own, requests) = if step_index == 1 { (Arm::Canary, 30) } else { (Arm::Stable, 100) };
            let counts = |requests| ArmCounts { requests, ..ArmCounts::default() };
            let cell = |arm, cohort, requests| Cell {
                place: String::new(),
                drawn: Drawn::Cohort(cohort),
                arm,
                counts: counts(requests),
            };
            let cells = [cell(Arm::Stable, Cohort::Rest, 900), cell(own, Cohort::Step(0), requests)];
            now += SignedDuration::from_secs(1);
            let settled = Weight::from_ppm(100_000).ok().filter(|_| step_index == 1);
            evidence.take_in(&cells, None, Moment { step_index, settled, now }, &release);
            let counts = ArmCounts { errors: 70, ..counts(70) };
            let injected = Chosen { by: Chooser::Fault, arm: Arm::Canary, counts };
            let chosen = if step_index == 1 { vec![injected] } else { Vec::new() };
            evidence.take_in_chosen(&chosen, &cells, now, &release);
        }
        (release, evidence, now)
    }

    #[test]
    fn what_was_injected_is_counted_and_makes_no_version_lose_its_requests() {
        let fault = |until: u32| {
            format!(
                "{{version: canary, abort: {{httpStatus: 500, percentage: 70}}, until: 1970-01-01T00:{until:02}:00Z}}"
            )
        };
        for (faults, expected) in [
            (String::new(), Verdict::NotYet(Wait::TrafficShare)),
            (fault(30), Verdict::Pass),
            (fault(1), Verdict::NotYet(Wait::TrafficShare)),
        ] {
            let (release, evidence, now) = run(&faults);
            assert_eq!(evidence.injected(), Injected { stable: 0, canary: 60 * 70 });
            assert_eq!(evidence.verdict(&release.analysis, now), expected, "{faults}");
            let unjudged = evidence.unjudged(&release, now);
            let unjudged: Vec<_> = unjudged.iter().map(|it| format!("{}: {}", it.what, it.why)).collect();
            let told =
                "traffic-share: faults are injected, and requests that meet one count apart".to_owned();
            assert_eq!(unjudged.contains(&told), expected == Verdict::Pass, "{unjudged:?}");
        }
    }
}
