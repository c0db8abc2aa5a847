/*!
What lives as long as the module does: the policies in force, the metrics defined, the source of new ids.

A new configuration makes a new root context in the same module, so what was good before is still at hand when
the new one is not.
*/
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serin_policy::series::{self, Tag};
use serin_policy::users::User;
use serin_policy::{Arm, Id, Lease, Policy, Proxy, Reason, Table, Weight};

use crate::host::{Host, MetricId, MetricKind};
use crate::meters::{Meters, Series};
use crate::run::Run;
use crate::waiting::{Account, Waiting};

/// How often requests that wait, and leases that run out, are looked at, in milliseconds.
const TICK_MS: u32 = 250;

/// The state of one plugin in one worker.
#[derive(Debug, Default)]
pub struct Vm {
    live: Rc<Live>,
    meters: Meters,
    /// The latest run of each release, even of one that is gone: it may come back with another run.
    runs: HashMap<String, Rc<Run>>,
    waiting: Waiting,
    random: Option<StdRng>,
}

/// The policies of one configuration, and what their requests are booked on.
#[derive(Debug, Default)]
pub struct Live {
    table: Table,
    /// For each policy, its series by [`Policy::slot`], as far as they are known yet.
    slots: RefCell<Vec<Vec<Option<Rc<Series>>>>>,
    /// For each policy, its run, if anything is counted.
    runs: Vec<Option<Rc<Run>>>,
    /// For each policy, whether its lease was last shown as run out, once that was shown.
    lapsed: Vec<Cell<Option<bool>>>,
    /// For each policy, when its [`Retries`](serin_policy::retries::Retries) end, in nanoseconds since 1970; 0 without any.
    retries_end_ns: Vec<u64>,
}

impl Live {
    /// The policies in force.
    pub const fn table(&self) -> &Table {
        &self.table
    }

    /// When the retries end that the policy at `index` asks for, in nanoseconds since 1970; 0 if it asks for none.
    pub fn retries_end_ns(&self, index: usize) -> u64 {
        self.retries_end_ns.get(index).copied().unwrap_or_default()
    }

    /// Whether this proxy has closed the canary of the policy at `index` by itself.
    pub fn is_fuse_blown(&self, index: usize) -> bool {
        self.runs.get(index).and_then(Option::as_ref).is_some_and(|run| run.fuse().closes())
    }
}

impl Vm {
    /// Takes the policy document `json` for the proxy at hand.
    ///
    /// This never fails, and the proxy must be told so: a first configuration that is refused would answer every
    /// request with 500. What cannot be read leaves what was good in force, shows in the metrics
    /// [`series::REFUSED`] and [`series::REFUSALS`], and is written to the proxy's log.
    pub fn configure(&mut self, host: &impl Host, json: &[u8], proxy: &Proxy) {
        let (table, refusals) = Table::read(json, proxy, &self.live.table);
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
        let runs: Vec<_> =
            table.policies().map(|policy| policy.counts().map(|_| self.run(host, policy))).collect();
        for (policy, run) in table.policies().zip(&runs) {
            if let Some(run) = run {
                run.fuse().arm(host, &mut self.meters, policy);
            }
        }
        let is_leased = (0..runs.len()).any(|index| table.until(index).is_some());
        if is_leased || runs.iter().any(Option::is_some) {
            host.tick_every(TICK_MS);
        }
        let lapsed = runs.iter().map(|_| Cell::default()).collect();
        // What has not changed came into force when it did.
        let retries_end_ns = table.policies().map(|policy| {
            let Some(retries) = policy.retries() else { return 0 };
            let before = self.live.table.place_of(policy);
            let end_ns = before.map(|index| self.live.retries_end_ns(index));
            end_ns.unwrap_or_else(|| retries.end_ns(host.now_ns()))
        });
        let retries_end_ns = retries_end_ns.collect();
        self.live = Rc::new(Live { table, slots: RefCell::new(slots), runs, lapsed, retries_end_ns });
        self.show_lapses(host, host.now_ns());
    }

