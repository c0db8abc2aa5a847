/*!
Where on the line [0, 1,000,000) a caller stands.

A caller's point is a stable hash of their id and the release's salt, so every proxy computes the same one with
no state, and raising a weight only ever adds callers to the canary.
*/
use xxhash_rust::xxh64::Xxh64;

use crate::identity::Id;
use crate::users::User;
use crate::weight::Weight;

/// A caller's place in [0, 1,000,000), fixed by id and salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point(u32);

impl Point {
    /// `((xxh64(salt ‖ 0x00 ‖ id, seed 0) >> 32) × 1,000,000) >> 32`.
    ///
    /// The upper half of the hash is scaled, not taken modulo, so all points are equally likely to within
    /// 1 in 4,294 (Lemire, "Fast Random Integer Generation in an Interval", 2019). The zero byte keeps
    /// `("a", "bc")` and `("ab", "c")` apart: a salt holds no zero byte.
    pub fn of(salt: &str, id: &Id) -> Self {
        Self::with_user(salt, id).0
    }

    /// The same, and whom the caller counts as: one hash gives both.
    pub fn with_user(salt: &str, id: &Id) -> (Self, User) {
        let mut hash = Xxh64::new(0);
        hash.update(salt.as_bytes());
        hash.update(&[0]);
        hash.update(id.as_bytes());
        let digest = hash.digest();
        // A 32-bit value times 1e6, shifted by 32, is below 1e6: nothing is cut off.
        let point = ((digest >> 32) * u64::from(Weight::FULL.ppm())) >> 32;
        (Self(point as u32), User::of(digest))
    }

    /// Whether a canary weight of `weight` reaches this caller.
    pub const fn is_covered_by(self, weight: Weight) -> bool {
        self.0 < weight.ppm()
    }

    /// The point as a number below 1,000,000.
    pub const fn get(self) -> u32 {
        self.0
    }
}
