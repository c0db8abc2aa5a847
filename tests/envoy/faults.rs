//! Faults that are injected into one version on purpose, by a real Envoy.

use anyhow::{Context, Result, ensure};
use serin_policy::series::Tag;
use serin_policy::{Arm, Weight};
use serin_release::Release;
use serin_tests::client::Client;
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, eventually, release, run};

use crate::agent::start;
use crate::{expected, percent, users};

/// No test lasts so long.
const UNTIL: &str = "2999-01-01T00:00:00Z";

fn faults(entries: &str) -> String {
    release(&format!("faults:\n{}", entries.replace("UNTIL", UNTIL)))
}

/// What Envoy itself has injected: late answers, and answers in a version's place.
async fn injected(site: &Site) -> Result<[u64; 2]> {
    let stats = Client::new(site.envoys[0].admin()).get("/stats?filter=fault", &[]).await?.body;
    let of = |name: &str| {
        let line = stats.lines().find_map(|line| line.split_once(&format!("fault.{name}_injected: ")));
        line.with_context(|| stats.clone())?.1.parse::<u64>().context("a number")
    };
    Ok([of("delays")?, of("aborts")?])
}

/// What the filter has counted of `arm`: requests with a fault, and all others.
async fn counted(site: &Site, arm: Arm) -> Result<[u64; 2]> {
    let mut counted = [0, 0];
    for (series, total) in site.sample(0).await?.totals {
        let tag = Tag::parse(&series.tag).filter(|tag| tag.arm == arm && series.metric == "serin_rq");
        if let Some(tag) = tag {
            counted[usize::from(tag.group.to_string() != "fault")] += total;
        }
    }
    Ok(counted)
}

/// Whether `found` of `all` is this share, to within five standard deviations of the draw.
pub(crate) fn is_about(found: u64, all: u64, share: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let (found, all) = (found as f64, all as f64);
    (found - all * share).abs() < 5.0 * (all * share * (1.0 - share)).sqrt()
}

#[test]
fn exactly_the_asked_for_share_of_one_versions_requests_meets_a_fault() -> Result<()> {
    const REQUESTS: u64 = 2_000;
    run(async {
        let faults = faults(
            "- {version: canary, delay: {fixedDelay: 1ms, percentage: 30}, abort: {httpStatus: 418, percentage: 20}, until: UNTIL}",
        );
        let site = Site::at(percent(50), Plan { release: faults, ..Plan::default() }).await?;
        let (client, ids) = (site.client(0), users(200));
        let (mut of_canary, mut aborted) = (0, 0);
        for id in ids.iter().cycle().take(usize::try_from(REQUESTS)?) {
            let answer = client.get("/", &[("cookie", &format!("serin={id}"))]).await?;
            let version = expected("v2", id, percent(50));
            ensure!(answer.header("x-served-by") == Some(version), "{answer:?}");
            of_canary += u64::from(version == "canary");
            if version == "canary" && answer.status == 418 {
                aborted += 1;
            } else {
                ensure!(answer.shop()?.deployment == version, "{answer:?}");
            }
        }
        let [delays, aborts] = injected(&site).await?;
        ensure!(aborts == aborted, "Envoy says {aborts} of {aborted}");
        ensure!(
            is_about(delays, of_canary, 0.3) && is_about(aborts, of_canary, 0.2),
            "{delays}, {aborts} of {of_canary}"
        );
        eventually("the counts", async || {
            let (canary, stable) = (counted(&site, Arm::Canary).await?, counted(&site, Arm::Stable).await?);
            let wanted = ([delays + aborts, of_canary - delays - aborts], [0, REQUESTS - of_canary]);
            ensure!((canary, stable) == wanted, "{canary:?} {stable:?}, not {wanted:?}");
            Ok(())
        })
        .await
    })
}

