/*!
A service is taken over: not before that can work, and without its users noticing.
*/
use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serin_tests::client::Client;
use serin_tests::mesh::Mesh;
use serin_tests::mesh::traffic::{Outcome, Traffic, User};
use serin_tests::site::{HOST, eventually};

use crate::fixture::{Fixture, check_none_failed, condition, told};

/// What keeps a Service from being released: `spec.service` of the Release, and what is said of it.
const CASES: &[(&str, &str)] = &[
    ("{name: shopp}", "Service shopp: there is none"),
    ("{name: shop, port: 8000}", "has no port 8000, only 80"),
    ("{name: shop-one}", "does not select the pods of Deployment shop-canary"),
    ("{name: shop-tcp}", "is TCP to Istio by its name"),
    ("{name: shop-headless}", "is headless"),
];

/// The fixture's Service with its port at another number.
const AT_8000: &str = r#"{"spec":{"ports":[{"name":"http","port":8000,"targetPort":8080}]}}"#;

/// What other people have around the Service, and what is said of it.
const AROUND: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: defaults}
spec:
  host: '*.NAMESPACE.svc.cluster.local'
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 77}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: other}
spec:
  hosts: [other.example.com]
  gateways: [gateway]
  http: [{route: [{destination: {host: shop}}]}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow}
