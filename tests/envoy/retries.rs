//! Requests are tried again while users go back, in a real Envoy.

use anyhow::{Result, ensure};
use serin_local::shop::Build;
use serin_tests::load::Load;
use serin_tests::site::{HOST, Plan, Site, release, run};

use crate::agent::{QUICK, start};
use crate::users;

/// How many of 200 requests fail, where each try does with one in two.
async fn failures(site: &Site) -> Result<usize> {
    let client = site.client(0);
    let mut failed = 0;
    for user in users(200) {
        let answer = client.get("/", &[("cookie", &format!("serin={user}"))]).await?;
        failed += usize::from(answer.status == 500);
    }
    Ok(failed)
}

#[test]
fn requests_are_tried_again_after_a_rollback_and_not_before() -> Result<()> {
    run(async {
        let asked = format!("{{hosts: [{HOST}], rollbackRetries: {{retryOn: 5xx, duration: 1h}}}}");
        let yaml = release(QUICK).replace(&format!("{{hosts: [{HOST}]}}"), &asked);
        let (site, agent) = start(&Plan { release: yaml, ..Plan::default() }).await?;
        let broken = Build { error_share: 0.5, ..site.stable.build() };
        let load = Load::start(site.address(0), &users(100), |_| true);
        site.canary.deploy(Build { error_share: 0.5, ..site.canary.build() });
        let view = agent.wait_until("the rollback", |view| view.status.phase.code() == "rolled-back").await?;
        site.wait_for_revision(view.status.revision).await?;
        load.stop().await?;
        site.stable.deploy(broken);
        // Four tries fail together once in sixteen: 12 or 13 of 200, and 30 in less than one of a million.
        let failed = failures(&site).await?;
        ensure!(failed < 30, "{failed} of 200 fail with retries");
        Ok(())
    })
}
