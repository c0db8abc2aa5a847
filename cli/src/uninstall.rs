/*!
`serin uninstall`: takes Serin out of a cluster.
*/
use std::time::Duration;

use serin_agent::cluster::uninstall::uninstall;
use serin_release::duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long the agent is given to leave everybody on stable, such as `90s`. What it has not let go of by then, because it
    /// is gone, is let go of here.
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = duration::parse)]
    timeout: Duration,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    for line in uninstall(args.timeout).await? {
        println!("{line}");
    }
    Ok(())
}
