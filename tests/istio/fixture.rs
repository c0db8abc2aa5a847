/*!
A service under release in the mesh: gateway, two Deployments, an agent, a Release, and users.
*/
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_policy::{Id, Point, Weight};
use serin_release::status::{ReleasePhase, ReleaseStatus, RunOutcome};
use serin_tests::client::Client;
use serin_tests::mesh::traffic::{Outcome, Plan, Report, Traffic, User};
use serin_tests::mesh::{Controller, Gateway, Mesh, Namespace};
use serin_tests::site::{HOST, eventually};

use crate::SEED;

pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_serin-agent");

/// Everything that a release takes.
pub(crate) struct Fixture<'m> {
    pub(crate) mesh: &'m Mesh,
    pub(crate) namespace: Namespace,
    pub(crate) gateway: Gateway,
    pub(crate) users: Vec<String>,
}

/// What most Releases here have in common. `STEPS` and `HOST` are filled in.
const RELEASE: &str = "
apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  service: {name: shop}
  stable: {targetRef: {name: shop-stable}}
  canary: {targetRef: {name: shop-canary}}
  routing: {gateways: [gateway], hosts: [HOST]}
  strategy: {canary: {steps: [STEPS], scaleDownDelay: 2s}}
  analysis: {interval: 500ms, baseline: 2s, warmUp: 0s, bake: 0s, minRequests: 20}
";

impl<'m> Fixture<'m> {
    /// A shop at v1 in both Deployments, with users who come in by `gateways` proxies.
    pub(crate) async fn set(mesh: &'m Mesh, name: &str, gateways: u32) -> Result<Self> {
        let namespace = mesh.namespace(name).await?;
        let (gateway, ()) =
            tokio::try_join!(namespace.gateway(gateways), namespace.shop("shop", "shop:v1", "shop:v1"))?;
        Ok(Self::of(mesh, namespace, gateway))
    }

    /// A shop that is there already, behind a gateway that may be another namespace's.
    pub(crate) fn of(mesh: &'m Mesh, namespace: Namespace, gateway: Gateway) -> Self {
        let mut rng = StdRng::seed_from_u64(*SEED);
        let users = (0..2_000).map(|_| Id::from_random(rng.random()).to_string()).collect();
        Self { mesh, namespace, gateway, users }
    }

    pub(crate) async fn agent(&self, identity: &str) -> Result<Controller> {
        Controller::start(AGENT, self.mesh, &self.namespace, identity).await
    }

    /// Lets agents here do what they are to do, if somebody has taken that away.
    pub(crate) async fn allow_the_agent(&self) -> Result<()> {
        Controller::grant_rights(&self.namespace).await
    }

    /// An agent that listens where another one did.
    pub(crate) async fn agent_at(&self, identity: &str, address: &str) -> Result<Controller> {
        Controller::start_at(AGENT, self.mesh, &self.namespace, identity, address).await
    }

    /// An agent whose module is in a registry, for which proxies need `secret` if it is private.
    pub(crate) async fn agent_with_image(
        &self,
        identity: &str,
        image: &str,
        secret: Option<&str>,
    ) -> Result<Controller> {
        Controller::start_with_image(AGENT, self.mesh, &self.namespace, identity, image, secret).await
    }

    /// An agent with this configuration.
    pub(crate) async fn agent_with_config(&self, identity: &str, config: &str) -> Result<Controller> {
        Controller::start_with_config(AGENT, self.mesh, &self.namespace, identity, config).await
    }

    /// An agent that never gets ready, for it may not see all that it needs.
    pub(crate) async fn blind_agent(&self, identity: &str) -> Result<Controller> {
        Controller::start_blind(AGENT, self.mesh, &self.namespace, identity).await
    }

    /// An agent for all namespaces.
    pub(crate) async fn agent_for_all(&self, identity: &str) -> Result<Controller> {
        Controller::start_for_all(AGENT, self.mesh, identity).await
    }

