/*!
The module as an image in a registry: proxies pull it from there instead of asking an agent.
*/
use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use serin_release::status::ReleaseStatus;
use serin_tests::mesh::{CREDENTIALS, Mesh};
use tokio::process::Command;

use crate::fixture::{AGENT, Fixture, check_none_failed, is_at, told};

pub(crate) async fn the_module_is_pulled_from_a_registry(mesh: &Mesh) -> Result<()> {
    let (fixture, registry) = tokio::try_join!(Fixture::set(mesh, "image", 1), mesh.registry())?;
    let to = format!("oci://{}/serin/filter:1", registry.address());
    let push = ["module", "push", &to, "--plain-http"];
    let image = fixture.command_line(&push).await?.trim().to_owned();
    ensure!(image.starts_with(to.trim_end_matches(":1")) && image.contains("@sha256:"), "{image}");
    ensure!(fixture.command_line(&push).await?.trim() == image, "the same module is another image");
    let index = registry.push_index(&image).await?;

    // Istio wants the digest of the manifest that it ends at, and an index is one before that.
    let agent = fixture.agent_with_image("one", &index, None).await?;
    fixture.release("{setWeight: 30, pause: {}}", |yaml| yaml).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(80).await?;
    fixture.set_image("shop:v2").await?;
    let status = without_filter(&fixture).await.with_context(|| agent.log())?;
    ensure!(is_at(&status, 0) && status.proxies.bypassed == 1, "{}", told(&status));
    fixture.check_served(&traffic, 0).await?;
    agent.kill().await?;

    let agent = fixture.agent_with_image("one", &image, None).await?;
    let exposed = fixture.check_exposure(&traffic, 30).await.with_context(|| agent.log())?;
    eprintln!("30 %: {exposed} of {} users, each as the hash says", fixture.users.len());
    let plugins = fixture.kubectl(&["get", "wasmplugins", "-o", "jsonpath={.items[*].spec.url}"]).await?;
    ensure!(plugins == image, "{plugins}");
    // Every weight is a push, and none of them makes a proxy pull again.
    let page = format!("http://{}:15020/stats/prometheus", fixture.gateway.pods[0].1);
    let page = serin_agent::http::plain().build()?.get(page).send().await?.error_for_status()?.text().await?;
    let pulls: Vec<_> = page.lines().filter(|line| line.starts_with("istio_agent_wasm_remote")).collect();
    ensure!(pulls.contains(&r#"istio_agent_wasm_remote_fetch_count{result="success"} 1"#), "{pulls:?}");
    check_none_failed(&traffic.stop().await?)
}

/// Waits until somebody is told of as a proxy without the filter.
async fn without_filter(fixture: &Fixture<'_>) -> Result<ReleaseStatus> {
    let why = "does not run the filter";
    fixture.status_that(why, |status| status.message.contains(why)).await
}

/// Istio hands proxies the Secret that is beside their plugin. Until it is there, nobody is moved; then nobody need do more.
pub(crate) async fn a_private_registry_wants_a_secret(mesh: &Mesh) -> Result<()> {
    let (fixture, registry) = tokio::try_join!(Fixture::set(mesh, "private", 1), mesh.private_registry())?;
    let (name, password) = CREDENTIALS;
    let to = format!("oci://{}/serin/filter:1", registry.address());
    let push = ["module", "push", &to, "--plain-http"];
    let refused = fixture.command_line(&push).await.err().context("anybody may push")?;
    ensure!(format!("{refused:#}").contains("cannot push"), "{refused:#}");
    // As `docker login` leaves it: `base64` of both with a colon.
    let docker = tempfile::tempdir()?;
    let config = json!({"auths": {registry.address(): {"auth": "cm9ib3Q6c2VjcmV0"}}});
    fs::write(docker.path().join("config.json"), config.to_string())?;
    let mut command = Command::new(AGENT);
    command.args(push).env("DOCKER_CONFIG", docker.path()).stdin(Stdio::null()).kill_on_drop(true);
    let pushed = command.output().await?;
    ensure!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    let image = String::from_utf8(pushed.stdout)?.trim().to_owned();

    let agent = fixture.agent_with_image("one", &image, Some("registry")).await?;
    fixture.release("{setWeight: 30, pause: {}}", |yaml| yaml).await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(80).await?;
    fixture.set_image("shop:v2").await?;
    let status = without_filter(&fixture).await.with_context(|| agent.log())?;
    ensure!(is_at(&status, 0) && status.proxies.bypassed == 1, "{}", told(&status));
    let (server, user, password) = (
        format!("--docker-server={}", registry.address()),
        format!("--docker-username={name}"),
        format!("--docker-password={password}"),
    );
    fixture.kubectl(&["create", "secret", "docker-registry", "registry", &server, &user, &password]).await?;
    let exposed = fixture.check_exposure(&traffic, 30).await.with_context(|| agent.log())?;
    eprintln!("30 %: {exposed} of {} users, by a module with credentials", fixture.users.len());
    check_none_failed(&traffic.stop().await?)
}
