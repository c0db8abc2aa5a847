/*!
Which of several agents leads: whoever holds the Lease.

The one who leads may be cut off from the API server and not know that another leads by now. That is why every write
names the version of the object it was planned from: two leaders disturb nobody.
*/
use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const LEASE: &str = "serin";

/// After so many seconds without a word from the leader, another takes over.
const DURATION_S: u64 = 8;

/// The leader speaks up so many seconds before that.
const GRACE_S: u64 = 4;

/// A standing for leadership.
pub(super) struct Standing {
    /// Whether this agent leads.
    pub(super) leads: watch::Receiver<bool>,
    /// What renews the lease. An agent without it would lead for ever, or never.
    pub(super) renewal: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
}

/// Stands for leadership from now on.
///
/// # Errors
/// When there is no way to the Lease.
pub(super) async fn stand(client: Client, namespace: &str, identity: &str) -> anyhow::Result<Standing> {
    let manager = LeaseManagerBuilder::new(client, LEASE)
        .with_namespace(namespace)
        .with_identity(identity)
        .with_duration(DURATION_S)
        .with_grace(GRACE_S)
        .build()
        .await?;
    let (leads, renewal) = manager.watch().await;
    let mut changes = leads.clone();
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            let leads = *changes.borrow_and_update();
            tracing::info!("{}", if leads { "this agent leads" } else { "another agent leads" });
        }
    });
    Ok(Standing { leads, renewal })
}
