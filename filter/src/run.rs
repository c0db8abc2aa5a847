/*!
A run of a release as this proxy sees it: what its requests are booked on, and which users met what.

Workers share nothing but what they leave with the proxy. There each run has its maps of users, and each worker a copy, so
that a user who has been seen costs nothing; whoever is new is added to both. The common maps are shown as gauges, and
whoever reads them all has every user of this proxy once.
*/
use std::cell::{Cell, RefCell};

use serin_policy::users::{self, Cells, Maps, Met, RunMark, Word, WordTag};
use serin_policy::{Arm, Policy};

use crate::fuse::Watch;
use crate::host::{Host, MetricKind};
use crate::left::{ATTEMPTS, Left};
use crate::meters::Meters;

/// A run of a release.
#[derive(Debug)]
pub struct Run {
    release: String,
    left: Left,
    mark: RunMark,
    is_over: Cell<bool>,
    fuse: Watch,
    users: RefCell<Option<Box<Users>>>,
}

/// The users of a run, once there are any.
#[derive(Debug, Default)]
struct Users {
    /// All that this worker knows of.
    maps: Maps,
    /// Those that it has last shown.
    shown: Maps,
}

impl Run {
    /// The run that `policy` is of. The proxy's common maps are its own from now on: requests of an earlier run add
    /// nothing any more.
    pub fn begin(host: &impl Host, policy: &Policy) -> Self {
        let run = Self {
            release: policy.name().to_owned(),
            left: Left::about("users", policy.name(), &policy.run_key()),
            mark: RunMark::of(&policy.run_key()),
            is_over: Cell::new(false),
            fuse: Watch::over(policy),
            users: RefCell::default(),
        };
        for _ in 0..ATTEMPTS {
            let (own, version) = run.left.read(host);
            if own.is_some() || run.left.write(host, &[], version) {
                break;
            }
        }
        run
    }

    /// Whether `policy` is of this run.
    pub fn is_of(&self, policy: &Policy) -> bool {
        self.left.run_key() == policy.run_key()
    }

    /// Another run has taken its place.
    pub fn end(&self, host: &impl Host, meters: &mut Meters) {
        self.is_over.set(true);
        self.fuse.end(host, meters);
    }

    /// Whether another run has taken its place: what is counted now is that one's.
    pub const fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Its fuse.
    pub const fn fuse(&self) -> &Watch {
        &self.fuse
    }

    /// Brings what is new to its fuse to what other workers have.
    pub fn bring_to_fuse(&self, host: &impl Host, meters: &mut Meters) {
        let Ok(users) = self.users.try_borrow() else { return };
        let nobody = Maps::default();
        self.fuse.bring(host, meters, users.as_ref().map_or(&nobody, |users| &users.maps));
    }

    /// The user in `cell` has met `met` on `arm`.
    pub fn meet(&self, host: &impl Host, meters: &mut Meters, arm: Arm, met: Met, cell: users::Cell) {
        let Ok(mut users) = self.users.try_borrow_mut() else { return };
        let Users { maps, shown } = &mut **users.get_or_insert_default();
        if !maps.of_mut(arm, met).insert(cell) {
            return;
        }
        for _ in 0..ATTEMPTS {
            let (own, version) = self.left.read(host);
            // Another run's, of which this worker has not heard yet: whose those users are, it will tell.
            let Some(common) = own.as_deref().map(Maps::from_bytes) else { return };
            let is_known = common == *maps;
            maps.add(&common);
            if is_known {
                return;
            }
            if *maps != common && !self.left.write(host, &maps.to_bytes(), version) {
                continue;
            }
            // Others may show theirs at the same time. Whoever comes last finds nothing new when looking again, and has
            // shown everybody's.
            self.show(host, meters, (arm, met), maps.of(arm, met), shown.of_mut(arm, met));
        }
    }

    fn show(
        &self,
        host: &impl Host,
        meters: &mut Meters,
        (arm, met): (Arm, Met),
        cells: &Cells,
        shown: &mut Cells,
    ) {
        let words = cells.words().iter().zip(shown.words()).enumerate();
        for (word, (&cells, _)) in words.filter(|(_, (cells, shown))| cells != shown) {
            let tag = WordTag { release: &self.release, arm, met, word };
            let gauge = meters.single(host, MetricKind::Gauge, tag.raw_name());
            host.record(gauge, Word { run: self.mark, cells }.to_value());
        }
        *shown = *cells;
    }
}
