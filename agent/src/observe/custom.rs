/*!
People's own metrics: which are due, and what Prometheus says of them.
*/
use std::collections::BTreeMap;
use std::panic;

use futures::FutureExt;
use jiff::Timestamp;
use serin_policy::Arm;
use tokio::task::JoinHandle;

use super::prometheus::Client;
use super::prometheus::custom::{self, Reading};
use serin_release::prometheus::{AccessError, MissingValue, Values};
use serin_release::{Analysis, CustomMetric, Release};
use serin_rollout::{MetricReading, MetricValue};

/// The metrics of one release.
#[derive(Debug, Default)]
pub(super) struct CustomMetrics {
    client: Option<Client>,
    /// What `client` was made for.
    made_for: Option<Analysis>,
    /// The run that is asked about.
    run: String,
    /// When each was last asked for.
    asked: BTreeMap<String, Timestamp>,
    /// What is being asked.
    under_way: Option<JoinHandle<Vec<MetricReading>>>,
    /// What has been answered, and what came of it is not saved yet.
    unsaved: Vec<MetricReading>,
}

impl CustomMetrics {
    /// Asks for the metrics that are due, and returns what was asked for before as soon as it has been answered: a
    /// slow Prometheus must not keep anybody from being taken back.
    pub(super) fn read(
        &mut self,
        release: &Release,
        now: Timestamp,
    ) -> Result<Vec<MetricReading>, AccessError> {
        if self.made_for.as_ref() != Some(&release.analysis) {
            let access = release.analysis.prometheus.clone();
            self.client =
                access.filter(|_| !release.analysis.custom.is_empty()).map(Client::new).transpose()?;
            self.made_for = Some(release.analysis.clone());
        }
        let Some(client) = &self.client else { return Ok(Vec::new()) };
        if self.run != release.run() {
            // What is still under way is about another version.
            release.run().clone_into(&mut self.run);
            (self.asked, self.under_way, self.unsaved) = Default::default();
        }
        if let Some(answers) = self.under_way.as_mut().and_then(FutureExt::now_or_never) {
            self.under_way = None;
            // A reading of a metric takes the place of an older one.
            let answers = answers.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()));
            self.unsaved.retain(|old| answers.iter().all(|new| new.name != old.name));
            self.unsaved.extend(answers);
        }
        if self.under_way.is_none() {
            let is_due = |metric: &&CustomMetric| {
                let asked = self.asked.get(&metric.name);
                asked.is_none_or(|asked| now.duration_since(*asked).unsigned_abs() >= metric.interval)
            };
            let due: Vec<_> = release.analysis.custom.iter().filter(is_due).cloned().collect();
            for metric in &due {
                self.asked.insert(metric.name.clone(), now);
            }
            if !due.is_empty() {
                self.under_way = Some(tokio::spawn(ask(client.clone(), release.clone(), due, now)));
            }
        }
        Ok(self.unsaved.clone())
    }

    /// What came of the last readings is saved: they are old.
    pub(super) fn saved(&mut self) {
        self.unsaved.clear();
    }
}

/// Reads `metrics`, all at once.
async fn ask(
    client: Client,
    release: Release,
    metrics: Vec<CustomMetric>,
    now: Timestamp,
) -> Vec<MetricReading> {
    // Stable is only asked about where it is compared with.
    let arms = |metric: &CustomMetric| match metric.compare {
        Some(_) => vec![Arm::Canary, Arm::Stable],
        None => vec![Arm::Canary],
    };
    let mut queries = Vec::new();
    for metric in &metrics {
        queries.extend(arms(metric).into_iter().map(|arm| query(&release, metric, arm)));
    }
    let askable: Vec<String> = queries.iter().flatten().cloned().collect();
    let mut read = custom::read(&client, &askable, now).await.into_iter().map(value);
    let mut answers = queries.into_iter().map(|query| match query {
        Ok(_) => read.next().unwrap_or(MetricValue::Empty),
        Err(missing) => MetricValue::Failed(missing.to_string()),
    });
    let mut readings = Vec::new();
    for metric in metrics {
        let Some(canary) = answers.next() else { break };
        let stable = metric.compare.and_then(|_| answers.next());
        readings.push(MetricReading { name: metric.name, canary, stable });
    }
    readings
}

fn query(release: &Release, metric: &CustomMetric, arm: Arm) -> Result<String, MissingValue> {
    let (namespace, name) = release.name().split_once('/').unwrap_or_default();
    let workloads = release.analysis.workloads.as_ref();
    let (version, workload) = match arm {
        Arm::Stable => (&*release.stable_version, workloads.map(|[stable, _]| stable)),
        Arm::Canary | Arm::Extra(_) => (release.run(), workloads.map(|[_, canary]| canary)),
    };
    let (service, interval) = (&release.service.name, metric.interval);
    metric.query.fill_in(&Values { namespace, name, service, arm, version, interval, workload })
}

fn value(reading: Reading) -> MetricValue {
    match reading {
        // JSON, in which all of this is kept, has no infinity.
        Reading::Value(value) => MetricValue::Number(value.clamp(f64::MIN, f64::MAX)),
        Reading::NotANumber => MetricValue::NotANumber,
        Reading::Empty => MetricValue::Empty,
        Reading::Failed(error) => MetricValue::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reading_is_returned_until_what_came_of_it_is_saved() {
        crate::http::install_crypto();
        let release = Release::from_yaml(
            "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop, namespace: shop}
spec:
  service: {name: shop}
  canary: {version: v2}
  analysis:
    prometheus: {address: \"http://prometheus\"}
    metrics: [{name: depth, query: depth, thresholdRange: {max: 5}}]
",
        )
        .unwrap();
        let mut metrics = CustomMetrics { run: release.run().to_owned(), ..CustomMetrics::default() };
        // It was asked for a moment ago, and is answered.
        metrics.asked.insert("depth".to_owned(), Timestamp::UNIX_EPOCH);
        let reading =
            MetricReading { name: "depth".to_owned(), canary: MetricValue::Number(3.0), stable: None };
        let answered = reading.clone();
        metrics.under_way = Some(tokio::spawn(async { vec![answered] }));
        tokio::task::yield_now().await;
        let mut read = |is_saved| {
            let found = metrics.read(&release, Timestamp::UNIX_EPOCH).unwrap();
            if is_saved {
                metrics.saved();
            }
            found
        };
        for (is_saved, expected) in [(false, 1), (true, 1), (false, 0)] {
            assert_eq!(read(is_saved), vec![reading.clone(); expected]);
        }
    }

    #[test]
    fn an_infinite_reading_can_be_kept() {
        for (found, expected) in [(f64::INFINITY, f64::MAX), (f64::NEG_INFINITY, f64::MIN), (0.5, 0.5)] {
            let kept = serde_json::to_string(&value(Reading::Value(found))).unwrap();
            assert_eq!(serde_json::from_str::<MetricValue>(&kept).unwrap(), MetricValue::Number(expected));
        }
    }
}
