/*!
How many requests took longer than each of [`EDGES_MS`], from the filter's histograms.

A proxy brings its histograms up to date every few seconds only (Envoy: 5), so what is new of them comes in larger pieces
than what is new of its counters, and is by itself: times of so many requests, whichever look counted these. It is known
in memory only; of a proxy that was there before us, the first look says what is past.
*/
use std::collections::BTreeMap;

use serin_policy::series::Tag;
use serin_rollout::{ArmCounts, EDGES_MS};

use super::latency::Buckets;
use super::scrape::Sample;

/// Running totals, by proxy and label `tag`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Times(BTreeMap<String, BTreeMap<String, Total>>);

/// One histogram's totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Total {
    timed: u64,
    slower_than: [u64; EDGES_MS.len()],
}

impl Times {
    /// Takes down what the proxy at `address` says of `release`, and returns what is new by tag: everything, if all of
    /// the proxy's life is new.
    pub(super) fn take_in<'s>(
        &mut self,
        address: &str,
        release: &str,
        sample: &'s Sample,
        is_born: bool,
    ) -> Vec<(Tag<'s>, ArmCounts)> {
        let is_known = self.0.contains_key(address) && !is_born;
        let totals = self.0.entry(address.to_owned()).or_default();
        if is_born {
            totals.clear();
        }
        let mut news = Vec::new();
        for (tag, buckets) in &sample.times {
            let Some(parsed) = Tag::parse(tag).filter(|tag| tag.release == release) else { continue };
            let Some(total) = Total::of(buckets) else { continue };
            let before = totals.insert(tag.clone(), total);
            if is_known || is_born {
                let Total { timed, slower_than } = total.since(before);
                if timed > 0 {
                    news.push((parsed, ArmCounts { timed, slower_than, ..ArmCounts::default() }));
                }
            }
        }
        news
    }

    /// Forgets proxies that `is_there` does not know any more.
    pub(super) fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|address, _| is_there(address));
    }
}

impl Total {
    /// None where an edge is missing: what lies between two others cannot be told.
    fn of(buckets: &Buckets) -> Option<Self> {
        let timed = buckets.up_to(f64::INFINITY)?;
        let mut total = Self { timed, ..Self::default() };
        for (slower, edge) in total.slower_than.iter_mut().zip(EDGES_MS) {
            *slower = timed.saturating_sub(buckets.up_to(edge.into())?);
        }
        Some(total)
    }

    /// What came after `before`; everything, where the counts began again.
    fn since(self, before: Option<Self>) -> Self {
        let Some(before) = before.filter(|before| before.timed <= self.timed) else { return self };
        let mut since = Self { timed: self.timed - before.timed, ..self };
        for (slower, before) in since.slower_than.iter_mut().zip(before.slower_than) {
            *slower = slower.saturating_sub(before);
        }
        since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::latency::Bucket;

    /// A histogram of so many requests, of which the second number took no longer than 250 ms and all others more than
    /// 30 s. Without `edge` it has no edge there.
    fn sample(all: u32, fast: u32, without_edge: Option<u32>) -> Sample {
        let edges = EDGES_MS.into_iter().filter(|&edge| Some(edge) != without_edge).map(f64::from);
        let bucket = |up_to_ms: f64| {
            let count = if up_to_ms.is_infinite() {
                all
            } else if up_to_ms >= 250.0 {
                fast
            } else {
                0
            };
            Bucket { up_to_ms, count: count.into() }
        };
        let buckets =
            Buckets::new([0.5, f64::INFINITY, 60_000.0].into_iter().chain(edges).map(bucket).collect());
        let times = vec![("shop/shop/canary/step-1".to_owned(), buckets)];
        Sample { times, ..Sample::default() }
    }

    /// What was new look by look: all, and those slower than 100 ms, 250 ms and 30 s.
    #[track_caller]
    fn check(looks: &[(Sample, bool)], expected: &[Option<[u64; 4]>]) {
        let mut times = Times::default();
        for ((sample, is_born), expected) in looks.iter().zip(expected) {
            let news = times.take_in("a", "shop/shop", sample, *is_born);
            let new = news.first().map(|(_, new)| {
                let slower =
                    |edge| new.slower_than[EDGES_MS.iter().position(|&known| known == edge).unwrap()];
                [new.timed, slower(100), slower(250), slower(30_000)]
            });
            assert_eq!(new, *expected);
        }
    }

    #[test]
    fn what_took_longer_than_an_edge_is_counted_from_the_second_look_on() {
        check(
            &[(sample(10, 9, None), false), (sample(13, 10, None), false), (sample(13, 10, None), false)],
            &[None, Some([3, 3, 2, 2]), None],
        );
    }

    #[test]
    fn all_is_new_of_a_proxy_that_came_up_meanwhile_and_of_counts_that_begin_again() {
        check(
            &[(sample(5, 4, None), true), (sample(2, 2, None), false), (sample(3, 3, None), true)],
            &[Some([5, 5, 1, 1]), Some([2, 2, 0, 0]), Some([3, 3, 0, 0])],
        );
    }

    #[test]
    fn where_an_edge_is_missing_nothing_is_told() {
        let looks = [(sample(5, 4, Some(500)), true), (sample(9, 4, Some(500)), false)];
        check(&looks, &[None, None]);
    }
}
