/*!
Faults that are injected into one version on purpose, by the routes that Istio makes.
*/
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::Outcome;
use serin_tests::site::eventually;

use crate::fixture::{Fixture, check_none_failed};

/// 5 s for 10 % of the new version's requests, at 10 % of the users: nobody goes back for it, and it is counted.
pub(crate) async fn a_version_is_not_blamed_for_what_was_injected(mesh: &Mesh) -> Result<()> {
    // A proxy's timer may be some milliseconds early.
    const LATE: Duration = Duration::from_millis(4_900);
    let fixture = Fixture::set(mesh, "faulted", 1).await?;
    let agent = fixture.agent("one").await?;
    let fault = "faults: [{version: canary, delay: {fixedDelay: 5s, percentage: 10}, until: \"2999-01-01T00:00:00Z\"}]";
    let edit = |yaml: String| yaml.replace("minRequests: 20", "minRequests: 100") + "  " + fault + "\n";
    fixture.release("{setWeight: 10, pause: {}}", edit).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    let traffic = fixture.traffic(100).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 10).await.with_context(|| agent.log())?;
    // A good verdict, and so many answers that met the fault that as many slow ones of the canary's own would have been
    // too many: one in ten, where one in twenty may be.
    let injected = |status: &serin_release::status::ReleaseStatus| {
        let analysis = status.analysis.as_ref();
        analysis.and_then(|it| it.injected.first()).map_or(0, |of| of.requests)
    };
    let status = fixture
        .status_that("a good verdict in spite of the fault", |status| {
            injected(status) >= 30 && status.message.contains("waits for approval")
        })
        .await
        .with_context(|| agent.log())?;
    let injected = injected(&status);
    fixture.approve().await?;
    fixture.outcome(serin_release::status::RunOutcome::Promoted).await.with_context(|| agent.log())?;
    let before = traffic.requests();
    eventually("more requests", async || {
        ensure!(traffic.requests() > before + 500);
        Ok(())
    })
    .await?;
    let report = traffic.stop().await?;
    check_none_failed(&report)?;
    // Nobody is late who is not on the new version, and about a tenth of those who are.
    let of = |wanted: &str, is_late: bool| {
        let served = report.0[..before].iter().filter(|record| {
            let on = matches!(&record.outcome, Outcome::Served { deployment, version, .. } if deployment == wanted && (wanted == "shop-stable" || version == "v2"));
            on && (record.took >= LATE) == is_late
        });
        served.count()
    };
    let (late, of_canary, late_on_stable) =
        (of("shop-canary", true), of("shop-canary", false), of("shop-stable", true));
    eprintln!(
        "{late} of {} answers of v2 came 5 s late, {late_on_stable} of stable; {injected} were told of",
        late + of_canary
    );
    ensure!(late_on_stable == 0, "{late_on_stable} late answers of stable");
    ensure!(late as u64 >= injected, "{injected} were counted, and only {late} were late");
    let made = fixture.kubectl(&["get", "virtualservice", "shop-serin", "-o", "yaml"]).await?;
    ensure!(made.contains("serin-marked-fault-1-delay-gateway"), "{made}");
    Ok(())
}
