/*!
What a tick costs an agent that drives many releases: reading Prometheus' answer for all of them, recording it, judging
and planning. No network, one core.
*/
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serin_agent::observe::counter_deltas::CounterDeltas;
use serin_agent::observe::prometheus::counts::{Counters, Subject, samples};
use serin_policy::Lease;
use serin_policy::series::Group;
use serin_release::Release;
use serin_rollout::{Cell, Drawn, InForce, Observation, Plan, Proxy, ProxyState, Status, plan};

use crate::figures::Figures;
use crate::report::Table;

/// Proxies that count for each release.
const PROXIES: usize = 2;

/// Ticks before any is measured: by then every release is at its first step.
const WARM_UP: u64 = 5;

/// A release that is driven.
struct Driven {
    release: Release,
    status: Status,
    deltas: CounterDeltas,
    in_force: InForce,
}

/// Measures ticks of agents with so many releases each.
pub(crate) fn measure(sizes: &[usize], ticks: usize) -> Result<Table> {
    let mut table = Table::new(&[
        "releases",
        "series",
        "answer",
        "a tick, median",
        "p99",
        "reading",
        "recording",
        "planning",
    ]);
    for &size in sizes {
        let subjects: Vec<_> = (0..size).map(subject).collect();
        let mut driven = (0..size).map(driven).collect::<Result<Vec<_>>>()?;
        let mut spent: Vec<[Duration; 3]> = Vec::new();
        let (mut bytes, mut series) = (0, 0);
        for tick in 1..=WARM_UP + ticks as u64 {
            let answer = answer(size, tick);
            (bytes, series) = (answer.len(), answer.matches("\"metric\"").count());
            let now = Timestamp::from_second(1_800_000_000 + i64::try_from(tick)?)?;
            let times = one(&subjects, &mut driven, answer.as_bytes(), now)?;
            if tick > WARM_UP {
                spent.push(times);
            }
        }
        let ms = |pick: fn(&[Duration; 3]) -> Duration| {
            Figures::of(spent.iter().map(|times| pick(times).as_secs_f64() * 1e3))
        };
        let all = ms(|times| times.iter().sum());
        let figure = |value: f64| format!("{value:.1} ms");
        table.add([
            size.to_string(),
            series.to_string(),
            format!("{} kB", bytes / 1000),
            figure(all.median()),
            figure(all.quantile(0.99)),
            figure(ms(|times| times[0]).median()),
            figure(ms(|times| times[1]).median()),
            figure(ms(|times| times[2]).median()),
        ]);
    }
    Ok(table)
}

fn name(i: usize) -> String {
    format!("shop/shop-{i}")
}

fn subject(i: usize) -> Subject {
    Subject { release: name(i), counters: Counters::Filter }
}

fn driven(i: usize) -> Result<Driven> {
    let release = Release::from_yaml(&format!(
        "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop-{i}, namespace: shop}}
spec:
  service: {{name: shop-{i}}}
  canary: {{version: v2}}
  analysis: {{baseline: 0s, warmUp: 0s}}
"
    ))?;
    Ok(Driven {
        release,
        status: Status::default(),
        deltas: CounterDeltas::default(),
        in_force: InForce::Nothing,
    })
}

/// What Prometheus answers at this tick: each proxy has counted a hundred more requests of each cohort.
fn answer(size: usize, tick: u64) -> String {
    let mut text = String::from(r#"{"status":"success","data":{"resultType":"vector","result":["#);
    let mut one = |labels: &str, proxy: usize, value: u64| {
        let comma = if text.ends_with('[') { "" } else { "," };
        let place = format!(
            r#""instance":"10.0.0.{proxy}:15020","job":"envoys","namespace":"istio","pod":"edge-{proxy}""#
        );
        // Writing to a string cannot fail.
        let _ = write!(text, r#"{comma}{{"metric":{{{labels},{place}}},"value":[1800000000,"{value}"]}}"#);
    };
    for proxy in 0..PROXIES {
        one(r#""__name__":"envoy_server_uptime""#, proxy, 100_000 + tick);
    }
    for i in 0..size {
        for proxy in 0..PROXIES {
            one(&format!(r#""__name__":"serin_revision","tag":"{}""#, name(i)), proxy, 2);
            for group in ["stable/rest", "stable/step-2", "stable/step-3", "canary/step-1"] {
                let tag = format!("{}/{group}", name(i));
                for (class, share) in [("2xx", 97), ("4xx", 2), ("5xx", 1)] {
                    let labels =
                        format!(r#""__name__":"serin_rq","response_code_class":"{class}","tag":"{tag}""#);
                    one(&labels, proxy, tick * share);
                }
                one(&format!(r#""__name__":"serin_slow","tag":"{tag}""#), proxy, tick);
            }
        }
    }
    text.push_str("]}}");
    text
}

/// One tick; how long it took to read, to record and to plan.
fn one(subjects: &[Subject], driven: &mut [Driven], answer: &[u8], now: Timestamp) -> Result<[Duration; 3]> {
    let start = Instant::now();
    let samples = samples(subjects, answer).context("the answer is a vector")?;
    let read = start.elapsed();
    let mut counted = Vec::with_capacity(driven.len());
    for (sample, driven) in samples.iter().zip(driven.iter_mut()) {
        let mut cells = Vec::new();
        for count in sample.record(&mut driven.deltas, now)? {
            if let Group::Cohort(cohort) = count.tag.group {
                let (place, drawn, arm) = ("edge".to_owned(), Drawn::Cohort(cohort), count.tag.arm);
                cells.push(Cell { place, drawn, arm, counts: count.counts });
            }
        }
        counted.push(cells);
    }
    let recorded = start.elapsed();
    for (driven, counted) in driven.iter_mut().zip(counted) {
        driven.plan(counted, now);
    }
    Ok([read, recorded.saturating_sub(read), start.elapsed().saturating_sub(recorded)])
}

impl Driven {
    /// Plans with proxies that have followed every push.
    fn plan(&mut self, counted: Vec<Cell>, now: Timestamp) {
        let revision = self.status.revision;
        let proxy = |i| Proxy {
            name: format!("edge-{i}"),
            state: ProxyState::Runs { revision, refused: None, has_lapsed: false },
        };
        let observation = Observation {
            in_force: self.in_force.clone(),
            proxies: (0..PROXIES).map(proxy).collect(),
            counted,
            ..Observation::default()
        };
        let Plan { status, push, .. } = plan(&self.release, &self.status, &observation, now);
        self.status = status;
        if let Some(push) = push {
            let (run, revision) = (self.release.run().to_owned(), push.revision);
            self.in_force = InForce::Policy {
                run,
                revision,
                weight: push.weight,
                closed: push.closed,
                lease: Lease::Unleased,
            };
        }
    }
}
