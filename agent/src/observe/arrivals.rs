/*!
What arrives at the canary's pods, held against what proxies with the filter gave to it: the rest came past the filter.

Istio counts arrivals in each pod's sidecar; a pod without one is not seen. All doubts are for the filter: what was there
before the first look, what may be a second try, and what a pod counted after its last look are left out. So it is a lower
bound, and only told in steps.
*/
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::sampler::Latest;

/// For how long arrivals are compared before anything is made of them: requests under way count on one side only.
const LONG_ENOUGH: SignedDuration = SignedDuration::from_secs(60);

/// Of fewer arrivals nothing is made.
const ENOUGH: u64 = 100;

/// The shares that are told, in percent.
const STEPS: [u64; 5] = [50, 20, 10, 5, 2];

/// What has arrived in a run.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Totals at the last look, by the pod's address.
    totals: BTreeMap<String, u64>,
    arrived: u64,
    given: u64,
    began: Option<Timestamp>,
    /// The largest share that was found, in percent.
    past: Option<u64>,
}

impl Arrivals {
    /// Takes in what the canary's `pods` last said of requests by one of `services`, and what it was `given` since the last
    /// look. Only where all proxies of callers have answered (`is_complete`) the two are compared.
    pub fn take_in(
        &mut self,
        pods: &[(String, Latest)],
        services: &[&str],
        given: u64,
        is_complete: bool,
        now: Timestamp,
    ) {
        for (pod, latest) in pods {
            let Ok(sample) = &latest.sample else { continue };
            let total = services.iter().filter_map(|service| sample.arrived.get(*service)).sum();
            // What a pod had counted before it was looked at may be of another run.
            let before = self.totals.insert(pod.clone(), total);
            self.arrived += before.map_or(0, |before| total.saturating_sub(before));
        }
        let Some(began) = self.began else {
            self.began = Some(now);
            return;
        };
        self.given += given;
        let past = self.arrived.saturating_sub(self.given);
        if is_complete && self.arrived >= ENOUGH && now.duration_since(began) >= LONG_ENOUGH {
            let share = STEPS.into_iter().find(|step| past * 100 > self.arrived * step);
            self.past = self.past.max(share);
        }
    }

    /// How many percent of what arrived came past the filter, at least, if that was found.
    pub const fn past(&self) -> Option<u64> {
        self.past
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::scrape::Sample;

    /// Looks every 10 s: each pod's total of requests by the Service, and what was given since the look before.
    #[track_caller]
    fn check(looks: &[(&[Option<u64>], u64)], is_complete: bool, expected: Option<u64>) {
        let mut arrivals = Arrivals::default();
        let mut now = Timestamp::UNIX_EPOCH;
        for (totals, given) in looks {
            let pod = |(number, total): (usize, &Option<u64>)| {
                let arrived =
                    |total| BTreeMap::from([("shop".to_owned(), total), ("cart".to_owned(), 1_000 * total)]);
                let sample =
                    total.map(|total| Arc::new(Sample { arrived: arrived(total), ..Sample::default() }));
                (number.to_string(), Latest { at: now, sample: sample.ok_or_else(|| "no answer".to_owned()) })
            };
            let pods: Vec<_> = totals.iter().enumerate().map(pod).collect();
            arrivals.take_in(&pods, &["shop", "shop-canary"], *given, is_complete, now);
            now += SignedDuration::from_secs(10);
        }
        assert_eq!(arrivals.past(), expected, "{looks:?}: {arrivals:?}");
    }

    /// Looks in which one pod's total grows so much at each, of which so much was given.
    fn steady(arrived: u64, given: u64, looks: u64) -> Vec<([Option<u64>; 1], u64)> {
        (0..looks).map(|look| ([Some(5_000 + look * arrived)], given)).collect()
    }

    fn check_steady(arrived: u64, given: u64, looks: u64, expected: Option<u64>) {
        let looks = steady(arrived, given, looks);
        let looks: Vec<_> = looks.iter().map(|(totals, given)| (&totals[..], *given)).collect();
        check(&looks, true, expected);
        check(&looks, false, None);
    }

    #[test]
    fn what_was_not_given_came_past_the_filter() {
        check_steady(100, 100, 8, None);
        check_steady(100, 99, 8, None);
        check_steady(100, 97, 8, Some(2));
        check_steady(100, 75, 8, Some(20));
        check_steady(100, 0, 8, Some(50));
        // Sooner, or of a few, it is nothing.
        check_steady(100, 0, 6, None);
        check_steady(10, 0, 8, None);
        check_steady(100, 120, 8, None);
    }

    #[test]
    fn a_pod_that_comes_or_does_not_answer_makes_no_difference() {
        let given = 100;
        let looks: Vec<([Option<u64>; 2], u64)> = (0..12)
            .map(|look: u64| {
                // The second one has been there, answers late, and not always.
                let second = (look > 3 && look != 7).then_some(90_000 + look);
                ([(look != 5).then_some(look * 100), second], given)
            })
            .collect();
        let looks: Vec<_> = looks.iter().map(|(totals, given)| (&totals[..], *given)).collect();
        check(&looks, true, None);
    }
}