    /// Shows which leases have run out, as far as that is another than was shown last.
    fn show_lapses(&mut self, host: &impl Host, now_ns: u64) {
        let live = self.live();
        for (index, (policy, shown)) in live.table.policies().zip(&live.lapsed).enumerate() {
            let has_lapsed = live.table.lease(index, || now_ns) == Lease::Lapsed;
            if shown.replace(Some(has_lapsed)) != Some(has_lapsed) {
                let gauge = self.meters.single(host, MetricKind::Gauge, series::raw_lapsed(policy));
                host.record(gauge, has_lapsed.into());
            }
        }
    }

    /// The run that `policy` is of. If it is another than before, that one is over.
    fn run(&mut self, host: &impl Host, policy: &Policy) -> Rc<Run> {
        if let Some(run) = self.runs.get(policy.name()) {
            if run.is_of(policy) {
                return Rc::clone(run);
            }
            run.end(host, &mut self.meters);
        }
        let run = Rc::new(Run::begin(host, policy));
        self.runs.insert(policy.name().to_owned(), Rc::clone(&run));
        run
    }

    /// Some time has gone by: books requests that wait for too long, shows leases that have run out, and puts what fuses have
    /// seen together.
    pub fn on_tick(&mut self, host: &impl Host) {
        let now_ns = host.now_ns();
        self.show_lapses(host, now_ns);
        for account in self.waiting.overdue(now_ns) {
            account.is_overdue(self, host);
        }
        for run in self.live.runs.iter().flatten() {
            run.bring_to_fuse(host, &mut self.meters);
        }
    }

    /// Requests that wait for an answer.
    pub const fn waiting(&mut self) -> &mut Waiting {
        &mut self.waiting
    }

    /// The metrics in the proxy.
    pub const fn meters(&mut self) -> &mut Meters {
        &mut self.meters
    }

    /// The policies in force now.
    pub fn live(&self) -> Rc<Live> {
        Rc::clone(&self.live)
    }

    /// A new id.
    pub fn mint(&mut self, host: &impl Host) -> Option<Id> {
        self.random(host).map(|random| Id::from_random(random.random()))
    }

    /// The generator is seeded once: asking the proxy for random bytes costs more than all the rest that a new caller does.
    fn random(&mut self, host: &impl Host) -> Option<&mut StdRng> {
        if self.random.is_none() {
            self.random = host.entropy().map(StdRng::from_seed);
        }
        self.random.as_mut()
    }

    /// A number below 1,000,000, each as likely.
    pub fn draw(&mut self, host: &impl Host) -> Option<u32> {
        self.random(host).map(|random| random.random_range(0..Weight::FULL.ppm()))
    }

    /// What a request is booked on that the policy at `index` of `live` gave `arm` for `reason`; none if it does not
    /// count.
    pub fn account(
        &mut self,
        host: &impl Host,
        live: &Live,
        (index, policy): (usize, &Policy),
        (arm, reason): (Arm, Reason),
        user: Option<User>,
    ) -> Option<Account> {
        let run = Rc::clone(live.runs.get(index)?.as_ref()?);
        let mut slots = live.slots.try_borrow_mut().ok()?;
        let slot = slots.get_mut(index)?.get_mut(policy.slot(arm, reason))?;
        let series = slot.get_or_insert_with(|| self.meters.series(host, Tag::of(policy, arm, reason)));
        let is_of_the_draw = matches!(reason, Reason::Bucket(_));
        Some(Account { run, series: Rc::clone(series), arm, user, is_of_the_draw })
    }

    /// The counter of requests that `policy` gave `arm` for `reason`, and that failed on a route of `group`.
    pub fn failed_route(
        &mut self,
        host: &impl Host,
        policy: &Policy,
        (arm, reason): (Arm, Reason),
        group: usize,
    ) -> MetricId {
        let name = Tag::of(policy, arm, reason).raw_failed_route(group);
        self.meters.single(host, MetricKind::Counter, name)
    }
}