    /// Creates the Release, or changes it.
    pub(crate) async fn release(&self, steps: &str, edit: impl Fn(String) -> String) -> Result<()> {
        let yaml = RELEASE.replace("HOST", HOST).replace("STEPS", steps);
        self.namespace.apply(&edit(yaml)).await
    }

    /// The same with Serin's own command line.
    pub(crate) async fn command_line(&self, args: &[&str]) -> Result<String> {
        self.mesh.run(Path::new(AGENT), args).await
    }

    /// What a person types.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.mesh.kubectl(&[&["--namespace", self.namespace.name()], args].concat()).await
    }

    /// Goes on from a step that waits for a person, once nothing speaks against it.
    pub(crate) async fn approve(&self) -> Result<()> {
        self.status_that("approval", |status| status.message.contains("waits for approval")).await?;
        self.command("resume").await
    }

    /// Commands something, as people do by an annotation.
    pub(crate) async fn command(&self, command: &str) -> Result<()> {
        // The same word again, while the last one still stands there, would go unheard with it.
        eventually("the last command to be taken off", async || {
            let standing = r"jsonpath={.metadata.annotations.serin\.dev/command}";
            let standing = self.kubectl(&["get", "release", "shop", "-o", standing]).await?;
            ensure!(standing.is_empty(), "{standing}");
            Ok(())
        })
        .await?;
        self.kubectl(&["annotate", "release", "shop", &format!("serin.dev/command={command}")]).await?;
        Ok(())
    }

    /// The whole of what a person does to release a version.
    pub(crate) async fn set_image(&self, image: &str) -> Result<()> {
        self.kubectl(&["set", "image", "deployment/shop-canary", &format!("shop={image}")]).await?;
        Ok(())
    }

    pub(crate) async fn status(&self) -> Result<ReleaseStatus> {
        self.status_of("shop").await
    }

    pub(crate) async fn status_of(&self, release: &str) -> Result<ReleaseStatus> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("serin.dev", "v1alpha1", "Release"));
        let releases: Api<DynamicObject> =
            Api::namespaced_with(self.mesh.client(), self.namespace.name(), &kind);
        let release = releases.get(release).await?;
        Ok(serde_json::from_value(release.data.get("status").cloned().unwrap_or_default())
            .unwrap_or_default())
    }

    /// Waits until the status is as `is_so` wants it, and returns it.
    pub(crate) async fn status_that(
        &self,
        what: &str,
        is_so: impl Fn(&ReleaseStatus) -> bool,
    ) -> Result<ReleaseStatus> {
        eventually(what, async || {
            let status = self.status().await?;
            ensure!(is_so(&status), "{}", told(&status));
            Ok(status)
        })
        .await
    }

    pub(crate) async fn phase(&self, phase: ReleasePhase) -> Result<ReleaseStatus> {
        self.status_that(phase.as_str(), |status| status.phase == phase).await
    }

    /// The Release is accepted, and there is nothing to release.
    pub(crate) async fn idle(&self) -> Result<ReleaseStatus> {
        self.status_that("nothing to release", is_idle).await
    }

    /// A run that is under way or over has this outcome.
    pub(crate) async fn outcome(&self, outcome: RunOutcome) -> Result<ReleaseStatus> {
        self.status_that(&format!("{outcome:?}"), |status| {
            status.history.first().is_some_and(|run| run.outcome == Some(outcome))
        })
        .await
    }

    /// The run of this version is taken back.
    pub(crate) async fn taken_back(&self, version: &str) -> Result<ReleaseStatus> {
        self.status_that(&format!("{version} to be taken back"), |status| {
            let is_its = status.run.as_ref().is_some_and(|run| run.starts_with(version));
            is_its && status.history.first().is_some_and(|run| run.outcome == Some(RunOutcome::RolledBack))
        })
        .await
    }

    /// The users, at so many requests a second in all.
    pub(crate) async fn traffic(&self, rate: u32) -> Result<Traffic> {
        let entrances = || self.gateway.pods.iter().map(|(_, ip)| (*ip, 80).into());
        for entrance in entrances() {
            // A route that was just made takes a moment to get there, to each worker its own: several connections in a row.
            eventually("the route", async || {
                for _ in 0..10 {
                    let answer = Client::new(entrance).get("/", &[]).await?;
                    ensure!(answer.status == 200, "{answer:?}");
                }
                Ok(())
            })
            .await?;
        }
        self.traffic_by(entrances().map(Client::new).collect(), |_, id| User::returning(id), rate)
    }

    /// The users by another way. `user` makes one of their number and id.
    pub(crate) fn traffic_by(
        &self,
        entrances: Vec<Client>,
        user: impl Fn(usize, &str) -> User,
        rate: u32,
    ) -> Result<Traffic> {
        let users = self.users.iter().enumerate().map(|(number, id)| user(number, id)).collect();
        let rate = NonZeroU32::new(rate).context("a rate above 0")?;
        Ok(Traffic::start(Plan { entrances, users, rate, seed: *SEED }))
    }

    pub(crate) async fn replicas(&self, deployment: &str) -> Result<i32> {
        let found = self.namespace.api::<Deployment>().get(deployment).await?;
        Ok(found.spec.and_then(|spec| spec.replicas).unwrap_or(1))
    }

    /// Waits until every proxy has given the canary `percent` of all users, and checks that those and no others get it,
    /// request by request. Returns how many they are.
    pub(crate) async fn check_exposure(&self, traffic: &Traffic, percent: u32) -> Result<usize> {
        self.status_that(&format!("{percent}% everywhere"), |status| {
            is_at(status, percent) && status.proxies.all_current()
        })
        .await?;
        self.check_served(traffic, percent).await
    }

    /// Checks that from now on `percent` of all users get the canary: those whom the hash says, and no others.
    pub(crate) async fn check_served(&self, traffic: &Traffic, percent: u32) -> Result<usize> {
        let run = self.status().await?.run.context("a run has a name")?;
        self.check_served_of(&run, traffic, percent).await
    }

    /// The same of a run that the status need not name.
    pub(crate) async fn check_served_of(&self, run: &str, traffic: &Traffic, percent: u32) -> Result<usize> {
        const REQUESTS: usize = 400;
        let exposed = self.exposed(run, Weight::from_ppm(percent * 10_000)?)?;
        let from = traffic.requests();
        eventually("some requests", async || {
            ensure!(traffic.requests() >= from + REQUESTS, "{} yet", traffic.requests() - from);
            Ok(())
        })
        .await?;
        // Those under way when the last proxy took the weight are over among the first.
        for record in &traffic.so_far().0[from + REQUESTS / 10..from + REQUESTS] {
            let Outcome::Served { deployment, .. } = &record.outcome else { continue };
            let wanted = if exposed.contains(&record.user) { "shop-canary" } else { "shop-stable" };
            ensure!(deployment == wanted, "user {} is on {deployment} at {percent}%", record.user);
        }
        Ok(exposed.len())
    }

    /// The users, by number, who are on the canary of `run` at `weight`, by the hash alone.
    fn exposed(&self, run: &str, weight: Weight) -> Result<BTreeSet<usize>> {
        let salt = format!("{}/shop/{run}", self.namespace.name());
        let mut exposed = BTreeSet::new();
        for (number, id) in self.users.iter().enumerate() {
            if Point::of(&salt, &Id::try_from(id.as_bytes())?).is_covered_by(weight) {
                exposed.insert(number);
            }
        }
        Ok(exposed)
    }

    /// A user who is on the canary of `run` at `percent`, and one who is not, by the hash alone.
    pub(crate) fn one_on_each(&self, run: &str, percent: u32) -> Result<(&str, &str)> {
        let exposed = self.exposed(run, Weight::from_ppm(percent * 10_000)?)?;
        let first = |is_on: bool| {
            let user = self.users.iter().enumerate().find(|(number, _)| exposed.contains(number) == is_on);
            user.map(|(_, user)| user.as_str()).context("there is one among 2,000")
        };
        Ok((first(true)?, first(false)?))
    }

    /// The events on the Release, oldest first: their reasons and notes.
    pub(crate) async fn events(&self) -> Result<Vec<(String, String)>> {
        let told = |event: Event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default());
        Ok(self.raw_events().await?.into_iter().map(told).collect())
    }

    /// How often an event of this reason with `text` in its note has been told.
    pub(crate) async fn times_told(&self, reason: &str, text: &str) -> Result<i32> {
        let events = self.raw_events().await?.into_iter().filter(|event| {
            event.reason.as_deref() == Some(reason)
                && event.note.as_ref().is_some_and(|note| note.contains(text))
        });
        Ok(events.map(|event| event.series.map_or(1, |series| series.count)).sum())
    }

    async fn raw_events(&self) -> Result<Vec<Event>> {
        let mut events = self.namespace.api::<Event>().list(&ListParams::default()).await?.items;
        let of_release = |event: &Event| {
            event.regarding.as_ref().is_some_and(|regarding| regarding.kind.as_deref() == Some("Release"))
        };
        events.retain(of_release);
        events.sort_by_key(|event| event.event_time.clone());
        Ok(events)
    }
}

