/*!
Reasons in plain sentences, for people.
*/
use std::fmt;
use std::time::Duration;

use super::lagging;
use super::reason::{Event, Hold, NotNow, Outcome, Reason};
use super::status::Cause;
use serin_release::delivery::PromotionMode;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => event.fmt(f),
            Self::Hold(hold) => hold.fmt(f),
            Self::Outcome(outcome) => outcome.fmt(f),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { run } => write!(f, "run {run} begins: proxies are told of it, at 0%"),
            Self::NewRun { previous, run } => {
                write!(
                    f,
                    "run {run} takes the place of {previous}: everybody is on stable until proxies know it"
                )
            }
            Self::TakenUp { run, weight, closed } => {
                let closed = if *closed { ", closed" } else { "" };
                write!(f, "run {run} is taken up as found in front of the proxies: {weight}{closed}")
            }
            Self::StepBegun { step, of, weight, by } => {
                write!(f, "step {step} of {of}: {weight} to the canary, by {by}")
            }
            Self::Promoting { by } => write!(f, "promotion: everybody to the canary, by {by}"),
            Self::Prepared { run } => {
                write!(f, "run {run} has the pods for its first step: testers may try it")
            }
            Self::Retried { by } => write!(f, "started over by {by}"),
            Self::Resumed { by } => write!(f, "resumed by {by}"),
            Self::Approved { step, by } => write!(f, "step {step} approved by {by}"),
            Self::CommandRefused { command, by, why } => {
                write!(f, "{command} by {by} changes nothing: {why}")
            }
            Self::ProbeFailed { requests, errors, expected, again_after } => write!(
                f,
                "stable does not serve those who went to it first ({errors} of {requests} requests failed, and about \
                 {expected} were to be expected): they go back to the canary; tried again after {}",
                friendly(again_after)
            ),
            Self::HandedOver => f.write_str("stable has the new version: everybody goes to it"),
            Self::PolicyBehind { found, wanted } => write!(
                f,
                "revision {found} is in front of the proxies, not {wanted} yet, which is to be written again"
            ),
            Self::PolicyEdited { run, weight, closed } => {
                let closed = if *closed { ", closed" } else { "" };
                write!(
                    f,
                    "someone else put run {run} at {weight}{closed} in front of the proxies: what is wanted is to be \
                     written again"
                )
            }
            Self::PolicyUnreadable { why } => {
                write!(
                    f,
                    "the policy in front of the proxies is unreadable ({why}): it is to be written again"
                )
            }
            Self::PolicyGone => {
                f.write_str("the policy in front of the proxies is gone: it is to be written again")
            }
            Self::ReleaseEdited => f.write_str("the Release was edited: the policy is to be written again"),
        }
    }
}

