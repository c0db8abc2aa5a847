/*!
What whoever may write a Release cannot have by it.
*/
use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serin_tests::client::Client;
use serin_tests::mesh::{HOST, Mesh};
use serin_tests::site::{HOST as SHOP, eventually};
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::fixture::{Fixture, condition, is_idle};

/// One that nobody drives.
const RELEASE: &str = "
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  service: {name: shop}
  stable: {targetRef: {name: shop-stable}}
  canary: {targetRef: {name: shop-canary}}
";

const STEPS: &str = "{setWeight: 50, pause: {}}";

pub(crate) async fn credentials_stay_with_the_operator(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "credentials", 1).await?;
    let (elsewhere, foreign) = Listener::begin().await?;
    let (prometheus, own) = Listener::begin().await?;
    let mut token = NamedTempFile::new()?;
    token.write_all(b"the-agents-own-token")?;
    let token = token.path().display();
    let config = format!(
        "prometheus: {{sources: {{default: {{access: {{address: '{own}', bearerTokenFile: {token}}}}}, \
         others: {{access: {{address: '{own}'}}, namespaces: [others]}}}}}}"
    );
    let agent = fixture.agent_with_config("one", &config).await?;
    let asked = |prometheus: &str| {
        let analysis = format!("analysis: {{source: Prometheus, {prometheus}");
        move |yaml: String| yaml.replace("analysis: {", &analysis)
    };
    for (prometheus, refusal) in [
        (
            format!("prometheus: {{address: '{foreign}', bearerTokenFile: {token}}}, "),
            "spec.analysis.prometheus.address: ",
        ),
        (format!("prometheus: {{bearerTokenFile: {token}}}, "), "spec.analysis.prometheus.bearerTokenFile: "),
        ("prometheus: {source: others}, ".to_owned(), "spec.analysis.prometheus.source: \"others\": "),
    ] {
        fixture.release(STEPS, asked(&prometheus)).await?;
        refused(&fixture, refusal).await.with_context(|| agent.log())?;
    }
    // Whoever names none has the operator's, which hears the token: the ear is good.
    fixture.release(STEPS, asked("")).await?;
    eventually("the operator's Prometheus to be asked", async || {
        let heard = prometheus.heard();
        ensure!(heard.contains("the-agents-own-token"), "{heard:?}");
        Ok(())
    })
    .await
    .with_context(|| agent.log())?;
    fixture.status_that("nothing to release", is_idle).await.with_context(|| agent.log())?;
    ensure!(elsewhere.heard().is_empty(), "a stranger heard {:?}", elsewhere.heard());
    Ok(())
}

/// A VirtualService of somebody's, with the name of the one that Serin would write.
const FOREIGN: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop-serin}
spec: {hosts: [elsewhere.example.com], gateways: [gateway], http: [{route: [{destination: {host: elsewhere}}]}]}
";

pub(crate) async fn hosts_stay_with_their_namespaces(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "hosts", 1).await?;
    let agent = fixture.agent("one").await?;
    let theirs = "pay.others.svc.cluster.local";
    let take = |gateways: &str| {
        let routing = format!("gateways: [{gateways}], hosts: [{theirs}]");
        move |yaml: String| yaml.replace(&format!("gateways: [gateway], hosts: [{SHOP}]"), &routing)
    };
    for gateways in ["mesh", "gateway, mesh"] {
        fixture.release(STEPS, take(gateways)).await?;
        refused(&fixture, &format!("spec.routing.hosts: \"{theirs}\": "))
            .await
            .with_context(|| agent.log())?;
    }
    fixture.namespace.apply(FOREIGN).await?;
    let foreign =
        async || fixture.kubectl(&["get", "virtualservice", "-o", "jsonpath={.items[*].spec}"]).await;
    let before = foreign().await?;
    fixture.release(STEPS, |yaml| yaml).await?;
    let name = format!("VirtualService {}/shop-serin is not Serin's", fixture.namespace.name());
    refused(&fixture, &name).await.with_context(|| agent.log())?;
    ensure!(foreign().await? == before, "it was {before}, and is {}", foreign().await?);
    fixture.kubectl(&["delete", "virtualservice", "shop-serin"]).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    Ok(())
}

