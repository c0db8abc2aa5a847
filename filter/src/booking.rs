/*!
A request that counts, from its first header to the log.

It is booked on the run it began in. When that is over, what is left of it is booked nowhere: its series are the next
run's by then.
*/
use std::rc::Rc;

use serin_policy::series::Metric;
use serin_policy::users::Met;
use serin_policy::{Arm, Policy, Reason, route};

use crate::host::Host;
use crate::meters::Series;
use crate::outcome::{Ending, Outcome};
use crate::vm::Vm;
use crate::waiting::{Account, Place};

/// What is to be known of a request in order to count it.
#[derive(Debug)]
pub struct Booking {
    account: Account,
    /// What its answer is booked on once more, if the canary gets a copy of the request.
    copied: Option<Rc<Series>>,
    /// Its answer is slow if it takes longer to begin.
    limit_ns: u64,
    began_ns: u64,
    /// Its place among those that wait, until there is an answer.
    place: Option<Place>,
    /// How long its answer took to begin.
    took_ns: Option<u64>,
    /// Whether it was found waiting for too long, and is counted as slow already.
    has_waited: bool,
    /// What its answer ends with.
    ending: Ending,
    /// Whether the caller's id was made just now.
    is_new: bool,
    /// Whether they were not given it after all.
    is_withheld: bool,
}

impl Booking {
    /// A request that came at `began_ns` waits for its answer, which is slow after `objective_ms`.
    pub fn begin(vm: &mut Vm, account: Account, began_ns: u64, objective_ms: u32, is_new: bool) -> Self {
        let limit_ns = u64::from(objective_ms) * 1_000_000;
        let place = vm.waiting().enter(began_ns.saturating_add(limit_ns), account.clone());
        Self {
            account,
            copied: None,
            limit_ns,
            began_ns,
            place,
            took_ns: None,
            has_waited: false,
            ending: Ending::Body,
            is_new,
            is_withheld: false,
        }
    }

    /// Its answer is booked on this as well.
    #[must_use]
    pub fn and_once_more(mut self, copied: Option<Rc<Series>>) -> Self {
        self.copied = copied;
        self
    }

    /// The caller is not given the id that was made for them.
    pub const fn withhold(&mut self) {
        self.is_withheld = true;
    }

    /// Its answer ends with this.
    pub fn ends_with(&mut self, ending: Ending) {
        self.ending = ending;
    }

    /// Its answer has begun, or will not come.
    pub fn answered(&mut self, vm: &mut Vm, host: &impl Host) {
        if let Some(place) = self.place.take() {
            self.has_waited = !vm.waiting().leave(place);
        }
        self.took_ns.get_or_insert_with(|| host.now_ns().saturating_sub(self.began_ns));
    }

    /// It is over.
    pub fn end(mut self, vm: &mut Vm, host: &impl Host, policy: &Policy, arm: Arm, reason: Reason) {
        self.answered(vm, host);
        let Account { run, series, .. } = &self.account;
        if run.is_over() {
            return;
        }
        let count = |metric| host.increment(series.of(metric));
        let outcome = Outcome::of(host, &self.ending);
        let mut is_switched = false;
        match outcome {
            Outcome::Left => count(Metric::Left),
            Outcome::Answered { class, fault, is_switched: switched } => {
                for metric in [Some(Metric::Requests(class)), fault].into_iter().flatten() {
                    count(metric);
                    if let Some(copied) = &self.copied {
                        host.increment(copied.of(metric));
                    }
                }
                is_switched = switched;
                self.account.meet(vm, host, Met::Answer);
            }
        }
        if self.is_new {
            count(Metric::Issued);
        }
        if self.is_withheld {
            count(Metric::Withheld);
        }
        let took_ns = self.took_ns.unwrap_or_default();
        if self.has_waited {
            count(Metric::Waited);
        } else if took_ns > self.limit_ns && !is_switched {
            count(Metric::Slow);
            self.account.meet(vm, host, Met::Delay);
        }
        if !is_switched {
            host.record(series.of(Metric::Time), took_ns / 1_000_000);
        }
        if outcome.is_failure() {
            self.account.meet(vm, host, Met::Failure);
            // It may be gone with the request.
            if let Some(path) = host.request_header(":path") {
                let counter = vm.failed_route(host, policy, (arm, reason), route::group(&path));
                host.increment(counter);
            }
        }
        if outcome != Outcome::Left
            && self.account.is_of_the_draw
            && run.fuse().count(arm, outcome.is_failure())
        {
            run.bring_to_fuse(host, vm.meters());
        }
    }
}

impl Account {
    /// It waits for longer than the objective. That is booked now, for its answer may never come.
    pub fn is_overdue(&self, vm: &mut Vm, host: &impl Host) {
        if self.run.is_over() {
            return;
        }
        host.increment(self.series.of(Metric::Waiting));
        host.increment(self.series.of(Metric::Slow));
        self.meet(vm, host, Met::Answer);
        self.meet(vm, host, Met::Delay);
    }

    fn meet(&self, vm: &mut Vm, host: &impl Host, met: Met) {
        if let Some(user) = self.user.filter(|_| self.is_of_the_draw) {
            self.run.meet(host, vm.meters(), self.arm, met, user.cell());
        }
    }
}
