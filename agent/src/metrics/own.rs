/*!
What the agent says of itself, whatever releases there are.
*/
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Upper ends of the buckets for looks, in seconds. The last is far beyond the two minutes after which an alert fires.
const LOOKS: [f64; 10] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The agent's own metrics.
#[derive(Debug)]
pub(super) struct Own {
    leader: Gauge,
    modules_missing: Counter,
    look: Histogram,
    requests: Requests,
}

/// Requests to the API server, by what came of them. Copies count together.
#[derive(Debug, Clone, Default)]
pub struct Requests(Family<[(&'static str, String); 1], Counter>);

impl Own {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let own = Self {
            leader: Gauge::default(),
            modules_missing: Counter::default(),
            look: Histogram::new(LOOKS),
            requests: Requests::default(),
        };
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What this agent was built from", version);
        // Where there is no other, nobody says so.
        own.leader.set(1);
        registry.register("leader", "1 if this agent decides, 0 if it stands by", own.leader.clone());
        let help = "Requests of proxies for a module that no agent has";
        registry.register("modules_missing", help, own.modules_missing.clone());
        let help = "How long looks at a release took, with all that was decided and written";
        registry.register_with_unit("look_duration", help, Unit::Seconds, own.look.clone());
        let help = "Requests to the API server, by the status of the answer";
        registry.register("api_requests", help, own.requests.0.clone());
        own
    }

    pub(super) fn lead(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    pub(super) fn module_missing(&self) {
        self.modules_missing.inc();
    }

    pub(super) fn look_took(&self, time: Duration) {
        self.look.observe(time.as_secs_f64());
    }

    pub(super) const fn requests(&self) -> &Requests {
        &self.requests
    }
}

impl Requests {
    /// One was answered with this status, or not at all.
    pub fn count(&self, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.0.get_or_create(&[("status", status)]).inc();
    }
}