impl fmt::Display for Hold {
    #[expect(clippy::too_many_lines, reason = "a table: one sentence for each")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { by } => write!(f, "paused by {by}: resume to go on"),
            Self::AwaitsProxies { revision, proxies } if proxies.is_empty() => {
                write!(f, "waits for a proxy to report revision {revision}: there is none")
            }
            Self::AwaitsProxies { revision, proxies } => {
                write!(f, "waits for proxies to report revision {revision}: {}", lagging::Shortened(proxies))
            }
            Self::ProxyRefuses { name, why } => {
                write!(f, "{name} refuses the policy and goes on with the one it has: {why}")
            }
            Self::Baseline { duration } => {
                let duration = friendly(duration);
                write!(
                    f,
                    "for {duration} everybody is on stable: those whom the steps will move are compared with the rest"
                )
            }
            Self::Observing { step, of, weight, duration } => {
                let duration = friendly(duration);
                write!(f, "step {step} of {of} at {weight} is observed for {duration}")
            }
            Self::AwaitsRequests { need } => {
                write!(f, "waits until the canary has had {need} requests in this step")
            }
            Self::AwaitsCapacity { weight, lack } => {
                write!(f, "waits for the canary's pods for {weight}: {lack}")
            }
            Self::StableDown => {
                f.write_str("no pod of stable is ready, so nobody is sent back to it: scale it up again")
            }
            Self::Suspended => f.write_str("suspended: set spec.suspend to false to go on"),
            Self::AwaitsRoutes => f.write_str("the routes are being written"),
            Self::RolesUnclear(unclear) => unclear.fmt(f),
            Self::StateUnreadable { why } => write!(
                f,
                "the saved state cannot be read, so the run stays as it is: {why}. Run the agent that wrote it, or abort"
            ),
            Self::Blocked { why } => write!(f, "nobody is moved: {why}"),
            Self::RunWaits { run } => write!(
                f,
                "run {run} begins when stable has pods again: whoever is on the canary stays there till then, and may \
                 get it already"
            ),
            Self::HandingOver { mode, trouble } => {
                f.write_str(match mode {
                    PromotionMode::Copy => {
                        "the canary is promoted; stable's Deployment takes its pod template"
                    }
                    PromotionMode::Swap => "the canary is promoted; its Deployment becomes the stable one",
                    PromotionMode::Wait => {
                        "the canary is promoted; waits until stable's Deployment has its pod template"
                    }
                })?;
                trouble.as_ref().map_or(Ok(()), |trouble| write!(f, " ({trouble})"))
            }
            Self::AwaitsEndpoints { duration, in_vain } => {
                let duration = friendly(duration);
                write!(f, "stable has the new version; proxies are given {duration} to hear of its pods")?;
                if *in_vain > 0 { write!(f, " ({in_vain}× in vain so far)") } else { Ok(()) }
            }
            Self::ProbeBegun { share } => {
                write!(
                    f,
                    "stable has the new version: {share} of the callers go to it first, to see that it serves them"
                )
            }
            Self::Draining { delay } => {
                let delay = friendly(delay);
                write!(
                    f,
                    "the canary keeps its pods until nobody was sent there for {delay}, for requests under way"
                )
            }
            Self::AwaitsData { why } => write!(f, "nothing can be counted, so nobody else is moved: {why}"),
            Self::AwaitsReading { metric, why } => write!(f, "waits for a reading of {metric}: {why}"),
            Self::Doubtful { metric } => {
                write!(
                    f,
                    "the evidence leans against the canary by {metric}: nobody else is moved until it is clear"
                )
            }
            Self::SampleRatio { weight } => write!(
                f,
                "new callers do not get the canary in the share asked for, {weight}: a path loses or repeats some of \
                 them"
            ),
            Self::AwaitsApproval { step, of, weight } => {
                write!(
                    f,
                    "nothing speaks against step {step} of {of} at {weight}, which waits for approval: resume to go on"
                )
            }
            Self::OffPlan { weight, next } => {
                write!(f, "{weight} is no step's weight: resume to go on ")?;
                match next {
                    Some(next) => write!(f, "to {next}, promote or abort"),
                    None => f.write_str("to the promotion, or abort"),
                }
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToRelease => {
                f.write_str("stable and canary have one version: there is nothing to release")
            }
            Self::Promoted { run } => write!(f, "run {run} is promoted: everybody is on it"),
            Self::RolledBack { cause: Cause::Failed { weight, failure } } => {
                write!(f, "rolled back at {weight}: {failure}")
            }
            Self::RolledBack { cause: Cause::NoData { weight, after, why } } => {
                let after = friendly(after);
                write!(f, "rolled back at {weight}: nothing to judge by after {after}: {why}")
            }
            Self::RolledBack { cause: Cause::Down { weight, why } } => {
                write!(f, "rolled back at {weight}: the canary cannot serve: {why}")
            }
            Self::RolledBack { cause: Cause::FoundClosed } => f.write_str(
                "the canary was found closed in front of the proxies and stays so: retry to start over",
            ),
            Self::Aborted { by } => write!(f, "aborted by {by}: everybody is on stable"),
            Self::StableHasIt => f.write_str(
                "stable's Deployment has this version's pod template by now: if it is bad, set stable's back",
            ),
            Self::Settled => f.write_str("everybody is on stable, and no release is under way"),
        }
    }
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingInProgress => "no run is in progress",
            Self::HeldAlready => "the run is held already",
            Self::NothingToResume => "the run is neither paused nor waiting for approval",
            Self::ProxiesLag => {
                "some proxy does not report the present weight, and none is raised before all do"
            }
            Self::PromotedAlready => "the run is promoted already",
            Self::NotTakenBack => "only a run that was rolled back or aborted can start over",
            Self::JustFailed => "the canary has just failed",
            Self::LacksCapacity => "the canary lacks the pods for everybody; they are being added: try again",
            Self::StableDown => "no pod of stable is ready: scale it up first",
            Self::Suspended => "the Release is suspended: set spec.suspend to false first",
            Self::Blocked => "something stands in the way, as said here: remove it first",
            Self::Preparing => {
                "nobody is moved before the canary has its pods: abort, or set spec.suspend, to hold it"
            }
            Self::NothingToRelease => "stable and canary have one version: there is nothing to release",
            Self::Unreadable => "the saved state cannot be read: only abort is possible",
        })
    }
}

fn friendly(duration: &Duration) -> String {
    jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(duration)
}
