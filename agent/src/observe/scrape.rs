/*!
One proxy's own statistics, as Prometheus text.

Plain Envoy serves them at its admin port; so does a stock Istio proxy, with the same labels, so the same code
reads both.
*/
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use prometheus_parse::{HistogramCount, Labels, Scrape, Value};
use reqwest::Url;
use serin_policy::evidence::Tally;
use serin_policy::fuse::FUSE;
use serin_policy::series::{self, Metric};
use serin_policy::users::USERS;

use super::latency::{Bucket, Buckets};
use super::sampler::Ask;
use crate::http;

/// A proxy that takes longer than this to say how it is has not said it: in milliseconds, on a loopback address or
/// in the same cluster, the answer takes two or three.
pub(super) const DEADLINE: Duration = Duration::from_secs(2);

/// Where a proxy says how it is, and of what.
const STATS: &str = "/stats/prometheus?usedonly&filter=serin_|%5Eserver.uptime%24";

/// The same, of what arrives at a pod: Istio's own count.
const ARRIVALS: &str = "/stats/prometheus?usedonly&filter=istio_requests_total|%5Eserver.uptime%24";

/// Where every Istio proxy serves its statistics.
pub(crate) const ISTIO_STATS_PORT: u16 = 15090;

/// What one look at a proxy found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Seconds since the proxy started.
    pub uptime_s: u64,
    /// The revision it runs of each policy, by `namespace/release`.
    pub revisions: BTreeMap<String, u64>,
    /// The canaries that it has closed by itself: by `namespace/release`, in which run.
    pub fuses: BTreeMap<String, u64>,
    /// The policies whose lease has run out there, by `namespace/release`.
    pub lapsed: BTreeSet<String>,
    /// How many policies of its present document it refused.
    pub refused: u64,
    /// The kinds of refusals there have been since it started.
    pub kinds_refused: Vec<String>,
    /// The filter's counters: running totals by series, spelled `metric{class}/tag`.
    pub totals: BTreeMap<SeriesKey, u64>,
    /// Which users' cells are taken: the filter's gauges, by the label `tag`.
    pub users: BTreeMap<String, u64>,
    /// The filter's latency histograms, by the label `tag`.
    pub times: Vec<(String, Buckets)>,
    /// Requests that have arrived here and were answered, by the name of the Service, where that was asked for. Without
    /// those that Envoy may have sent once more after their answer: one that tries again is one request to its caller.
    pub arrived: BTreeMap<String, u64>,
    /// All of them, and those that failed.
    pub answered: BTreeMap<String, Tally>,
}

/// One counter of the filter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The label `tag`: release, version and group.
    pub tag: String,
    /// Name in Prometheus.
    pub metric: String,
    /// The label `response_code_class`, for the metric that has it.
    pub class: String,
}

/// Why a proxy is silent.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// No answer, or none in time.
    #[error("no answer from {url}: {}", reason(source))]
    Unreachable {
        /// What was asked.
        url: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// An answer of another kind.
    #[error("{url} answers {status}: is this Envoy's admin address?")]
    Status {
        /// What was asked.
        url: String,
        /// The answer's status.
        status: reqwest::StatusCode,
    },
    /// Not what Prometheus can read.
    #[error("{url} does not answer in Prometheus' text format: is this Envoy's admin address?")]
    Format {
        /// What was asked.
        url: String,
    },
}

/// The innermost cause says what is wrong; what stands around it repeats the address.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Reads one Envoy at its admin address.
#[derive(Debug)]
pub struct Scraper {
    http: reqwest::Client,
    address: String,
    stats: Url,
    info: Url,
    /// What it calls itself. It is asked for that once after each start of it.
    node: Option<String>,
    uptime_s: u64,
}

impl Scraper {
    /// A reader of the proxy at this admin address.
    ///
    /// # Errors
    /// When the address is not an http URL.
    pub fn new(address: &str) -> anyhow::Result<Self> {
        let base = Url::parse(address).ok().filter(|url| url.scheme() == "http" && url.has_host());
        let Some(base) = base else {
            anyhow::bail!("--envoy-admin: {address:?}: not an address: write it like http://127.0.0.1:9901");
        };
        let (stats, info) = (base.join(STATS)?, base.join("/server_info")?);
        Ok(Self { http: client()?, address: address.to_owned(), stats, info, node: None, uptime_s: 0 })
    }

