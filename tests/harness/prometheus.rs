/*!
A real Prometheus as a child of the test.
*/
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use serin_local::child::{self, Child};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::spawn_blocking;

use crate::site::eventually;
use crate::tools::Tool;

/// A running Prometheus. It ends with this value.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    options: Options,
}

/// What a Prometheus is started with.
#[derive(Debug)]
pub struct Options {
    folder: TempDir,
    interval: &'static str,
    jobs: Vec<Value>,
    rules: Value,
    web: Value,
}

impl Options {
    /// One that scrapes nothing, and that everybody may ask.
    ///
    /// # Errors
    /// When there is no place for its files.
    pub fn new() -> Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            interval: "200ms",
            jobs: Vec::new(),
            rules: json!([]),
            web: json!({}),
        })
    }

    /// Scrapes once a second, in place of five times.
    #[must_use]
    pub fn each_second(mut self) -> Self {
        self.interval = "1s";
        self
    }

    /// Scrapes `targets` at `path`, five times a second.
    #[must_use]
    pub fn scraping(self, job: &str, path: &str, targets: &[SocketAddr]) -> Self {
        let targets: Vec<String> = targets.iter().map(SocketAddr::to_string).collect();
        self.with_job(json!({
            "job_name": job,
            "metrics_path": path,
            "static_configs": [{"targets": targets}],
        }))
    }

    /// Scrapes what a `scrape_config` says, five times a second.
    #[must_use]
    pub fn with_job(mut self, config: Value) -> Self {
        self.jobs.push(config);
        self
    }

    /// Evaluates these groups of rules as often as it scrapes.
    #[must_use]
    pub fn with_rules(mut self, groups: Value) -> Self {
        self.rules = groups;
        self
    }

    /// Guards it: the contents of a web configuration file.
    #[must_use]
    pub fn guarded(mut self, web: Value) -> Self {
        self.web = web;
        self
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> PathBuf {
        self.folder().join("prometheus.log")
    }
}

impl Prometheus {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// When there is none, or it does not come up.
    pub async fn start(options: Options) -> Result<Self> {
        let binary = spawn_blocking(|| Tool::Prometheus.path()).await??;
        let child = launch(&binary, &options)?;
        // Its log tells the port; asked over HTTP, one that is guarded would not say that it is ready.
        let up = eventually("Prometheus to be ready", async || {
            let log = fs::read_to_string(options.log())?;
            listens_at(&log).with_context(|| format!("its log:\n{log}"))
        })
        .await;
        Ok(Self { child, address: up?, options })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as people write it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The values that a query finds; nothing found is an error.
    ///
    /// # Errors
    /// When it finds nothing, or is refused.
    pub async fn values(&self, query: &str) -> Result<Vec<String>> {
        let client = serin_agent::http::plain().build()?;
        let url = format!("{}/api/v1/query", self.url());
        let answer: Value = client.get(url).query(&[("query", query)]).send().await?.json().await?;
        ensure!(answer["status"] == "success", "{query}: {answer}");
        let result = answer["data"]["result"].as_array().context("a vector")?;
        ensure!(!result.is_empty(), "nothing is found");
        Ok(result.iter().filter_map(|sample| sample["value"][1].as_str().map(str::to_owned)).collect())
    }

    /// Stops it. Started again from the options that come back, it knows what it knew, on another port.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(self) -> Result<Options> {
        let ended = self.child.stop().await?;
        if !ended.success() {
            bail!("Prometheus ended with {ended}");
        }
        Ok(self.options)
    }
}

/// A dashboard's query as Grafana would ask it.
pub fn filled_in(query: &str, release: &str) -> String {
    query.replace("$__rate_interval", "5s").replace("$release", release)
}

fn launch(binary: &Path, options: &Options) -> Result<Child> {
    let folder = options.folder();
    // JSON is YAML.
    let config = json!({
        "global": {"scrape_interval": options.interval, "evaluation_interval": options.interval},
        "rule_files": ["rules.yml"],
        "scrape_configs": options.jobs,
    });
    fs::write(folder.join("prometheus.yml"), config.to_string())?;
    fs::write(folder.join("rules.yml"), json!({"groups": options.rules}).to_string())?;
    fs::write(folder.join("web.yml"), options.web.to_string())?;
    let log = fs::File::create(options.log())?;
    let mut command = Command::new(binary);
    command.arg("--config.file").arg(folder.join("prometheus.yml"));
    command.arg("--storage.tsdb.path").arg(folder.join("data"));
    command.arg("--web.config.file").arg(folder.join("web.yml"));
    command.args(["--web.listen-address", "127.0.0.1:0"]);
    // Unless told so, it waits five seconds before it scrapes anything.
    command.args(["--scrape.discovery-reload-interval", "50ms"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    child::spawn(command).with_context(|| format!("cannot run {}", binary.display()))
}

fn listens_at(log: &str) -> Option<SocketAddr> {
    log.lines().find(|line| line.contains("Server is ready to receive web requests"))?;
    let line = log.lines().find(|line| line.contains(r#"msg="Listening on""#))?;
    let (_, address) = line.rsplit_once("address=")?;
    address.split_whitespace().next()?.parse().ok()
}
