/*!
Reasons in plain sentences, for people.
*/
use std::fmt;
use std::time::Duration;

use super::analysis::Judged;
use super::lagging;
use super::reason::{Event, Hold, NotNow, Outcome, Reason};
use serin_release::delivery::PromotionMode;
use serin_release::resource::WindowKind;

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
            Self::Started { run } => write!(f, "run {run} begins, at 0%"),
            Self::NewRun { previous, run } => {
                write!(f, "run {run} begins in place of {previous}, at 0%: everybody goes to stable first")
            }
            Self::TakenUp { run, weight, closed } => {
                let closed = closed_or_not(*closed);
                write!(
                    f,
                    "run {run} goes on at {weight}{closed}, as proxies have it: its saved status was lost"
                )
            }
            Self::StepBegun { step, of, weight, by } => {
                write!(f, "step {step} of {of}: {weight} to the canary, by {by}")
            }
            Self::StepBack { weight, cause } => {
                write!(f, "going back in steps, {weight} stay on the canary: {cause}")
            }
            Self::Promoting { by } => write!(f, "promotion: everybody to the canary, by {by}"),
            Self::Prepared { run } => {
                write!(f, "the canary has the pods for the first step of run {run}: testers can reach it")
            }
            Self::Retried { by } => write!(f, "started again by {by}"),
            Self::Resumed { by } => write!(f, "resumed by {by}"),
            Self::Approved { step, by } => write!(f, "step {step} approved by {by}"),
            Self::ApprovalGiven { by, given, required } => {
                write!(f, "approved by {by}: {given} of {required} have, and the run waits for the others")
            }
            Self::ApprovalLapsed { after, given, required } => {
                let after = friendly(after);
                let who_has = who_has(*given, *required);
                write!(f, "{who_has} approved in {after}: the run waits on, and all who have to are asked anew")
            }
            Self::CutoverApproved { by } => write!(f, "cutover approved by {by}"),
            Self::CleanupApproved { by } => write!(f, "end of the old version approved by {by}"),
            Self::KeepEnded { by, by_run: None } => {
                write!(f, "the old version has had its time: everybody stays on the new one, by {by}")
            }
            Self::KeepEnded { by_run: Some(by_run), .. } => write!(
                f,
                "the old version is gone, for its Deployment has {by_run} now: everybody stays on the new one"
            ),
            Self::HookPassed { hook, told } => write!(f, "hook {hook} has passed: {told}"),
            Self::FreezeOverridden { by } => {
                write!(f, "windows do not freeze this run any more, by {by}")
            }
            Self::CommandRefused { command, by, why } => write!(f, "{command} by {by} refused: {why}"),
            Self::BakeEnded { by } => write!(f, "bake ended by {by}"),
            Self::ProbeFailed { requests, errors, expected, again_after } => write!(
                f,
                "stable does not serve the callers who went to it first ({errors} of {requests} requests failed, of \
                 about {expected} expected): they are back on the canary; next try in {}",
                friendly(again_after)
            ),
            Self::HandedOver => f.write_str("stable serves the new version: everybody goes to it"),
            Self::PolicyBehind { found, wanted } => {
                write!(f, "the proxies' policy has revision {found} instead of {wanted}: it is written again")
            }
            Self::PolicyEdited { run, weight, closed } => {
                let closed = closed_or_not(*closed);
                write!(
                    f,
                    "somebody else set the proxies' policy to run {run} at {weight}{closed}: it is written again"
                )
            }
            Self::PolicyUnreadable { why } => {
                write!(f, "the proxies' policy cannot be read ({why}): it is written again")
            }
            Self::PolicyGone => f.write_str("the proxies' policy is gone: it is written again"),
            Self::LeaseLapsed => f.write_str(
                "no agent has renewed the lease in time, and the proxies have sent everybody to stable: the policy is \
                 written again",
            ),
            Self::ReleaseEdited => {
                f.write_str("the Release was edited: the proxies' policy is written again")
            }
            Self::VersionOpened { version, share } => write!(f, "{version} gets {share} of the callers"),
            Self::VersionTakenBack { version, share, failure } => {
                let why = failure.told_of(version);
                write!(f, "{version} is taken back from {share}, and it alone: {why}")
            }
        }
    }
}

