/*!
`serin top`: all Releases live, with what each version gets a second and how much of it fails.

The rates are what the status has counted between two looks. So they are of requests that are judged, by the filter's own
counts, and there are none while nothing is under way.
*/
use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context;
use kube::api::ListParams;
use serin_agent::view::{Counted, TestView, View};
use serin_release::rule::READING;
use tokio::time::{Instant, sleep};

use super::access::{Access, Cluster, read};
use super::output::aligned;
use super::style::Paint;
use super::tree::phase;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Releases of all namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// The time between two looks, 1s to 1h.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Look once, and end. Without a terminal that is so in any case.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    access: Access,
}

/// A rate takes some time.
fn interval(text: &str) -> Result<Duration, String> {
    READING.parse(text)
}

pub(crate) async fn top(args: &Args) -> anyhow::Result<()> {
    let cluster = args.access.connect().await?;
    tokio::select! {
        ended = go_on(&cluster, args) => ended,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}

async fn go_on(cluster: &Cluster, args: &Args) -> anyhow::Result<()> {
    let is_once = args.once || !std::io::stdout().is_terminal();
    let mut before = look(cluster, args).await?;
    loop {
        sleep(args.interval).await;
        let now = look(cluster, args).await?;
        let text = table(&rows(&before, &now), args.all_namespaces, Paint::of_stdout());
        let mut out = std::io::stdout().lock();
        if is_once {
            write!(out, "{text}")?;
            return Ok(());
        }
        // From the upper left corner, and nothing below it.
        write!(out, "\x1b[H\x1b[J{text}")?;
        out.flush()?;
        before = now;
    }
}

/// What there was at one moment.
struct Look {
    at: Instant,
    views: Vec<View>,
}

async fn look(cluster: &Cluster, args: &Args) -> anyhow::Result<Look> {
    let releases = if args.all_namespaces { cluster.all_releases() } else { cluster.releases() };
    let found = releases.list(&ListParams::default()).await.context("cannot list releases")?;
    let views = found.items.into_iter().map(|found| View::of_status(&read(found)));
    Ok(Look { at: Instant::now(), views: views.collect() })
}

/// What a version gets.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    /// Requests a second.
    requests: f64,
    /// The share of them that fails; none where there are none.
    failing: Option<f64>,
}

/// A Release, with the rates of stable and of the canary.
struct Row<'v> {
    view: &'v View,
    stable: Option<Rate>,
    canary: Option<Rate>,
}

fn rows<'v>(before: &Look, now: &'v Look) -> Vec<Row<'v>> {
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    let earlier: BTreeMap<_, _> = before.views.iter().map(|view| (view.full_name(), view)).collect();
    let row = |view: &'v View| {
        let earlier = earlier.get(&view.full_name()).filter(|earlier| is_same_run(earlier, view));
        let rate = |of: fn(&TestView) -> Option<(u64, u64)>| {
            let counts = |view: &View| of(failures(view)?);
            between(counts(earlier?)?, counts(view)?, seconds)
        };
        Row {
            view,
            stable: rate(|test| test.stable.and_then(|stable| Some((stable.of?, stable.bad)))),
            canary: rate(|test| Some((test.canary.of?, test.canary.bad))),
        }
    };
    now.views.iter().map(row).collect()
}

fn is_same_run(one: &View, other: &View) -> bool {
    let name = |view: &View| view.run.as_ref().map(|run| run.name.clone());
    name(one) == name(other)
}

/// The test that counts every request, and the failed ones among them.
fn failures(view: &View) -> Option<&TestView> {
    let name = serin_release::Metric::RequestSuccessRate.as_str();
    let tests = &view.verdict.as_ref()?.tests;
    tests.iter().find(|test| test.name == name && test.counts == Counted::Requests)
}

/// The rate between two counts of requests and failures; none where they have begun anew.
#[expect(clippy::cast_precision_loss, reason = "two digits count")]
fn between(before: (u64, u64), now: (u64, u64), seconds: f64) -> Option<Rate> {
    let requests = now.0.checked_sub(before.0)?;
    let failed = now.1.checked_sub(before.1)?;
    let failing = (requests > 0).then(|| failed as f64 / requests as f64);
    Some(Rate { requests: requests as f64 / seconds, failing })
}

fn table(rows: &[Row<'_>], with_namespace: bool, paint: Paint) -> String {
    let mut header =
        vec!["NAME", "PHASE", "STEP", "WEIGHT", "STABLE/S", "FAIL", "CANARY/S", "FAIL", "WAITS FOR"];
    if with_namespace {
        header.insert(0, "NAMESPACE");
    }
    let mut lines = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    let nothing = || "-".to_owned();
    for Row { view, stable, canary } in rows {
        let mut line: Vec<_> = with_namespace.then(|| view.namespace.clone()).into_iter().collect();
        line.extend([
            view.name.clone(),
            view.phase.to_string(),
            view.step.map_or_else(nothing, |step| format!("{}/{}", step.index, step.of)),
            view.weight.to_string(),
        ]);
        for rate in [stable, canary] {
            line.push(rate.map_or_else(nothing, |rate| number(rate.requests)));
            let failing = rate.and_then(|rate| rate.failing);
            line.push(failing.map_or_else(nothing, |failing| format!("{}%", number(failing * 100.0))));
        }
        line.push(view.waits.as_ref().map_or_else(nothing, |waits| waits.reason.clone()));
        lines.push(line);
    }
    let of_phase = usize::from(with_namespace) + 1;
    aligned(&lines, |line, column| {
        let row = rows.get(line.checked_sub(1)?).filter(|_| column == of_phase)?;
        Some(phase(row.view, paint))
    })
}

/// A number to two digits or so.
fn number(number: f64) -> String {
    if number == 0.0 || number >= 10.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

#[cfg(test)]
mod tests;
