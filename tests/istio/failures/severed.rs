/*!
The API server answers no more, while a bad version is on the air: connections to it die without a word, or a write
hangs.
*/
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serin_release::status::{ReleasePhase, ReleaseStatus};
use serin_tests::mesh::traffic::Outcome;
use serin_tests::mesh::{Controller, HOST, MANNERS, Mesh};
use serin_tests::site::eventually;
use tokio::net::TcpListener;

use super::{Case, UnderLoad, said};
use crate::fixture::is_at;

/// From the moment it begins until nobody gets the bad version any more.
const AT_MOST: Duration = Duration::from_secs(10);

pub(crate) async fn connections_die_without_a_word(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "severed", 1).await?;
    let first = &under_load.agent;
    under_load.loses_its_connections("v2", "one agent", &[first]).await?;
    let second = under_load.fixture.agent("second").await?;
    under_load.loses_its_connections("v3", "the leader of two agents", &[first]).await?;
    under_load.loses_its_connections("v4", "each of two agents", &[first, &second]).await
}

/// A webhook for statuses, to which nobody answers.
const HANGS: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NAMESPACE}
webhooks:
- name: hangs.example.com
  clientConfig: {url: 'https://ADDRESS/'}
  rules: [{apiGroups: [serin.dev], apiVersions: ['*'], operations: [UPDATE], resources: [releases/status]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
  timeoutSeconds: 30
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
";

pub(crate) async fn a_status_write_hangs(mesh: &Mesh) -> Result<()> {
    let under_load = UnderLoad::set(mesh, "hangs", 1).await?;
    under_load.release("v2").await?;
    let namespace = under_load.fixture.namespace.name();
    // Connections are taken, and that is all.
    let webhook = TcpListener::bind((HOST, 0)).await?;
    let hangs = HANGS.replace("NAMESPACE", namespace).replace("ADDRESS", &webhook.local_addr()?.to_string());
    under_load.fixture.namespace.apply(&hangs).await?;
    webhook.accept().await?;
    let case = under_load.case("status writes hang at 30%, and then 30% errors");
    under_load.becomes_bad().await?;
    under_load.is_off_the_air(&case, "v2").await?;
    let status = under_load.fixture.status().await?;
    ensure!(is_at(&status, 30), "it could be written: {}", said(&status));
    mesh.kubectl(&["delete", "validatingwebhookconfiguration", namespace]).await?;
    let status = under_load.phase(ReleasePhase::RolledBack).await?;
    ensure!(status.message.contains("the canary failed"), "{}", said(&status));
    case.end(&said(&status), "everybody back on stable at once; the status says so when it can be written", 0)
}

impl UnderLoad<'_> {
    async fn loses_its_connections(&self, version: &str, whose: &str, agents: &[&Controller]) -> Result<()> {
        self.release(version).await?;
        let case = self
            .case(&format!("{whose} loses its connections to the API server at 30%, and then 30% errors"));
        let severed = self.fixture.mesh.sever(agents)?;
        self.becomes_bad().await?;
        let took = self.is_off_the_air(&case, version).await?;
        let status = self.status_that("every proxy to know", |status: &ReleaseStatus| {
            status.phase == ReleasePhase::RolledBack && status.proxies.all_current()
        });
        let status = status.await?;
        drop(severed);
        case.end(&said(&status), &format!("everybody back on stable after {:.1} s", took.as_secs_f64()), 0)
    }

    async fn becomes_bad(&self) -> Result<()> {
        let bad = format!("{MANNERS}=errors=30%");
        self.fixture.kubectl(&["annotate", "pods", "--selector", "version=canary", &bad]).await.map(drop)
    }

    /// Waits until nobody gets `version` any more, and says how long after the beginning of `case` somebody did.
    async fn is_off_the_air(&self, case: &Case<'_>, version: &str) -> Result<Duration> {
        const QUIET: usize = 200;
        let is_on = |record: &serin_tests::mesh::traffic::Record| matches!(&record.outcome, Outcome::Served { version: found, .. } if found == version);
        let (first, last) = eventually("nobody to get it", async || {
            let records = case.records();
            let last = records.iter().rposition(is_on).context("nobody has got it yet")?;
            ensure!(records.len() > last + QUIET, "somebody got it {} requests ago", records.len() - last);
            Ok((records[0].sent, records[last].sent))
        })
        .await
        .with_context(|| self.agent.log())?;
        let took = last.saturating_sub(first);
        ensure!(took <= AT_MOST, "somebody got it {took:?} after: {}", self.agent.log());
        Ok(took)
    }
}
