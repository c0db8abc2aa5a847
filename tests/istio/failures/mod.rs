/*!
What goes wrong during a release, and what its users and its owners notice of it.

Each test lets users loose on a release, breaks something, and tells in one row what came of it: how many requests
were sent and how many failed, what the status said, and what happened next.
*/
pub(crate) mod capacity;
pub(crate) mod clocks;
pub(crate) mod conflicts;
pub(crate) mod deletions;
pub(crate) mod edits;
pub(crate) mod leases;
pub(crate) mod modules;
pub(crate) mod namespaces;
pub(crate) mod nodes;
pub(crate) mod objects;
pub(crate) mod outages;
pub(crate) mod owners;
pub(crate) mod severed;
pub(crate) mod supervision;
pub(crate) mod workloads;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serin_release::status::{ReleasePhase, ReleaseStatus};
use serin_tests::mesh::traffic::{Outcome, Record, Traffic};
use serin_tests::mesh::{Controller, Mesh};

use crate::fixture::{Fixture, is_at, is_idle, told};

/// Steps that wait for a person: a test knows where such a run stands.
const STEPS: &str = "{setWeight: 30, pause: {}}, {setWeight: 60, pause: {}}";

/// Requests a second.
const RATE: u32 = 80;

/// A release with its users.
struct UnderLoad<'m> {
    traffic: Traffic,
    agent: Controller,
    fixture: Fixture<'m>,
}

impl<'m> UnderLoad<'m> {
    /// A shop whose two Deployments have one version: a release is all set to begin.
    async fn set(mesh: &'m Mesh, name: &str, gateways: u32) -> Result<Self> {
        let fixture = Fixture::set(mesh, name, gateways).await?;
        Self::on(fixture, |yaml| yaml).await
    }

    /// The same on a fixture that is set already, with a Release that `edit` makes of the usual one.
    async fn on(fixture: Fixture<'m>, edit: impl Fn(String) -> String) -> Result<Self> {
        let agent = fixture.agent("one").await?;
        Self::with(fixture, agent, edit).await
    }

    /// The same with an agent that runs already.
    async fn with(fixture: Fixture<'m>, agent: Controller, edit: impl Fn(String) -> String) -> Result<Self> {
        fixture.release(STEPS, edit).await?;
        let gateways = u32::try_from(fixture.gateway.pods.len())?;
        let is_ready = |status: &ReleaseStatus| is_idle(status) && status.proxies.current == gateways;
        fixture.status_that("nothing to release", is_ready).await.with_context(|| agent.log())?;
        let traffic = fixture.traffic(RATE).await?;
        Ok(Self { traffic, agent, fixture })
    }

    /// Releases `version` as far as the first step, and checks who is on it.
    async fn release(&self, version: &str) -> Result<()> {
        self.fixture.set_image(&format!("shop:{version}")).await?;
        self.first_step(version).await
    }

    /// Waits for the first step of a run that has begun, and checks who is on it.
    async fn first_step(&self, version: &str) -> Result<()> {
        let run = format!("{}-", version.split('?').next().unwrap_or_default());
        self.status_that(&format!("{version} at its first step"), |status| {
            status.run.as_ref().is_some_and(|found| found.starts_with(&run)) && is_at(status, 30)
        })
        .await?;
        self.check_exposure(30).await
    }

    async fn check_exposure(&self, percent: u32) -> Result<()> {
        let checked = self.fixture.check_exposure(&self.traffic, percent).await;
        checked.with_context(|| self.agent.log()).map(drop)
    }

    /// What the people who own the release type.
    async fn command(&self, command: &str) -> Result<()> {
        self.fixture.command(command).await
    }

    /// Waits until the status is as `is_so` wants it.
    async fn status_that(&self, what: &str, is_so: impl Fn(&ReleaseStatus) -> bool) -> Result<ReleaseStatus> {
        self.fixture.status_that(what, is_so).await.with_context(|| self.agent.log())
    }

    async fn phase(&self, phase: ReleasePhase) -> Result<ReleaseStatus> {
        self.fixture.phase(phase).await.with_context(|| self.agent.log())
    }

    /// Waits until the status says `text`.
    async fn said(&self, text: &str) -> Result<ReleaseStatus> {
        self.status_that(text, |status| status.message.contains(text)).await
    }

    /// Waits for an event of this reason whose note has `text` in it, and returns the note.
    async fn event(&self, reason: &str, text: &str) -> Result<String> {
        serin_tests::site::eventually(&format!("an event {reason}: {text}"), async || {
            let events = self.fixture.events().await?;
            let found = events.iter().find(|(found, note)| found == reason && note.contains(text));
            found.map(|(_, note)| note.clone()).with_context(|| format!("{events:?}"))
        })
        .await
        .with_context(|| self.agent.log())
    }

    /// Approves a step as soon as it asks for that.
    async fn approve(&self) -> Result<()> {
        self.said("waits for approval").await?;
        self.command("resume").await
    }

    /// From the first step to the end.
    async fn finish(&self) -> Result<()> {
        self.approve().await?;
        self.check_exposure(60).await?;
        self.approve().await?;
        self.phase(ReleasePhase::Promoted).await?;
        Ok(())
    }

    fn case(&self, name: &str) -> Case<'_> {
        Case::begin(name, &self.traffic)
    }
}

/// Something that goes wrong, while users go on.
struct Case<'t> {
    name: String,
    traffic: &'t Traffic,
    from: usize,
    began: Instant,
}

impl<'t> Case<'t> {
    fn begin(name: &str, traffic: &'t Traffic) -> Self {
        Self { name: name.to_owned(), traffic, from: traffic.requests(), began: Instant::now() }
    }

    /// Waits until users have asked so many times since it began.
    async fn after(&self, requests: usize) -> Result<()> {
        serin_tests::site::eventually("requests", async || {
            let yet = self.traffic.requests() - self.from;
            ensure!(yet >= requests, "{yet} yet");
            Ok(())
        })
        .await
    }

    /// What users have got since it began.
    fn records(&self) -> Vec<Record> {
        self.traffic.so_far().0.split_off(self.from)
    }

    /// Checks that nobody has got anything else than what `deployment` runs, as `version`, since it began.
    fn check_all_on(&self, deployment: &str, version: &str) -> Result<()> {
        for record in self.records() {
            let Outcome::Served { deployment: found, version: of, .. } = &record.outcome else { continue };
            ensure!(
                (found.as_str(), of.as_str()) == (deployment, version),
                "{}: user {} got {of} of {found}",
                self.name,
                record.user
            );
        }
        Ok(())
    }

    /// Prints the row, and checks that no more than `at_most` requests have failed.
    fn end(self, said: &str, then: &str, at_most: usize) -> Result<()> {
        let records = self.records();
        let failed: Vec<_> =
            records.iter().filter(|record| matches!(record.outcome, Outcome::Failed(_))).collect();
        eprintln!(
            "| {} | {} | {} | {} | {then} | {:.1} s |",
            self.name,
            records.len(),
            failed.len(),
            said.replace('\n', " ⏎ "),
            self.began.elapsed().as_secs_f64()
        );
        ensure!(
            failed.len() <= at_most,
            "{}: {} failed: {:?} to {:?}",
            self.name,
            failed.len(),
            failed.first(),
            failed.last()
        );
        Ok(())
    }
}

/// The status in a line, for the row.
fn said(status: &ReleaseStatus) -> String {
    let mut told = told(status);
    if let Some((_, message)) = told.split_once("}: ") {
        told = message.to_owned();
    }
    format!("{} {}: {told}", status.phase, status.weight)
}