/// A status in short.
pub(crate) fn told(status: &ReleaseStatus) -> String {
    let ReleaseStatus { phase, run, step, weight, message, proxies, .. } = status;
    format!("{phase} {run:?} {step:?} {weight} {proxies:?}: {message}")
}

/// Whether the canary is to get `percent` of all users.
pub(crate) fn is_at(status: &ReleaseStatus, percent: u32) -> bool {
    status.weight.percent.ppm() == percent * 10_000
}

/// Whether the Release is accepted and there is nothing to release, as an agent has found.
pub(crate) fn is_idle(status: &ReleaseStatus) -> bool {
    let is_accepted = condition(status, "Accepted").is_ok_and(|accepted| accepted.status == "True");
    is_accepted && status.phase == ReleasePhase::Idle
}

pub(crate) fn condition<'s>(status: &'s ReleaseStatus, kind: &str) -> Result<&'s Condition> {
    status.conditions.iter().find(|found| found.type_ == kind).with_context(|| format!("no condition {kind}"))
}

/// Every weight that the present run or the last one had, in order.
pub(crate) fn weights(status: &ReleaseStatus) -> Vec<String> {
    let changes = status.history.first().map_or(&[][..], |run| &run.changes);
    changes.iter().map(|change| change.to.to_string()).collect()
}

