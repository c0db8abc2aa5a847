/*!
What arrives at the canary's pods, held against what proxies with the filter gave to it: the rest came past the filter.

Istio counts arrivals in each pod's sidecar; a pod without one is not seen. All doubts are for the filter: what was there
before the first look, what may be a second try, and what a pod counted after its last look are left out. So is all that
arrives while callers' proxies come, go or start again: what such a proxy gave last, nobody knows. And so is what arrives while
the release's own hooks try the canary. So it is a lower bound, and only told in steps.
*/
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::ProxySample;
use super::sampler::Latest;

/// For how long arrivals are compared before anything is made of them: requests under way count on one side only.
const LONG_ENOUGH: SignedDuration = SignedDuration::from_secs(60);

/// Of fewer arrivals nothing is made.
const ENOUGH: u64 = 100;

/// The shares that are told, in percent.
const STEPS: [u64; 5] = [50, 20, 10, 5, 2];

/// For how long a proxy that ends goes on with its callers' requests and is not asked any more: what Kubernetes gives a pod. What
/// hooks have begun is over by then, too.
const ENDING: SignedDuration = SignedDuration::from_secs(30);

/// What has arrived in a run.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Totals at the last look, by the pod's address.
    totals: BTreeMap<String, u64>,
    compared: Sums,
    /// What came since all proxies of callers last answered.
    since: Sums,
    /// The proxies of callers when all last answered: their uptimes in seconds, by address.
    callers: BTreeMap<String, u64>,
    /// Until when others may go on than those who are asked: proxies that end, hooks.
    others_end: Option<Timestamp>,
    began: Option<Timestamp>,
    /// The largest share that was found, in percent.
    past: Option<u64>,
}

/// Requests.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    arrived: u64,
    given: u64,
}

impl Arrivals {
    /// Takes in what the canary's `pods` last said of requests by one of `services`, and what it was `given` by `callers`
    /// since the last look. Only what came between two looks at which the same proxies have answered is compared.
    pub fn take_in(
        &mut self,
        pods: &[(String, Latest)],
        services: &[&str],
        given: u64,
        callers: &[ProxySample],
        now: Timestamp,
    ) {
        for (pod, latest) in pods {
            let Ok(sample) = &latest.sample else { continue };
            let total = services.iter().filter_map(|service| sample.arrived.get(*service)).sum();
            // What a pod had counted before it was looked at may be of another run.
            let before = self.totals.insert(pod.clone(), total);
            self.since.arrived += before.map_or(0, |before| total.saturating_sub(before));
        }
        let is_first = self.began.is_none();
        let began = *self.began.get_or_insert(now);
        self.since.given += if is_first { 0 } else { given };
        let uptimes: Option<BTreeMap<_, _>> = callers
            .iter()
            .map(|proxy| Some((proxy.address.clone(), proxy.sample.as_ref().ok()?.uptime_s)))
            .collect();
        // One that does not answer may have lost what it counted, or not.
        let Some(uptimes) = uptimes else { return };
        let is_same = uptimes.len() == self.callers.len()
            && uptimes
                .iter()
                .all(|(address, uptime)| self.callers.get(address).is_some_and(|before| before <= uptime));
        if !(is_same || is_first) {
            self.others_bring(now);
        }
        let since = std::mem::take(&mut self.since);
        self.callers = uptimes;
        if self.others_end.is_some_and(|end| now < end) {
            return;
        }
        // What came while the last of them ended is left out with this look.
        if self.others_end.take().is_none() {
            self.compared.arrived += since.arrived;
            self.compared.given += since.given;
        }
        let Sums { arrived, given } = self.compared;
        let past = arrived.saturating_sub(given);
        if arrived >= ENOUGH && now.duration_since(began) >= LONG_ENOUGH {
            let share = STEPS.into_iter().find(|step| past * 100 > arrived * step);
            self.past = self.past.max(share);
        }
    }

    /// Others than those who are asked bring requests, and may for a while: proxies that end, the release's own hooks.
    pub fn others_bring(&mut self, now: Timestamp) {
        self.others_end = now.checked_add(ENDING).ok();
    }

    /// How many percent of what arrived came past the filter, at least, if that was found.
    pub const fn past(&self) -> Option<u64> {
        self.past
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use super::*;
    use crate::observe::scrape::Sample;

    /// A proxy of callers that has been up for so many seconds; none that does not answer.
    fn caller(address: &str, uptime_s: Option<u64>) -> ProxySample {
        let sample = uptime_s.map(|uptime_s| Arc::new(Sample { uptime_s, ..Sample::default() }));
        ProxySample {
            name: address.to_owned(),
            address: address.to_owned(),
            attach_point: "gateway".into(),
            at: Timestamp::UNIX_EPOCH,
            sample: sample.ok_or_else(|| "no answer".to_owned()),
        }
    }

    /// A look: each pod's total of requests by the Service, what was given since the look before, and the proxies of callers.
    type Look<'a> = (&'a [Option<u64>], u64, Vec<ProxySample>);

