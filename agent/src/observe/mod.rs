/*!
From what proxies say of themselves to what the planner looks at.

[`scrape`] reads one proxy's own statistics, [`ledger`] turns its running totals into what is new since the last
look, and [`Observer`] does so for all of them at once, so that one observation has one time. [`prometheus`] asks
a Prometheus instead.
*/
pub mod ledger;
pub mod prometheus;
pub mod scrape;

use futures::future::join_all;
use jiff::Timestamp;
use serin_policy::Arm;

use crate::rollout::{ArmCounts, Counts, Proxy, ProxyState};
use ledger::Ledger;
use scrape::{Sample, Scraper};

/// Looks at a set of proxies.
#[derive(Debug)]
pub struct Observer {
    scrapers: Vec<Scraper>,
}

impl Observer {
    /// An observer of the proxies with these admin addresses (`http://127.0.0.1:9901`).
    ///
    /// # Errors
    /// When an address is not a URL, or is given twice: its requests would count twice.
    pub fn new(addresses: &[String]) -> anyhow::Result<Self> {
        for (i, address) in addresses.iter().enumerate() {
            anyhow::ensure!(
                !addresses[..i].contains(address),
                "--envoy-admin: {address}: given twice: give it once"
            );
        }
        Ok(Self { scrapers: addresses.iter().map(|one| Scraper::new(one)).collect::<Result<_, _>>()? })
    }

    /// Asks every proxy at once and books what is new for `release` in `ledger`. `complaint` is what is wrong with
    /// the present document, for proxies that refuse it.
    pub async fn look(
        &mut self,
        release: &str,
        ledger: &mut Ledger,
        complaint: Option<&str>,
        now: Timestamp,
    ) -> (Vec<Proxy>, Counts) {
        let samples = join_all(self.scrapers.iter_mut().map(Scraper::scrape)).await;
        let mut counts = Counts::default();
        let mut proxies = Vec::new();
        for (scraper, sample) in self.scrapers.iter().zip(samples) {
            let state = match sample {
                Err(error) => ProxyState::Silent { error: error.to_string() },
                Ok(sample) => {
                    for (tag, new) in ledger.book_proxy(scraper.address(), release, &sample, now) {
                        add(&mut counts, tag.arm, new);
                    }
                    state(&sample, release, complaint)
                }
            };
            proxies.push(Proxy { name: scraper.name(), state });
        }
        ledger.looked(now);
        (proxies, counts)
    }
}

fn state(sample: &Sample, release: &str, complaint: Option<&str>) -> ProxyState {
    let refused = (sample.refused > 0).then(|| {
        complaint.map_or_else(
            || format!("{} ({})", sample.refused, sample.kinds_refused.join(", ")),
            str::to_owned,
        )
    });
    match sample.revisions.get(release) {
        Some(&revision) => ProxyState::Runs { revision, refused },
        // A proxy whose first document was refused runs the filter, with no policy of ours in it.
        None if refused.is_some() => ProxyState::Runs { revision: 0, refused },
        None => ProxyState::Bypassed,
    }
}

fn add(counts: &mut Counts, arm: Arm, new: ArmCounts) {
    let sum = match arm {
        Arm::Stable => &mut counts.stable,
        Arm::Canary => &mut counts.canary,
    };
    sum.requests += new.requests;
    sum.errors += new.errors;
    sum.slow += new.slow;
}
