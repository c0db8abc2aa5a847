/*!
The course of the demo: who does what, and what is waited for before the next does something.
*/
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use serin_policy::Arm;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::fixture::{Fixture, is_known_to_proxies};
use crate::screen::Screen;
use crate::script;
use crate::stats::{Stats, Window};
use crate::summary::{Promises, Summary};
use crate::timeline::Timeline;
use crate::view::Scene;
use serin_agent::standalone::View;
use serin_local::envoy;
use serin_local::shop::Build;
use serin_release::Release;
use serin_rollout::{CommandKind, Phase, Reason, Stage, StepState};

/// How often the picture is drawn anew.
const FRAME: Duration = Duration::from_millis(250);

/// How long the whole may take on a slow machine.
const LIMIT: Duration = Duration::from_mins(5);

/// How many requests tell that something has ceased.
const MANY: usize = 300;

/// How many requests are seen of something that is to go on for a while.
const A_WHILE: usize = 4_000;

/// How many requests are sent while the database is away: two seconds' worth.
const OUTAGE: usize = 2_400;

/// A demo under way.
pub(super) struct Run {
    seed: u64,
    stage: Fixture,
    stats: Stats,
    timeline: Timeline,
    view: View,
    screen: Screen,
    deadline: Instant,
}

impl Run {
    /// Sets the stage for the good version and lets the users in.
    pub(super) async fn begin(seed: u64, screen: Screen, strategy: &str) -> Result<Self> {
        let binary = envoy::find(|line| screen.note(line)).await?;
        let began = Timestamp::now();
        let release = script::release(script::FIRST.version, script::GOOD.version, strategy)?;
        let objective = Duration::from_millis(release.analysis.objective_ms.into());
        // On the heap: it holds all there is to a demo.
        let stage = Box::pin(Fixture::set(binary, release, seed)).await?;
        let view = stage.agent.view.borrow().clone();
        let (stats, timeline) = (Stats::new(objective), Timeline::new(began));
        Ok(Self { seed, stage, stats, timeline, view, screen, deadline: Instant::now() + LIMIT })
    }

