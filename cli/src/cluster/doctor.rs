/*!
`serin doctor [NAME]`: whether a cluster has what Serin needs, and whether a Release can go through, each line with the
mend. It reads, with the rights of whoever asks; what may not be read is said, and is no error.
*/
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::ValueEnum;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ListParams};
use serde::Serialize;
use serin_agent::cluster::inspect;
use serin_agent::cluster::people::{self, Unproved};
use serin_agent::errors::chain;
use serin_agent::preflight::{Finding, Severity};
use serin_agent::view::{Pods, VersionView, View, WaitsOn, image};
use serin_policy::Weight;
use serin_release::ReleaseObject;
use serin_release::status::Share;

use super::access::{Access, Cluster};
use super::style::{Paint, WIDTH, wrap};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 there is no error, 1 there is one, or it could not be looked.")]
pub(crate) struct Args {
    /// A Release to look at, too.
    name: Option<String>,
    /// The namespace of the agent.
    #[arg(long, value_name = "NAMESPACE", default_value = "serin-system", help_heading = "Cluster")]
    agent_namespace: String,
    /// The form.
    #[arg(long, short, value_enum, default_value_t = Form::Table)]
    output: Form,
    #[command(flatten)]
    access: Access,
}

/// For people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Table,
    /// One JSON document.
    Json,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Error,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    level: Level,
    /// What was looked at.
    check: &'static str,
    /// How it is.
    text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

impl Line {
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, text: text.into(), mend: None }
    }

    fn warning(check: &'static str, text: impl Into<String>, mend: &str) -> Self {
        Self { level: Level::Warning, check, text: text.into(), mend: Some(mend.to_owned()) }
    }

    fn error(check: &'static str, text: impl Into<String>, mend: &str) -> Self {
        Self { level: Level::Error, ..Self::warning(check, text, mend) }
    }

    /// That something may not be read, or is not there to be.
    fn unread(check: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::warning(check, format!("cannot be read: {}", chain(error)), "ask somebody who may read it")
    }
}

/// How Serin is installed.
const INSTALL: &str = "kubectl apply --server-side -k manifests";

pub(crate) async fn doctor(args: &Args) -> anyhow::Result<ExitCode> {
    let cluster = args.access.connect().await?;
    let mut lines = of_cluster(&cluster, &args.agent_namespace).await;
    if let Some(name) = &args.name {
        let release = cluster.release(name).await?;
        lines.extend(of_status(&View::of_status(&release), &release));
        lines.extend(versions(&cluster, &release).await);
        lines.extend(approvals(&cluster, &release).await);
        lines.extend(jobs(&cluster, &release).await);
        lines.extend(around(&cluster, &release).await);
    }
    match args.output {
        Form::Json => println!("{}", serde_json::to_string_pretty(&lines)?),
        Form::Table => print!("{}", table(&lines, Paint::of_stdout())),
    }
    let is_wrong = lines.iter().any(|line| line.level == Level::Error);
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Whether the cluster has what Serin needs, and an agent.
async fn of_cluster(cluster: &Cluster, agents: &str) -> Vec<Line> {
    let client = &cluster.client;
    let mut lines = vec![match client.apiserver_version().await {
        Ok(version) => Line::ok("api server", format!("Kubernetes {}.{}", version.major, version.minor)),
        Err(error) => Line::error(
            "api server",
            chain(&error),
            "see that kubectl works with the same --kubeconfig and --context",
        ),
    }];
    if lines[0].level == Level::Error {
        return lines;
    }
    let lacking = inspect::lacking(client).await;
    lines.extend(lacking.into_iter().map(|what| {
        let (what, mend) = what.split_once(": ").unwrap_or((&what, "install it"));
        Line::error("requirements", what, mend)
    }));
    lines.push(istio(cluster).await);
    lines.extend(match inspect::wrong_crds(client).await {
        Ok(wrong) if wrong.is_empty() => {
            vec![Line::ok("crds", format!("as serin {} has them", env!("CARGO_PKG_VERSION")))]
        }
        Ok(wrong) => wrong.into_iter().map(|what| Line::error("crds", what, INSTALL)).collect(),
        Err(error) => vec![Line::unread("crds", &error)],
    });
    lines.push(agent(cluster, agents).await);
    lines.push(match inspect::leader(client, agents).await {
        Ok(Some(leader)) => Line::ok("leader", format!("{leader} leads")),
        Ok(None) => Line::error(
            "leader",
            format!("no agent renews the Lease {agents}/serin"),
            "see kubectl logs of the agents, or name their namespace by --agent-namespace",
        ),
        Err(error) => Line::unread("leader", &error),
    });
    lines
}

async fn istio(cluster: &Cluster) -> Line {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), "istio-system");
    match api.list(&ListParams::default().labels("app=istiod")).await {
        Ok(found) => match found.items.first().and_then(image) {
            Some(image) => Line::ok("istio", format!("istiod runs {image}")),
            None => Line::warning(
                "istio",
                "there is no Deployment with app=istiod in istio-system",
                "none, if istiod is elsewhere; Istio 1.22 is the oldest",
            ),
        },
        Err(error) => Line::unread("istio", &error),
    }
}

