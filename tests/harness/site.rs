/*!
A release's site: two versions of a shop, and real Envoys in front of them that take their policies from one folder.
*/
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use serin_agent::mesh::bootstrap::{Bootstrap, Endpoint, LISTENER, Protocol, Routes, Upstream, bootstrap};
use serin_agent::mesh::ecds::EcdsDir;
use serin_agent::observe::scrape::{Sample, Scraper};
use serin_local::envoy::{Envoy, EnvoyOptions};
use serin_local::shop::{Build, Shop, Version};
use serin_policy::{Arm, Document, PolicySpec, Weight};
use serin_release::Release;
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::http3;
use crate::tools::Tool;

/// The host that requests are for.
pub const HOST: &str = "shop.example.com";

/// The host under which testers get the new version, where a Release has one.
pub const PREVIEW_HOST: &str = "preview.example.com";

/// How long a condition may take to come true on a busy machine. No test measures time by it.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// A site under test. All of it ends with this value.
#[derive(Debug)]
pub struct Site {
    /// The stable version.
    pub stable: Shop,
    /// The version being released.
    pub canary: Shop,
    /// The proxies; some may be stopped for a while.
    pub envoys: Vec<Envoy>,
    /// The folder of everything else.
    pub folder: TempDir,
    revision: u64,
}

/// What a site is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many Envoys there are.
    pub envoys: usize,
    /// Of which version.
    pub envoy: Tool,
    /// The Release, as YAML.
    pub release: String,
    /// Where the versions run, if not in shops of the site's own: stable, canary, and what they speak.
    pub upstreams: Option<(SocketAddr, SocketAddr, Protocol)>,
    /// Where versions beside the two run, by their names.
    pub others: Vec<(String, SocketAddr)>,
    /// An HTTP filter to be put before Serin's.
    pub filter_before: Option<Value>,
    /// The collector of traces, if there is one.
    pub traces: Option<SocketAddr>,
    /// Whether the Envoys speak HTTP/3 as well.
    pub http3: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            envoys: 1,
            envoy: Tool::Envoy,
            release: release(""),
            upstreams: None,
            others: Vec::new(),
            filter_before: None,
            traces: None,
            http3: false,
        }
    }
}

/// A Release for [`HOST`] whose answers say which version they come from; `more` is added to its spec.
pub fn release(more: &str) -> String {
    let more = more.replace('\n', "\n  ");
    format!(
        "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop, namespace: shop}}
spec:
  service: {{name: shop}}
  canary: {{version: v2}}
  routing: {{hosts: [{HOST}]}}
  responseHeader: x-served-by
  {more}
"
    )
}

impl Site {
    /// Builds the site and puts `weight` in force; the data path only, no agent.
    pub async fn at(weight: Weight, plan: Plan) -> Result<Self> {
        let mut site = Self::unconfigured().await?;
        let release = Release::from_yaml(&plan.release)?;
        site.ecds()?.write(&Document::new(vec![release.policy(1, weight, false, false)]))?;
        site.revision = 1;
        site.start_envoys(&plan).await?;
        site.wait_for_revision(1).await?;
        Ok(site)
    }

    /// The shops and the folders, without any Envoy: what an agent needs before it writes the first policy.
    pub async fn unconfigured() -> Result<Self> {
        let build = |version| Build { version: Version(version), error_share: 0.0, delay: Duration::ZERO };
        Ok(Self {
            stable: Shop::start(Arm::Stable, build(1), 1).await?,
            canary: Shop::start(Arm::Canary, build(2), 2).await?,
            envoys: Vec::new(),
            folder: tempfile::tempdir()?,
            revision: 0,
        })
    }

    /// The folder that the Envoys read from.
    pub fn ecds_dir(&self) -> PathBuf {
        self.folder.path().join("ecds")
    }

    /// The same, ready to be written to. Only one at a time can be.
    ///
    /// # Errors
    /// While an agent holds it.
    pub fn ecds(&self) -> Result<EcdsDir> {
        Ok(EcdsDir::open(&self.ecds_dir())?)
    }

