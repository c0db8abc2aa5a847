/*!
What is wrong with a canary beside what people do not call grave.
*/
use jiff::Timestamp;
use serin_release::Analysis;

use super::Evidence;
use super::stakes::{combined, told};
use super::verdict::{Failure, Judged};

impl Evidence {
    /// What is wrong with the canary besides the metrics called `gentle`, if that alone takes it back.
    pub fn grave(&self, analysis: &Analysis, gentle: &[String], now: Timestamp) -> Option<Failure> {
        let mut stakes = self.stakes(analysis);
        stakes.retain(|stake| match &stake.judged {
            Judged::Requests(metric) => !gentle.iter().any(|name| name == metric.as_str()),
            Judged::Readings(name) => !gentle.contains(name),
            Judged::Users | Judged::Segment { .. } | Judged::Copies => true,
        });
        let evidence = combined(stakes.iter().map(|stake| (stake, stake.stands)));
        let told = told(&stakes, analysis.needed()).filter(|_| evidence >= analysis.needed())?;
        Some(self.failure(told, evidence, analysis, now))
    }
}
