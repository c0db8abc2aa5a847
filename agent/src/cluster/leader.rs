/*!
Which of several agents leads: whoever holds the Lease.

Nobody trusts anybody's clock: a holder has fallen silent when the Lease has not changed for its duration, as this
agent has measured itself. What times it has in it are for people.

The one who leads may be cut off from the API server and not know that another leads by now. That is why every write
names the version of the object it was planned from: two leaders disturb nobody.
*/
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::FIELD_MANAGER;
use crate::errors::chain;

/// What the Lease is called.
pub(super) const LEASE: &str = "serin";

/// After so long without a word from the leader, another takes over.
pub(super) const DURATION: Duration = Duration::from_secs(8);

/// How often the leader speaks up, and the others look.
pub(super) const EVERY: Duration = Duration::from_secs(2);

/// A standing for leadership.
pub(super) struct Standing {
    /// Whether this agent leads.
    pub(super) leads: watch::Receiver<bool>,
    /// What renews the lease. An agent without it would lead for ever, or never.
    pub(super) renewal: JoinHandle<()>,
    candidate: Candidate,
}

/// An agent that would lead.
#[derive(Clone)]
struct Candidate {
    api: Api<Lease>,
    identity: String,
}

/// The Lease as it was when it had last changed, and when that was seen.
struct Seen {
    version: Option<String>,
    at: Instant,
}

/// Stands for leadership from now on.
///
/// # Errors
/// When there is no way to the Lease.
pub(super) async fn stand(client: Client, namespace: &str, identity: &str) -> anyhow::Result<Standing> {
    let candidate = Candidate { api: Api::namespaced(client, namespace), identity: identity.to_owned() };
    let mut seen = None;
    let leads_now = candidate.look(&mut seen).await;
    let leads_now = leads_now.with_context(|| format!("no way to the Lease {namespace}/{LEASE}"))?;
    let (told, leads) = watch::channel(leads_now);
    tell(leads_now);
    let renewal = tokio::spawn({
        let candidate = candidate.clone();
        async move {
            loop {
                sleep(EVERY).await;
                match candidate.look(&mut seen).await {
                    Ok(leads) => {
                        let has_changed = told.send_replace(leads) != leads;
                        if has_changed {
                            tell(leads);
                        }
                    }
                    // Whoever led leads on, until it is known that another does.
                    Err(error) => tracing::warn!("the Lease cannot be looked after: {}", chain(&error)),
                }
            }
        }
    });
    Ok(Standing { leads, renewal, candidate })
}

fn tell(leads: bool) {
    tracing::info!("{}", if leads { "this agent leads" } else { "another agent leads" });
}

impl Standing {
    /// Ends it: if this agent leads, another may at once.
    pub(super) async fn end(self) {
        let Self { leads, renewal, candidate } = self;
        renewal.abort();
        if *leads.borrow()
            && let Err(error) = candidate.let_go().await
        {
            tracing::warn!(
                "the Lease is not let go of, another agent waits until it runs out: {}",
                chain(&error)
            );
        }
    }
}

impl Candidate {
    /// Takes or renews the Lease, if it is free, this agent's own, or that of one who has fallen silent. Says whether this
    /// agent leads.
    ///
    /// # Errors
    /// When the API server refuses or does not answer, or another agent was there at the same moment: then all is as before.
    async fn look(&self, seen: &mut Option<Seen>) -> kube::Result<bool> {
        let Some(mut lease) = self.api.get_opt(LEASE).await? else {
            let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
            let spec = Some(self.taken(&LeaseSpec::default()));
            self.api.create(&as_serin(), &Lease { metadata, spec }).await?;
            return Ok(true);
        };
        let version = lease.resource_version();
        let changed = match seen {
            Some(seen) if seen.version == version => seen.at,
            _ => seen.insert(Seen { version, at: Instant::now() }).at,
        };
        let present = lease.spec.unwrap_or_default();
        if !self.may_take(&present, changed.elapsed()) {
            return Ok(false);
        }
        lease.spec = Some(self.taken(&present));
        self.api.replace(LEASE, &as_serin(), &lease).await?;
        Ok(true)
    }

    /// Whether this agent may write the Lease that is `present` and has not changed for `silence`.
    fn may_take(&self, present: &LeaseSpec, silence: Duration) -> bool {
        let seconds = present.lease_duration_seconds.and_then(|seconds| seconds.try_into().ok());
        match present.holder_identity.as_deref() {
            None | Some("") => true,
            Some(holder) => {
                holder == self.identity || silence >= seconds.map_or(DURATION, Duration::from_secs)
            }
        }
    }

    /// The Lease `present` as this agent's.
    fn taken(&self, present: &LeaseSpec) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let is_own = present.holder_identity.as_ref() == Some(&self.identity);
        let transitions = present.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: present.acquire_time.clone().filter(|_| is_own).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if is_own { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }

    async fn let_go(&self) -> kube::Result<()> {
        let mut lease = self.api.get(LEASE).await?;
        if let Some(spec) = &mut lease.spec
            && spec.holder_identity.as_ref() == Some(&self.identity)
        {
            spec.holder_identity = Some(String::new());
            self.api.replace(LEASE, &as_serin(), &lease).await?;
        }
        Ok(())
    }
}

fn as_serin() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str, renewed: Timestamp) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(by.to_owned()),
            lease_duration_seconds: Some(8),
            renew_time: Some(MicroTime(renewed)),
            ..LeaseSpec::default()
        }
    }

    fn candidate() -> Candidate {
        let config = kube::Config::new("http://localhost".parse().unwrap());
        let client = Client::try_from(config).unwrap();
        Candidate { api: Api::namespaced(client, "serin-system"), identity: "one".to_owned() }
    }

    #[tokio::test]
    async fn a_holder_is_silent_by_this_agents_own_measure_whatever_the_clocks_say() {
        let candidate = candidate();
        let silent = Duration::from_secs(8);
        for renewed in [Timestamp::MIN, Timestamp::now(), Timestamp::MAX] {
            assert!(!candidate.may_take(&held("two", renewed), Duration::from_secs(7)), "{renewed}");
            assert!(candidate.may_take(&held("two", renewed), silent), "{renewed}");
        }
        assert!(candidate.may_take(&held("one", Timestamp::now()), Duration::ZERO), "its own");
        assert!(candidate.may_take(&held("", Timestamp::now()), Duration::ZERO), "let go of");
        assert!(candidate.may_take(&LeaseSpec::default(), Duration::ZERO), "nobody's");
    }

    #[tokio::test]
    async fn a_change_of_holders_is_counted_and_a_renewal_is_not() {
        let candidate = candidate();
        let taken = candidate.taken(&held("two", Timestamp::MIN));
        assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("one"), Some(1)));
        let renewed = candidate.taken(&taken);
        assert_eq!((renewed.lease_transitions, &renewed.acquire_time), (Some(1), &taken.acquire_time));
    }
}
