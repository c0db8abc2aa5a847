/*!
`serin adopt [DEPLOYMENT|SERVICE]`: the Release for a service that is there already, read from the cluster and printed, for
`kubectl apply`. It writes nothing.

What was made of what it found ([`propose`]), and what an agent would say of it, are comments before the Release.
*/
mod propose;
mod roles;

use std::str::FromStr;

use anyhow::Context;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serin_agent::cluster::inspect;
use serin_agent::errors::chain;
use serin_agent::mesh::object::text;
use serin_agent::preflight::Severity;
use serin_release::ReleaseObject;

use self::propose::{Asked, Found, Scaler, propose};
use super::access::{Access, Cluster, read};
use crate::draft::{Draft, checked, together};

#[derive(Debug, clap::Args)]
#[command(after_help = "It prints the Release and writes nothing: serin adopt shop | kubectl apply -f -")]
pub(crate) struct Args {
    /// The Service whose users are assigned to versions, or one of the two Deployments behind it: `shop`, `service/shop` or
    /// `deployment/shop` [default: the only Service of the namespace with a Deployment behind it].
    #[arg(value_name = "DEPLOYMENT|SERVICE")]
    what: Option<What>,
    /// The Deployment that serves now [default: by its name, its weight in a VirtualService, its pods or its age].
    #[arg(long, value_name = "DEPLOYMENT")]
    stable: Option<String>,
    /// The Deployment for new versions [default: the other one].
    #[arg(long, value_name = "DEPLOYMENT")]
    canary: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// What is to be adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// A Service, or if there is none of that name a Deployment.
    Either(String),
    Service(String),
    Deployment(String),
}

impl FromStr for What {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            None => Ok(Self::Either(text.to_owned())),
            Some(("service" | "services" | "svc", name)) => Ok(Self::Service(name.to_owned())),
            Some(("deployment" | "deployments" | "deploy", name)) => Ok(Self::Deployment(name.to_owned())),
            Some(_) => {
                Err("write the name of a Service or of a Deployment, or service/NAME or deployment/NAME")
            }
        }
    }
}

/// Prints the Release.
pub(crate) async fn adopt(args: &Args) -> anyhow::Result<()> {
    let cluster = args.access.connect().await?;
    let found = found(&cluster).await?;
    let asked =
        Asked { what: args.what.as_ref(), stable: args.stable.as_deref(), canary: args.canary.as_deref() };
    let mut draft = propose(&found, &asked)?;
    preflight(&cluster, &mut draft).await?;
    print!("{}", together(&checked(&[draft])?));
    Ok(())
}

/// What is there.
async fn found(cluster: &Cluster) -> anyhow::Result<Found> {
    let (client, namespace) = (&cluster.client, &cluster.namespace);
    let (services, deployments, autoscalers, releases, neighbours) = tokio::try_join!(
        list::<Service>(client, namespace, "services"),
        list::<Deployment>(client, namespace, "deployments"),
        list::<HorizontalPodAutoscaler>(client, namespace, "horizontalpodautoscalers"),
        async { cluster.releases().list(&ListParams::default()).await.context("releases may not be read") },
        inspect::neighbours(client, namespace),
    )?;
    let of_kubernetes = autoscalers.into_iter().filter_map(|found| {
        let target = found.spec?.scale_target_ref;
        let (name, deployment) = (found.metadata.name?, target.name);
        (target.kind == "Deployment").then_some(Scaler { kind: "HorizontalPodAutoscaler", name, deployment })
    });
    let of_keda = neighbours.scaled_objects.iter().filter_map(|found| {
        let kind = text(found, "/spec/scaleTargetRef/kind");
        let scaler = |path| text(found, path).to_owned();
        matches!(kind, "" | "Deployment").then(|| Scaler {
            kind: "ScaledObject",
            name: scaler("/metadata/name"),
            deployment: scaler("/spec/scaleTargetRef/name"),
        })
    });
    let mut scalers: Vec<_> = of_keda.collect();
    // KEDA makes an autoscaler of Kubernetes' own for each of its own.
    let is_kedas =
        |name: &str| scalers.iter().any(|scaler: &Scaler| format!("keda-hpa-{}", scaler.name) == name);
    let own: Vec<_> = of_kubernetes.filter(|scaler| !is_kedas(&scaler.name)).collect();
    scalers.extend(own);
    Ok(Found {
        namespace: namespace.clone(),
        services,
        deployments,
        scalers,
        routes: neighbours.routes,
        sees_all_routes: neighbours.sees_all,
        releases: releases.items.into_iter().map(read).collect(),
    })
}

async fn list<K>(client: &Client, namespace: &str, what: &str) -> anyhow::Result<Vec<K>>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let found = api.list(&ListParams::default()).await;
    Ok(found.with_context(|| format!("{what} of {namespace} may not be read"))?.items)
}

/// Adds what an agent would find, as it looks before it writes anything.
async fn preflight(cluster: &Cluster, draft: &mut Draft) -> anyhow::Result<()> {
    let object: ReleaseObject = serde_json::from_value(serde_json::to_value(draft.object())?)?;
    match Box::pin(inspect::around(&cluster.client, &object)).await {
        Ok(findings) => {
            for finding in findings {
                let level = match finding.severity {
                    Severity::Error => "error",
                    Severity::Passing => "not yet",
                    Severity::Warning => "warning",
                };
                draft.note(format!("{level}: {finding}"));
            }
        }
        Err(error) => draft
            .note(format!("warning: what is around it could not be looked at: {}", chain(error.as_ref()))),
    }
    Ok(())
}
