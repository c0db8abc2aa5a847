/*!
How a new version comes in, as people write it.
*/
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scalar, given};

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Strategy {
    #[serde(default)]
    pub(crate) canary: Canary,
}

/// A canary: a growing share of users gets the new version.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct Canary {
    /// The steps before the promotion, 1 to 100, their weights rising; 1, 10, 25 and 50 % by default.
    pub(crate) steps: Vec<Step>,
    /// How a good canary becomes stable.
    pub(crate) promotion: Promotion,
    /// How long the canary's pods are kept after every proxy has stopped sending to them, for requests in flight;
    /// `30s` by default.
    pub(crate) scale_down_delay: Scalar,
}

/// How a good canary becomes stable.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Promotion {
    /// What becomes of the two Deployments.
    pub(crate) mode: PromotionMode,
}

/// What becomes of the two Deployments when the canary has passed its last step.
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

impl Default for Canary {
    fn default() -> Self {
        let steps = [("1", "2m"), ("10", "5m"), ("25", "5m"), ("50", "5m")].map(|(weight, duration)| Step {
            set_weight: Scalar::from(weight),
            pause: Some(Pause { duration: Some(Scalar::from(duration)) }),
        });
        Self { steps: steps.into(), promotion: Promotion::default(), scale_down_delay: Scalar::from("30s") }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) set_weight: Scalar,
    #[serde(default, deserialize_with = "given")]
    pub(crate) pause: Option<Pause>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    /// None: until a person approves.
    #[serde(default, deserialize_with = "given")]
    pub(crate) duration: Option<Scalar>,
}
