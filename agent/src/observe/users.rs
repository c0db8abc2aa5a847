/*!
The different users of a run: what all proxies have seen of them, put together.

Once seen, a user stays, though the proxy that has seen them may be gone. Only proxies tell; where counts come from a
Prometheus, users come from the proxies all the same.
*/
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serin_policy::users::{Cells, Maps, Met, RunMark, Word, WordTag};
use serin_policy::{Arm, Extra};
use serin_release::Release;
use serin_rollout::{ArmUsers, Users};

use super::ProxySample;

/// Users seen so far: those of the latest run, once there are any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenUsers(Option<Box<OfRun>>);

/// The users of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OfRun {
    run: RunMark,
    maps: Maps,
    /// Cells whose first failure was of this version: stable, canary.
    first_failed: [u32; 2],
    /// The same of stable and each version beside the two.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    first_failed_beside: BTreeMap<u8, [u32; 2]>,
}

impl SeenUsers {
    /// Whether nobody was seen.
    pub(super) const fn are_none(&self) -> bool {
        self.0.is_none()
    }

    /// Takes in what proxies say; the users of `release`'s run so far, if any proxy has told of one.
    pub(super) fn take_in(&mut self, release: &Release, samples: &[ProxySample]) -> Option<Users> {
        let run = RunMark::of(&release.salt());
        self.0.take_if(|known| known.run != run);
        let mut maps = self.0.as_ref().map(|known| known.maps).unwrap_or_default();
        let first = format!("{}/", release.name());
        for sample in samples.iter().filter_map(|proxy| proxy.sample.as_ref().ok()) {
            let of_release =
                sample.users.range(first.clone()..).take_while(|(tag, _)| tag.starts_with(&first));
            for (tag, &value) in of_release {
                let (word, tag) = (Word::from_value(value), WordTag::parse(tag));
                // Another run's are from before the proxy has heard of this one.
                if let Some(tag) = tag.filter(|tag| tag.release == release.name() && word.run == run) {
                    maps.of_mut(tag.arm, tag.met).add_word(tag.word, word.cells);
                }
            }
        }
        if maps != Maps::default() {
            let begin = || Box::new(OfRun::begin(run));
            let extras = release.extras().map(|(extra, _)| extra);
            self.0.get_or_insert_with(begin).grow(&maps, extras);
        }
        self.0.as_ref().map(|known| known.pair(Arm::Canary, known.first_failed))
    }

    /// The users of each version beside stable and canary, and of stable, if any proxy has told of one.
    pub(super) fn of_extras(&self, release: &Release) -> BTreeMap<Extra, Users> {
        let pair = |(extra, _): (Extra, _)| {
            let known = self.0.as_ref()?;
            let first_failed = known.first_failed_beside.get(&extra.get()).copied().unwrap_or_default();
            Some((extra, known.pair(Arm::Extra(extra), first_failed)))
        };
        release.extras().filter_map(pair).collect()
    }
}

impl OfRun {
    fn begin(run: RunMark) -> Self {
        Self { run, maps: Maps::default(), first_failed: [0; 2], first_failed_beside: BTreeMap::new() }
    }

    /// `maps` is what is known now: all there was, and more.
    fn grow(&mut self, maps: &Maps, extras: impl Iterator<Item = Extra>) {
        let new = |arm| new_failures(&self.maps, maps, arm);
        let add = |sums: &mut [u32; 2], new: [u32; 2]| {
            for (sum, new) in sums.iter_mut().zip(new) {
                *sum += new;
            }
        };
        add(&mut self.first_failed, new(Arm::Canary));
        for extra in extras {
            add(self.first_failed_beside.entry(extra.get()).or_default(), new(Arm::Extra(extra)));
        }
        self.maps = *maps;
    }

    /// Stable's users and those of `arm`, whose first failures are these.
    fn pair(&self, arm: Arm, [of_stable, of_arm]: [u32; 2]) -> Users {
        Users { stable: self.of(Arm::Stable, of_stable), canary: self.of(arm, of_arm) }
    }

    fn of(&self, arm: Arm, first_failed: u32) -> ArmUsers {
        let count = |met| self.maps.of(arm, met).count();
        let [seen, failed, slow] = [Met::Answer, Met::Failure, Met::Delay].map(count);
        ArmUsers { seen, failed, slow, first_failed }
    }
}

