/*!
Messages, from a real release to a stand-in of the providers: each once though leaders change, and none to where it must not go.
*/
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use serin_tests::mesh::{HOST, Mesh};
use serin_tests::site::eventually;
use tokio::net::TcpListener;

use crate::fixture::{Fixture, told};
use crate::tenants::Listener;

/// A provider, for tests. Requests below `/busy` are turned away while it is busy.
#[derive(Clone, Default)]
struct Provider {
    taken: Arc<Mutex<Vec<Taken>>>,
    is_busy: Arc<AtomicBool>,
}

/// A message that was taken.
#[derive(Debug, Clone)]
struct Taken {
    path: String,
    id: String,
    text: String,
}

impl Provider {
    /// Also returns its URL.
    async fn begin() -> Result<(Self, String)> {
        let provider = Self::default();
        let listener = TcpListener::bind((HOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(take).with_state(provider.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        Ok((provider, url))
    }

    /// The messages that came to `path` with `text` in them.
    fn taken(&self, path: &str, text: &str) -> Vec<Taken> {
        let taken = self.taken.lock().expect("nobody panics there");
        taken.iter().filter(|taken| taken.path == path && taken.text.contains(text)).cloned().collect()
    }
}

async fn take(
    State(provider): State<Provider>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    if uri.path().starts_with("/busy") && provider.is_busy.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "later");
    }
    let id = headers.get("idempotency-key").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    provider.taken.lock().expect("nobody panics there").push(Taken { path: uri.path().to_owned(), id, text });
    (StatusCode::OK, "ok")
}

/// The channels for which something is still to be sent, as it is saved.
async fn waiting(fixture: &Fixture<'_>) -> Result<Vec<String>> {
    let state: Value = serde_json::from_str(&fixture.status().await?.state.context("a state")?)?;
    let waiting = state["outbox"]["waiting"].as_array().cloned().unwrap_or_default();
    let to = waiting.iter().flat_map(|waiting| waiting["to"].as_array().cloned().unwrap_or_default());
    Ok(to.filter_map(|to| to["channel"]["name"].as_str().map(str::to_owned)).collect())
}

pub(crate) async fn a_rollback_is_told_once_though_leaders_change(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "messages", 1).await?;
    let (provider, url) = Provider::begin().await?;
    let (elsewhere, foreign) = Listener::begin().await?;
    let config = format!(
        "notifications: {{channels: [{{channel: {{name: platform, cloudEvents: {{url: '{url}/platform'}}}}}}]}}\n\
         allowedAddresses: ['{url}']"
    );
    let secret = |name: &str, path: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{slack: '{url}{path}'}}"
        )
    };
    fixture.namespace.apply(&secret("serin-notifications", "/busy/slack")).await?;
    fixture.namespace.apply(&secret("somebodys", "/somebodys")).await?;
    let first = fixture.agent_with_config("one", &config).await?;
    let notifications = format!(
        "notifications: [{{name: team, slack: {{secretRef: {{name: serin-notifications, key: slack}}}}}}, \
         {{name: audit, webhook: {{url: '{url}/audit'}}}}, \
         {{name: inside, webhook: {{url: '{foreign}/inside'}}}}, \
         {{name: other, slack: {{secretRef: {{name: somebodys, key: slack}}}}}}]"
    );
    let steps = "{setWeight: 10, pause: {duration: 2m}}, {setWeight: 50}";
    fixture
        .release(steps, |yaml| yaml.replace("  analysis: {", &format!("  {notifications}\n  analysis: {{")))
        .await?;
    fixture.idle().await?;
    let traffic = fixture.traffic(100).await?;
    fixture.set_image("shop:v2?errors=30%").await?;
    eventually("the step to be told", async || {
        ensure!(!provider.taken("/busy/slack", "10%").is_empty(), "{}", told(&fixture.status().await?));
        Ok(())
    })
    .await
    .with_context(|| first.log())?;
    // From now on Slack is away, and the first agent dies with what it could not tell.
    provider.is_busy.store(true, Ordering::Relaxed);
    eventually("all but Slack to be told of the rollback", async || {
        for path in ["/audit", "/platform"] {
            ensure!(
                !provider.taken(path, "RolledBack").is_empty(),
                "{path}: {}",
                told(&fixture.status().await?)
            );
        }
        let waiting = waiting(&fixture).await?;
        let is_left = |name: &str| waiting.iter().any(|left| left == name);
        ensure!(is_left("team") && !is_left("audit") && !is_left("platform"), "{waiting:?}");
        Ok(())
    })
    .await
    .with_context(|| first.log())?;
    first.kill().await?;
    provider.is_busy.store(false, Ordering::Relaxed);
    let second = fixture.agent_with_config("two", &config).await?;
    eventually("the second to tell what was left", async || {
        ensure!(!provider.taken("/busy/slack", "rolled back").is_empty(), "{:?}", waiting(&fixture).await?);
        ensure!(!waiting(&fixture).await?.contains(&"team".to_owned()), "it is not saved yet");
        Ok(())
    })
    .await
    .with_context(|| second.log())?;
    second.kill().await?;
    let third = fixture.agent_with_config("three", &config).await?;
    fixture.command("retry").await?;
    eventually("the third to tell of its own", async || {
        ensure!(!provider.taken("/audit", "Retried").is_empty(), "{}", told(&fixture.status().await?));
        Ok(())
    })
    .await
    .with_context(|| third.log())?;
    let all = provider.taken.lock().expect("nobody panics there").clone();
    let mut ids: Vec<_> = all.iter().map(|taken| (&taken.path, &taken.id)).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    ensure!(ids.len() == count, "a message came twice: {all:#?}");
    let rollback = provider.taken("/audit", "RolledBack");
    let message: Value = serde_json::from_str(&rollback[0].text)?;
    ensure!(message["canary"]["requests"]["failed"].as_u64() > Some(0), "{message}");
    ensure!(
        message["canary"]["image"] == "shop:v2?errors=30%" && message["users"]["failed"].as_u64() > Some(0),
        "{message}"
    );
    ensure!(elsewhere.heard().is_empty(), "a stranger heard {:?}", elsewhere.heard());
    ensure!(provider.taken("/somebodys", "").is_empty(), "a Secret was read that is nobody's to give");
    let status = fixture.status().await?;
    for (name, part) in [("inside", "is not among the addresses"), ("other", "may not read Secret somebodys")]
    {
        let found = status.notifications.iter().find(|found| found.name == name).context(name)?;
        ensure!(found.error.as_ref().is_some_and(|error| error.contains(part)), "{found:?}");
    }
    drop(traffic.stop().await?);
    Ok(())
}
