/*!
What the demo plays. As a canary: a good version that goes out, a bad one that does not get far, and a good one that goes
out though both versions fail for a moment. As blue-green: a good version, over, back and over again, and a bad one.
*/
use std::num::NonZeroU32;
use std::time::Duration;

use serin_local::shop::{Build, Version};
use serin_release::{Release, ReleaseError};

/// The host under which the shop is known.
pub(super) const HOST: &str = "shop.example.com";

/// What the release is called.
pub(super) const NAME: &str = "demo/shop";

/// The response header that names the version.
pub(super) const SERVED_BY: &str = "x-served-by";

/// How many users there are.
pub(super) const USERS: NonZeroU32 = NonZeroU32::new(2_000).unwrap();

/// Requests of all users per second while the play lasts.
pub(super) const RATE: NonZeroU32 = NonZeroU32::new(1_200).unwrap();

/// Requests of all users per second when it is over and the stage is left standing.
pub(super) const GENTLE_RATE: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// What is on stable when the play begins.
pub(super) const FIRST: Build = good(1, 6);

/// The good version.
pub(super) const GOOD: Build = good(2, 4);

/// The bad version: it fails now and then, and it is too slow most of the time. How slow, and where slow begins, is
/// chosen so that a busy machine does not make the good version look as bad.
pub(super) const BAD: Build =
    Build { version: Version(3), error_share: 0.05, delay: Duration::from_millis(500) };

/// A good version during whose release both versions fail for a moment, as when the database behind them does.
pub(super) const SHAKEN: Build = good(4, 4);

/// A good version for those who want to look around.
pub(super) const LAST: Build = good(5, 4);

/// The same version while the database behind it is away.
pub(super) const fn without_database(build: Build) -> Build {
    Build { error_share: 0.3, ..build }
}

const fn good(version: u32, delay_ms: u64) -> Build {
    Build { version: Version(version), error_share: 0.0, delay: Duration::from_millis(delay_ms) }
}

/// Steps that go by themselves.
pub(super) const WALK: &str =
    "{canary: {steps: [{setWeight: 1, pause: {duration: 6s}}, {setWeight: 10, pause: {duration: 6s}},
        {setWeight: 25, pause: {duration: 6s}}, {setWeight: 50, pause: {duration: 6s}}]}}";

/// Fewer of them.
pub(super) const SHORT_WALK: &str =
    "{canary: {steps: [{setWeight: 10, pause: {duration: 6s}}, {setWeight: 50, pause: {duration: 6s}}]}}";

/// Steps that wait for a person.
pub(super) const HELD: &str = "{canary: {steps: [{setWeight: 10, pause: {}}, {setWeight: 50, pause: {}}]}}";

/// Everybody at once, when a person says so.
pub(super) const SWITCH: &str = "{blueGreen: {cutover: Manual, keep: 5s}}";

/// The Release that takes the shop from `stable` to `canary` by this `strategy`.
pub(super) fn release(stable: Version, canary: Version, strategy: &str) -> Result<Release, ReleaseError> {
    Release::from_yaml(&format!(
        "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop, namespace: demo}}
spec:
  service: {{name: shop}}
  stable: {{version: {stable}}}
  canary: {{version: {canary}}}
  routing: {{hosts: [{HOST}]}}
  overrides: [{{header: x-canary}}]
  responseHeader: {SERVED_BY}
  strategy: {strategy}
  analysis:
    interval: 500ms
    baseline: 5s
    bake: 5s
    metrics:
    - {{name: request-success-rate, thresholdRange: {{min: 99}}}}
    - {{name: request-duration, objective: 300ms, thresholdRange: {{max: 5}}}}
    minRequests: 100
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_releases_make_sense() {
        for strategy in [WALK, SHORT_WALK, HELD, SWITCH] {
            let release = release(Version(1), Version(2), strategy).unwrap();
            assert_eq!((release.name(), release.run()), (NAME, "v2"));
            assert_eq!(release.analysis.objective_ms, 300);
        }
    }
}
