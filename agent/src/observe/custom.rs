/*!
People's own metrics: which are due, and what Prometheus says of them.
*/
use std::collections::BTreeMap;

use jiff::Timestamp;
use serin_policy::Arm;

use super::prometheus::custom::{self, Reading, Values};
use super::prometheus::{AccessError, Client};
use crate::release::{CustomMetric, Release};
use crate::rollout::{MetricReading, MetricValue};

/// The metrics of one release.
#[derive(Debug, Default)]
pub(super) struct CustomMetrics {
    client: Option<Client>,
    /// When each was last asked for.
    asked: BTreeMap<String, Timestamp>,
}

impl CustomMetrics {
    /// Asks where the release says from now on.
    pub(super) fn use_client(&mut self, release: &Release) -> Result<(), AccessError> {
        let access = release.analysis.prometheus.clone();
        self.client = access.filter(|_| !release.analysis.custom.is_empty()).map(Client::new).transpose()?;
        Ok(())
    }

    /// Reads the metrics that are due, all at once.
    pub(super) async fn read(&mut self, release: &Release, now: Timestamp) -> Vec<MetricReading> {
        let Some(client) = &self.client else { return Vec::new() };
        let is_due = |metric: &&CustomMetric| {
            self.asked
                .get(&metric.name)
                .is_none_or(|asked| now.duration_since(*asked).unsigned_abs() >= metric.interval)
        };
        let due: Vec<_> = release.analysis.custom.iter().filter(is_due).collect();
        // Stable is only asked about where it is compared with.
        let questions: Vec<_> = due
            .iter()
            .flat_map(|metric| {
                let stable = metric.compare.is_some().then_some((*metric, Arm::Stable));
                std::iter::once((*metric, Arm::Canary)).chain(stable)
            })
            .collect();
        let queries: Vec<_> = questions.iter().map(|(metric, arm)| query(release, metric, *arm)).collect();
        let mut answers = custom::read(client, &queries, now).await.into_iter().map(value);
        for metric in &due {
            self.asked.insert(metric.name.clone(), now);
        }
        let reading = |metric: &CustomMetric| {
            let canary = answers.next()?;
            let stable = if metric.compare.is_some() { Some(answers.next()?) } else { None };
            Some(MetricReading { name: metric.name.clone(), canary, stable })
        };
        due.into_iter().filter_map(reading).collect()
    }
}

fn query(release: &Release, metric: &CustomMetric, arm: Arm) -> String {
    let (namespace, name) = release.name().split_once('/').unwrap_or_default();
    let version = match arm {
        Arm::Stable => &release.stable_version,
        Arm::Canary => release.run(),
    };
    let service = &release.service.name;
    metric.query.fill_in(&Values { namespace, name, service, arm, version, interval: metric.interval })
}

fn value(reading: Reading) -> MetricValue {
    match reading {
        Reading::Value(value) => MetricValue::Number(value),
        Reading::NotANumber => MetricValue::NotANumber,
        Reading::Empty => MetricValue::Empty,
        Reading::Failed(error) => MetricValue::Failed(error.to_string()),
    }
}
