//! Copies of stable's requests to a canary without users, by a real Envoy.

use anyhow::{Result, ensure};
use reqwest::Method;
use serin_agent::observe::scrape::SeriesKey;
use serin_agent::standalone::View;
use serin_local::shop::Build;
use serin_policy::Weight;
use serin_release::Release;
use serin_tests::agent::Agent;
use serin_tests::load::Load;
use serin_tests::site::{Plan, Site, eventually, release, run};

use crate::agent::start;
use crate::faults::is_about;
use crate::{AGENT, users};

/// A release that mirrors before its steps.
fn mirrored(mirror: &str) -> String {
    release(&format!(
        "strategy: {{canary: {{mirror: {mirror}, steps: [{{setWeight: 10}}, {{setWeight: 50}}]}}}}
analysis: {{interval: 100ms, minRequests: 50, baseline: 0s, warmUp: 0s, bake: 0s}}"
    ))
}

/// A site by whose policy the canary gets its copies, and nobody else anything of it.
async fn mirroring(mirror: &str) -> Result<Site> {
    let yaml = mirrored(mirror);
    let release = Release::from_yaml(&yaml)?;
    let mut site = Site::at(Weight::ZERO, Plan { release: yaml, ..Plan::default() }).await?;
    site.push_document(vec![release.mirroring(release.policy(2, Weight::ZERO, false, false))]).await?;
    // The workers have it an instant later than Envoy says.
    let client = site.client(0);
    eventually("copies", async || {
        client.get("/", &[]).await?;
        ensure!(site.canary.came(&Method::GET, "mirror") > 0);
        Ok(())
    })
    .await?;
    Ok(site)
}

/// What Envoy and the filter have counted of requests with a copy: stable's answers, and the canary's.
async fn counted(site: &Site) -> Result<[u64; 2]> {
    let totals = site.sample(0).await?.totals;
    let of = |tag: &str, metric: &str| {
        let is_of = |key: &SeriesKey| key.tag == format!("shop/shop/{tag}/copied") && key.metric == metric;
        totals.iter().filter(|(key, _)| is_of(key)).map(|(_, total)| total).sum()
    };
    Ok([of("stable", "serin_rq"), of("canary", "envoy_cluster_upstream_rq")])
}

#[test]
fn a_tenth_of_the_gets_is_copied_and_nothing_else_and_the_user_has_stables_answer() -> Result<()> {
    const REQUESTS: u64 = 2_000;
    run(async {
        let site = mirroring("{percentage: 10}").await?;
        let client = site.client(0);
        let copies = |method: &Method| site.canary.came(method, "mirror");
        let before = copies(&Method::GET);
        for id in users(200).iter().cycle().take(usize::try_from(REQUESTS)?) {
            let cookie = format!("serin={id}");
            for method in ["GET", "POST"] {
                let answer =
                    client.send(method, "/", &[("cookie", &cookie), ("x-serin-mark", "mirror")]).await?;
                let shop = answer.shop()?;
                let is_stables = answer.status == 200 && shop.deployment == "stable";
                ensure!(is_stables && answer.header("set-cookie").is_none(), "{answer:?}");
            }
        }
        eventually("all copies to be answered and counted", async || {
            let [stable, canary] = counted(&site).await?;
            ensure!(stable == canary && canary == copies(&Method::GET), "{stable} {canary}");
            Ok(())
        })
        .await?;
        let were = copies(&Method::GET) - before;
        eprintln!("{were} of {REQUESTS} GETs were copied, and no POST of as many");
        ensure!(is_about(were, REQUESTS, 0.1), "{were} of {REQUESTS}");
        ensure!(copies(&Method::POST) == 0);
        // Nobody reaches the canary by a word of his own.
        ensure!([Method::GET, Method::POST].iter().all(|method| site.canary.came(method, "") == 0));
        Ok(())
    })
}

#[test]
fn other_methods_are_copied_where_they_are_named() -> Result<()> {
    run(async {
        let site = mirroring("{percentage: 100, methods: [GET, POST]}").await?;
        for method in ["POST", "HEAD", "PUT"] {
            site.client(0).send(method, "/", &[]).await?;
        }
        eventually("the copy of the POST", async || {
            ensure!(site.canary.came(&Method::POST, "mirror") == 1);
            Ok(())
        })
        .await?;
        ensure!([Method::HEAD, Method::PUT].iter().all(|method| site.canary.came(method, "mirror") == 0));
        Ok(())
    })
}

fn is_mirroring(view: &View) -> bool {
    view.status.mirrors()
}

/// An agent that is killed meanwhile goes on where it was.
#[test]
fn a_good_canary_gets_its_users_after_it_has_answered_copies() -> Result<()> {
    run(async {
        let plan = Plan { release: mirrored("{percentage: 50, duration: 3s}"), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        let load = Load::start(site.address(0), &users(50), |status| status == 200);
        let before = agent.wait_until("copies", is_mirroring).await?.status.revision;
        agent.kill().await?;
        let agent = Agent::start(AGENT, &site, &plan.release, &site.admins()).await?;
        let after = agent.wait_until("copies once more", is_mirroring).await?.status;
        ensure!(after.weight() == Weight::ZERO && after.revision == before, "{before}: {after:?}");
        let view = agent.wait_until("the promotion", |view| view.status.phase.code() == "promoted").await?;
        load.stop().await?;
        let weights: Vec<_> = agent.audit()?.iter().map(|entry| entry["weightAfter"].clone()).collect();
        ensure!(weights == [0, 100_000, 500_000, 1_000_000], "{weights:?}");
        let copies = view.progress.copies;
        ensure!(
            copies.is_some_and(|copies| copies.canary.requests >= 50 && copies.canary.bad == 0),
            "{copies:?}"
        );
        Ok(())
    })
}

#[test]
fn a_canary_that_fails_copies_is_taken_back_before_any_user_has_met_it() -> Result<()> {
    run(async {
        let plan = Plan { release: mirrored("{percentage: 20, duration: 10m}"), ..Plan::default() };
        let (site, agent) = start(&plan).await?;
        site.canary.deploy(Build { error_share: 0.3, ..site.canary.build() });
        // Nobody gets any of its errors.
        let load = Load::start(site.address(0), &users(50), |status| status == 200);
        let view = agent.wait_until("the rollback", |view| view.status.phase.code() == "rolled-back").await?;
        load.stop().await?;
        let said =
            view.status.last_change.as_ref().map(|change| change.reason.to_string()).unwrap_or_default();
        ensure!(said.contains("mirrored requests") && said.contains("No user has met it"), "{said}");
        ensure!(site.canary.came(&Method::GET, "") == 0);
        eprintln!("{said}");
        Ok(())
    })
}
