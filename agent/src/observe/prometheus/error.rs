/*!
What can become of a query other than an answer.
*/
use std::io;
use std::path::PathBuf;

use reqwest::{StatusCode, Url};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// No answer, or none in time.
    #[error("no answer from {url}: {}", innermost(source))]
    Unreachable {
        /// What was asked.
        url: Url,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// A secret cannot be read.
    #[error("{field}: cannot read {}: {source}", file.display())]
    Secret {
        /// Which.
        field: &'static str,
        /// The file.
        file: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A secret is there but cannot be sent.
    #[error("{field}: {}: a token is one line of visible characters", file.display())]
    Token {
        /// Which.
        field: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// It wants to know who asks, or does not like who does.
    #[error("{url} answers {status}: {}", match *status {
        StatusCode::UNAUTHORIZED => "give bearerTokenFile or basicAuth, with the right secret",
        _ => "let this user query, or ask as another one",
    })]
    Forbidden {
        /// What was asked.
        url: Url,
        /// The answer's status.
        status: StatusCode,
    },
    /// The query is not PromQL.
    #[error("Prometheus cannot read the query {query:?}: {message}")]
    Malformed {
        /// The query.
        query: String,
        /// What Prometheus says about it.
        message: String,
    },
    /// Prometheus could not carry the query out.
    #[error("Prometheus failed on the query {query:?}: {kind}: {message}")]
    Failed {
        /// The query.
        query: String,
        /// The kind of failure, in Prometheus' words.
        kind: String,
        /// What Prometheus says about it.
        message: String,
    },
    /// The result is of another kind.
    #[error("the query {query:?} gives a {kind}, not numbers of one moment: {}", match kind.as_str() {
        "matrix" => "leave out the range in brackets, or put rate() or sum_over_time() around it",
        "histogram" => "put histogram_quantile() or histogram_count() around it",
        _ => "write one that gives a number",
    })]
    Kind {
        /// The query.
        query: String,
        /// The kind of the result.
        kind: String,
    },
    /// More series than are taken.
    #[error("the query {query:?} gives more than {most} series: make it narrower, or put sum() around it")]
    TooMany {
        /// The query.
        query: String,
        /// How many are taken.
        most: usize,
    },
    /// More than one series where one number was wanted.
    #[error("the query {query:?} gives {count} series, not one: put sum() or another aggregation around it")]
    Several {
        /// The query.
        query: String,
        /// How many.
        count: usize,
    },
    /// What answers does not speak Prometheus' language.
    #[error(
        "{url} answers {status} with {what}: this is not Prometheus' query API; look at the address and its path"
    )]
    NotPrometheus {
        /// What was asked.
        url: Url,
        /// The answer's status.
        status: StatusCode,
        /// The kind of answer.
        what: String,
    },
}

/// The innermost cause says what is wrong; what stands around it repeats the address.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long; make the timeout longer if it is only slow".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