    /// The address as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What people know the proxy by: its node id, as far as it has said it, and its address.
    pub fn name(&self) -> String {
        let place = self.stats.host_str().unwrap_or_default();
        let place = self.stats.port().map_or_else(|| place.to_owned(), |port| format!("{place}:{port}"));
        self.node.as_ref().map_or_else(|| place.clone(), |node| format!("{node} ({place})"))
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the proxy is silent or is no proxy.
    pub async fn scrape(&mut self) -> Result<Sample, ScrapeError> {
        let sample = read(&self.http, self.stats.as_str()).await?;
        if self.node.is_none() || sample.uptime_s < self.uptime_s {
            self.node = get(&self.http, self.info.as_str()).await.ok().as_deref().and_then(node_id);
        }
        self.uptime_s = sample.uptime_s;
        Ok(sample)
    }
}

/// Reads the Istio proxies in pods. They say how they are to everybody, at a port of their own that no mTLS guards.
#[derive(Debug)]
pub struct IstioProxies {
    http: reqwest::Client,
    stats: &'static str,
}

impl IstioProxies {
    /// A reader of what the filter counts.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { http: client()?, stats: STATS })
    }

    /// A reader of what arrives at pods.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn of_arrivals() -> anyhow::Result<Self> {
        Ok(Self { http: client()?, stats: ARRIVALS })
    }
}

impl Ask for IstioProxies {
    async fn ask(&self, address: IpAddr) -> Result<Sample, ScrapeError> {
        let address = SocketAddr::new(address, ISTIO_STATS_PORT);
        read(&self.http, &format!("http://{address}{}", self.stats)).await
    }
}

fn client() -> reqwest::Result<reqwest::Client> {
    http::plain().timeout(DEADLINE).build()
}

async fn read(http: &reqwest::Client, url: &str) -> Result<Sample, ScrapeError> {
    let text = get(http, url).await?;
    parse(&text).ok_or_else(|| ScrapeError::Format { url: url.to_owned() })
}

async fn get(http: &reqwest::Client, url: &str) -> Result<String, ScrapeError> {
    let unreachable = |source: reqwest::Error| ScrapeError::Unreachable {
        url: url.to_owned(),
        source: source.without_url(),
    };
    let response = http.get(url).send().await.map_err(unreachable)?;
    if !response.status().is_success() {
        return Err(ScrapeError::Status { url: url.to_owned(), status: response.status() });
    }
    response.text().await.map_err(unreachable)
}

fn node_id(server_info: &str) -> Option<String> {
    let info: serde_json::Value = serde_json::from_str(server_info).ok()?;
    info.pointer("/node/id")?.as_str().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// `None` when there is nothing in the text that every Envoy says.
fn parse(text: &str) -> Option<Sample> {
    // Envoy writes empty braces where there are no labels, and the parser passes over such lines.
    let scrape = Scrape::parse(text.lines().map(|line| Ok(line.replacen("{} ", " ", 1)))).ok()?;
    let mut sample = Sample::default();
    let mut is_envoy = false;
    for one in scrape.samples {
        let tag = one.labels.get("tag").unwrap_or_default();
        if let Value::Histogram(buckets) = &one.value {
            if one.metric == Metric::Time.prometheus_name() {
                let bucket = |it: &HistogramCount| Bucket { up_to_ms: it.less_than, count: it.count };
                sample.times.push((tag.to_owned(), Buckets::new(buckets.iter().map(bucket).collect())));
            }
            continue;
        }
        let (Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)) = one.value else {
            continue;
        };
        let value = whole(value);
        match one.metric.as_str() {
            "envoy_server_uptime" => {
                is_envoy = true;
                sample.uptime_s = value;
            }
            series::REVISION => {
                sample.revisions.insert(tag.to_owned(), value);
            }
            // Those that are whole, or still run, are none to tell of.
            FUSE | series::LAPSED if value == 0 => {}
            FUSE => {
                sample.fuses.insert(tag.to_owned(), value);
            }
            series::LAPSED => {
                sample.lapsed.insert(tag.to_owned());
            }
            USERS => {
                sample.users.insert(tag.to_owned(), value);
            }
            ARRIVED if is_answered(&one.labels) => {
                let service = one.labels.get("destination_service_name").unwrap_or_default();
                let bad = if has_failed(&one.labels) { value } else { 0 };
                sample.answered.entry(service.to_owned()).or_default().add(Tally { requests: value, bad });
                if !may_come_again(&one.labels) {
                    *sample.arrived.entry(service.to_owned()).or_default() += value;
                }
            }
            series::REFUSED => sample.refused = value,
            series::REFUSALS if value > 0 => sample.kinds_refused.push(tag.to_owned()),
            metric if !tag.is_empty() => {
                let class = one.labels.get("response_code_class").unwrap_or_default().to_owned();
                let key = SeriesKey { tag: tag.to_owned(), metric: metric.to_owned(), class };
                sample.totals.insert(key, value);
            }
            _ => {}
        }
    }
    is_envoy.then_some(sample)
}

/// Istio's counter of requests.
const ARRIVED: &str = "istio_requests_total";

/// Whether these are requests that arrived and were answered.
fn is_answered(labels: &Labels) -> bool {
    labels.get("reporter") == Some("destination") && labels.get("response_code") != Some("0")
}

