/*!
What one query has shown of one release, and what of it is new.

Counters are told apart by *place*: a pod, or an `instance` where Prometheus knows no pods. Pods of the same name in two
clusters are two places: `cluster` is the label that Thanos, Mimir and Prometheus themselves advise for that.

Two Prometheus that scrape the same pods, as a pair for high availability, show each counter twice. Each of them is a
*replica* of the place. One counts, and stays the one between looks: what one replica shows is never subtracted from what
another one did.
*/
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serin_policy::Arm;
use serin_policy::series::Tag;

use super::counts::Complaint;
use super::istio;
use crate::observe::counter_deltas::{ClockWentBack, CounterDeltas, Number, Place, Total};
use serin_rollout::ArmCounts;

/// What was seen of one release.
#[derive(Debug, Clone, PartialEq)]
pub struct PromSample {
    release: String,
    views: Vec<View>,
    by_origin: HashMap<Origin, usize>,
    complaint: Option<Complaint>,
}

/// Where a series comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// Empty where no label names a cluster.
    pub(super) cluster: String,
    /// `namespace/pod`, or the instance.
    pub(super) pod: String,
    /// What tells this Prometheus from others that look at the same pods; empty where no label does.
    pub(super) replica: String,
}

/// What one replica shows of one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    origin: Origin,
    uptime_s: Option<u64>,
    totals: BTreeMap<String, Seen>,
}

/// A series' total and what is to be made of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) of: Of,
    pub(super) adds_to: Number,
    pub(super) value: u64,
}

/// Whose requests a series counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Of {
    /// The filter's label `tag`, which the series' name ends in.
    Tag {
        /// Where it begins there.
        from: usize,
    },
    /// Istio's version.
    Arm(Arm),
}

/// What is new at one place, of requests that came to their version in the same way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Count<'l> {
    /// The pod or the instance.
    pub place: &'l str,
    /// Version and group. Istio's metrics know one group only, the cohort `rest`.
    pub tag: Tag<'l>,
    /// What is new.
    pub counts: ArmCounts,
}

impl Origin {
    fn place(&self) -> String {
        if self.cluster.is_empty() { self.pod.clone() } else { format!("{}/{}", self.cluster, self.pod) }
    }
}

impl View {
    /// Of a series that is there twice, the greater total counts: two jobs looked at one counter.
    pub(super) fn see(&mut self, series: String, seen: Seen) {
        match self.totals.entry(series) {
            Entry::Occupied(mut known) => known.get_mut().value = seen.value.max(known.get().value),
            Entry::Vacant(free) => {
                free.insert(seen);
            }
        }
    }

    fn has(&self, any: impl Fn(Number) -> bool) -> bool {
        self.totals.values().any(|seen| any(seen.adds_to))
    }

    /// Whether times were taken, but no edge tells which of them were in time.
    fn lacks_the_edge(&self) -> bool {
        self.has(|number| number == Number::Timed) && !self.has(|number| number == Number::InTime)
    }

    /// What there is to go by: of two views, the greater one is the better.
    fn worth(&self) -> (usize, u64, Reverse<&str>) {
        let sum = self.totals.values().fold(0, |sum: u64, seen| sum.saturating_add(seen.value));
        (self.totals.len(), sum, Reverse(&self.origin.replica))
    }
}

impl PromSample {
    pub(super) fn of(release: &str) -> Self {
        Self { release: release.to_owned(), views: Vec::new(), by_origin: HashMap::new(), complaint: None }
    }

    pub(super) fn view(&mut self, origin: &Origin) -> &mut View {
        let next = self.views.len();
        let at = match self.by_origin.get(origin) {
            Some(&known) => known,
            None => *self.by_origin.entry(origin.clone()).or_insert(next),
        };
        if at == next {
            self.views.push(View { origin: origin.clone(), uptime_s: None, totals: BTreeMap::new() });
        }
        &mut self.views[at]
    }

    pub(super) fn are_up(&mut self, uptimes: &HashMap<Origin, u64>) {
        for view in &mut self.views {
            view.uptime_s = uptimes.get(&view.origin).copied();
        }
    }

    /// Leaves out the times that cannot be told slow from fast, and says whether there were any: without the edge all
    /// would be slow.
    pub(super) fn leave_out_untold(&mut self) -> bool {
        let mut found = false;
        for view in self.views.iter_mut().filter(|view| view.lacks_the_edge()) {
            view.totals.retain(|_, seen| seen.adds_to != Number::Timed);
            found = true;
        }
        found
    }

    /// A place with requests, of which no replica shows any time.
    pub(super) fn without_times(&self) -> Option<&str> {
        let is_time = |number| matches!(number, Number::Timed | Number::InTime);
        self.by_place().into_values().find_map(|views| {
            let lacks =
                views.iter().all(|view| !view.has(is_time)) && views.iter().any(|view| view.has(|_| true));
            lacks.then(|| views.first().map(|view| &*view.origin.pod)).flatten()
        })
    }

    /// What is wrong with it; the first complaint stays.
    pub(super) fn complain(&mut self, complaint: Complaint) {
        self.complaint.get_or_insert(complaint);
    }

    /// Whether nothing of it was seen.
    pub const fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// What is wrong with its counters.
    pub const fn complaint(&self) -> Option<&Complaint> {
        self.complaint.as_ref()
    }

    /// Records what was seen in the release's own `deltas`, and returns what is new.
    ///
    /// # Errors
    /// When totals of a later time are known.
    pub fn record(&self, deltas: &mut CounterDeltas, at: Timestamp) -> Result<Vec<Count<'_>>, ClockWentBack> {
        deltas.accepts(at)?;
        let mut counted = Vec::new();
        for (name, views) in self.by_place() {
            let before = deltas.replica_of(&name);
            let same = views.iter().find(|view| before == Some(&*view.origin.replica));
            let Some(view) = same.or_else(|| views.iter().max_by_key(|view| view.worth())) else { continue };
            let totals = view.totals.iter().filter_map(|(series, seen)| {
                let tag = match &seen.of {
                    Of::Tag { from } => Tag::parse(series.get(*from..)?)?,
                    Of::Arm(arm) => istio::tag(&self.release, *arm),
                };
                Some(Total { tag, adds_to: seen.adds_to, series, value: seen.value })
            });
            let place = Place { name: &name, replica: &view.origin.replica, uptime_s: view.uptime_s };
            let news = deltas.record(place, totals, at);
            counted.extend(news.into_iter().map(|(tag, counts)| Count {
                place: &view.origin.pod,
                tag,
                counts,
            }));
        }
        // A Prometheus that knows nothing of the release yet has not begun to watch it.
        if !self.views.is_empty() {
            deltas.looked(at);
        }
        Ok(counted)
    }

    fn by_place(&self) -> BTreeMap<String, Vec<&View>> {
        let mut places = BTreeMap::<_, Vec<_>>::new();
        for view in &self.views {
            places.entry(view.origin.place()).or_default().push(view);
        }
        places
    }
}