/// No request failed that no version is to blame for.
pub(crate) fn check_none_failed(report: &Report) -> Result<()> {
    let failures = report.failures();
    ensure!(failures.is_empty(), "{} of {} failed: {:?}", failures.len(), report.0.len(), failures.first());
    Ok(())
}

/// Everybody goes from v1 to v2, once, and nobody back.
pub(crate) fn check_nobody_went_back(report: &Report) -> Result<()> {
    let mut arrived = BTreeSet::new();
    for record in &report.0 {
        let Outcome::Served { version, .. } = &record.outcome else { continue };
        if version == "v2" {
            arrived.insert(record.user);
        } else {
            ensure!(!arrived.contains(&record.user), "user {} went back", record.user);
        }
    }
    Ok(())
}

/// Waits until a hundred requests in a row come from one Deployment.
pub(crate) async fn all_from(traffic: &Traffic, deployment: &str) -> Result<()> {
    eventually(deployment, async || {
        let report = traffic.so_far();
        let latest = report.0.iter().rev().take(100);
        let served = |outcome: &Outcome| matches!(outcome, Outcome::Served { deployment: found, .. } if found == deployment);
        ensure!(latest.clone().count() == 100 && latest.clone().all(|record| served(&record.outcome)), "not yet all");
        Ok(())
    })
    .await
}
