/*!
A run's fuse in one worker: what it has seen since it last put that to what the other workers have.

What they have seen together is left with the proxy. A worker brings its part when it ticks, and at once when the canary has
failed; so in good times it costs a request nothing.
*/
use std::cell::Cell;

use serin_policy::evidence::Tally;
use serin_policy::fuse::{self, Fuse, FuseSpec};
use serin_policy::users::Maps;
use serin_policy::{Arm, Policy, Weight};

use crate::host::{Host, MetricKind};
use crate::left::{ATTEMPTS, Left};
use crate::meters::Meters;

/// One worker's part of a run's fuse.
#[derive(Debug)]
pub struct Watch {
    release: String,
    left: Left,
    /// When it blows, and the canary's share beside stable; none while there is nothing to compare.
    armed: Cell<Option<(FuseSpec, Weight)>>,
    /// What came to stable and to the canary since it was last brought.
    new: Cell<[Tally; 2]>,
    is_blown: Cell<bool>,
}

impl Watch {
    /// The watch over the run that `policy` is of.
    pub fn over(policy: &Policy) -> Self {
        Self {
            release: policy.name().to_owned(),
            left: Left::about("fuse", policy.name(), &policy.run_key()),
            armed: Cell::default(),
            new: Cell::default(),
            is_blown: Cell::default(),
        }
    }

    /// Goes by `policy` from now on. While that gives nobody to the canary by chance, whoever wrote it has taken note:
    /// what was seen before counts no more. A promotion is none: it may have been decided just before.
    pub fn arm(&self, host: &impl Host, meters: &mut Meters, policy: &Policy) {
        self.armed.set(policy.fuse().map(|spec| (spec, policy.weight_beside_stable())));
        self.new.take();
        let (mut fuse, version) = self.common(host);
        let is_noted = policy.fuse().is_none() && !policy.is_promoted();
        if is_noted && fuse != Fuse::default() {
            fuse = Fuse::default();
            // If others leave something meanwhile, it is of before; and whoever arms next finds it.
            self.left.write(host, &fuse.to_bytes(), version);
        }
        if fuse.is_blown != self.is_blown.replace(fuse.is_blown) {
            self.show(host, meters);
        }
    }

    /// Another run has taken this one's place.
    pub fn end(&self, host: &impl Host, meters: &mut Meters) {
        if self.is_blown.take() {
            self.show(host, meters);
        }
    }

    /// Whether the canary is closed here. One that everybody is to get is not, whatever was seen of it.
    pub fn closes(&self) -> bool {
        self.is_blown.get() && self.armed.get().is_some()
    }

    /// A request that chance gave to `arm` was answered. Says whether that is to be brought at once.
    pub fn count(&self, arm: Arm, is_failure: bool) -> bool {
        if self.armed.get().is_none() || self.closes() {
            return false;
        }
        let mut new = self.new.get();
        let [stable, canary] = &mut new;
        let tally = match arm {
            Arm::Stable => stable,
            Arm::Canary => canary,
            Arm::Extra(_) => return false,
        };
        tally.add(Tally { requests: 1, bad: u64::from(is_failure) });
        self.new.set(new);
        is_failure && arm == Arm::Canary
    }

    /// Brings what is new, and finds what others have brought; `users` have met what they have.
    pub fn bring(&self, host: &impl Host, meters: &mut Meters, users: &Maps) {
        let Some((spec, share)) = self.armed.get().filter(|_| !self.closes()) else { return };
        let new = self.new.get();
        let brings_nothing = new == <[Tally; 2]>::default();
        for _ in 0..ATTEMPTS {
            let (mut fuse, version) = self.common(host);
            if !(fuse.is_blown || brings_nothing) {
                fuse.take_in(spec, share, new, users);
            }
            if brings_nothing || self.left.write(host, &fuse.to_bytes(), version) {
                self.new.take();
                if fuse.is_blown {
                    self.blow(host, meters);
                }
                return;
            }
        }
    }

    fn blow(&self, host: &impl Host, meters: &mut Meters) {
        self.is_blown.set(true);
        host.warn(&format!(
            "serin: policy {}: the canary fails and stable does not: this proxy gives it to nobody any more",
            self.release
        ));
        self.show(host, meters);
    }

    fn show(&self, host: &impl Host, meters: &mut Meters) {
        let gauge = meters.single(host, MetricKind::Gauge, fuse::raw_gauge(&self.release));
        host.record(gauge, if self.is_blown.get() { fuse::blown_in(self.left.run_key()) } else { 0 });
    }

    /// What workers have seen together of this run, and the version of that.
    fn common(&self, host: &impl Host) -> (Fuse, Option<u32>) {
        let (seen, version) = self.left.read(host);
        (seen.as_deref().map(Fuse::from_bytes).unwrap_or_default(), version)
    }
}