async fn agent(cluster: &Cluster, agents: &str) -> Line {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), agents);
    let named = ListParams::default().labels("app.kubernetes.io/name=serin");
    let found = match api.list(&named).await {
        Ok(found) => found,
        Err(error) => return Line::unread("agent", &error),
    };
    let Some(agent) = found.items.first() else {
        let text = format!("there is no Deployment of Serin's in {agents}");
        return Line::warning("agent", text, "none, if agents run elsewhere: the next line tells");
    };
    let Pods { ready, wanted } = Pods::of(agent);
    let text = format!("{ready} of {wanted} pods are ready, of {}", image(agent).unwrap_or_default());
    if ready < wanted {
        Line::warning("agent", text, "see kubectl describe pods of the agents")
    } else {
        Line::ok("agent", text)
    }
}

/// What a Release's status says.
fn of_status(view: &View, release: &ReleaseObject) -> Vec<Line> {
    let conditions = release.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let condition = |kind: &str| conditions.iter().find(|found| found.type_ == kind);
    let mut lines = vec![if view.is_current {
        Line::ok("seen", "an agent has seen the present spec")
    } else {
        let mend = "see that an agent leads, and that it is one for this namespace";
        Line::error("seen", "no agent has seen the present spec", mend)
    }];
    let is = |found: Option<&Condition>, check, good: &str| match found {
        Some(found) if found.status == "False" => Line::error(check, &found.message, "do as it says"),
        Some(_) => Line::ok(check, good),
        None => Line::warning(check, "no agent has said so yet", "wait for one"),
    };
    lines.push(is(condition("Accepted"), "accepted", "the spec makes sense, and the Release may be driven"));
    if condition("Routed").is_some() {
        lines.push(is(condition("Routed"), "routed", "both versions can be reached by their routes"));
    }
    lines.push(proxies(view));
    lines.extend(waits(view));
    lines
}

fn proxies(view: &View) -> Line {
    let counts = view.proxies;
    let text = format!("{} of {} run the present policy", counts.current, counts.total);
    if counts.bypassed > 0 {
        return Line::error(
            "proxies",
            format!("{text}, {} do not run the filter", counts.bypassed),
            "they are told to fetch it again; see that they reach the agent's --module-base, or --module-image",
        );
    }
    match (counts.all_current(), counts.total) {
        (true, 0) => {
            Line::warning("proxies", "there are none", "see spec.routing.gateways and meshNamespaces")
        }
        (true, _) => Line::ok("proxies", text),
        (false, _) => {
            Line::warning("proxies", text, "wait; those that stay behind are in the Release's events")
        }
    }
}

/// What holds the release, if anything does.
fn waits(view: &View) -> Option<Line> {
    let waits = view.waits.as_ref()?;
    let text = format!("{}: {}", waits.reason, waits.message);
    let todo = view.todo.as_ref().map_or("mend what the message says", |todo| &todo.text);
    Some(match (waits.on, waits.reason.as_str()) {
        // It has a line of its own.
        (WaitsOn::Mending, "InvalidSpec" | "NotAdmitted" | "RoutesNotInPlace") => return None,
        (WaitsOn::Mending, _) => Line::error("waits", text, todo),
        (WaitsOn::Person, _) => Line::warning("waits", text, todo),
        (_, "AwaitsData") => {
            Line::error("waits", text, "see that the agent reaches the Prometheus of its configuration")
        }
        (WaitsOn::Others | WaitsOn::Course, _) => Line::ok("waits", text),
    })
}