    /// Says something besides the course of events.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        Ok(self.screen.say(text)?)
    }

    /// Where the page of the release is.
    pub(super) fn page(&self) -> String {
        self.stage.page()
    }

    /// Releases a good version, a bad one, and a good one in an outage, and tells what came of it.
    pub(super) async fn play_out(&mut self) -> Result<Summary> {
        self.until(|play| is_over(&play.view)).await?;
        if let Some(cause) = self.rolled_back() {
            bail!("the good version did not get through, perhaps because this machine is too busy: {cause}");
        }
        self.for_a_while().await?;

        self.put_on_stable(script::GOOD);
        let next = script::release(script::GOOD.version, script::BAD.version, script::WALK)?;
        self.put_on_canary(script::BAD, next).await?;
        self.until(|play| is_over(&play.view)).await?;
        let Some(cause) = self.rolled_back() else { bail!("the bad version got through") };
        self.for_a_while().await?;

        let next = script::release(script::GOOD.version, script::SHAKEN.version, script::SHORT_WALK)?;
        self.put_on_canary(script::SHAKEN, next).await?;
        let outage = self.outage().await?;
        self.until(|play| is_over(&play.view)).await?;
        if let Some(cause) = self.rolled_back() {
            bail!("a good version was taken back for what stable suffered as well: {cause}");
        }
        Summary::new(&self.timeline, &self.stats, self.promises(), (cause, outage))
    }

    /// What was promised and what was kept, until now.
    pub(super) fn promises(&self) -> Promises {
        Promises::new(self.seed, &self.timeline, &self.stats, self.stage.users.turned_away())
    }

    /// What users wrote down.
    pub(super) const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Where the present run stands.
    pub(super) const fn phase(&self) -> &Phase {
        &self.view.status.phase
    }

    /// What the agent waits for.
    pub(super) fn standing(&self) -> &[Reason] {
        &self.view.standing
    }

    /// Gives the agent a command, for this reason. Returns when.
    pub(super) async fn command(&mut self, command: CommandKind, why: &str) -> Timestamp {
        self.timeline.operator_did(&format!("{command}: {why}"));
        let now = Timestamp::now();
        self.stage.agent.command(command, "operator").await;
        now
    }

    /// Lets both versions fail for a moment, at the first step. Returns when.
    async fn outage(&mut self) -> Result<Window> {
        let is_at_step = |phase: &Phase| {
            matches!(phase, Phase::Progressing(StepState { stage: Stage::Observing { .. }, .. }))
        };
        self.until(|play| is_at_step(&play.view.status.phase)).await?;
        let settled = Window::since(Timestamp::now());
        self.until(|play| play.stats.division(settled).served_canary >= MANY).await?;
        let (stable, canary) = (self.stage.stable.build(), self.stage.canary.build());
        self.stage.stable.deploy(script::without_database(stable));
        self.stage.canary.deploy(script::without_database(canary));
        self.timeline.operator_did("the database is away: both versions fail");
        let away = Window::since(Timestamp::now());
        self.until(|play| play.stats.sent(away) >= OUTAGE).await?;
        self.stage.stable.deploy(stable);
        self.stage.canary.deploy(canary);
        self.timeline.operator_did("the database is back");
        Ok(Window { until: Some(Timestamp::now()), ..away })
    }

    /// Leaves the stage standing, with a good version at its first step, until somebody has had enough.
    pub(super) async fn keep(&mut self) -> Result<()> {
        self.deadline = Instant::now() + LIMIT;
        self.stage.users.set_rate(script::GENTLE_RATE);
        let next = script::release(script::GOOD.version, script::LAST.version, script::HELD)?;
        self.put_on_canary(script::LAST, next).await?;
        self.until(|play| {
            matches!(play.view.status.phase, Phase::Progressing(_)) && is_known_to_proxies(&play.view)
        })
        .await?;
        self.say(&self.stage.guide())?;
        let mut seconds = interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            self.stage.users.collect(self.stats.records());
            self.stats.records().clear();
        }
    }

    pub(super) fn put_on_stable(&mut self, build: Build) {
        self.stage.stable.deploy(build);
        self.timeline.operator_did(&format!("stable runs {} from now on", build.version));
    }

    /// Starts the run for `build`, and deploys it once nobody is on what it takes the place of.
    pub(super) async fn put_on_canary(&mut self, build: Build, release: Release) -> Result<()> {
        let agent = &self.stage.agent;
        let run = release.run().to_owned();
        self.timeline.operator_did(&format!("releases {run}, and holds the run until {run} is deployed"));
        agent.replace(release).await;
        agent.command(CommandKind::Pause, "operator").await;
        self.until(|play| play.view.status.run == run && is_known_to_proxies(&play.view)).await?;
        self.until_nobody_is_on_canary().await?;
        self.stage.canary.deploy(build);
        self.timeline.operator_did(&format!("{run} is deployed and nobody is on it: go on"));
        self.stage.agent.command(CommandKind::Resume, "operator").await;
        Ok(())
    }

    /// Waits until none of many requests in a row reached the canary. A proxy reports a policy as soon as the first
    /// of its workers has it, and requests of the time before may still be on their way.
    async fn until_nobody_is_on_canary(&mut self) -> Result<()> {
        loop {
            let since = Window::since(Timestamp::now());
            self.until(|play| play.stats.sent(since) >= MANY).await?;
            if self.stats.division(since).served_canary == 0 {
                return Ok(());
            }
        }
    }

    /// Why the present run was rolled back, if it was.
    pub(super) fn rolled_back(&self) -> Option<String> {
        let is_back = matches!(self.view.status.phase, Phase::RolledBack { .. });
        let change = self.view.status.last_change.as_ref().filter(|_| is_back)?;
        Some(change.reason.to_string())
    }

    pub(super) async fn for_a_while(&mut self) -> Result<()> {
        let since = Window::since(self.timeline.weight_changed);
        self.until(|play| play.stats.sent(since) >= A_WHILE).await
    }

    /// Keeps the picture up to date until something is the case.
    pub(super) async fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_time_to_draw = tokio::select! {
                _ = frames.tick() => true,
                changed = self.stage.agent.view.changed() => {
                    changed.context("the agent has ended")?;
                    false
                }
                ended = self.stage.envoy.wait() => bail!("Envoy ended in the middle of it: {}", ended?),
            };
            self.look();
            let is_so = is_so(self);
            if is_so || is_time_to_draw {
                self.draw()?;
            }
            if is_so {
                return Ok(());
            }
            let waits: Vec<_> = self.view.standing.iter().map(ToString::to_string).collect();
            ensure!(
                Instant::now() < self.deadline,
                "the demo does not come to its end: {}",
                waits.join("; ")
            );
        }
    }

    fn look(&mut self) {
        self.stage.users.collect(self.stats.records());
        self.view.clone_from(&self.stage.agent.view.borrow_and_update());
        self.timeline.take_in(&self.view);
    }

    fn draw(&mut self) -> Result<()> {
        let run = Window::since(self.timeline.run_began);
        let version =
            |arm, build: Build| (arm, build.version, self.stats.performance(arm, build.version, run));
        let scene = Scene {
            now: Timestamp::now(),
            seed: self.seed,
            view: &self.view,
            timeline: &self.timeline,
            division: self.stats.division(Window::since(self.timeline.divided_since())),
            versions: [
                version(Arm::Stable, self.stage.stable.build()),
                version(Arm::Canary, self.stage.canary.build()),
            ],
            requests: self.stats.requests(),
            failed: self.stats.failures().values().sum(),
            moved_back: self.stats.moved_back(&self.timeline.rollbacks).len(),
        };
        Ok(self.screen.show(&scene)?)
    }
}

/// Whether nothing more happens by itself.
fn is_over(view: &View) -> bool {
    matches!(view.status.phase, Phase::Promoted | Phase::RolledBack { .. })
}
