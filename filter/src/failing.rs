/*!
Callers who have failed lately, so that one who tries again and again is not taken for many.

Each has one place, by bits of their hash; whoever comes later takes it. So two who fail in turns and share a place count
as often as they fail: among 10 who do, that is seldom (4 in 100 share one), among 300 every fourth does. Each worker
remembers its own: whoever reaches several counts once for each.
*/
use serin_policy::users::User;

/// How many callers are remembered.
const PLACES: usize = 1024;

/// For how long they are.
const MINUTE_NS: u64 = 60_000_000_000;

/// Callers who have failed, and when that was counted.
#[derive(Debug, Default)]
pub struct Failing(Vec<Option<(User, u64)>>);

impl Failing {
    /// Whether a failure of `user` at `now_ns` counts: the last one that did is a minute ago, if there was any.
    pub fn is_afresh(&mut self, user: User, now_ns: u64) -> bool {
        if self.0.is_empty() {
            // Most workers never need it.
            self.0.resize(PLACES, None);
        }
        let Some(place) = self.0.get_mut(place(user)) else { return true };
        let is_known =
            place.is_some_and(|(known, at_ns)| known == user && now_ns.saturating_sub(at_ns) < MINUTE_NS);
        if !is_known {
            *place = Some((user, now_ns));
        }
        !is_known
    }
}

/// By other bits than those that tell cells apart, and than those that make the point.
const fn place(user: User) -> usize {
    (user.get() >> 16) as usize % PLACES
}
