/*!
Which metric in the proxy belongs to which series.

A proxy hands out a new number for every definition and never takes one back, while policies come and go with
every step. So a series is defined once in the life of the module, when its first request comes, and all its
metrics together: a counter that stands at 0 before its first error is one whose first error counts.
*/
use std::collections::HashMap;
use std::rc::Rc;

use serin_policy::series::{Metric, Tag};

use crate::host::{Host, MetricId, MetricKind};

/// The metrics of one series, by [`Metric::index`].
#[derive(Debug)]
pub struct Series([MetricId; Metric::ALL.len()]);

impl Series {
    /// The metric in the proxy that counts `metric`.
    pub fn of(&self, metric: Metric) -> MetricId {
        let Self(ids) = self;
        // The index is below the array's length by its definition; 0 is never reached.
        ids.get(metric.index()).copied().unwrap_or(MetricId(0))
    }
}

/// Every metric this module has defined, by name.
#[derive(Debug, Default)]
pub struct Meters {
    series: HashMap<String, Rc<Series>>,
    single: HashMap<String, MetricId>,
}

impl Meters {
    /// The metrics of `tag`.
    pub fn series(&mut self, host: &impl Host, tag: Tag<'_>) -> Rc<Series> {
        let define = |metric: Metric| {
            let kind = if metric == Metric::Time { MetricKind::Histogram } else { MetricKind::Counter };
            host.define(kind, &tag.raw_name(metric))
        };
        let series = self.series.entry(tag.to_string());
        Rc::clone(series.or_insert_with(|| Rc::new(Series(Metric::ALL.map(define)))))
    }

    /// The counter or gauge `name`.
    pub fn single(&mut self, host: &impl Host, kind: MetricKind, name: String) -> MetricId {
        *self.single.entry(name).or_insert_with_key(|name| host.define(kind, name))
    }
}
