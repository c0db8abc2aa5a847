/*!
Asking.
*/
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, RequestBuilder, Response, StatusCode, Url};
use serin_release::prometheus::{Access, AccessError, Identity, Trust};

use super::answer::{self, Answer, Labels, Parsed, Sample};
use super::error::QueryError;
use crate::http;

/// How many series an answer may have when it is for one release.
pub const MOST_SERIES: usize = 20_000;

/// How long an answer may be, for each series it may have. Istio's series take about 1 kB each.
const BYTES_A_SERIES: usize = 4096;

/// A client of one Prometheus.
#[derive(Debug, Clone)]
pub struct Client {
    access: Access,
    http: reqwest::Client,
}

impl Client {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// When the certificates to trust cannot be had.
    pub fn new(access: Access) -> Result<Self, AccessError> {
        let builder = match &access.trust {
            Trust::Plain => http::plain(),
            Trust::System => http::secure(),
            Trust::Anybody => http::secure().tls_danger_accept_invalid_certs(true),
            Trust::Only { ca_file } => http::secure().tls_certs_only(certificates(ca_file)?),
        };
        // Headers with secrets must not follow to wherever a redirect points.
        let http = builder.timeout(Access::TIMEOUT).redirect(Policy::none()).build();
        let http = http.map_err(|error| AccessError {
            field: "address",
            value: format!("{}: no TLS for it: {error}", access.query),
            hint: "install the system's CA certificates, or give a caFile",
        })?;
        Ok(Self { access, http })
    }

    /// What `query` gives at `at`.
    ///
    /// # Errors
    /// When there is no answer, or one of more than [`MOST_SERIES`] series.
    pub async fn query(&self, query: &str, at: Timestamp) -> Result<Answer, QueryError> {
        let body = self.ask(query, at, MOST_SERIES).await?;
        let mut series = Vec::new();
        let scalar = body.read(|labels, value| series.push(Sample { labels: labels.into(), value }))?;
        Ok(scalar.map_or(Answer::Vector(series), Answer::Scalar))
    }

    /// The answer's text, as far as `most` series can take up.
    pub(super) async fn ask<'q>(
        &self,
        query: &'q str,
        at: Timestamp,
        most: usize,
    ) -> Result<Body<'q>, QueryError> {
        let unreachable = |source: reqwest::Error| QueryError::Unreachable {
            url: self.access.query.clone(),
            source: source.without_url(),
        };
        let time = format!("{}.{:03}", at.as_second(), at.subsec_millisecond());
        // One more than is taken shows that there are more. Older versions know no limit and send all.
        let limit = (most + 1).to_string();
        let form = [("query", query), ("time", &time), ("limit", &limit)];
        let request = self.identify(self.http.post(self.access.query.clone()))?;
        let request = request.headers(self.access.headers.clone()).form(&form);
        let mut response = request.send().await.map_err(unreachable)?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            text.extend_from_slice(&chunk);
            if text.len() > most.saturating_mul(BYTES_A_SERIES) {
                return Err(QueryError::TooMany { query: query.to_owned(), most });
            }
        }
        Ok(Body {
            query,
            most,
            url: self.access.query.clone(),
            what: what(&response),
            status: response.status(),
            text,
        })
    }

    fn identify(&self, request: RequestBuilder) -> Result<RequestBuilder, QueryError> {
        Ok(match &self.access.identity {
            Identity::Nobody => request,
            Identity::Bearer { token_file } => {
                const FIELD: &str = "bearerTokenFile";
                let token = secret(FIELD, token_file)?;
                let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {token}")) else {
                    return Err(QueryError::Token { field: FIELD, file: token_file.clone() });
                };
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            Identity::Basic(basic) => {
                let password = secret("basicAuth.passwordFile", &basic.password_file)?;
                request.basic_auth(&basic.username, Some(password))
            }
        })
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Body<'q> {
    query: &'q str,
    most: usize,
    url: Url,
    status: StatusCode,
    what: String,
    text: Vec<u8>,
}

impl Body<'_> {
    /// Hands the series on to `each`, or returns the number that there is instead.
    pub(super) fn read<'b>(&'b self, each: impl FnMut(&Labels<'b>, f64)) -> Result<Option<f64>, QueryError> {
        let query = || self.query.to_owned();
        if matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(QueryError::Forbidden { url: self.url.clone(), status: self.status });
        }
        match answer::parse(&self.text, self.most, each) {
            Parsed::Scalar(value) => Ok(Some(value)),
            Parsed::Vector => Ok(None),
            Parsed::Other(kind) => Err(QueryError::Kind { query: query(), kind }),
            Parsed::TooMany => Err(QueryError::TooMany { query: query(), most: self.most }),
            Parsed::Failed { kind, message } if kind == "bad_data" => {
                Err(QueryError::Malformed { query: query(), message })
            }
            Parsed::Failed { kind, message } => Err(QueryError::Failed { query: query(), kind, message }),
            Parsed::Foreign => {
                let (url, what) = (self.url.clone(), self.what.clone());
                Err(QueryError::NotPrometheus { url, status: self.status, what })
            }
        }
    }
}

fn what(response: &Response) -> String {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.map_or_else(|| "no content type".to_owned(), str::to_owned)
}

/// Secrets are read for each query, so that they may change. Editors end a file with a line break.
fn secret(field: &'static str, file: &Path) -> Result<String, QueryError> {
    let read = fs::read_to_string(file);
    let text = read.map_err(|source| QueryError::Secret { field, file: file.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, AccessError> {
    let wrong = |hint| AccessError { field: "caFile", value: file.display().to_string(), hint };
    let pem = fs::read(file).map_err(|_| wrong("it cannot be read: mount it there"))?;
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(wrong("there is no certificate in it: give a file in PEM format"));
    }
    Ok(certificates)
}