#[test]
fn a_fault_is_for_those_it_matches_and_nobody_else_can_have_it() -> Result<()> {
    run(async {
        let faults = faults(
            "- version: stable
  matches: [{headers: [{name: x-user-type, value: beta}], path: {type: Prefix, value: /slow}}]
  delay: {fixedDelay: 1ms, percentage: 100}
  until: UNTIL
- {version: stable, abort: {httpStatus: 418, percentage: 0}, until: UNTIL}
- {version: stable, abort: {httpStatus: 418, percentage: 100}, until: \"2020-01-01T00:00:00Z\"}",
        );
        let site = Site::at(Weight::ZERO, Plan { release: faults, ..Plan::default() }).await?;
        let client = site.client(0);
        let beta = ("x-user-type", "beta");
        let own_words = [
            ("x-serin-mark", "fault-1-delay"),
            ("x-serin-mark", "fault-2-abort"),
            ("x-serin-mark", "fault-3-abort"),
            ("x-serin-version", "stable"),
            ("x-envoy-fault-delay-request", "10"),
            ("x-envoy-fault-abort-request", "418"),
        ];
        let own_words_of = |mark: usize| [own_words[mark], own_words[3], own_words[4], own_words[5]];
        for (path, headers, delays) in [
            ("/slow/page", vec![beta], 1),
            ("/page", vec![beta], 0),
            ("/slow", vec![], 0),
            ("/page", own_words_of(0).to_vec(), 0),
            ("/page", own_words_of(1).to_vec(), 0),
            ("/page", own_words_of(2).to_vec(), 0),
        ] {
            let before = injected(&site).await?;
            let answer = client.get(path, &headers).await?;
            ensure!(answer.status == 200 && answer.shop()?.deployment == "stable", "{headers:?}: {answer:?}");
            let after = injected(&site).await?;
            ensure!(after == [before[0] + delays, before[1]], "{path} {headers:?}: {before:?}, {after:?}");
        }
        Ok(())
    })
}

#[test]
fn a_grpc_call_is_ended_with_a_grpc_status() -> Result<()> {
    run(async {
        let faults = faults(
            "- {version: canary, abort: {grpcStatus: RESOURCE_EXHAUSTED, percentage: 100}, until: UNTIL}",
        );
        let site = Site::at(Weight::FULL, Plan { release: faults, ..Plan::default() }).await?;
        let answer =
            site.client(0).get("/", &[("cookie", "serin=bob"), ("content-type", "application/grpc")]).await?;
        ensure!(answer.status == 200 && answer.header("grpc-status") == Some("8"), "{answer:?}");
        Ok(())
    })
}

#[test]
fn nobody_meets_a_fault_once_everybody_has_the_new_version() -> Result<()> {
    run(async {
        let yaml = faults("- {version: canary, abort: {httpStatus: 418, percentage: 100}, until: UNTIL}");
        let release = Release::from_yaml(&yaml)?;
        let mut site = Site::at(Weight::FULL, Plan { release: yaml, ..Plan::default() }).await?;
        let client = site.client(0);
        let ask = async || {
            Ok::<_, anyhow::Error>(
                client.get("/", &[("cookie", "serin=bob"), ("x-serin-mark", "fault-1-abort")]).await?.status,
            )
        };
        ensure!(ask().await? == 418);
        site.push_document(vec![release.policy(2, Weight::FULL, false, true)]).await?;
        eventually("the fault to be over", async || {
            let status = ask().await?;
            ensure!(status == 200, "{status}");
            Ok(())
        })
        .await
    })
}

/// Its contrast is `a_canary_that_is_slow_is_taken_back`: the same slowness, of the canary's own making.
#[test]
fn a_canary_is_not_taken_back_for_what_was_injected_into_it() -> Result<()> {
    run(async {
        let quick = "strategy: {canary: {steps: [{setWeight: 10}, {setWeight: 50}]}}
analysis: {interval: 100ms, minRequests: 50, baseline: 0s, warmUp: 0s, bake: 0s,
  metrics: [{name: request-success-rate}, {name: request-duration, objective: 1s}]}
faults: [{version: canary, delay: {fixedDelay: 2s, percentage: 10}, abort: {httpStatus: 500, percentage: 20}, until: UNTIL}]";
        let plan = Plan { release: release(&quick.replace("UNTIL", UNTIL)), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        let load = Load::start(site.address(0), &users(100), |status| status == 200 || status == 500);
        let view = agent.wait_until("the promotion", |view| view.status.phase.code() == "promoted").await?;
        load.stop().await?;
        let weights: Vec<_> = agent.audit()?.iter().map(|entry| entry["weightAfter"].clone()).collect();
        ensure!(weights == [0, 100_000, 500_000, 1_000_000], "{weights:?}");
        let [delays, aborts] = injected(&site).await?;
        ensure!(delays > 0 && aborts > delays, "{delays} {aborts}");
        let told = view.progress.injected;
        ensure!(
            told.stable == 0 && told.canary > 0 && told.canary <= delays + aborts,
            "{told:?} of {delays} and {aborts}"
        );
        Ok(())
    })
}
