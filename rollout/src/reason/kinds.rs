/*!
What is waited for while a run is under way.
*/
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serin_policy::Weight;

use crate::analysis::Judged;
use crate::lagging::Lagging;
use crate::roles::RolesUnclear;
use crate::workloads::Lack;
use serin_release::delivery::PromotionMode;
use serin_release::resource::{When, WindowKind};
use serin_release::{Metric, Percent};

/// What is waited for, or holds the run. It is given again at every tick for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Hold {
    /// A person holds the run.
    Paused {
        /// Who.
        by: String,
    },
    /// Proxies do not report what is wanted; until they do, nobody else is moved.
    AwaitsProxies {
        /// The revision they are to report.
        revision: u64,
        /// The proxies that do not; empty when there is no proxy at all.
        proxies: Vec<Lagging>,
    },
    /// A proxy refuses what is in front of it and goes on with what it has.
    ProxyRefuses {
        /// Its name.
        name: String,
        /// Why it does.
        why: String,
    },
    /// Everybody is on stable for a time, so that those whom the steps will move can be compared with the rest.
    Baseline {
        /// For how long.
        duration: Duration,
    },
    /// The canary gets copies of stable's requests for a time.
    Mirroring(crate::at_rest::Mirroring),
    /// Everybody is on the canary for a time before its version becomes stable.
    Baking {
        /// For how long.
        duration: Duration,
    },
    /// Everybody is on the new version, and the old one keeps its pods for a time: there is a way back.
    Keeping {
        /// For how long.
        duration: Duration,
    },
    /// The new version is ready for everybody: a person must approve of the cutover.
    AwaitsCutover,
    /// The old version has had its time: a person must approve of its end.
    AwaitsCleanup,
    /// The step lasts at least for a time.
    Observing {
        /// The step, from 1.
        step: usize,
        /// How many there are.
        of: usize,
        /// Its weight.
        weight: Weight,
        /// How long it lasts at least.
        duration: Duration,
    },
    /// A step of the way back lasts for a time.
    Receding {
        /// Its weight.
        weight: Weight,
        /// How long it lasts.
        duration: Duration,
    },
    /// Too few requests to the canary for a verdict.
    AwaitsRequests {
        /// How many it takes.
        need: u64,
    },
    /// The canary lacks the pods for the share it is to get next.
    AwaitsCapacity {
        /// That share.
        weight: Weight,
        /// What it lacks.
        lack: Lack,
    },
    /// No pod of stable is ready: there is nobody to go back to.
    StableDown,
    /// The Release says that nothing is to move.
    Suspended,
    /// Nobody is moved at this time.
    Frozen {
        /// The window that says so, or the next one in which they are.
        window: String,
        /// Which of the two it is.
        kind: WindowKind,
        /// Whether it is the agent's operator's.
        is_operators: bool,
        /// Whether a person may have the run go on all the same.
        may_be_overridden: bool,
        /// When it is over; none if no such time was found.
        until: Option<Timestamp>,
    },
    /// Something stands in the way.
    Blocked {
        /// What.
        why: String,
    },
    /// Somebody else keeps changing what Serin writes. It is set right ever more rarely.
    Contested {
        /// What.
        object: String,
        /// Who, if they leave a name.
        by: Option<String>,
    },
    /// Stable was given another version since the run began, which the run is not meant to take the place of.
    StableChanged {
        /// What becomes of that version when the run is promoted.
        #[serde(default)]
        mode: PromotionMode,
        /// The run.
        run: String,
        /// The run that stable's pod template makes now.
        by_run: String,
        /// Who has given it, if they leave a name.
        by: Option<String>,
    },
    /// Somebody else does not let stable have the run's pod template, which it was given.
    StablePutBack {
        /// The run.
        run: String,
        /// The run that stable's pod template makes now.
        by_run: String,
        /// Who has given it, if they leave a name.
        by: Option<String>,
    },
    /// The routes do not lead where they are to, and are being written.
    AwaitsRoutes,
    /// The status was lost, and nobody can say which Deployment is the stable one.
    RolesUnclear(RolesUnclear),
    /// What was saved of the run cannot be read by this agent.
    StateUnreadable {
        /// Why.
        why: String,
    },
    /// Another run is to begin, and waits until there is somebody to go back to.
    RunWaits {
        /// The run.
        run: String,
    },
    /// The canary's version becomes stable.
    HandingOver {
        /// How.
        mode: PromotionMode,
        /// What stable's pods complain of.
        trouble: Option<String>,
    },
    /// Stable has the new version: proxies are given time to hear of its pods.
    #[serde(alias = "awaits-hearing")]
    AwaitsEndpoints {
        /// How much.
        duration: Duration,
        /// How often a few went there in vain.
        in_vain: u32,
    },
    /// Stable has the new version: a few go to it, to see that it serves them.
    #[serde(alias = "few-return")]
    ProbeBegun {
        /// How many of the callers.
        share: Weight,
    },
    /// Requests may still be under way on the canary.
    Draining {
        /// How long they are given.
        delay: Duration,
    },
    /// Nobody is sent to the canary any more, and somebody has given it pods again.
    CanaryScaled {
        /// How many it is to have.
        pods: u32,
    },
    /// Nothing can be counted: nobody else is moved until it can.
    AwaitsData {
        /// What was asked, and what came back.
        why: String,
    },
    /// One of people's own metrics says nothing.
    AwaitsReading {
        /// Which.
        metric: String,
        /// What came back.
        why: String,
    },
    /// One of people's own metrics is between its two limits.
    AwaitsSuccess {
        /// Which.
        metric: String,
        /// What it is, for people.
        value: String,
        /// What it must be.
        limit: String,
    },
    /// A hook is asked, or does not say yes.
    AwaitsHook {
        /// Which.
        hook: String,
        /// When it is asked.
        when: When,
        /// Why it does not, if it has answered.
        why: Option<String>,
    },
    /// A hook that tests the canary fails, and the Release has it wait.
    HookFails {
        /// Which.
        hook: String,
        /// Why.
        why: String,
    },
    /// The evidence leans against the canary without being conclusive.
    Doubtful {
        /// What it leans by.
        metric: Judged,
    },
    /// New callers do not get the canary in the share that was asked for.
    SampleRatio {
        /// That share.
        weight: Weight,
    },
    /// New callers are not given the cookie that would keep them on one version.
    CookieWithheld {
        /// The share of all requests.
        share: Percent,
    },
    /// Both versions have more bad requests than the canary may have: it is not the canary's, and it goes on by itself.
    SharedTrouble {
        /// In what.
        metric: Metric,
    },
    /// The canary has fewer requests than its users made while they were on stable.
    TrafficShare,
    /// A person must approve the step.
    AwaitsApproval {
        /// The step, from 1.
        step: usize,
        /// How many there are.
        of: usize,
        /// Its weight.
        weight: Weight,
    },
    /// The weight is no step's: a person must say how to go on.
    #[serde(alias = "stranded")]
    OffPlan {
        /// The weight.
        weight: Weight,
        /// The weight of the first step above it; none when the promotion is next.
        next: Option<Weight>,
    },
}
