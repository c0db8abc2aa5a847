/*!
From what proxies say of themselves to what the planner looks at.

[`scrape`] reads one proxy's own statistics, [`ledger`] turns its running totals into what is new since the last
look, and [`Observer`] does so for all of them at once, so that one observation has one time.
*/
pub mod latency;
pub mod ledger;
pub mod scrape;

use futures::future::join_all;
use jiff::Timestamp;

use crate::rollout::{Cell, Proxy, ProxyState};
use latency::Latency;
use ledger::{Ledger, News};
use scrape::{Sample, Scraper};

/// What one look at all proxies found.
#[derive(Debug, Default)]
pub struct Look {
    /// The proxies, as they say they are.
    pub proxies: Vec<Proxy>,
    /// What is new of randomly assigned requests.
    pub counted: Vec<Cell>,
    /// New requests whose caller has no id and can be given none.
    pub unassignable: u64,
}

impl Look {
    fn add(&mut self, place: &str, news: News) {
        let (arm, drawn, counts) = match news {
            News::Drawn(arm, drawn, counts) => (arm, drawn, counts),
            News::Unassignable(requests) => {
                self.unassignable += requests;
                return;
            }
        };
        let known = self
            .counted
            .iter_mut()
            .find(|cell| (cell.place.as_str(), cell.arm, &cell.drawn) == (place, arm, &drawn));
        match known {
            Some(cell) => cell.counts.add(counts),
            None => self.counted.push(Cell { place: place.to_owned(), drawn, arm, counts }),
        }
    }
}

/// Looks at a set of proxies.
#[derive(Debug)]
pub struct Observer {
    scrapers: Vec<Scraper>,
    latency: Latency,
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
        let scrapers = addresses.iter().map(|one| Scraper::new(one)).collect::<Result<_, _>>()?;
        Ok(Self { scrapers, latency: Latency::default() })
    }

    /// Asks every proxy at once and books what is new for `release` in `ledger`. `complaint` is what is wrong with
    /// the present document, for proxies that refuse it.
    pub async fn look(
        &mut self,
        release: &str,
        ledger: &mut Ledger,
        complaint: Option<&str>,
        now: Timestamp,
    ) -> Look {
        let samples = join_all(self.scrapers.iter_mut().map(Scraper::scrape)).await;
        let mut look = Look::default();
        for (scraper, sample) in self.scrapers.iter().zip(samples) {
            let state = match sample {
                Err(error) => ProxyState::Silent { error: error.to_string() },
                Ok(sample) => {
                    self.latency.take_in(scraper.address(), release, &sample);
                    for news in ledger.book(scraper.address(), release, &sample, now) {
                        look.add(scraper.address(), news);
                    }
                    state(&sample, release, complaint)
                }
            };
            look.proxies.push(Proxy { name: scraper.name(), state });
        }
        ledger.looked(now);
        look
    }

    /// How long requests took since [`clear_latency`](Self::clear_latency).
    pub const fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Another run begins.
    pub fn clear_latency(&mut self) {
        self.latency.clear();
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
