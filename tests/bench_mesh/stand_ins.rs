/*!
What an agent asks, without what is behind it: proxies that say they run whatever stands in the `WasmPlugin`s, and a
Prometheus that says the same. So there can be hundreds of them on one machine.
*/
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use futures::StreamExt;
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use serin_tests::mesh::{HOST, Mesh, Namespace};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Where every Istio proxy serves its statistics.
const STATS_PORT: u16 = 15090;

/// Of a proxy whose past is nobody's business.
const UPTIME_S: u64 = 100_000;

/// The stand-ins of one namespace. They stop when this is dropped.
#[derive(Debug)]
pub(crate) struct StandIns {
    /// Where the Prometheus is.
    pub(crate) prometheus: String,
    known: Arc<Known>,
    _tasks: JoinSet<()>,
}

/// Names and revisions of the policies in each plugin, by the label of its gateway's pods and its name.
type Policies = BTreeMap<(String, String), Vec<(String, u64)>>;

#[derive(Debug)]
struct Known {
    began: Instant,
    policies: Mutex<Policies>,
    /// The label of each proxy.
    proxies: Mutex<HashMap<String, String>>,
    scrapes: AtomicU64,
    queries: AtomicU64,
}

/// How often they were asked so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) scrapes: u64,
    pub(crate) queries: u64,
}

impl StandIns {
    /// Has `count` proxies behind each of `gateways` Gateways `edge-0`, `edge-1`, and so on.
    pub(crate) async fn start(mesh: &Mesh, namespace: &Namespace, gateways: u32, count: u32) -> Result<Self> {
        let known = Arc::new(Known {
            began: Instant::now(),
            policies: Mutex::default(),
            proxies: Mutex::default(),
            scrapes: AtomicU64::new(0),
            queries: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        // All of them have addresses that are local here.
        let stats = TcpListener::bind((Ipv4Addr::UNSPECIFIED, STATS_PORT)).await?;
        let page = {
            let known = Arc::clone(&known);
            async move |headers: HeaderMap| {
                known.scrapes.fetch_add(1, Ordering::Relaxed);
                let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
                known.page(host.split(':').next().unwrap_or_default())
            }
        };
        serve(&mut tasks, stats, Router::new().route("/stats/prometheus", get(page)));
        let listener = TcpListener::bind((HOST, 0)).await?;
        let prometheus = format!("http://{}", listener.local_addr()?);
        let answer = {
            let known = Arc::clone(&known);
            async move || {
                known.queries.fetch_add(1, Ordering::Relaxed);
                ([("content-type", "application/json")], known.answer())
            }
        };
        serve(&mut tasks, listener, Router::new().route("/api/v1/query", post(answer)));
        let kind =
            ApiResource::from_gvk(&GroupVersionKind::gvk("extensions.istio.io", "v1alpha1", "WasmPlugin"));
        let plugins = Api::namespaced_with(mesh.client(), namespace.name(), &kind);
        tasks.spawn(follow(plugins, Arc::clone(&known)));
        for number in 0..gateways {
            namespace.apply(&gateway(number, count)).await?;
        }
        for number in 0..gateways {
            namespace.rolled_out(&format!("edge-{number}")).await?;
            let label = format!("edge-{number}");
            for pod in namespace.pods(&format!("istio={label}")).await? {
                let address = pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
                lock(&known.proxies).insert(address, label.clone());
            }
        }
        Ok(Self { prometheus, known, _tasks: tasks })
    }

    pub(crate) fn asked(&self) -> Asked {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Asked { scrapes: read(&self.known.scrapes), queries: read(&self.known.queries) }
    }
}

fn serve(tasks: &mut JoinSet<()>, listener: TcpListener, router: Router) {
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("a stand-in: {error}");
        }
    });
}

fn gateway(number: u32, count: u32) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge-{number}}}
spec:
  selector: {{istio: edge-{number}}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: edge-{number}}}
spec:
  replicas: {count}
  selector: {{matchLabels: {{istio: edge-{number}}}}}
  template:
    metadata: {{labels: {{istio: edge-{number}}}}}
    spec: {{containers: [{{name: istio-proxy, image: 'stand-in:v1'}}]}}
"
    )
}

async fn follow(plugins: Api<DynamicObject>, known: Arc<Known>) {
    let mut events = pin!(watcher(plugins, watcher::Config::default()));
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(plugin) | Event::InitApply(plugin)) = event else { continue };
        let label = plugin.data.pointer("/spec/selector/matchLabels/istio").and_then(Value::as_str);
        let policies = plugin.data.pointer("/spec/pluginConfig/policies").and_then(Value::as_array);
        let policy =
            |policy: &Value| Some((policy["name"].as_str()?.to_owned(), policy["revision"].as_u64()?));
        let policies = policies.into_iter().flatten().filter_map(policy).collect();
        let key = (label.unwrap_or_default().to_owned(), plugin.name_any());
        lock(&known.policies).insert(key, policies);
    }
}

impl Known {
    /// What the proxy at `address` says of itself: ten requests a second to each version.
    fn page(&self, address: &str) -> String {
        let label = lock(&self.proxies).get(address).cloned().unwrap_or_default();
        let requests = self.began.elapsed().as_secs() * 10;
        let mut text = format!("# TYPE envoy_server_uptime gauge\nenvoy_server_uptime{{}} {UPTIME_S}\n");
        let policies = lock(&self.policies);
        for (name, revision) in of_label(&policies, &label) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "serin_revision{{tag=\"{name}\"}} {revision}");
            for tag in ["stable/rest", "canary/step-1"] {
                let labels = format!("response_code_class=\"2xx\",tag=\"{name}/{tag}\"");
                let _ = writeln!(text, "serin_rq{{{labels}}} {requests}");
            }
        }
        text
    }

    /// What two proxies have counted of every release, as Prometheus says it.
    fn answer(&self) -> String {
        let requests = self.began.elapsed().as_secs() * 10;
        let mut text = String::from(r#"{"status":"success","data":{"resultType":"vector","result":["#);
        let mut one = |labels: &str, proxy: u32, value: u64| {
            let comma = if text.ends_with('[') { "" } else { "," };
            let place =
                format!(r#""instance":"10.0.0.{proxy}:15090","namespace":"edge","pod":"edge-{proxy}""#);
            let _ = write!(text, r#"{comma}{{"metric":{{{labels},{place}}},"value":[0,"{value}"]}}"#);
        };
        let policies = lock(&self.policies);
        for proxy in 0..2 {
            one(r#""__name__":"envoy_server_uptime""#, proxy, UPTIME_S);
            for (name, revision) in policies.values().flatten() {
                one(&format!(r#""__name__":"serin_revision","tag":"{name}""#), proxy, *revision);
                for tag in ["stable/rest", "canary/step-1"] {
                    let class = r#""__name__":"serin_rq","response_code_class":"2xx""#;
                    one(&format!(r#"{class},"tag":"{name}/{tag}""#), proxy, requests);
                }
            }
        }
        text.push_str("]}}");
        text
    }
}

fn of_label<'p>(policies: &'p Policies, label: &str) -> impl Iterator<Item = &'p (String, u64)> {
    policies.iter().filter(move |((of, _), _)| of == label).flat_map(|(_, policies)| policies)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
