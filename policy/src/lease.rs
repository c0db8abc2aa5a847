/*!
Leases: until when a policy may give anybody to the canary without its agent looking after it.

An agent that lives renews them long before they run out. So they stand beside the policies and not in them: a renewal
leaves the text of every policy as it is, and a reader takes over what it has made of it. What has run out is as good as
closed, whatever becomes of the agent, until it is renewed. A policy without a lease holds for as long as it is there.
*/
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lenient_int::Whole;

/// Of policies, by their names, when their leases run out: in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Whole>")]
pub struct Leases(BTreeMap<String, u64>);

/// How it is with a policy's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// There is none: the policy holds.
    Unleased,
    /// It has not run out.
    Held,
    /// It has run out: the canary takes no traffic.
    Lapsed,
}

impl Lease {
    /// How it is at `now_ns`, in nanoseconds since 1970, with a lease that runs `until` so many seconds since then. The
    /// clock is asked for only where there is one.
    pub fn at(until: Option<u64>, now_ns: impl FnOnce() -> u64) -> Self {
        const NS_PER_S: u64 = 1_000_000_000;
        match until {
            None => Self::Unleased,
            Some(until) if now_ns() / NS_PER_S < until => Self::Held,
            Some(_) => Self::Lapsed,
        }
    }
}

impl Leases {
    /// The leases of the document `json`. Where they cannot be read there are none: they are written anew soon.
    pub fn of_document(json: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Document {
            #[serde(default)]
            leases: Leases,
        }
        serde_json::from_slice(json).map(|Document { leases }| leases).unwrap_or_default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the lease of the policy `name` runs out, if it has one.
    pub fn until(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }
}

impl FromIterator<(String, u64)> for Leases {
    fn from_iter<T: IntoIterator<Item = (String, u64)>>(leases: T) -> Self {
        Self(leases.into_iter().collect())
    }
}

impl From<BTreeMap<String, Whole>> for Leases {
    fn from(leases: BTreeMap<String, Whole>) -> Self {
        leases.into_iter().map(|(name, Whole(until))| (name, until)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_runs_out_in_the_second_it_names() {
        let at = |until, now_ns| Lease::at(until, || now_ns);
        assert_eq!(at(Some(10), 9_999_999_999), Lease::Held);
        assert_eq!(at(Some(10), 10_000_000_000), Lease::Lapsed);
        assert_eq!(at(Some(0), 0), Lease::Lapsed);
        assert_eq!(Lease::at(None, || panic!("nobody needs the clock")), Lease::Unleased);
    }
}
