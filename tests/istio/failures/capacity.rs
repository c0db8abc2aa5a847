/*!
The canary does not get its pods: the reason is named, and there is an end.
*/
use anyhow::{Context, Result, ensure};
use serin_release::status::ReleasePhase;
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::{Outcome, Record};
use serin_tests::site::eventually;

use super::{STEPS, UnderLoad, said};

/// No pod of this namespace may ask for less.
const LIMITS: &str = "
apiVersion: v1
kind: LimitRange
metadata: {name: large}
spec: {limits: [{type: Pod, min: {cpu: '4'}}]}
";

const REFUSAL: &str = "minimum cpu usage per Pod is 4";

pub(crate) async fn pods_are_not_to_be_had(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "capacity", 1).await?;
    let fixture = &under_load.fixture;

    let case = under_load.case("the canary's Deployment is paused");
    fixture.kubectl(&["rollout", "pause", "deployment/shop-canary"]).await?;
    fixture.set_image("shop:v2").await?;
    let status = under_load.said("Deployment shop-canary is paused").await?;
    fixture.kubectl(&["rollout", "resume", "deployment/shop-canary"]).await?;
    under_load.first_step("v2").await?;
    case.end(&said(&status), "goes on to 30% when it is resumed", 0)?;

    let case = under_load.case("a LimitRange refuses the canary's pods, progressDeadline: 10s");
    fixture
        .release(STEPS, |yaml| {
            yaml.replace("scaleDownDelay: 2s", "scaleDownDelay: 2s, progressDeadline: 10s")
        })
        .await?;
    fixture.namespace.apply(LIMITS).await?;
    eventually("the limits to count", async || {
        let run = fixture.kubectl(&["run", "probe", "--image=shop:v1", "--dry-run=server"]).await;
        let refusal = run.err().context("not yet")?;
        ensure!(format!("{refusal:#}").contains(REFUSAL), "{refusal:#}");
        Ok(())
    })
    .await?;
    fixture.set_image("shop:v3").await?;
    under_load.said(REFUSAL).await?;
    let status = under_load.phase(ReleasePhase::RolledBack).await?;
    ensure!(status.message.contains("progressDeadline"), "{}", said(&status));
    let got = |record: &Record| matches!(&record.outcome, Outcome::Served { version, .. } if version == "v3");
    ensure!(!case.records().iter().any(got), "somebody got v3");
    case.end(&said(&status), "nobody got it; over after 10 s", 0)
}
