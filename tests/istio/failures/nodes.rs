/*!
A node dies with a proxy on it.
*/
use anyhow::{Context, Result, ensure};
use serin_tests::mesh::Mesh;

use super::{UnderLoad, said};
use crate::fixture::is_at;

/// What the cluster makes of a node that has not been heard of: the pods are not ready, and their containers are as they
/// last were.
const NOT_HEARD_OF: &str =
    r#"{"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "NodeStatusUnknown"}]}}"#;

pub(crate) async fn a_node_dies(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "node", 1).await?;
    let fixture = &under_load.fixture;
    fixture.kubectl(&["scale", "deployment/gateway", "--replicas=2"]).await?;
    fixture.namespace.rolled_out("gateway").await?;
    let pods = fixture.namespace.gateway_pods().await?.pods;
    let (name, ip) = pods.iter().find(|pod| !fixture.gateway.pods.contains(pod)).context("another proxy")?;
    under_load.status_that("both proxies", |status| status.proxies.current == 2).await?;
    under_load.release("v2").await?;

    let case = under_load.case("the node of one of two gateway pods dies at 30%");
    mesh.unplug(*ip)?;
    under_load.said(name).await?;
    under_load.command("resume").await?;
    case.after(400).await?;
    let status = fixture.status().await?;
    ensure!(is_at(&status, 30), "{}", said(&status));
    // A cluster does that after 40 s to 50 s.
    fixture.kubectl(&["patch", "pod", name, "--subresource=status", "-p", NOT_HEARD_OF]).await?;
    under_load.check_exposure(60).await?;
    case.end(&said(&status), "held until the cluster says that the pod is not ready; then goes on to 60%", 0)
}
