/*!
One Prometheus and what it is asked: all of its releases at once, unless one of them stands in the others' way.
*/
use std::collections::BTreeSet;

use jiff::Timestamp;
use serin_release::prometheus::{Access, AccessError};

use super::client::Client;
use super::counts::{Counting, Subject};
use super::error::QueryError;
use super::sample::PromSample;

/// Asks one Prometheus.
#[derive(Debug)]
pub(in crate::observe) struct Asker {
    access: Access,
    /// None while what `access` names cannot be read.
    counting: Option<Counting>,
    /// Releases with so many series that they are asked for by themselves.
    alone: BTreeSet<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Asker {
    /// Asks nothing yet.
    pub(in crate::observe) const fn new(access: Access) -> Self {
        Self { access, counting: None, alone: BTreeSet::new() }
    }

    /// Whom it asks.
    pub(in crate::observe) const fn access(&self) -> &Access {
        &self.access
    }

    /// What there is of `subjects` as they were at `at`, in any order; for each that there is nothing of, why.
    ///
    /// It takes one query. Where the answer is too long, halves are asked for until it shows whose series are too many:
    /// that release is asked for by itself from then on.
    pub(in crate::observe) async fn ask(
        &mut self,
        subjects: Vec<Subject>,
        at: Timestamp,
    ) -> Vec<(Subject, Result<PromSample, String>)> {
        let (alone, together): (Vec<_>, Vec<_>) =
            subjects.into_iter().partition(|subject| self.alone.contains(&subject.release));
        let mut parts: Vec<_> = alone.into_iter().map(|subject| vec![subject]).collect();
        parts.push(together);
        let mut found = Vec::new();
        while let Some(mut part) = parts.pop() {
            match self.sample(&part, at).await {
                Ok(samples) => found.extend(part.into_iter().zip(samples.into_iter().map(Ok))),
                Err(AskError::Query(QueryError::TooMany { .. })) if part.len() > 1 => {
                    let half = part.split_off(part.len() / 2);
                    parts.extend([half, part]);
                }
                Err(error) => {
                    if matches!(error, AskError::Query(QueryError::TooMany { .. })) {
                        self.alone.extend(part.iter().map(|subject| subject.release.clone()));
                    }
                    found.extend(part.into_iter().map(|subject| (subject, Err(error.to_string()))));
                }
            }
        }
        for (subject, samples) in &found {
            if samples.is_ok() {
                self.alone.remove(&subject.release);
            }
        }
        found
    }

    async fn sample(&mut self, subjects: &[Subject], at: Timestamp) -> Result<Vec<PromSample>, AskError> {
        let counting = match &mut self.counting {
            Some(counting) => counting,
            missing => missing.insert(Counting::new(Client::new(self.access.clone())?)),
        };
        Ok(counting.sample(subjects, at).await?)
    }
}
