/*!
Metrics that people write themselves: what their queries come to.
*/
use futures::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;

use super::answer::Answer;
use super::client::Client;
use super::error::QueryError;

/// How many queries of people's own run at a time.
const AT_ONCE: usize = 8;

/// What became of one query. That there is nothing, no number, or no answer are three different things.
#[derive(Debug)]
pub enum Reading {
    /// A number; infinite where it was divided by zero.
    Value(f64),
    /// NaN, as zero divided by zero gives.
    NotANumber,
    /// No series matched.
    Empty,
    /// No answer, or one that is no single number.
    Failed(QueryError),
}

impl Reading {
    fn of(query: &str, answer: Result<Answer, QueryError>) -> Self {
        let value = match answer {
            Err(error) => return Self::Failed(error),
            Ok(Answer::Scalar(value)) => value,
            Ok(Answer::Vector(series)) => match series.as_slice() {
                [] => return Self::Empty,
                [only] => only.value,
                several => {
                    let (query, count) = (query.to_owned(), several.len());
                    return Self::Failed(QueryError::Several { query, count });
                }
            },
        };
        if value.is_nan() { Self::NotANumber } else { Self::Value(value) }
    }
}

/// Makes all of `queries` as of `at`, some at a time, and returns their readings in the same order.
pub async fn read(client: &Client, queries: &[String], at: Timestamp) -> Vec<Reading> {
    let read = |query: &String| read_one(client, query.clone(), at).boxed();
    let readings: Vec<_> = queries.iter().map(read).collect();
    stream::iter(readings).buffered(AT_ONCE).collect().await
}

async fn read_one(client: &Client, query: String, at: Timestamp) -> Reading {
    Reading::of(&query, client.query(&query, at).await)
}
