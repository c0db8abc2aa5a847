/*!
What lives as long as the module does: the policies in force, the metrics defined, the source of new ids.

A new configuration makes a new root context in the same module, so what was good before is still at hand when
the new one is not.
*/
use std::cell::RefCell;
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_policy::series::{self, Tag};
use serin_policy::{Arm, Id, Policy, Reason, Table};

use crate::host::{Host, MetricKind};
use crate::meters::{Meters, Series};

/// The state of one plugin in one worker.
#[derive(Debug, Default)]
pub struct Vm {
    live: Rc<Live>,
    meters: Meters,
    ids: Option<StdRng>,
}

/// The policies of one configuration, and the counters their requests end up in. A request in flight keeps the
/// ones it began with.
#[derive(Debug, Default)]
pub struct Live {
    table: Table,
    /// For each policy, its series by [`Policy::slot`], as far as they are known yet.
    slots: RefCell<Vec<Vec<Option<Series>>>>,
}

impl Live {
    /// The policies in force.
    pub const fn table(&self) -> &Table {
        &self.table
    }
}

impl Vm {
    /// Takes the policy document `json` for a proxy in `namespace`.
    ///
    /// This never fails, and the proxy must be told so: a first configuration that is refused would answer every
    /// request with 500. What cannot be read leaves what was good in force, shows in the metrics
    /// [`series::REFUSED`] and [`series::REFUSALS`], and is written to the proxy's log.
    pub fn configure(&mut self, host: &impl Host, json: &[u8], namespace: Option<&str>) {
        let (table, refusals) = Table::read(json, namespace, &self.live.table);
        for refusal in &refusals {
            host.warn(&format!(
                "serin: policy {}: {refusal}",
                refusal.policy.as_deref().unwrap_or("(unnamed)")
            ));
            let counter = self.meters.single(host, MetricKind::Counter, series::raw_refusals(refusal.kind));
            host.increment(counter);
        }
        let refused = self.meters.single(host, MetricKind::Gauge, series::REFUSED.to_owned());
        host.record(refused, refusals.len() as u64);
        for policy in table.policies() {
            let revision = self.meters.single(host, MetricKind::Gauge, series::raw_revision(policy));
            host.record(revision, policy.revision());
        }
        let slots = table.policies().map(|policy| vec![None; policy.slots()]).collect();
        self.live = Rc::new(Live { table, slots: RefCell::new(slots) });
    }

    /// The policies in force now.
    pub fn live(&self) -> Rc<Live> {
        Rc::clone(&self.live)
    }

    /// A new id. The generator is seeded once: asking the proxy for random bytes costs more than all the rest
    /// that a new caller does.
    pub fn mint(&mut self, host: &impl Host) -> Option<Id> {
        if self.ids.is_none() {
            self.ids = host.entropy().map(StdRng::from_seed);
        }
        self.ids.as_mut().map(|ids| Id::from_random(ids.random()))
    }

    /// The counters for requests that the policy at `index` of `live` gave `arm` for `reason`.
    pub fn series(
        &mut self,
        host: &impl Host,
        live: &Live,
        (index, policy): (usize, &Policy),
        (arm, reason): (Arm, Reason),
    ) -> Option<Series> {
        let mut slots = live.slots.try_borrow_mut().ok()?;
        let slot = slots.get_mut(index)?.get_mut(policy.slot(arm, reason))?;
        Some(*slot.get_or_insert_with(|| self.meters.series(host, Tag::of(policy, arm, reason))))
    }
}
