/*!
How long requests take, for people to look at: percentiles from the filter's histograms.

No verdict rests on them. An edge of a bucket is seldom where an objective is, so the filter itself counts exactly which
requests took longer.
*/
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serin_policy::Arm;
use serin_policy::series::Tag;

use super::scrape::{Sample, whole};

/// The latency of both versions since it was last cleared.
#[derive(Debug, Default)]
pub struct Latency {
    /// Cumulative counts at the last look, by proxy and series.
    before: BTreeMap<(String, String), Buckets>,
    known: BTreeSet<String>,
    stable: Buckets,
    canary: Buckets,
}

/// Requests by how long they took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets(Vec<Bucket>);

/// Requests that took no longer than a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// That time in milliseconds; infinite in the last bucket.
    pub up_to_ms: f64,
    /// How many there were.
    pub count: f64,
}

/// Percentiles of one version's latency, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of all requests took no longer.
    pub p50: f64,
    /// Nine in ten.
    pub p90: f64,
    /// Ninety-nine in a hundred.
    pub p99: f64,
}

impl Latency {
    /// Takes in what the proxy at `address` has measured since the last look, randomly assigned requests of `release`
    /// only. The past of a proxy that is seen for the first time is left out.
    pub fn take_in(&mut self, address: &str, release: &str, sample: &Sample) {
        let is_known = !self.known.insert(address.to_owned());
        for (tag, buckets) in &sample.times {
            let Some(parsed) = Tag::parse(tag).filter(|tag| tag.release == release && tag.group.is_random())
            else {
                continue;
            };
            let before = self.before.insert((address.to_owned(), tag.clone()), buckets.clone());
            if is_known {
                let sum = match parsed.arm {
                    Arm::Stable => &mut self.stable,
                    Arm::Canary => &mut self.canary,
                    Arm::Extra(_) => continue,
                };
                sum.add(&buckets.since(before.as_ref()));
            }
        }
    }

    /// Begins anew: what was measured until now belongs to another run.
    pub fn clear(&mut self) {
        (self.stable, self.canary) = Default::default();
    }

    /// The percentiles of one version; none before its first request.
    pub fn percentiles(&self, arm: Arm) -> Option<Percentiles> {
        let buckets = match arm {
            Arm::Stable => &self.stable,
            Arm::Canary => &self.canary,
            Arm::Extra(_) => return None,
        };
        let quantile = |q| buckets.quantile(q);
        Some(Percentiles { p50: quantile(0.5)?, p90: quantile(0.9)?, p99: quantile(0.99)? })
    }
}

impl Buckets {
    /// Cumulative counts, in any order.
    pub fn new(mut buckets: Vec<Bucket>) -> Self {
        buckets.sort_by(|one, other| one.up_to_ms.total_cmp(&other.up_to_ms));
        Self(buckets)
    }

    /// How many took no longer than `ms`, if there is an edge there.
    pub fn up_to(&self, ms: f64) -> Option<u64> {
        let bucket = self.0.iter().find(|bucket| bucket.up_to_ms.total_cmp(&ms).is_eq())?;
        Some(whole(bucket.count))
    }

    /// What came after `before`; everything, where the counts began again.
    fn since(&self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self.clone() };
        let same = |(new, old): (&Bucket, &Bucket)| {
            new.up_to_ms.total_cmp(&old.up_to_ms).is_eq() && new.count >= old.count
        };
        if self.0.len() != before.0.len() || !self.0.iter().zip(&before.0).all(same) {
            return self.clone();
        }
        let difference = |(new, old): (&Bucket, &Bucket)| Bucket { count: new.count - old.count, ..*new };
        Self(self.0.iter().zip(&before.0).map(difference).collect())
    }

    /// All proxies have the same edges; one that has others is left out.
    fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
        } else if self.0.len() == other.0.len() {
            for (sum, more) in self.0.iter_mut().zip(&other.0) {
                sum.count += more.count;
            }
        }
    }

    /// As Prometheus' `histogram_quantile` has it: evenly spread within the bucket; the last edge for what lies beyond
    /// it.
    fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.0.last().map(|last| last.count).filter(|&total| total > 0.0)?;
        let rank = q * total;
        let at = self.0.iter().position(|bucket| bucket.count >= rank)?;
        let below = at.checked_sub(1).and_then(|below| self.0.get(below));
        let (start, before) = below.map_or((0.0, 0.0), |below| (below.up_to_ms, below.count));
        let Bucket { up_to_ms, count } = self.0.get(at).copied()?;
        if up_to_ms.is_infinite() {
            return Some(start);
        }
        Some(start + (up_to_ms - start) * (rank - before) / (count - before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cumulative counts up to 5, 10 and 100 ms and beyond.
    fn buckets(counts: [f64; 4]) -> Buckets {
        let edges = [100.0, f64::INFINITY, 5.0, 10.0];
        let counts = [counts[2], counts[3], counts[0], counts[1]];
        let bucket = |(up_to_ms, count)| Bucket { up_to_ms, count };
        Buckets::new(edges.into_iter().zip(counts).map(bucket).collect())
    }

    fn sample(counts: [f64; 4]) -> Sample {
        let times = vec![("shop/shop/canary/step-1".to_owned(), buckets(counts))];
        Sample { times, ..Sample::default() }
    }

    #[track_caller]
    fn check(looks: &[[f64; 4]], expected: Option<[f64; 3]>) {
        let mut latency = Latency::default();
        for counts in looks {
            latency.take_in("a", "shop/shop", &sample(*counts));
        }
        let found = latency.percentiles(Arm::Canary).map(|found| [found.p50, found.p90, found.p99]);
        assert_eq!(found, expected);
        assert_eq!(latency.percentiles(Arm::Stable), None);
    }

    #[test]
    fn percentiles_are_of_what_came_since_the_first_look() {
        check(&[[100.0, 100.0, 100.0, 100.0]], None);
        check(&[[9.0, 9.0, 9.0, 9.0], [59.0, 99.0, 109.0, 109.0]], Some([5.0, 10.0, 91.0]));
    }

    #[test]
    fn counts_that_begin_again_are_all_new() {
        check(&[[9.0; 4], [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 5.0, 5.0]], Some([55.0, 91.0, 99.1]));
    }

    #[test]
    fn beyond_the_last_edge_nothing_is_known() {
        check(&[[0.0; 4], [0.0, 0.0, 0.0, 10.0]], Some([100.0, 100.0, 100.0]));
    }
}