spec:
  workloadSelector: {labels: {app: batch}}
  egress: [{hosts: [istio-system/*]}]
---
apiVersion: v1
kind: Service
metadata: {name: shop-one}
spec: {selector: {app: shop, version: stable}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop-tcp}
spec: {selector: {app: shop}, ports: [{name: tcp-web, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop-headless}
spec: {clusterIP: None, selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080}]}
";

const WARNINGS: &[&str] = &[
    "other: spec.http[0].route leads to shop.NAMESPACE.svc.cluster.local without a subset",
    "narrow: keeps shop.NAMESPACE.svc.cluster.local from some callers in NAMESPACE",
];

/// The Service has users inside the mesh when the Release comes. Later it has another port.
pub(crate) async fn what_cannot_work_is_not_taken_over(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "adopt", 1).await?;
    let proxy = fixture.namespace.application("front", "front:v1").await?;
    let host = format!("shop.{}.svc.cluster.local", fixture.namespace.name());
    let inside = Client::through(proxy, &host)?;
    answers(&inside).await?;
    let in_place = |text: &str| text.replace("NAMESPACE", fixture.namespace.name());
    fixture.namespace.apply(&in_place(AROUND)).await?;
    let agent = fixture.agent("one").await?;
    let traffic = fixture.traffic_by(vec![inside], |_, id| User::with_header("x-user", id), 50)?;
    let release = async |service: &str| {
        fixture
            .release("{setWeight: 25, pause: {}}", |yaml| {
                let yaml = yaml.replace("gateways: [gateway]", "gateways: [gateway, mesh]");
                yaml.replace("service: {name: shop}", &format!("service: {service}"))
            })
            .await
    };
    // Whatever else is mended, nobody is ready yet.
    fixture.kubectl(&["scale", "deployment/shop-stable", "--replicas=0"]).await?;
    for (service, says) in CASES {
        release(service).await?;
        refused(&fixture, says).await.with_context(|| agent.log())?;
    }
    release("{name: shop}").await?;
    refused(&fixture, "Deployment shop-stable: no pod of it is ready").await.with_context(|| agent.log())?;
    fixture.kubectl(&["scale", "deployment/shop-stable", "--replicas=1"]).await?;

    let status = fixture.idle().await.with_context(|| agent.log())?;
    for warning in WARNINGS {
        let accepted = &condition(&status, "Accepted")?.message;
        ensure!(accepted.contains(&in_place(warning)), "{accepted}");
        eventually("an event", async || {
            let told = fixture.times_told("Warned", &in_place(warning)).await?;
            ensure!(told == 1, "{warning} is told {told} times");
            Ok(())
        })
        .await?;
    }
    // Subsets come first.
    routes_are_written(&fixture).await.with_context(|| agent.log())?;
    fixture.check_served(&traffic, 0).await?;
    let policy = "jsonpath={.spec.trafficPolicy.connectionPool.tcp.maxConnections}";
    let inherited = fixture.kubectl(&["get", "destinationrule", "shop-serin", "-o", policy]).await?;
    ensure!(inherited == "77", "{inherited:?}");
    check_none_failed(&traffic.stop().await?)?;

    fixture.kubectl(&["patch", "service", "shop", "--type=merge", "-p", AT_8000]).await?;
    // Whoever edits the port of a Service in use has its callers wait until their routes have it too, Serin or no Serin.
    let outside = fixture.traffic(50).await.with_context(|| agent.log())?;
    eventually("routes to the port", async || served(&outside, &["shop-stable"]).await).await?;
    served(&outside, &["shop-stable"]).await?;
    let port = "jsonpath={.spec.http[0].route[0].destination.port.number}";
    let port = fixture.kubectl(&["get", "virtualservice", "shop-serin", "-o", port]).await?;
    ensure!(port == "8000", "{port:?}");
    outside.stop().await.map(drop)
}

/// Weights of the people's own, at the gateway and inside.
const WEIGHTED: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: theirs}
spec:
  host: shop
  subsets: [{name: v1, labels: {version: stable}}, {name: v2, labels: {version: canary}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: theirs}
spec:
  hosts: [HOST, shop]
  gateways: [gateway, mesh]
  http:
  - route:
    - {destination: {host: shop, subset: v1}, weight: V1}
    - {destination: {host: shop, subset: v2}, weight: V2}
";

/// The weights, of which stable gets so many.
pub(crate) fn weighted(stable: u32) -> String {
    let yaml = WEIGHTED.replace("HOST", HOST).replace("V1", &stable.to_string());
    yaml.replace("V2", &(100 - stable).to_string())
}

/// What `docs/adoption.md` says of a VirtualService with weights, step by step, with users by both ways.
pub(crate) async fn weights_are_taken_over(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "weights", 1).await?;
    let weights = async |stable: u32| fixture.namespace.apply(&weighted(stable)).await;
    fixture.set_image("shop:v2").await?;
    fixture.namespace.rolled_out("shop-canary").await?;
    weights(70).await?;
    let proxy = fixture.namespace.application("front", "front:v1").await?;
    let inside = Client::through(proxy, &format!("shop.{}.svc.cluster.local", fixture.namespace.name()))?;
    answers(&inside).await?;
    let agent = fixture.agent("one").await?;
    let inside = fixture.traffic_by(vec![inside], |_, id| User::returning(id), 50)?;
    let outside = fixture.traffic(50).await?;
    let ways = [&outside, &inside];
    for way in ways {
        served(way, &["shop-stable", "shop-canary"]).await?;
    }

    // Their rollout comes to its end first.
    weights(100).await?;
    for way in ways {
        served(way, &["shop-stable"]).await?;
    }
    fixture
        .release("{setWeight: 25, pause: {}}", |yaml| {
            yaml.replace("gateways: [gateway]", "gateways: [gateway, mesh]")
        })
        .await?;
    let theirs = format!("VirtualService {}/theirs", fixture.namespace.name());
    let status = fixture.status_that(&theirs, |status| status.message.contains(&theirs)).await?;
    ensure!(condition(&status, "Accepted")?.status == "False", "{}", told(&status));
    ensure!(status.message.contains("serin.dev/replaced-by"), "{}", told(&status));

    // Serin's routes come beside theirs, and nobody is moved before theirs are gone.
    for kind in ["virtualservice", "destinationrule"] {
        fixture.kubectl(&["annotate", kind, "theirs", "serin.dev/replaced-by=shop"]).await?;
    }
    routes_are_written(&fixture).await.with_context(|| agent.log())?;
    let pending = format!("{theirs} is to be replaced, and still there");
    fixture.status_that(&pending, |status| status.message.contains(&pending)).await?;
    for way in ways {
        served(way, &["shop-stable"]).await?;
    }
    fixture.kubectl(&["delete", "virtualservice", "theirs"]).await?;
    for way in ways {
        served(way, &["shop-stable"]).await?;
    }
    fixture.kubectl(&["delete", "destinationrule", "theirs"]).await?;

    // From now on it is users who are moved.
    for way in ways {
        fixture.check_exposure(way, 25).await.with_context(|| agent.log())?;
    }
    check_none_failed(&outside.stop().await?)?;
    check_none_failed(&inside.stop().await?)
}

/// Waits for some requests, and checks that those, but for the first, are answered by all of `deployments` and no other.
async fn served(traffic: &Traffic, deployments: &[&str]) -> Result<()> {
    const REQUESTS: usize = 150;
    let from = traffic.requests();
    eventually("some requests", async || {
        ensure!(traffic.requests() >= from + REQUESTS, "{} yet", traffic.requests() - from);
        Ok(())
    })
    .await?;
    let records = &traffic.so_far().0[from + REQUESTS / 3..from + REQUESTS];
    let found: BTreeSet<_> = records
        .iter()
        .map(|record| match &record.outcome {
            Outcome::Served { deployment, .. } => deployment.as_str(),
            Outcome::Failed(why) => why,
        })
        .collect();
    ensure!(found == deployments.iter().copied().collect(), "{found:?}, want {deployments:?}");
    Ok(())
}

/// Waits until the Release is refused with these words, and checks that nothing was written for it.
async fn refused(fixture: &Fixture<'_>, says: &str) -> Result<()> {
    eventually(says, async || {
        let status = fixture.status().await?;
        let accepted = condition(&status, "Accepted")?;
        ensure!(accepted.status == "False", "{}", told(&status));
        ensure!(accepted.message.contains(says), "{}", accepted.message);
        Ok(())
    })
    .await?;
    let kinds = [
        ("networking.istio.io", "v1", "VirtualService"),
        ("networking.istio.io", "v1", "DestinationRule"),
        ("extensions.istio.io", "v1alpha1", "WasmPlugin"),
    ];
    for (group, version, kind) in kinds {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(fixture.mesh.client(), fixture.namespace.name(), &resource);
        let found = api.list(&ListParams::default()).await?.items;
        let is_ours = |object: &DynamicObject| object.labels().contains_key("app.kubernetes.io/managed-by");
        ensure!(!found.iter().any(is_ours), "{says}: and yet there is a {kind}");
    }
    Ok(())
}

/// Waits until Serin's VirtualService is there.
async fn routes_are_written(fixture: &Fixture<'_>) -> Result<()> {
    let get = &["get", "virtualservice", "shop-serin"];
    eventually("Serin's routes", async || fixture.kubectl(get).await.map(drop)).await
}

/// Waits until somebody answers.
async fn answers(client: &Client) -> Result<()> {
    eventually("an answer", async || {
        let answer = client.get("/", &[]).await?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await
}