    /// Starts the plan's Envoys; the ECDS file must be there.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn start_envoys(&mut self, plan: &Plan) -> Result<()> {
        let (stable, canary, protocol) =
            plan.upstreams.unwrap_or((self.stable.address(), self.canary.address(), Protocol::Http1));
        let upstream = |address: SocketAddr| Upstream { endpoints: vec![Endpoint::from(address)], protocol };
        let routes = Routes {
            hosts: [HOST, PREVIEW_HOST, "*.shop.svc.cluster.local", "shop.shop"].map(str::to_owned).into(),
            ..Routes::from(&Release::from_yaml(&plan.release)?)
        };
        for number in 1..=plan.envoys {
            let mut bootstrap = bootstrap(&Bootstrap {
                admin: ([127, 0, 0, 1], 0).into(),
                listen: ([127, 0, 0, 1], 0).into(),
                node: format!("edge-{number}"),
                routes: routes.clone(),
                stable: upstream(stable),
                canary: upstream(canary),
                others: plan.others.iter().map(|(name, at)| (name.clone(), upstream(*at))).collect(),
                ecds_dir: self.ecds_dir(),
                traces: plan.traces.map(Endpoint::from),
            });
            if let Some(filter) = &plan.filter_before {
                let path =
                    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
                let filters = bootstrap.pointer_mut(path).and_then(Value::as_array_mut);
                filters.context("a bootstrap has HTTP filters")?.insert(0, filter.clone());
            }
            if plan.http3 {
                http3::add_listener(&mut bootstrap, self.folder.path())?;
            }
            let tool = plan.envoy;
            let options = EnvoyOptions {
                binary: spawn_blocking(move || tool.path()).await??,
                bootstrap,
                concurrency: 2,
                dir: self.folder.path().join(format!("edge-{number}")),
            };
            self.envoys.push(Envoy::start(options).await?);
        }
        Ok(())
    }

    /// Where Envoy number `index` serves clients.
    pub fn address(&self, index: usize) -> SocketAddr {
        self.envoys[index].listener(LISTENER).expect("every bootstrap has the listener")
    }

    /// Admin addresses as `--envoy-admin` wants them.
    pub fn admins(&self) -> Vec<String> {
        self.envoys.iter().map(|envoy| format!("http://{}", envoy.admin())).collect()
    }

    /// A client of Envoy number `index`, with connections of its own.
    pub fn client(&self, index: usize) -> Client {
        Client::new(self.address(index))
    }

    /// Puts another version of the release's policy in force and waits until it is, everywhere.
    ///
    /// # Errors
    /// When it does not arrive.
    pub async fn push(&mut self, release: &Release, weight: Weight, closed: bool) -> Result<()> {
        self.write(release, weight, closed)?;
        self.wait_for_revision(self.revision).await
    }

    /// The same without waiting.
    ///
    /// # Errors
    /// When the folder is an agent's.
    pub fn write(&mut self, release: &Release, weight: Weight, closed: bool) -> Result<()> {
        self.revision += 1;
        Ok(self.ecds()?.write(&Document::new(vec![release.policy(self.revision, weight, closed, false)]))?)
    }

    /// Writes a document as it is, checked by nobody.
    ///
    /// # Errors
    /// When the folder is an agent's.
    pub async fn push_document(&mut self, policies: Vec<PolicySpec>) -> Result<()> {
        self.revision = policies.iter().map(|policy| policy.revision).max().unwrap_or_default();
        self.ecds()?.write(&Document::new(policies))?;
        self.wait_for_revision(self.revision).await
    }

    /// Waits until every Envoy reports `revision`.
    ///
    /// An Envoy does so when its main thread has the revision, an instant before its workers have: what follows
    /// from a push in mid-life is waited for with [`eventually`].
    ///
    /// # Errors
    /// When it does not happen.
    pub async fn wait_for_revision(&self, revision: u64) -> Result<()> {
        for envoy in &self.envoys {
            let admin = format!("http://{}", envoy.admin());
            let mut scraper = Scraper::new(&admin)?;
            eventually("the revision to arrive", async || {
                let sample = scraper.scrape().await?;
                let runs = sample.revisions.get("shop/shop").copied();
                if runs == Some(revision) { Ok(()) } else { bail!("runs {runs:?}, not {revision}") }
            })
            .await?;
        }
        Ok(())
    }

    /// What Envoy number `index` says of itself.
    ///
    /// # Errors
    /// When it says nothing.
    pub async fn sample(&self, index: usize) -> Result<Sample> {
        Ok(Scraper::new(&format!("http://{}", self.envoys[index].admin()))?.scrape().await?)
    }
}

/// Tries until `attempt` succeeds, for as long as there is hope.
///
/// # Errors
/// The last attempt's, when [`PATIENCE`] has run out.
pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("waited in vain for {what}")));
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Writes bytes over `path` as an agent would: by a rename.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension("aside");
    std::fs::write(&aside, bytes)?;
    Ok(std::fs::rename(&aside, path)?)
}

/// Runs `work` on a runtime of its own, so that a test is an ordinary function that fails with an error.
///
/// # Errors
/// Those of `work`.
pub fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}
