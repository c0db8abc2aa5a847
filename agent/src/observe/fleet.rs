/*!
All proxies at once: each is asked one time, whatever the number of releases that want to know.
*/
use std::collections::BTreeMap;

use futures::future::join_all;

use super::scrape::{Sample, Scraper};

/// A set of proxies.
#[derive(Debug, Default)]
pub struct Fleet(Vec<Member>);

#[derive(Debug)]
struct Member {
    attach_point: String,
    scraper: Scraper,
}

/// What one proxy said, or why it said nothing.
#[derive(Debug)]
pub struct Seen {
    /// What people know it by.
    pub name: String,
    /// Where it is asked: this tells it from all others.
    pub address: String,
    /// Where it assigns callers: proxies of one attach point are alike.
    pub attach_point: String,
    /// What it said.
    pub sample: Result<Sample, String>,
}

/// A proxy to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyAt {
    /// What people know it by.
    pub name: String,
    /// Where it assigns callers.
    pub attach_point: String,
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
        let member = |address: &String| {
            anyhow::Ok(Member { attach_point: address.clone(), scraper: Scraper::new(address)? })
        };
        addresses.iter().map(member).collect::<Result<_, _>>().map(Self)
    }

    /// Has the pods of `wanted`, by their IP address, and no others.
    pub fn keep(&mut self, wanted: &BTreeMap<String, ProxyAt>) {
        self.0.retain(|member| wanted.contains_key(member.scraper.address()));
        for (ip, ProxyAt { name, attach_point }) in wanted {
            if self.0.iter().any(|member| member.scraper.address() == ip) {
                continue;
            }
            match Scraper::of_pod(ip, name) {
                Ok(scraper) => self.0.push(Member { attach_point: attach_point.clone(), scraper }),
                Err(error) => tracing::warn!(proxy = name, "{error:#}"),
            }
        }
    }

    /// Asks every proxy, all at the same time.
    pub async fn look(&mut self) -> Vec<Seen> {
        let samples = join_all(self.0.iter_mut().map(|member| member.scraper.scrape())).await;
        let seen = |(Member { attach_point, scraper }, sample): (&Member, Result<Sample, _>)| Seen {
            name: scraper.name(),
            address: scraper.address().to_owned(),
            attach_point: attach_point.clone(),
            sample: sample.map_err(|error: super::scrape::ScrapeError| error.to_string()),
        };
        self.0.iter().zip(samples).map(seen).collect()
    }
}
