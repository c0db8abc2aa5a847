//! What to write where versions beside stable and canary make no sense.

/// Where one has the name of another.
pub const OTHER_NAME: &str = "give the version a name of its own, other than stable and canary";

/// Where shares do not stand beside each other.
pub const ROOM: &str = "the canary has room from 0% up; the first of spec.versions from 100% down, the second from 50% up, the \
                        third from 75% down, the fourth from 75% up, each as far as the next";

/// Where a blue-green release has some.
pub const NOT_BESIDE_BLUE_GREEN: &str =
    "leave one of the two out: a blue-green release gives everybody one version";

/// Where a Release of a cluster has some.
pub const NOT_IN_CLUSTER: &str = "leave the versions out: in a cluster Serin serves stable and canary; behind plain Envoys \
                                  (serin run) it serves others beside them";
