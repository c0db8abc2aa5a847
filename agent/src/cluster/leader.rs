/*!
Which of several agents leads: whoever holds the Lease.

The one who leads may be cut off from the API server and not know that another leads by now. That is why every write
names the version of the object it was planned from: two leaders disturb nobody.
*/
use kube::Client;
use kube_lease_manager::LeaseManagerBuilder;
use tokio::sync::watch;

const LEASE: &str = "serin";

/// After so many seconds without a word from the leader, another takes over.
const DURATION_S: u64 = 8;

/// The leader speaks up so many seconds before that.
const GRACE_S: u64 = 4;

/// Stands for leadership from now on; the receiver says whether this agent leads.
///
/// # Errors
/// When there is no way to the Lease.
pub(super) async fn stand(
    client: Client,
    namespace: &str,
    identity: &str,
) -> anyhow::Result<watch::Receiver<bool>> {
    let manager = LeaseManagerBuilder::new(client, LEASE)
        .with_namespace(namespace)
        .with_identity(identity)
        .with_duration(DURATION_S)
        .with_grace(GRACE_S)
        .build()
        .await?;
    let (leads, _) = manager.watch().await;
    let mut changes = leads.clone();
    tokio::spawn(async move {
        while changes.changed().await.is_ok() {
            let leads = *changes.borrow_and_update();
            tracing::info!("{}", if leads { "this agent leads" } else { "another agent leads" });
        }
    });
    Ok(leads)
}