    /// Looks every 10 s.
    #[track_caller]
    fn check_with(looks: &[Look<'_>], expected: Option<u64>) {
        check_beside(0..0, looks, expected);
    }

    /// The same while others bring requests, at these looks.
    #[track_caller]
    fn check_beside(others: Range<usize>, looks: &[Look<'_>], expected: Option<u64>) {
        let mut arrivals = Arrivals::default();
        let mut now = Timestamp::UNIX_EPOCH;
        for (look, (totals, given, callers)) in looks.iter().enumerate() {
            if others.contains(&look) {
                arrivals.others_bring(now);
            }
            let pod = |(number, total): (usize, &Option<u64>)| {
                let arrived =
                    |total| BTreeMap::from([("shop".to_owned(), total), ("cart".to_owned(), 1_000 * total)]);
                let sample =
                    total.map(|total| Arc::new(Sample { arrived: arrived(total), ..Sample::default() }));
                (number.to_string(), Latest { at: now, sample: sample.ok_or_else(|| "no answer".to_owned()) })
            };
            let pods: Vec<_> = totals.iter().enumerate().map(pod).collect();
            arrivals.take_in(&pods, &["shop", "shop-canary"], *given, callers, now);
            now += SignedDuration::from_secs(10);
        }
        assert_eq!(arrivals.past(), expected, "{looks:?}: {arrivals:?}");
    }

    /// The same with one proxy of callers, which is up all the time and always answers or never.
    #[track_caller]
    fn check(looks: &[(&[Option<u64>], u64)], is_complete: bool, expected: Option<u64>) {
        let callers = |look: usize| vec![caller("10.0.0.1", is_complete.then_some(1_000 + 10 * look as u64))];
        let looks: Vec<_> = looks
            .iter()
            .enumerate()
            .map(|(look, (totals, given))| (*totals, *given, callers(look)))
            .collect();
        check_with(&looks, expected);
    }

    /// One pod's total grows by 100 at each of 20 looks; `given_by` says what of that is known to have been given, and by
    /// which proxies.
    #[track_caller]
    fn check_callers(given_by: impl Fn(u64) -> (u64, Vec<ProxySample>), expected: Option<u64>) {
        let totals: Vec<_> = (0..20_u64).map(|look| [Some(5_000 + 100 * look)]).collect();
        let looks: Vec<_> = (0..20_u64)
            .zip(&totals)
            .map(|(look, totals)| {
                let (given, callers) = given_by(look);
                (&totals[..], given, callers)
            })
            .collect();
        check_with(&looks, expected);
    }

    #[test]
    fn what_proxies_gave_that_come_and_go_is_not_said_to_have_come_past_the_filter() {
        let steady = |address: &str, look: u64| caller(address, Some(1_000 + 10 * look));
        // One of two is replaced: it ends for a while, in which it gives to the canary and is not asked.
        check_callers(
            |look| {
                let given = if (7..10).contains(&look) { 50 } else { 100 };
                let second = if look < 7 { "10.0.0.2" } else { "10.0.0.3" };
                (given, vec![steady("10.0.0.1", look), steady(second, look)])
            },
            None,
        );
        // One starts again: its last counts are lost.
        check_callers(
            |look| {
                let uptime = if look < 7 { 1_000 + 10 * look } else { 10 * (look - 7) };
                (if look == 7 { 0 } else { 100 }, vec![caller("10.0.0.1", Some(uptime))])
            },
            None,
        );
        // It does not answer before that.
        check_callers(
            |look| {
                let uptime =
                    if look < 7 { Some(1_000 + 10 * look) } else { look.checked_sub(10).map(|it| 10 * it) };
                (if (7..=10).contains(&look) { 0 } else { 100 }, vec![caller("10.0.0.1", uptime)])
            },
            None,
        );
        // It did not answer for a while, and nothing is lost.
        check_callers(
            |look| {
                let uptime = (!(7..10).contains(&look)).then_some(1_000 + 10 * look);
                let given = match look {
                    7..10 => 0,
                    10 => 200,
                    _ => 50,
                };
                (given, vec![caller("10.0.0.1", uptime)])
            },
            Some(20),
        );
        // What comes past the filter is found all the same, when they have settled.
        check_callers(
            |look| {
                let second = if look < 4 { "10.0.0.2" } else { "10.0.0.3" };
                (50, vec![steady("10.0.0.1", look), steady(second, look)])
            },
            Some(20),
        );
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
    fn what_hooks_send_is_nobodys_who_came_past_the_filter() {
        let totals =
            [0, 100, 200, 800, 1_400, 1_500, 1_600, 1_700, 1_800, 1_900, 2_000].map(|total| [Some(total)]);
        let callers = |look: u64| vec![caller("10.0.0.1", Some(look * 10))];
        let looks: Vec<Look<'_>> =
            (0..).zip(&totals).map(|(look, total)| (&total[..], 100, callers(look))).collect();
        check_beside(2..5, &looks, None);
        // Without the hooks it would be told: 1,000 of 1,600 at the sixth look after the first.
        check_with(&looks, Some(50));
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