impl fmt::Display for Hold {
    #[expect(clippy::too_many_lines, reason = "a sentence for each hold")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused { by } => write!(f, "paused by {by}: resume to go on"),
            Self::AwaitsProxies { revision, proxies } if proxies.is_empty() => {
                write!(f, "waits for a proxy to run revision {revision}: there is none")
            }
            Self::AwaitsProxies { revision, proxies } => {
                write!(f, "waits for proxies to run revision {revision}: {}", lagging::Shortened(proxies))
            }
            Self::ProxyRefuses { name, why } => {
                write!(f, "{name} refuses the policy and keeps the one it has: {why}")
            }
            Self::Baseline { duration } => {
                let duration = friendly(duration);
                write!(
                    f,
                    "baseline: everybody stays on stable for {duration}, to compare each step's users with the rest"
                )
            }
            Self::Mirroring(mirroring) => mirroring.fmt(f),
            Self::Baking { duration } => {
                let duration = friendly(duration);
                write!(f, "bake: everybody is on the canary, and it is watched for {duration} before it becomes stable")
            }
            Self::Keeping { duration } => write!(
                f,
                "everybody is on the new version, and the old one keeps its pods for {}: abort to go back to it at once",
                friendly(duration)
            ),
            Self::AwaitsCutover { sought } => write!(
                f,
                "the new version is ready for everybody{sought}: resume to begin the cutover, or abort to stay with the old one",
            ),
            Self::AwaitsCleanup => f.write_str(
                "everybody is on the new version, and the old one still has its pods: resume to let it go, or abort to go \
                 back to it",
            ),
            Self::Observing { step, of, weight, duration } => {
                let duration = friendly(duration);
                write!(f, "step {step} of {of} at {weight} is observed for {duration}")
            }
            Self::Receding { weight, duration } => {
                let duration = friendly(duration);
                write!(f, "on the way back, {weight} stay on the canary for {duration}")
            }
            Self::AwaitsRequests { need } => {
                write!(f, "too few requests: the canary needs {need} in this step for a verdict")
            }
            Self::AwaitsCapacity { weight, lack } => {
                write!(f, "waits for the canary's pods for {weight}: {lack}")
            }
            Self::StableDown => {
                f.write_str("stable has no ready pod, so nobody can be sent back to it: scale it up")
            }
            Self::Suspended => f.write_str("suspended: set spec.suspend to false to go on"),
            Self::Frozen { window, kind, is_operators, may_be_overridden, until } => {
                let whose = if *is_operators { "the operator's window" } else { "window" };
                f.write_str("nobody is moved ")?;
                match (kind, until) {
                    (WindowKind::Deny, Some(until)) => write!(f, "until {until}: {whose} {window} denies it")?,
                    (WindowKind::Deny, None) => write!(f, "while {whose} {window} denies it")?,
                    (WindowKind::Allow, Some(until)) => write!(f, "until {until}, in {whose} {window}")?,
                    (WindowKind::Allow, None) => write!(f, "outside of {whose} {window}")?,
                }
                f.write_str(if *may_be_overridden {
                    "; in an emergency, override-freeze has this run go on"
                } else {
                    "; that cannot be overridden"
                })
            }
            Self::Contested { object, by } => contested(f, object, by.as_deref()),
            Self::StableChanged { mode, run, by_run, by } => {
                let who = who(by.as_deref());
                write!(f, "{who} has given stable's Deployment {by_run} since the run began, ")?;
                match mode {
                    PromotionMode::Copy => write!(
                        f,
                        "and promoting {run} would overwrite that: resume to release {run} over it, abort to stay with \
                         {by_run}, or give the canary's Deployment a pod template that has both"
                    ),
                    PromotionMode::Swap => write!(
                        f,
                        "and promoting {run} would take its users from that, for the canary's Deployment becomes the stable \
                         one: resume to release {run} all the same, abort to stay with {by_run}, or give the canary's \
                         Deployment a pod template that has both"
                    ),
                    PromotionMode::Wait => write!(
                        f,
                        "and {run} is compared with that from now on: Serin never writes stable with promotion.mode Wait. Resume \
                         to go on, and have {who} apply {run} when the run waits for it; abort to stay with {by_run}; or give \
                         the canary's Deployment a pod template that has both"
                    ),
                }
            }
            Self::StablePutBack { run, by_run, by } => {
                let who = who(by.as_deref());
                write!(
                    f,
                    "{who} has given stable's Deployment {by_run} in place of {run}, which Serin has written once and does not \
                     write again. Have {who} apply {run} too: the run ends by itself then. Or have {who} ignore spec.template, and \
                     resume: Serin writes {run} once more. Or abort to stay with {by_run}. Where {who} is to update stable in \
                     every release, use promotion.mode Wait"
                )
            }
            Self::AwaitsRoutes => f.write_str("waits for the routes to be written"),
            Self::RolesUnclear(unclear) => unclear.fmt(f),
            Self::StateUnreadable { why } => write!(
                f,
                "this agent cannot read the run's saved state, so nothing is moved: {why}. Run the agent that wrote it, or \
                 abort"
            ),
            Self::Blocked { why } => write!(f, "nobody is moved: {why}"),
            Self::RunWaits { run } => write!(
                f,
                "run {run} begins when stable has ready pods: until then callers on the canary stay there, and may get \
                 the new version already"
            ),
            Self::HandingOver { mode, trouble } => {
                f.write_str(match mode {
                    PromotionMode::Copy => "promoted: stable's Deployment takes the canary's pod template",
                    PromotionMode::Swap => "promoted: the canary's Deployment becomes the stable one",
                    PromotionMode::Wait => {
                        "promoted: waits until stable's Deployment has the canary's pod template"
                    }
                })?;
                trouble.as_ref().map_or(Ok(()), |trouble| write!(f, " ({trouble})"))
            }
            Self::AwaitsEndpoints { duration, in_vain } => {
                let duration = friendly(duration);
                write!(f, "stable has the new version: proxies get {duration} to hear of its pods")?;
                match in_vain {
                    0 => Ok(()),
                    1 => f.write_str(" (1 try has failed)"),
                    tries => write!(f, " ({tries} tries have failed)"),
                }
            }
            Self::ProbeBegun { share } => write!(
                f,
                "stable has the new version: {share} of the callers go to it first, to see that it serves them"
            ),
            Self::Draining { delay } => {
                let delay = friendly(delay);
                write!(
                    f,
                    "the canary keeps its pods for {delay} after its last caller, for requests under way"
                )
            }
            Self::CanaryScaled { pods } => write!(
                f,
                "somebody has scaled the canary to {pods}, and nobody is sent there: scale its Deployment to 0, or retry"
            ),
            Self::AwaitsData { why } => {
                write!(f, "requests cannot be counted, so nobody else is moved: {why}")
            }
            Self::AwaitsReading { metric, why } => write!(f, "no reading of {metric}: {why}"),
            Self::AwaitsHook { hook, when, why: None } => {
                write!(f, "hook {hook} ({}) is asked", when.as_str())
            }
            Self::AwaitsHook { hook, when, why: Some(why) } => {
                write!(f, "hook {hook} ({}) does not say yes: {why}", when.as_str())
            }
            Self::HookFails { hook, why } => {
                write!(f, "hook {hook} fails, and the run waits until it passes: {why}")
            }
            Self::AwaitsSuccess { metric, value, limit } => write!(
                f,
                "{metric} of the canary is {value}: the release goes on at {limit} (successRange)"
            ),
            Self::Doubtful { metric: Judged::Segment { name, metric } } => write!(
                f,
                "users of segment {name} are beyond the limit of {metric}, which a few of them may have made by \
                 themselves: find out who fails, then promote or abort; nobody else is moved until they are within it"
            ),
            Self::Doubtful { metric } => write!(
                f,
                "{metric} speaks against the canary, but could be chance: nobody else is moved until it is clear"
            ),
            Self::SampleRatio { weight } => write!(
                f,
                "new callers do not get the canary in the share asked for, {weight}: some path loses or repeats their \
                 requests"
            ),
            Self::CookieWithheld { share } => write!(
                f,
                "{share} of requests are of new callers whose answer shared caches may keep, so it cannot carry their cookie, \
                 and their next page may come from another version: in spec.sessionAffinity.cookie, onCacheable: MakePrivate \
                 makes these answers private, Ignore goes on all the same"
            ),
            Self::SharedTrouble { metric } => write!(
                f,
                "stable fails too: {metric} is beyond its limit on both versions, so the release waits until it is over"
            ),
            Self::TrafficShare => f.write_str(
                "the canary gets fewer requests than its users made before they were on it: find out whether they reach \
                 it and get answers; promote goes on all the same; if it needs fewer by design, leave traffic-share out \
                 of analysis.metrics",
            ),
            Self::AwaitsApproval { step, of, weight, sought } => write!(
                f,
                "step {step} of {of} at {weight} waits for approval{sought}, and nothing speaks against it: resume to go on"
            ),
            Self::OffPlan { weight, next } => {
                write!(f, "{weight} is not a step of this Release: resume to go on ")?;
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
                f.write_str("stable and canary have the same version: there is nothing to release")
            }
            Self::Promoted { run } => write!(f, "run {run} is promoted: everybody is on it"),
            Self::RolledBack { cause } => match cause.weight() {
                Some(weight) => write!(f, "rolled back at {weight}: {cause}"),
                None => write!(f, "rolled back: {cause}"),
            },
            Self::Aborted { by } => write!(f, "aborted by {by}: everybody goes to stable"),
            Self::StableHasIt => f.write_str(
                "stable's Deployment has this version's pod template already: if it is bad, set stable's back",
            ),
            Self::Settled => f.write_str("everybody is on stable, and no release is under way"),
            Self::StableReplaced { run, by_run, by } => {
                let who = who(by.as_deref());
                write!(
                    f,
                    "everybody is on stable, to whose Deployment {who} has given {by_run} in place of {run}: to release \
                     {run} again, retry; to stay with {by_run}, give the canary's Deployment stable's pod template"
                )
            }
        }
    }
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingInProgress => "no run is in progress",
            Self::HeldAlready => "the run is held already",
            Self::NothingToResume => "the run is neither paused nor waiting for approval",
            Self::ProxiesLag => "not every proxy runs the present weight yet",
            Self::PromotedAlready => "the run is promoted already",
            Self::NotTakenBack => "only a run that was rolled back, aborted or undone can start again",
            Self::JustFailed => "the canary has just failed",
            Self::GoingBack => "its users are on their way back to stable: abort takes all of them back at once",
            Self::LacksCapacity => "the canary lacks the pods for everybody; they are being added: try again",
            Self::StableDown => "stable has no ready pod: scale it up first",
            Self::Suspended => "the Release is suspended: set spec.suspend to false first",
            Self::Frozen => {
                "nobody is moved at this time, as the status says: wait, or override-freeze first, with a reason"
            }
            Self::NothingToOverride => "there is no window that freezes this Release and may be overridden",
            Self::Blocked => "something stands in the way, as the status says: remove it first",
            Self::StableChanged => {
                "stable was given another version since the run began, as the status says: resume first to release over it"
            }
            Self::Preparing => {
                "nobody is moved before the canary has its pods: abort, or set spec.suspend, to hold it"
            }
            Self::NotProved => {
                "several people have to approve, and nobody proves who this is: have the operator apply manifests/commands, and \
                 give it by serin, or with your own name in serin.dev/command-by"
            }
            Self::ApprovedAlready => "you have approved of it: somebody else has to",
            Self::TooLate => "the time to approve is over, as the status says",
            Self::TakesSeveral => {
                "promote would skip approvals of several people: have each of them resume, or lower spec.approval.required"
            }
            Self::NothingToRelease => "stable and canary have the same version: there is nothing to release",
            Self::StillKept => {
                "the old version is kept for the time that strategy.blueGreen.keep says: shorten it to let it go sooner"
            }
            Self::Unreadable => "this agent cannot read the run's saved state: only abort is possible",
        })
    }
}

/// Who has changed something, by their own account.
fn who(by: Option<&str>) -> &str {
    by.unwrap_or("somebody")
}

fn contested(f: &mut fmt::Formatter<'_>, object: &str, by: Option<&str>) -> fmt::Result {
    let (who, whom) = by.map_or(("somebody who leaves no name, as a webhook", "them"), |by| (by, by));
    write!(
        f,
        "{object} keeps being changed by {who}, and Serin sets it right ever more rarely: have {whom} leave it alone"
    )
}

const fn closed_or_not(closed: bool) -> &'static str {
    if closed { ", closed" } else { "" }
}

/// How many of those who have to have done so.
pub(crate) fn who_has(given: u32, required: u32) -> String {
    if given == 0 { "nobody has".to_owned() } else { format!("{given} of {required} have") }
}

/// A duration as people write it: `500ms`, `1m 30s`.
pub(crate) fn friendly(duration: &Duration) -> String {
    jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(duration)
}