/// Who has failed for the first time between two looks: on stable, and on `arm`. Who has failed on both since is taken to
/// have failed on stable first.
fn new_failures(before: &Maps, now: &Maps, arm: Arm) -> [u32; 2] {
    let mut known = *before.of(Arm::Stable, Met::Failure);
    known.add(before.of(arm, Met::Failure));
    [Arm::Stable, arm].map(|arm| {
        let failed: &Cells = now.of(arm, Met::Failure);
        let new = failed.without(&known).count();
        known.add(failed);
        new
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::observe::scrape::Sample;

    fn release(version: &str) -> Release {
        Release::from_yaml(&format!(
            "apiVersion: serin.dev/v1alpha1
kind: Release
metadata: {{name: shop, namespace: shop}}
spec: {{service: {{name: shop}}, canary: {{version: {version}}}}}
"
        ))
        .unwrap()
    }

    /// A proxy that has seen in a run of `version`: version and what was met, word and cells.
    fn proxy(version: &str, words: &[(Arm, Met, usize, u32)]) -> ProxySample {
        let run = RunMark::of(&release(version).salt());
        let users: BTreeMap<_, _> = words
            .iter()
            .map(|&(arm, met, word, cells)| {
                let tag = WordTag { release: "shop/shop", arm, met, word };
                (tag.to_string(), Word { run, cells }.to_value())
            })
            .collect();
        ProxySample {
            name: "edge".to_owned(),
            address: "edge".to_owned(),
            attach_point: "edge".into(),
            at: Timestamp::UNIX_EPOCH,
            sample: Ok(Arc::new(Sample { users, ..Sample::default() })),
        }
    }

    fn arm(seen: u32, failed: u32, slow: u32, first_failed: u32) -> ArmUsers {
        ArmUsers { seen, failed, slow, first_failed }
    }

    #[test]
    fn users_of_all_proxies_are_put_together_and_stay_when_a_proxy_goes() {
        let (mut users, release) = (SeenUsers::default(), release("v2"));
        assert_eq!(users.take_in(&release, &[]), None);
        let one = proxy("v2", &[(Arm::Stable, Met::Answer, 0, 0b0111), (Arm::Canary, Met::Delay, 15, 1)]);
        let other = proxy("v2", &[(Arm::Stable, Met::Answer, 0, 0b1110), (Arm::Stable, Met::Answer, 1, 1)]);
        let both = Some(Users { stable: arm(5, 0, 0, 0), canary: arm(0, 0, 1, 0) });
        assert_eq!(users.take_in(&release, &[one, other]), both);
        assert_eq!(users.take_in(&release, &[]), both);
        // Nor does a restart of the agent take anybody.
        let saved = serde_json::to_string(&users).unwrap();
        let mut users: SeenUsers = serde_json::from_str(&saved).unwrap();
        assert_eq!(users.take_in(&release, &[]), both);
    }

    #[test]
    fn another_runs_users_count_for_nothing() {
        let mut users = SeenUsers::default();
        let old = [proxy("v2", &[(Arm::Stable, Met::Answer, 0, 7)])];
        assert!(users.take_in(&release("v2"), &old).is_some());
        assert_eq!(users.take_in(&release("v3"), &old), None);
        let new = [proxy("v3", &[(Arm::Stable, Met::Answer, 0, 1)])];
        let one = Some(Users { stable: arm(1, 0, 0, 0), ..Users::default() });
        assert_eq!(users.take_in(&release("v3"), &new), one);
    }

    #[test]
    fn a_users_first_failure_is_of_one_version_for_ever() {
        let (mut users, release) = (SeenUsers::default(), release("v2"));
        // Cells that have failed so far on stable and on the canary, and how many of them did so there first.
        for (stable, canary, expected) in [
            (0b0001, 0b0000, [1, 0]),
            (0b0001, 0b0011, [1, 1]),
            // Who has failed on the canary first may fail on stable too, and the other way round.
            (0b0011, 0b0011, [1, 1]),
            // Both at once.
            (0b0111, 0b0111, [2, 1]),
            (0b0111, 0b1111, [2, 2]),
        ] {
            let words = [(Arm::Stable, Met::Failure, 3, stable), (Arm::Canary, Met::Failure, 3, canary)];
            let found = users.take_in(&release, &[proxy("v2", &words)]).unwrap();
            assert_eq!([found.stable.first_failed, found.canary.first_failed], expected);
            assert_eq!(found.stable.failed, u32::count_ones(stable));
        }
    }
}