/// Whether somebody may have sent them once more: 503 and gRPC's 14 are what Istio has callers try again.
fn may_come_again(labels: &Labels) -> bool {
    labels.get("response_code") == Some("503") || labels.get("grpc_response_status") == Some("14")
}

/// Whether the answer was a failure, as the filter has it.
fn has_failed(labels: &Labels) -> bool {
    let grpc = labels.get("grpc_response_status").and_then(|status| status.parse().ok());
    labels.get("response_code").is_some_and(|code| code.starts_with('5'))
        || grpc.and_then(Metric::of_grpc_status) == Some(Metric::GrpcServerErrors)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; totals are whole")]
pub(super) fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE serin_rq counter
serin_rq{response_code_class="5xx",tag="shop/shop/canary/step-1"} 3
# TYPE serin_refusals counter
serin_refusals{tag="invalid"} 1
# TYPE serin_refused gauge
serin_refused{} 1
# TYPE serin_revision gauge
serin_revision{tag="shop/shop"} 17
# TYPE serin_fuse gauge
serin_fuse{tag="shop/shop"} 4503595332403201
serin_fuse{tag="shop/other"} 0
# TYPE serin_lapsed gauge
serin_lapsed{tag="shop/shop"} 1
serin_lapsed{tag="shop/cart"} 0
# TYPE serin_users gauge
serin_users{tag="shop/shop/canary/users:seen:3"} 4503595332403201
# TYPE serin_rq_time histogram
serin_rq_time_bucket{tag="shop/shop/canary/step-1",le="5"} 2
serin_rq_time_bucket{tag="shop/shop/canary/step-1",le="+Inf"} 3
serin_rq_time_sum{tag="shop/shop/canary/step-1"} 30
serin_rq_time_count{tag="shop/shop/canary/step-1"} 3
# TYPE envoy_server_uptime gauge
envoy_server_uptime{} 42
"#;

    #[test]
    fn what_envoy_says_is_read() {
        let sample = parse(TEXT).unwrap();
        assert_eq!((sample.uptime_s, sample.refused), (42, 1));
        assert_eq!(sample.revisions, BTreeMap::from([("shop/shop".to_owned(), 17)]));
        assert_eq!(sample.fuses, BTreeMap::from([("shop/shop".to_owned(), 4_503_595_332_403_201)]));
        assert_eq!(sample.lapsed, BTreeSet::from(["shop/shop".to_owned()]));
        assert_eq!(sample.kinds_refused, ["invalid"]);
        let cells = ("shop/shop/canary/users:seen:3".to_owned(), 4_503_595_332_403_201);
        assert_eq!(sample.users, BTreeMap::from([cells]));
        let key = SeriesKey {
            tag: "shop/shop/canary/step-1".to_owned(),
            metric: "serin_rq".to_owned(),
            class: "5xx".to_owned(),
        };
        assert_eq!(sample.totals.get(&key), Some(&3));
        let bucket = |up_to_ms, count| Bucket { up_to_ms, count };
        let buckets = Buckets::new(vec![bucket(5.0, 2.0), bucket(f64::INFINITY, 3.0)]);
        assert_eq!(sample.times, [("shop/shop/canary/step-1".to_owned(), buckets)]);
    }

    #[test]
    fn what_arrives_is_read_without_what_may_have_been_tried_again() {
        let line = |reporter: &str, code: &str, grpc: &str, count: u32| {
            format!(
                "istio_requests_total{{reporter=\"{reporter}\",destination_service_name=\"shop\",response_code=\"{code}\",\
                 grpc_response_status=\"{grpc}\"}} {count}"
            )
        };
        let lines = [
            "# TYPE istio_requests_total counter".to_owned(),
            line("destination", "200", "", 7),
            line("destination", "500", "", 2),
            line("destination", "503", "", 100),
            line("destination", "0", "", 100),
            line("destination", "200", "14", 100),
            line("source", "200", "", 100),
            "envoy_server_uptime{} 42\n".to_owned(),
        ];
        let sample = parse(&lines.join("\n")).unwrap();
        assert_eq!(sample.arrived, BTreeMap::from([("shop".to_owned(), 9)]));
        let answered = Tally { requests: 209, bad: 202 };
        assert_eq!(sample.answered, BTreeMap::from([("shop".to_owned(), answered)]));
    }

    #[test]
    fn what_is_no_envoy_is_not_taken_for_one() {
        assert_eq!(parse("<html>"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn an_address_that_is_none_is_refused_with_the_mend() {
        for wrong in ["", "127.0.0.1:9901", "https://127.0.0.1:9901", "ftp://x"] {
            let error = Scraper::new(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("http://127.0.0.1:9901"), "{error}");
        }
    }
}
