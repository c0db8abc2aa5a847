/*!
A release at the agent's port, for those who may read it.
*/
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::Value;
use serin_agent::http;
use serin_tests::mesh::Mesh;
use serin_tests::site::eventually;

use crate::fixture::Fixture;

/// Who may ask the API server whose a token is, which takes more than an agent of one namespace has; somebody who may read
/// Releases, and somebody who may not.
const PEOPLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: serin-NAMESPACE-auth}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:auth-delegator'}
subjects: [{kind: ServiceAccount, name: serin, namespace: NAMESPACE}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: viewer}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nobody}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: serin-viewer}
subjects: [{kind: ServiceAccount, name: viewer, namespace: NAMESPACE}]
";

pub(crate) async fn whoever_may_read_a_release_sees_its_run_from_look_to_look(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "board", 1).await?;
    let namespace = fixture.namespace.name();
    let agent = fixture.agent("one").await?;
    fixture.namespace.apply(&PEOPLE.replace("NAMESPACE", namespace)).await?;
    fixture.release("{setWeight: 25, pause: {}}", |yaml| yaml).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(100).await?;
    fixture.set_image("shop:v2").await?;
    fixture.check_exposure(&traffic, 25).await.with_context(|| agent.log())?;

    let url = format!("http://{}/releases/{namespace}/shop", agent.address());
    let ask = async |token: Option<&str>, url: &str| -> Result<(StatusCode, String)> {
        let request = http::plain().build()?.get(url);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await?;
        Ok((answer.status(), answer.text().await?))
    };
    let token = async |who: &str| fixture.kubectl(&["create", "token", who]).await;
    let (viewer, nobody) = (token("viewer").await?, token("nobody").await?);
    for (token, status, says) in [
        (None, StatusCode::UNAUTHORIZED, "send Authorization: Bearer TOKEN"),
        (Some("made-up"), StatusCode::UNAUTHORIZED, "does not know this token"),
        (Some(nobody.trim()), StatusCode::FORBIDDEN, ":nobody may not get releases.serin.dev in"),
    ] {
        let (found, text) = ask(token, &url).await?;
        ensure!(found == status && text.contains(says), "{token:?}: {found}: {text}");
    }
    eventually("the run in points", async || {
        let (status, text) = ask(Some(viewer.trim()), &url).await?;
        ensure!(status == StatusCode::OK, "{status}: {text}");
        let shown: Value = serde_json::from_str(&text)?;
        let points = shown["history"]["points"].as_array().context("points")?;
        let at_step =
            points.iter().filter(|point| point["weight"] == 250_000 && point["canary"] != 0).count();
        ensure!(shown["view"]["name"] == "shop" && at_step >= 2, "{text}");
        ensure!(points.iter().any(|point| point["evidence"].is_number()), "{text}");
        ensure!(shown["cohorts"].as_array().is_some_and(|cohorts| !cohorts.is_empty()), "{text}");
        Ok(())
    })
    .await
    .with_context(|| agent.log())?;
    let (status, text) = ask(Some(viewer.trim()), &url.replace("/shop", "/other")).await?;
    ensure!(status == StatusCode::NOT_FOUND && text.contains("does not know such a Release"), "{text}");
    // The pages, for the same people.
    let pages = url.replace("/releases/", "/page/");
    let list = format!("http://{}/page/", agent.address());
    for (token, path, status, says) in [
        (None, &pages, StatusCode::UNAUTHORIZED, "send Authorization: Bearer TOKEN"),
        (Some(nobody.trim()), &pages, StatusCode::FORBIDDEN, "may not get releases.serin.dev"),
        (Some(nobody.trim()), &list, StatusCode::FORBIDDEN, "may not list releases.serin.dev"),
        (
            Some(nobody.trim()),
            &format!("{pages}/events"),
            StatusCode::FORBIDDEN,
            "may not get releases.serin.dev",
        ),
        (Some(viewer.trim()), &pages, StatusCode::OK, "<h1 id=\"head-title\">shop</h1>"),
        (Some(viewer.trim()), &list, StatusCode::OK, "/shop\">shop</a>"),
    ] {
        let (found, text) = ask(token, path).await?;
        ensure!(found == status && text.contains(says), "{path}: {found}: {text}");
    }
    drop(traffic.stop().await?);
    Ok(())
}
