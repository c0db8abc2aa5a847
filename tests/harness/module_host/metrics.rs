/*!
The proxy's statistics. As in Envoy, every definition hands out a new number and none is ever taken back, while
all numbers of one name count in the same place.
*/
use std::collections::BTreeMap;

use wasmtime::{Result, bail};

/// All metrics by name.
#[derive(Debug, Default)]
pub struct Metrics {
    by_name: BTreeMap<String, Metric>,
    defined: Vec<String>,
}

#[derive(Debug)]
enum Metric {
    Counter(u64),
    Gauge(u64),
    /// How many values, and their sum: all values of a million requests would be too many to keep.
    Histogram(u64, u64),
}

impl Metrics {
    /// The value of a counter or gauge, the number of values of a histogram; 0 for what is not there.
    pub fn get(&self, name: &str) -> u64 {
        match self.by_name.get(name) {
            Some(Metric::Counter(value) | Metric::Gauge(value) | Metric::Histogram(value, _)) => *value,
            None => 0,
        }
    }

    /// The sum of a histogram's values.
    pub fn sum(&self, name: &str) -> u64 {
        match self.by_name.get(name) {
            Some(Metric::Histogram(_, sum)) => *sum,
            _ => 0,
        }
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// How many numbers were handed out.
    pub fn definitions(&self) -> usize {
        self.defined.len()
    }

    pub(super) fn define(&mut self, kind: u32, name: String) -> Result<u32> {
        let new = match kind {
            0 => Metric::Counter(0),
            1 => Metric::Gauge(0),
            2 => Metric::Histogram(0, 0),
            _ => bail!("there is no metric of kind {kind}"),
        };
        let there = self.by_name.entry(name.clone()).or_insert(new);
        if !matches!(
            (kind, there),
            (0, Metric::Counter(_)) | (1, Metric::Gauge(_)) | (2, Metric::Histogram(..))
        ) {
            bail!("{name:?} is defined as something else already");
        }
        self.defined.push(name);
        // 0 is nobody's number, so that a metric that was never defined shows.
        Ok(u32::try_from(self.defined.len())?)
    }

    pub(super) fn increment(&mut self, id: u32, offset: i64) -> Result<()> {
        match (self.by_id(id)?, u64::try_from(offset)) {
            (Metric::Counter(value), Ok(offset @ 1..)) => *value += offset,
            (metric, _) => bail!("{metric:?} cannot be incremented by {offset}"),
        }
        Ok(())
    }

    pub(super) fn record(&mut self, id: u32, given: u64) -> Result<()> {
        match self.by_id(id)? {
            Metric::Gauge(value) => *value = given,
            Metric::Histogram(count, sum) => (*count, *sum) = (*count + 1, sum.wrapping_add(given)),
            Metric::Counter(_) => bail!("a counter records nothing"),
        }
        Ok(())
    }

    fn by_id(&mut self, id: u32) -> Result<&mut Metric> {
        let name = (id as usize).checked_sub(1).and_then(|at| self.defined.get(at));
        match name.and_then(|name| self.by_name.get_mut(name)) {
            Some(metric) => Ok(metric),
            None => bail!("metric {id} was never defined"),
        }
    }
}