pub(crate) async fn a_wrong_release_keeps_the_agent_from_no_other(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "wrong", 1).await?;
    // A step that a template's missing variable has left empty: the API server lets it through.
    let wrong = format!("{RELEASE}  strategy: {{canary: {{steps: [{{setWeight: 1, pause: }}]}}}}\n");
    fixture.namespace.apply(&wrong.replace("{name: shop}\nspec", "{name: a-wrong-one}\nspec")).await?;
    let agent = fixture.agent("one").await?;
    fixture.release(STEPS, |yaml| yaml).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    eventually("the other one to be told", async || {
        let status = fixture.status_of("a-wrong-one").await?;
        let accepted = condition(&status, "Accepted")?;
        ensure!(accepted.status == "False" && accepted.message.contains("steps[0].pause"), "{accepted:?}");
        Ok(())
    })
    .await
    .with_context(|| agent.log())
}

/// Only an agent for all namespaces can ask another one.
pub(crate) async fn a_namespace_lets_another_have_its_host(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "asking", 1).await?;
    let others = mesh.namespace("asked").await?;
    let agent = fixture.agent_for_all("all").await?;
    let theirs = format!("pay.{}.svc.cluster.local", others.name());
    let hosts = |yaml: String| {
        yaml.replace(
            &format!("gateways: [gateway], hosts: [{SHOP}]"),
            &format!("gateways: [mesh], hosts: [{theirs}]"),
        )
    };
    fixture.release(STEPS, hosts).await?;
    let (own, label) = (fixture.namespace.name(), "serin.dev/hosts-from");
    let mend = format!("kubectl label namespace {} {label}={own}", others.name());
    refused(&fixture, &mend).await.with_context(|| agent.log())?;
    mesh.kubectl(&["label", "namespace", others.name(), &format!("{label}={own}")]).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    Ok(())
}

pub(crate) async fn only_the_filter_leads_to_the_canary(mesh: &Mesh) -> Result<()> {
    let fixture = Fixture::set(mesh, "header", 1).await?;
    let strangers = mesh.namespace("strangers").await?;
    let (inside, stranger) = tokio::try_join!(
        fixture.namespace.application("front", "front:v1"),
        strangers.application("front", "front:v1")
    )?;
    let agent = fixture.agent("one").await?;
    fixture.release(STEPS, |yaml| yaml.replace("gateways: [gateway]", "gateways: [gateway, mesh]")).await?;
    fixture.idle().await.with_context(|| agent.log())?;
    let host = format!("shop.{}.svc.cluster.local", fixture.namespace.name());
    for caller in [Client::through(inside, &host)?, Client::through(stranger, &host)?] {
        eventually("stable, whatever a caller writes", async || {
            // To each of the proxy's workers a route comes at its own time.
            for _ in 0..10 {
                let answer = caller.get("/", &[("x-serin-version", "canary")]).await?;
                ensure!(answer.shop()?.deployment == "shop-stable", "{answer:?}");
            }
            Ok(())
        })
        .await
        .with_context(|| agent.log())?;
    }
    Ok(())
}

/// Commands as rights of their own, in one namespace alone, by a binding of this name.
pub(crate) fn commands_as_rights(binding: &str, namespace: &str) -> String {
    const POLICY: &str = include_str!("../../manifests/commands/policy.yaml");
    format!(
        "{POLICY}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {binding}}}
spec:
  policyName: serin-commands
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"
    )
}

const ROLES: &str = include_str!("../../manifests/commands/roles.yaml");