/// The pods of both versions, as far as the Deployments may be read: stable's are the way back.
async fn versions(cluster: &Cluster, release: &ReleaseObject) -> Vec<Line> {
    let namespace = release.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    match api.list(&ListParams::default()).await {
        Ok(found) => View::of(release, &found.items, Vec::new()).versions.iter().filter_map(pods).collect(),
        Err(error) => vec![Line::unread("pods", &error)],
    }
}

/// How the pods of a version are; none that callers are to get is to be without.
fn pods(version: &VersionView) -> Option<Line> {
    let VersionView { name, weight, image, .. } = version;
    let Pods { ready, wanted } = version.pods?;
    let text = format!("{name}: {ready} of {wanted} are ready, of {}", image.as_deref().unwrap_or_default());
    let mend = "see kubectl describe pods of its Deployment";
    Some(if ready == 0 && *weight > Share::from(Weight::ZERO) {
        Line::error("pods", format!("{text}, and {weight} of the callers are to get it"), mend)
    } else if ready < wanted {
        Line::warning("pods", text, mend)
    } else {
        Line::ok("pods", text)
    })
}

/// Whether several people can be told apart, where several have to approve.
async fn approvals(cluster: &Cluster, release: &ReleaseObject) -> Option<Line> {
    let required = release.spec.approval.as_ref()?.required.filter(|required| *required > 1)?;
    let namespace = release.metadata.namespace.as_deref().unwrap_or_default();
    let text = format!("{required} different people have to approve");
    Some(match people::proved_since(&cluster.client, namespace).await {
        Ok(_) => Line::ok("approvals", text),
        Err(Unproved::Open(why)) => {
            let (why, mend) = why.split_once(": ").unwrap_or((&why, "ask the operator"));
            Line::error("approvals", format!("{text}, and {why}"), mend)
        }
        Err(Unproved::Unread(error)) => Line::unread("approvals", &error),
    })
}

/// Whether the agent may make the Jobs of hooks, where there are any.
async fn jobs(cluster: &Cluster, release: &ReleaseObject) -> Option<Line> {
    const CHECK: &str = "jobs";
    release.spec.hooks.iter().find(|hook| hook.job.is_some())?;
    let namespace = release.metadata.namespace.as_deref().unwrap_or_default();
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.client.clone(), namespace);
    Some(match bindings.list(&ListParams::default()).await {
        Ok(found) if found.iter().any(|binding| binding.role_ref.name == "serin-jobs") => {
            Line::ok(CHECK, format!("a RoleBinding in {namespace} lets the agent make the Jobs of hooks"))
        }
        Ok(_) => Line::error(
            CHECK,
            format!("hooks are Jobs, and no RoleBinding in {namespace} lets the agent make them"),
            &format!(
                "kubectl create rolebinding serin-jobs -n {namespace} --clusterrole=serin-jobs \
                 --serviceaccount=serin-system:serin"
            ),
        ),
        Err(error) => Line::unread(CHECK, &error),
    })
}

/// What is around the Release's Service, as an agent looks at it before it writes anything.
async fn around(cluster: &Cluster, release: &ReleaseObject) -> Vec<Line> {
    let findings = match Box::pin(inspect::around(&cluster.client, release)).await {
        Ok(findings) => findings,
        Err(error) => return vec![Line::unread("around", error.as_ref())],
    };
    if findings.is_empty() {
        return vec![Line::ok("around", "Service, versions, routes and Sidecars are as they must be")];
    }
    let line = |Finding { severity, at, what, mend }| {
        let text = format!("{at}: {what}");
        match severity {
            Severity::Error => Line::error("around", text, &mend),
            Severity::Passing | Severity::Warning => Line::warning("around", text, &mend),
        }
    };
    findings.into_iter().map(line).collect()
}

/// The columns before what a line says.
const INDENT: usize = 22;

fn table(lines: &[Line], paint: Paint) -> String {
    let mut text = String::new();
    for line in lines {
        let level = match line.level {
            Level::Ok => paint.good("ok     "),
            Level::Warning => paint.doubtful("warning"),
            Level::Error => paint.bad("error  "),
        };
        let mend = line.mend.as_ref().map(|mend| format!("mend: {mend}"));
        let said = [Some(&line.text), mend.as_ref()].into_iter().flatten();
        let said = said.flat_map(|said| wrap(said, WIDTH - INDENT));
        for (i, said) in said.enumerate() {
            let head = if i == 0 { format!("{level}  {:<13}", line.check) } else { " ".repeat(INDENT) };
            let _ = writeln!(text, "{head}{said}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
