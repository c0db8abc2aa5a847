/*!
Clocks that are wrong: a leader's, and that of the agent that takes its place.
*/
use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use serin_tests::mesh::Mesh;

use super::{Case, UnderLoad, said};
use crate::fixture::{Fixture, is_at};

/// The first ends by itself.
const STEPS: &str = "{setWeight: 30, pause: {duration: 15s}}, {setWeight: 60, pause: {}}";

pub(crate) async fn a_leader_had_another_time(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "clocks", 1).await?;
    let first = fixture.agent("first").await?;
    let under_load = UnderLoad::with(fixture, first, |yaml| yaml.replace(super::STEPS, STEPS)).await?;
    under_load.fixture.set_image("shop:v2").await?;
    under_load.first_step("v2").await?;
    let UnderLoad { traffic, agent, fixture } = under_load;
    agent.kill().await?;
    let case = Case::begin(
        "the leader's clock is 10 min behind, its lease 10 min ahead; it dies in a step of 15 s",
        &traffic,
    );
    // What it would have left behind.
    let ahead = json!({"spec": {"renewTime": moved("now", SignedDuration::from_mins(10))?}});
    fixture.kubectl(&["patch", "lease", "serin", "--type=merge", "-p", &ahead.to_string()]).await?;
    let text = fixture.kubectl(&["get", "release", "shop", "-o", "jsonpath={.status.state}"]).await?;
    let mut state: Value = serde_json::from_str(&text)?;
    for pointer in ["/looked", "/status/phase/stage/since"] {
        let time = state.pointer_mut(pointer).with_context(|| format!("{pointer} of {text}"))?;
        *time = moved(time.as_str().unwrap_or_default(), SignedDuration::from_mins(-10))?.into();
    }
    let behind = json!({"status": {"state": state.to_string()}}).to_string();
    fixture
        .kubectl(&["patch", "release", "shop", "--subresource=status", "--type=merge", "-p", &behind])
        .await?;
    let second = fixture.agent("second").await?;
    let observing = fixture.status_that("the second at the same step", |status| {
        status.message.contains("is observed for 15s") && second.log().contains("this agent leads")
    });
    let status = observing.await.with_context(|| second.log())?;
    ensure!(is_at(&status, 30), "{}", said(&status));
    fixture.check_exposure(&traffic, 60).await.with_context(|| second.log())?;
    case.end(&said(&status), "another leads after 8 s; the pause does not end by it; then goes on to 60%", 0)
}

/// `time`, or now, moved.
fn moved(time: &str, by: SignedDuration) -> Result<String> {
    let time = if time == "now" { Timestamp::now() } else { time.parse()? };
    Ok(format!("{:.6}", time.checked_add(by)?))
}
