/*!
What a canary's pods answered to copies of stable's requests, in a mesh: all that their sidecars count, but for what proxies with
the filter gave to the canary.

Copies go past the filter, and Istio counts them like any other request. While the canary has no users, what testers and segments
bring is all that there is besides, and the filter counts that.
*/
use std::collections::BTreeMap;

use serin_policy::evidence::Tally;

use super::sampler::Latest;

/// What has been answered so far.
#[derive(Debug, Default)]
pub struct Copies {
    /// Totals at the last look, by the pod's address.
    totals: BTreeMap<String, Tally>,
    /// What was answered, and what was given and is not seen among it yet: the two are not of the same moment.
    answered: Tally,
    given: Tally,
}

impl Copies {
    /// Takes in what the canary's `pods` last said of requests by one of `services`, and what it was `given` by proxies since the
    /// last look. Returns what is new of copies; nothing while none are made.
    pub fn take_in(
        &mut self,
        pods: &[(String, Latest)],
        services: &[&str],
        given: Tally,
        are_made: bool,
    ) -> Tally {
        for (pod, latest) in pods {
            let Ok(sample) = &latest.sample else { continue };
            let mut total = Tally::default();
            services.iter().filter_map(|service| sample.answered.get(*service)).for_each(|it| total.add(*it));
            // What a pod had counted before it was looked at may be of another run; one that began again counts from zero.
            if let Some(before) = self.totals.insert(pod.clone(), total) {
                let began_again = total.requests < before.requests || total.bad < before.bad;
                self.answered.add(if began_again { total } else { less(total, before) });
            }
        }
        if !are_made {
            (self.answered, self.given) = Default::default();
            return Tally::default();
        }
        self.given.add(given);
        let new = less(self.answered, self.given);
        self.given = less(self.given, self.answered);
        self.answered = Tally::default();
        new
    }
}

/// What is left of `all` without `some`.
const fn less(all: Tally, some: Tally) -> Tally {
    Tally { requests: all.requests.saturating_sub(some.requests), bad: all.bad.saturating_sub(some.bad) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::observe::scrape::Sample;

    const fn tally(requests: u64, bad: u64) -> Tally {
        Tally { requests, bad }
    }

    /// Looks at which the two pods have these totals, and so much was given since the last one; expects what is new of copies.
    #[track_caller]
    fn check(looks: &[([Option<Tally>; 2], Tally, Tally)]) {
        let mut copies = Copies::default();
        for (number, (totals, given, expected)) in looks.iter().enumerate() {
            let pod = |(pod, total): (usize, &Option<Tally>)| {
                let answered =
                    |total| BTreeMap::from([("shop".to_owned(), total), ("cart".to_owned(), tally(9, 9))]);
                let sample =
                    total.map(|total| Arc::new(Sample { answered: answered(total), ..Sample::default() }));
                let sample = sample.ok_or_else(|| "no answer".to_owned());
                (pod.to_string(), Latest { at: Timestamp::UNIX_EPOCH, sample })
            };
            let pods: Vec<_> = totals.iter().enumerate().map(pod).collect();
            let new = copies.take_in(&pods, &["shop", "shop-canary"], *given, true);
            assert_eq!(new, *expected, "look {number} of {looks:?}");
        }
    }

    #[test]
    fn what_was_answered_and_not_given_was_a_copy() {
        let none = Tally::default();
        check(&[
            ([Some(tally(500, 5)), None], none, none),
            ([Some(tally(520, 7)), Some(tally(900, 90))], none, tally(20, 2)),
            ([Some(tally(540, 7)), Some(tally(910, 91))], tally(10, 1), tally(20, 0)),
            // What was given arrives a look later.
            ([Some(tally(540, 7)), Some(tally(910, 91))], tally(5, 0), none),
            ([Some(tally(550, 7)), Some(tally(910, 91))], none, tally(5, 0)),
            // One starts again, and one does not answer.
            ([Some(tally(3, 1)), None], none, tally(3, 1)),
        ]);
    }

    #[test]
    fn what_comes_before_copies_are_made_is_none() {
        let mut copies = Copies::default();
        let mut look = |total, are_made| {
            let answered = BTreeMap::from([("shop".to_owned(), tally(total, 0))]);
            let sample = Ok(Arc::new(Sample { answered, ..Sample::default() }));
            let pods = [("10.0.0.1".to_owned(), Latest { at: Timestamp::UNIX_EPOCH, sample })];
            copies.take_in(&pods, &["shop"], Tally::default(), are_made).requests
        };
        assert_eq!([look(10, false), look(30, false), look(60, true), look(70, false)], [0, 0, 30, 0]);
    }
}
