/*!
How a new version comes in, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_policy::Policy;

use super::{Given, Mirror, Scalar, schema};
use crate::rule;

/// How a new version comes in.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [schema::validation(
    ".blueGreen",
    "!has(self.canary) || !has(self.blueGreen)",
    rule::ONE_STRATEGY,
)]))]
pub struct Strategy {
    /// A canary: a growing share of users gets the new version. This is the default.
    pub canary: Option<Canary>,
    /// Blue-green: the new version is brought to stable's size, everybody goes to it at once, and the old one is kept
    /// for the way back.
    pub blue_green: Option<BlueGreen>,
}

/// A canary: a growing share of users gets the new version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Canary {
    /// The steps before the promotion, 1 to 100 of them, each with a higher weight than the one before. The default is
    /// 1 and 5 % for 2 minutes each, then 10, 25 and 50 % for 5 minutes each; it begins with the first of 1, 5 and 10 %
    /// that gives the canary `minRequests` within a minute.
    #[schemars(length(min = 1, max = Policy::MAX_STEPS))]
    pub steps: Option<Vec<Step>>,
    /// Copies of stable's requests for the canary, after the baseline and before the first step: `{}` for 10 % of those with
    /// safe methods. The default is none.
    // An older agent that reads a saved Release does not know the word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// How a good canary becomes stable.
    pub promotion: Promotion,
    /// How users of a bad canary go back.
    pub rollback: Rollback,
    /// How long the canary's pods are kept after every proxy has stopped sending requests to them, so that requests under
    /// way can end; 0s to 24h. The default is `30s`.
    #[schemars(with = "schema::Duration")]
    pub scale_down_delay: Scalar,
    /// How long a run may wait for the canary's pods, for its first step or for the next one, before everybody goes back to
    /// stable; 10s to 7d. Time in which something else holds the run does not count. The default is `1h`.
    #[schemars(with = "schema::Duration")]
    pub progress_deadline: Scalar,
}

/// Blue-green: the new version is brought to stable's size, everybody goes to it at once, and the old one is kept for the
/// way back. The new version (green) is `spec.canary`, the old one (blue) `spec.stable`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct BlueGreen {
    /// Shares of users that get the new version before the cutover, each judged like a canary's step and each above the
    /// one before. The default is none.
    #[schemars(length(max = Policy::MAX_STEPS))]
    pub pre_split: Vec<Step>,
    /// Copies of stable's requests for the new version, before `preSplit` and the cutover: `{}` for 10 % of those with safe
    /// methods. The default is none.
    // As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// What begins the cutover, when the new version is ready and nothing speaks against it: nothing else (`Automatic`), or
    /// a person's `resume` (`Manual`). The default is `Automatic`.
    pub cutover: Gate,
    /// How long the old version keeps all its pods after the bake (`analysis.bake`), so that `abort` takes everybody back
    /// at once; 0s to 7d. The default is `1h`.
    #[schemars(with = "schema::Duration")]
    pub keep: Scalar,
    /// What ends the old version's time when `keep` is over: nothing else (`Automatic`), or a person's `resume` (`Manual`).
    /// The default is `Automatic`.
    pub cleanup: Gate,
    /// How the new version becomes stable in the end. The default mode is `Swap`.
    pub promotion: Promotion,
    /// How long pods are kept after every proxy has stopped sending requests to them, so that requests under way can end; 0s
    /// to 24h. The default is `30s`.
    #[schemars(with = "schema::Duration")]
    pub scale_down_delay: Scalar,
    /// How long a run may wait for the new version's pods before it is taken back; 10s to 7d. Time in which something else
    /// holds the run does not count. The default is `1h`.
    #[schemars(with = "schema::Duration")]
    pub progress_deadline: Scalar,
}

/// How users of a bad canary go back. All of them at once, unless what is wrong is not grave and asks for less.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rollback {
    /// `Immediate` takes everybody back at once. `Gradual` does so in `steps` where nothing but `metrics` speaks against the
    /// canary, and at once when it gets worse on the way, or anything else is wrong with it. The default is `Immediate`.
    pub mode: RollbackMode,
    /// The shares of users on the way back, in percent, each below the one before, 1 to 10 of them. It begins with the first
    /// below the share that the canary has. The default is 25 and 10.
    #[schemars(length(min = 1, max = rule::MAX_STEPS_BACK))]
    #[schemars(with = "Vec<schema::Percentage>")]
    pub steps: Vec<Scalar>,
    /// How long each of these lasts; 1s to 1h. The default is `1m`.
    #[schemars(with = "schema::Duration")]
    pub step_duration: Scalar,
    /// The metrics that are not grave: `request-duration`, `latency-tail`, or one of your own. The default is
    /// `request-duration` and `latency-tail`.
    #[schemars(length(min = 1, max = rule::MAX_METRICS))]
    pub metrics: Vec<String>,
    /// Of how many of the canary's requests it is grave all the same, in percent. The default is 20.
    #[schemars(with = "schema::Percentage")]
    pub grave_above: Scalar,
}

/// How users of a bad canary go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum RollbackMode {
    /// All at once.
    #[default]
    Immediate,
    /// In steps, where what is wrong is not grave.
    Gradual,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            mode: RollbackMode::default(),
            steps: ["25", "10"].map(Scalar::from).into(),
            step_duration: Scalar::from("1m"),
            metrics: ["request-duration", "latency-tail"].map(str::to_owned).into(),
            grave_above: Scalar::from("20"),
        }
    }
}

/// What ends a wait, when all is ready for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Gate {
    /// Nothing else.
    #[default]
    Automatic,
    /// A person's `resume`.
    Manual,
}

/// How a good canary becomes stable.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Promotion {
    /// What becomes of the two Deployments when the new version has passed. With `Copy` the stable Deployment takes the canary's pod template, keeping its own labels, and the canary is scaled down; with `Swap` the two change
    /// places: the canary's Deployment is the stable one from then on; with `Wait` Git or a pipeline updates the stable
    /// Deployment, and Serin finishes when it runs the canary's pod template. The default is `Copy` for a
    /// canary and `Swap` for blue-green.
    pub mode: Option<PromotionMode>,
}

/// What becomes of the two Deployments when the new version has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum PromotionMode {
    /// The stable Deployment takes the canary's pod template, keeping its own labels; then the canary is scaled down.
    #[default]
    Copy,
    /// The two change places: the canary's Deployment is the stable one from then on.
    Swap,
    /// Git or a pipeline updates the stable Deployment; Serin waits until it runs the canary's pod template, and
    /// finishes.
    Wait,
}

impl Canary {
    /// The steps where none are given.
    pub fn default_steps() -> Vec<Step> {
        let steps = [("1", "2m"), ("5", "2m"), ("10", "2m"), ("25", "5m"), ("50", "8m")];
        let steps = steps.map(|(weight, duration)| Step {
            set_weight: Scalar::from(weight),
            pause: Given::Value(Pause { duration: Given::Value(Scalar::from(duration)) }),
        });
        steps.into()
    }
}

impl Strategy {
    /// How the new version becomes stable in the end.
    pub fn promotion(&self) -> PromotionMode {
        match (&self.blue_green, &self.canary) {
            (Some(it), _) => it.promotion.mode.unwrap_or(PromotionMode::Swap),
            (None, Some(it)) => it.promotion.mode.unwrap_or_default(),
            (None, None) => PromotionMode::default(),
        }
    }
}

impl Default for BlueGreen {
    fn default() -> Self {
        let Canary { scale_down_delay, progress_deadline, promotion, .. } = Canary::default();
        Self {
            pre_split: Vec::new(),
            mirror: None,
            cutover: Gate::default(),
            keep: Scalar::from("1h"),
            cleanup: Gate::default(),
            promotion,
            scale_down_delay,
            progress_deadline,
        }
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            steps: None,
            mirror: None,
            promotion: Promotion::default(),
            rollback: Rollback::default(),
            scale_down_delay: Scalar::from("30s"),
            progress_deadline: Scalar::from("1h"),
        }
    }
}

/// One step: a share of users, and what ends it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// The share of users that gets the canary, in percent: `25`, `0.1` or `"0.1%"`, with at most 4 decimals. More than 0
    /// and more than the step before.
    #[schemars(with = "schema::Percentage")]
    pub set_weight: Scalar,
    /// How long the step lasts at least. It always lasts until the analysis has a good verdict; without a pause, no
    /// longer. `{}` waits for a person.
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    #[schemars(with = "Option<Pause>")]
    pub pause: Given<Pause>,
}

/// How long a step lasts at least.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// How long, e.g. `5m`. Without it, as in `pause: {}`, the step lasts until a person approves it with the command
    /// `resume`.
    #[schemars(with = "Option<schema::Duration>")]
    #[serde(default, skip_serializing_if = "Given::is_left_out")]
    pub duration: Given<Scalar>,
}
