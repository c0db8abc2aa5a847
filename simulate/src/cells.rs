/*!
Different users, told apart as proxies do: by the cell that each falls into.
*/
use serin_policy::Arm;
use serin_policy::users::CELLS;

use super::population::User;
use serin_rollout::{ArmUsers, Users};

/// More users need not be seen than show that they are several.
pub(super) const ENOUGH_SEEN: u32 = 64;

/// Which cells of users were seen, failed, were slow, by version; and whose first failure was whose.
pub(super) struct Cells {
    seen: [Vec<bool>; 2],
    failed: [Vec<bool>; 2],
    slow: [Vec<bool>; 2],
    counts: Users,
}

impl Default for Cells {
    fn default() -> Self {
        let cells = || [(); 2].map(|()| vec![false; CELLS as usize]);
        Self { seen: cells(), failed: cells(), slow: cells(), counts: Users::default() }
    }
}

impl Cells {
    /// How many there are so far.
    pub(super) const fn counts(&self) -> Users {
        self.counts
    }

    fn at(user: User) -> usize {
        (user.wrapping_mul(2_654_435_761) % CELLS) as usize
    }

    const fn of(arm: Arm) -> usize {
        match arm {
            Arm::Stable => 0,
            Arm::Canary | Arm::Extra(_) => 1,
        }
    }

    fn of_arm(&mut self, arm: Arm) -> &mut ArmUsers {
        match arm {
            Arm::Stable => &mut self.counts.stable,
            Arm::Canary | Arm::Extra(_) => &mut self.counts.canary,
        }
    }

    pub(super) fn fails(&mut self, user: User, arm: Arm) {
        let at = Self::at(user);
        let is_set = |cells: &Vec<bool>| cells.get(at).copied().unwrap_or(true);
        let first = !self.failed.iter().any(is_set);
        if set(&mut self.failed, arm, at) {
            self.of_arm(arm).failed += 1;
        }
        if first {
            self.of_arm(arm).first_failed += 1;
        }
        self.is_seen(user, arm);
    }

    pub(super) fn is_slow(&mut self, user: User, arm: Arm) {
        if set(&mut self.slow, arm, Self::at(user)) {
            self.of_arm(arm).slow += 1;
        }
    }

    pub(super) fn is_seen(&mut self, user: User, arm: Arm) {
        if set(&mut self.seen, arm, Self::at(user)) {
            self.of_arm(arm).seen += 1;
        }
    }

    pub(super) fn are_enough_seen(&mut self, arm: Arm) -> bool {
        self.of_arm(arm).seen >= ENOUGH_SEEN
    }

    /// Whether another failure on `arm` changes nothing, whoever meets it.
    pub(super) fn have_all_failed(&mut self, arm: Arm) -> bool {
        self.of_arm(arm).failed >= CELLS
    }

    pub(super) fn are_enough_slow(&mut self, arm: Arm) -> bool {
        self.of_arm(arm).slow >= ENOUGH_SEEN
    }
}

/// Sets a cell of a version and says whether it was not set before.
fn set(cells: &mut [Vec<bool>; 2], arm: Arm, at: usize) -> bool {
    let cell = cells.get_mut(Cells::of(arm)).and_then(|cells| cells.get_mut(at));
    cell.is_some_and(|cell| !std::mem::replace(cell, true))
}
