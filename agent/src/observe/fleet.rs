/*!
The Envoys of one release, asked when it is looked at: what `serin run` and `serin analyze` do.
*/
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;
use serin_release::Release;

use super::counter_deltas::CounterDeltas;
use super::latency::Latency;
use super::prometheus::Asker;
use super::prometheus::collector::Collected;
use super::prometheus::counts::Subject;
use super::scrape::{ScrapeError, Scraper};
use super::{Observer, ProxyReport, ProxySample};

/// Looks at one release by asking its proxies, and the Prometheus that it names.
#[derive(Debug, Default)]
pub struct Fleet {
    proxies: Vec<Scraper>,
    prometheus: Option<Asker>,
    observer: Observer,
}

impl Fleet {
    /// The Envoys with these admin addresses (`http://127.0.0.1:9901`), each an attach point of its own.
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
        let proxies = addresses.iter().map(|address| Scraper::new(address)).collect::<Result<_, _>>()?;
        Ok(Self { proxies, ..Self::default() })
    }

    /// Asks all at the same time, and records what is new for `release` in `deltas`. `complaint` is what is wrong with
    /// the present document, for proxies that refuse it.
    pub async fn look(
        &mut self,
        release: &Release,
        deltas: &mut CounterDeltas,
        complaint: Option<&str>,
        now: Timestamp,
    ) -> ProxyReport {
        let samples = join_all(self.proxies.iter_mut().map(Scraper::scrape)).await;
        let sample = |(proxy, sample): (&Scraper, Result<_, ScrapeError>)| ProxySample {
            name: proxy.name(),
            address: proxy.address().to_owned(),
            attach_point: proxy.address().into(),
            at: now,
            sample: sample.map(Arc::new).map_err(|error| error.to_string()),
        };
        let samples: Vec<_> = self.proxies.iter().zip(samples).map(sample).collect();
        let collected = self.collect(release, now).await;
        self.observer.report(release, deltas, &samples, collected, complaint, now)
    }

    /// What was found last is saved. Until then the next look has it once more.
    pub fn saved(&mut self) {
        self.observer.saved();
    }

    async fn collect(&mut self, release: &Release, now: Timestamp) -> Option<Collected> {
        let (access, subject) = Subject::of(release)?;
        let asker = match &mut self.prometheus {
            Some(asker) if asker.access() == access => asker,
            other => other.insert(Asker::new(access.clone())),
        };
        let found = asker.ask(vec![subject], now).await;
        let collected = |(_, found)| match found {
            Ok(sample) => Collected::Counters { at: now, sample: Arc::new(sample) },
            Err(why) => Collected::Outage(why),
        };
        found.into_iter().map(collected).next()
    }

    /// How long requests took since [`clear_latency`](Self::clear_latency).
    pub const fn latency(&self) -> &Latency {
        self.observer.latency()
    }

    /// Another run begins.
    pub fn clear_latency(&mut self) {
        self.observer.clear_latency();
    }
}