/// Who is on call there may abort, and who develops there may edit.
const BOUND: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: on-call, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: serin-abort}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ann}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: developers, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: serin-edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: serin-view}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: bob}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: eve}
";

pub(crate) async fn commands_are_a_right_of_their_own(mesh: &Mesh) -> Result<()> {
    let namespace = mesh.namespace("commands").await?;
    let name = namespace.name();
    let policy = commands_as_rights(name, name);
    namespace.apply(&[&policy, ROLES, &BOUND.replace("NAMESPACE", name)].join("\n---\n")).await?;
    namespace.apply(RELEASE).await?;
    let as_user = async |user: &str, args: &[&str]| {
        let who = ["--as", user, "--namespace", name];
        mesh.kubectl(&[&who[..], args, &["--dry-run=server"]].concat()).await
    };
    let (abort, promote) = ("serin.dev/command=abort", "serin.dev/command=promote");
    let annotate = |words: &[&'static str]| [&["annotate", "release", "shop"], words].concat();
    let patch = |patch: &'static str| vec!["patch", "release", "shop", "--type=merge", "-p", patch];
    let suspend = patch("{\"spec\": {\"suspend\": true}}");
    let disown = patch("{\"metadata\": {\"finalizers\": [\"example.com/x\"]}}");
    eventually("the policy to be in force", async || {
        ensure!(as_user("bob", &annotate(&[abort])).await.is_err(), "not yet");
        Ok(())
    })
    .await?;
    for (user, args, refusal) in [
        ("ann", annotate(&[abort]), None),
        ("ann", annotate(&[abort, "serin.dev/command-by=ann", "serin.dev/command-reason=errors"]), None),
        ("ann", annotate(&[abort, "serin.dev/command-by=bob"]), Some("has to be your own name: ann")),
        ("ann", annotate(&[promote]), Some("to give the command promote you need that verb")),
        ("ann", annotate(&["example.com/x=y"]), Some("you need the verb update")),
        ("ann", suspend.clone(), Some("you need the verb update")),
        ("ann", disown.clone(), Some("you need the verb update")),
        ("bob", suspend, None),
        ("bob", disown, None),
        ("eve", annotate(&[abort]), Some("cannot patch resource")),
        ("bob", annotate(&[abort]), Some("to give the command abort you need that verb")),
    ] {
        match (as_user(user, &args).await, refusal) {
            (Ok(_), None) => {}
            (Err(error), Some(part)) if format!("{error:?}").contains(part) => {}
            (found, expected) => anyhow::bail!("{user} {args:?}: {found:?}, not {expected:?}"),
        }
    }
    mesh.kubectl(&["delete", "validatingadmissionpolicybinding", name]).await?;
    Ok(())
}

/// Waits until the Release is not accepted for a reason with `why` in it.
pub(crate) async fn refused(fixture: &Fixture<'_>, why: &str) -> Result<()> {
    let is_refused = |accepted: &Condition| accepted.status == "False" && accepted.message.contains(why);
    fixture.status_that(why, |status| condition(status, "Accepted").is_ok_and(is_refused)).await?;
    Ok(())
}

/// Somebody who listens, and answers nothing.
pub(crate) struct Listener(watch::Receiver<String>);

impl Listener {
    /// Also returns its URL.
    pub(crate) async fn begin() -> Result<(Self, String)> {
        let listener = TcpListener::bind((HOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (sender, heard) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok((mut client, from)) = listener.accept().await {
                // Who calls and says nothing is heard as well.
                sender.send_modify(|heard| heard.push_str(&from.to_string()));
                let mut said = vec![0; 4096];
                let length = client.read(&mut said).await.unwrap_or_default();
                sender.send_modify(|heard| heard.push_str(&String::from_utf8_lossy(&said[..length])));
            }
        });
        Ok((Self(heard), url))
    }

    pub(crate) fn heard(&self) -> String {
        self.0.borrow().clone()
    }
}
