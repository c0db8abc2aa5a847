/*!
The demo of a blue-green release: everybody is switched over to a good version, back at a word, and over again; then to a bad
one, from which they are switched back without a word.
*/
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde::Serialize;
use serin_policy::Arm;

use crate::format::{count, thousands};
use crate::run::Run;
use crate::script;
use crate::stats::{Stats, Window};
use crate::summary::{Promises, Rollback};
use serin_rollout::{CommandKind, Hold, Phase, Reason};

/// What it came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Switches {
    /// From each word, or the agent's decision, to the last request that went elsewhere, in seconds.
    #[serde(rename = "over_s", serialize_with = "crate::summary::seconds")]
    over: Duration,
    #[serde(rename = "back_s", serialize_with = "crate::summary::seconds")]
    back: Duration,
    /// How the bad version ended.
    rollback: Rollback,
    #[serde(flatten)]
    promises: Promises,
}

impl Switches {
    /// Plays it, and tells what came of it.
    pub(super) async fn play(run: &mut Run) -> Result<Self> {
        let over = cut_over(run).await?;
        run.until(|run| matches!(run.phase(), Phase::Keeping(_))).await?;
        let back =
            run.command(CommandKind::Abort, "something is wrong: everybody back to the old version").await;
        run.until(|run| matches!(run.phase(), Phase::Aborted { .. })).await?;
        run.for_a_while().await?;
        run.command(CommandKind::Retry, "nothing was wrong: once more").await;
        let again = cut_over(run).await?;
        run.until(|run| matches!(run.phase(), Phase::Promoted)).await?;

        run.put_on_stable(script::GOOD);
        let next = script::release(script::GOOD.version, script::BAD.version, script::SWITCH)?;
        run.put_on_canary(script::BAD, next).await?;
        cut_over(run).await?;
        run.until(|run| matches!(run.phase(), Phase::Promoted | Phase::RolledBack { .. })).await?;
        let Some(cause) = run.rolled_back() else { bail!("the bad version got through") };
        run.for_a_while().await?;

        let stats = run.stats();
        let within = |from, arm, until| within(stats, arm, Window { from, until: Some(until) });
        Ok(Self {
            over: within(over, Arm::Stable, back),
            back: within(back, Arm::Canary, again),
            rollback: Rollback::of(stats, cause)?,
            promises: run.promises(),
        })
    }

    /// Whether every promise was kept.
    pub(super) const fn is_good(&self) -> bool {
        self.promises.are_kept()
    }
}

/// Waits until the new version is ready for everybody, and says that they may go. Returns when.
async fn cut_over(run: &mut Run) -> Result<Timestamp> {
    run.until(|run| {
        run.standing().iter().any(|reason| matches!(reason, Reason::Hold(Hold::AwaitsCutover { .. })))
    })
    .await
    .context("no cutover")?;
    Ok(run.command(CommandKind::Resume, "everybody may go over").await)
}

/// How long it took until nothing was sent to this deployment any more.
fn within(stats: &Stats, arm: Arm, window: Window) -> Duration {
    stats.last_to(arm, window).map_or(Duration::ZERO, |last| last.duration_since(window.from).unsigned_abs())
}

impl fmt::Display for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (good, bad) = (script::GOOD.version, script::BAD.version);
        let (over, back) = (self.over.as_secs_f64(), self.back.as_secs_f64());
        writeln!(f, "{good} was good: everybody went over to it, back at a word, and over again.")?;
        writeln!(f, "    over {over:.2} s after the word, back {back:.2} s after the word")?;
        writeln!(f)?;
        let users = usize::try_from(script::USERS.get()).unwrap_or(usize::MAX);
        let Rollback { bad_for, users_met, errors_met, .. } = &self.rollback;
        writeln!(
            f,
            "{bad} was bad: everybody was back on {good} {:.1} s after its first bad answer.",
            bad_for.as_secs_f64()
        )?;
        self.rollback.tell_reason(f)?;
        let (met, answers) = (count(*users_met, "user"), count(*errors_met, "bad answer"));
        writeln!(
            f,
            "    {met} of {} met {answers}, failed or too slow; with a preSplit, few of them would",
            thousands(users)
        )?;
        writeln!(f)?;
        self.promises.fmt(f)
    }
}
