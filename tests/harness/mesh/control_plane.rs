/*!
The control plane: etcd, the API server with its controllers, and istiod.

The network is the mesh's own, so their ports are the usual ones.
*/
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::certificates::Certificates;
use super::inside::{HOST, Inside};
use super::process::{Plan, Process};

/// What runs a mesh. Tests that stop one of these must have the mesh for themselves.
#[derive(Debug)]
pub struct ControlPlane {
    /// The store of the API server.
    pub etcd: Process,
    /// The API server.
    pub api_server: Process,
    /// The controllers that make pods of Deployments, endpoints of pods, and roles of roles.
    pub controllers: Process,
    /// Istio's.
    pub istiod: Process,
}

/// The root namespace of the mesh.
pub(super) const ISTIO_SYSTEM: &str = "istio-system";

/// The host of the collector that proxies send spans to, where a `ServiceEntry` says where it is.
pub const COLLECTOR: &str = "collector.observability";

/// Serin's part of the mesh's configuration.
const TELEMETRY: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/telemetry/mesh-config.yaml"));

/// Where proxies find istiod and its authority for certificates. At another port, they would speak TLS with it.
pub(super) const XDS_PORT: u16 = 15_010;

/// The API server's.
pub(super) const API_PORT: u16 = 6_443;

/// Where the API server listens.
pub(super) fn api_server() -> String {
    format!("https://{HOST}:{API_PORT}")
}

/// What starts each of them.
pub(super) struct Starter<'a> {
    pub(super) inside: &'a Inside,
    pub(super) certificates: &'a Certificates,
    pub(super) kubeconfig: &'a Path,
}

impl Starter<'_> {
    pub(super) async fn etcd(&self) -> Result<Process> {
        let folder = self.folder("etcd");
        let args = [
            format!("--data-dir={}", folder.join("data").display()),
            "--listen-client-urls=http://127.0.0.1:2379".to_owned(),
            "--advertise-client-urls=http://127.0.0.1:2379".to_owned(),
            "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
            // Nothing here need survive the machine.
            "--unsafe-no-fsync=true".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let ready = "http://127.0.0.1:2379/health".to_owned();
        let program = self.inside.control_plane.etcd.clone();
        self.up(Plan { name: "etcd", program, args: args.into(), env: Vec::new(), folder, ready }).await
    }

    pub(super) async fn api_server(&self) -> Result<Process> {
        let folder = self.folder("kube-apiserver");
        let certificates = self.certificates;
        let args = [
            "--etcd-servers=http://127.0.0.1:2379".to_owned(),
            format!("--cert-dir={}", folder.display()),
            format!("--secure-port={API_PORT}"),
            // There is no route to guess an address from, and endpoints must not be loopback ones.
            format!("--bind-address={HOST}"),
            format!("--advertise-address={HOST}"),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            // It would mount tokens into pods, and these have no files.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", certificates.path("tokens.pub")),
            format!("--service-account-signing-key-file={}", certificates.path("tokens.key")),
            format!("--client-ca-file={}", certificates.path("ca.crt")),
            format!("--tls-cert-file={}", certificates.path("server.crt")),
            format!("--tls-private-key-file={}", certificates.path("server.key")),
        ];
        let ready = format!("{}/readyz", api_server());
        let program = self.inside.kubernetes().join("kube-apiserver");
        self.up(Plan { name: "kube-apiserver", program, args: args.into(), env: Vec::new(), folder, ready })
            .await
    }

    pub(super) async fn controllers(&self) -> Result<Process> {
        let folder = self.folder("kube-controller-manager");
        let controllers = [
            "clusterrole-aggregation-controller",
            "deployment-controller",
            "endpointslice-controller",
            "garbage-collector-controller",
            "job-controller",
            "namespace-controller",
            "replicaset-controller",
            "serviceaccount-controller",
        ];
        let args = [
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--controllers={}", controllers.join(",")),
            format!("--cert-dir={}", folder.display()),
            "--leader-elect=false".to_owned(),
            // Many tests at once are a busy cluster.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            "--bind-address=127.0.0.1".to_owned(),
        ];
        let ready = "https://127.0.0.1:10257/healthz".to_owned();
        let program = self.inside.kubernetes().join("kube-controller-manager");
        let name = "kube-controller-manager";
        let plan = Plan { name, program, args: args.into(), env: Vec::new(), folder, ready };
        // It makes a certificate for itself, which nobody else knows.
        let client = serin_agent::http::plain().tls_danger_accept_invalid_certs(true).build()?;
        Process::up(plan, client).await
    }

    pub(super) async fn istiod(&self) -> Result<Process> {
        let folder = self.folder("istiod");
        std::fs::create_dir_all(&folder)?;
        let mesh_config = folder.join("mesh.yaml");
        // How an access log looks is told to the mesh. What traces go to is there only for whom it is made.
        let mut providers: Value = serde_saphyr::from_str(TELEMETRY).context("manifests/telemetry")?;
        let mut providers = providers["meshConfig"]["extensionProviders"].take();
        providers.as_array_mut().context("a list of providers")?.push(json!({
            "name": "collector",
            "opentelemetry": {"service": COLLECTOR, "port": 4318, "http": {"path": "/v1/traces", "timeout": "1s"}},
        }));
        let mesh = json!({
            "rootNamespace": ISTIO_SYSTEM,
            "accessLogFile": "",
            // Telemetry is a filter that the stock Envoy does not have.
            "defaultProviders": {},
            "extensionProviders": providers,
            "defaultConfig": {"discoveryAddress": format!("{HOST}:{XDS_PORT}"), "controlPlaneAuthPolicy": "NONE"},
        });
        std::fs::write(&mesh_config, mesh.to_string())?;
        let env = [
            ("ENABLE_CA_SERVER", "true"),
            // Proxies show the tokens of their accounts, though this is no TLS.
            ("XDS_AUTH_PLAINTEXT", "true"),
            ("PILOT_CERT_PROVIDER", "none"),
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
            ("INJECT_ENABLED", "false"),
            ("CLUSTER_ID", "Kubernetes"),
            ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
            ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
            ("ENABLE_LEADER_ELECTION", "false"),
        ];
        let args = [
            "discovery".to_owned(),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            "--registries=Kubernetes".to_owned(),
            format!("--meshConfig={}", mesh_config.display()),
            // Not at every address, for those are the pods' too.
            format!("--grpcAddr={HOST}:{XDS_PORT}"),
            "--secureGRPCAddr=".to_owned(),
            "--httpsAddr=".to_owned(),
            "--httpAddr=127.0.0.1:8080".to_owned(),
            "--monitoringAddr=127.0.0.1:15014".to_owned(),
            format!("--namespace={ISTIO_SYSTEM}"),
        ];
        let plan = Plan {
            name: "istiod",
            program: self.inside.istio().join("pilot-discovery"),
            args: args.into(),
            env: env.map(|(name, value)| (name, value.to_owned())).into(),
            folder,
            ready: "http://127.0.0.1:8080/ready".to_owned(),
        };
        self.up(plan).await
    }

    async fn up(&self, plan: Plan) -> Result<Process> {
        let authority = reqwest::Certificate::from_pem(&self.certificates.authority()?)?;
        let client = serin_agent::http::secure().tls_certs_only([authority]).build()?;
        let name = plan.name;
        Process::up(plan, client).await.with_context(|| format!("{name} does not come up"))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.inside.folder.join(name)
    }
}
