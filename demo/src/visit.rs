/*!
One visit of one user: a request such as a browser makes, and a judgement of what came back.
*/
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serin_policy::Arm;
use tokio::time::timeout;

use crate::record::{Failure, Outcome, Record, Served};
use crate::users::UsersOptions;
use serin_local::shop::{Answer, ERROR_HEADER};

/// How long a user waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a user's browser keeps of the cookie: `name=value`.
pub(super) type Jar = Option<HeaderValue>;

/// The way into the shop, through the proxy.
pub(super) struct Door {
    client: Client<HttpConnector, Empty<Bytes>>,
    uri: Uri,
    host: HeaderValue,
    cookie: String,
    served_by: HeaderName,
}

impl Door {
    pub(super) fn new(options: &UsersOptions) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri: Uri::builder()
                .scheme("http")
                .authority(options.address.to_string())
                .path_and_query("/")
                .build()?,
            host: options.host.parse().context("the host cannot stand in a header")?,
            cookie: options.cookie.clone(),
            served_by: options.served_by.parse().context("the response header is none")?,
        })
    }

    pub(super) async fn visit(&self, user: u32, jar: &mut Jar) -> Record {
        let (sent, clock) = (Timestamp::now(), Instant::now());
        let outcome = match timeout(PATIENCE, self.ask(jar)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Broken)) => Outcome::Failed(Failure::Broken),
            Err(_) => Outcome::Failed(Failure::Late),
        };
        Record { user, sent, took: clock.elapsed(), outcome }
    }

    async fn ask(&self, jar: &mut Jar) -> Result<Outcome, Broken> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert("accept", HeaderValue::from_static("text/html,application/json;q=0.9"));
        // What browsers send when somebody opens a page; what a page loads by itself starts no identity.
        headers.insert("sec-fetch-mode", HeaderValue::from_static("navigate"));
        headers.insert("user-agent", HeaderValue::from_static("Mozilla/5.0 (serin demo)"));
        if let Some(cookie) = jar {
            headers.insert(COOKIE, cookie.clone());
        }
        let response = self.client.request(request).await.map_err(|_| Broken)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        if let Some(cookie) = find_cookie(&head.headers, &self.cookie) {
            *jar = Some(cookie);
        }
        Ok(judge(&Response::from_parts(head, body), &self.served_by))
    }
}

/// The connection broke.
struct Broken;

/// `name=value` of the cookie that the response sets.
fn find_cookie(headers: &HeaderMap, name: &str) -> Option<HeaderValue> {
    headers.get_all(SET_COOKIE).iter().find_map(|set| {
        let pair = set.to_str().ok()?.split(';').next()?.trim();
        pair.strip_prefix(name)?.strip_prefix('=')?;
        pair.parse().ok()
    })
}

/// What the user got, by the shop's own word and the proxy's.
fn judge(response: &Response<Bytes>, served_by: &HeaderName) -> Outcome {
    let error = response.headers().contains_key(ERROR_HEADER);
    let answer = serde_json::from_slice::<Answer>(response.body()).ok();
    let arm = |answer: &Answer| Arm::BOTH.into_iter().find(|arm| arm.as_str() == answer.deployment);
    let Some((answer, arm)) = answer
        .filter(|_| error || response.status() == StatusCode::OK)
        .and_then(|answer| arm(&answer).map(|arm| (answer, arm)))
    else {
        return Outcome::Failed(Failure::Status(response.status().as_u16()));
    };
    let named = response.headers().get(served_by).is_some_and(|named| named == arm.as_str());
    if !named || answer.x_serin_version.as_deref() != Some(arm.as_str()) {
        return Outcome::Failed(Failure::Mislabelled);
    }
    Outcome::Served(Served { arm, version: answer.version, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_local::shop::Version;

    const SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut response = Response::builder().status(status);
        for &(name, value) in headers {
            response = response.header(name, value);
        }
        response.body(Bytes::from(body.to_owned())).unwrap()
    }

    const CANARY: &str = r#"{"deployment": "canary", "version": "v2", "x-serin-version": "canary"}"#;

    #[test]
    fn an_answer_counts_as_served_when_proxy_and_shop_agree() {
        let served = |error| Outcome::Served(Served { arm: Arm::Canary, version: Version(2), error });
        let good = response(200, &[("x-served-by", "canary")], CANARY);
        assert_eq!(judge(&good, &SERVED_BY), served(false));
        let error = response(500, &[("x-served-by", "canary"), ("x-shop-error", "drawn")], CANARY);
        assert_eq!(judge(&error, &SERVED_BY), served(true));
    }

    #[test]
    fn what_the_shop_did_not_say_is_not_the_shops() {
        let wrong = response(200, &[("x-served-by", "stable")], CANARY);
        assert_eq!(judge(&wrong, &SERVED_BY), Outcome::Failed(Failure::Mislabelled));
        let unnamed = response(200, &[], CANARY);
        assert_eq!(judge(&unnamed, &SERVED_BY), Outcome::Failed(Failure::Mislabelled));
        let untold =
            response(200, &[("x-served-by", "canary")], r#"{"deployment": "canary", "version": "v2"}"#);
        assert_eq!(judge(&untold, &SERVED_BY), Outcome::Failed(Failure::Mislabelled));
        let proxy = response(503, &[("x-served-by", "canary")], "upstream connect error");
        assert_eq!(judge(&proxy, &SERVED_BY), Outcome::Failed(Failure::Status(503)));
        let unmarked = response(500, &[("x-served-by", "canary")], CANARY);
        assert_eq!(judge(&unmarked, &SERVED_BY), Outcome::Failed(Failure::Status(500)));
    }

    #[test]
    fn only_the_releases_own_cookie_is_kept_and_without_its_attributes() {
        let set = [("set-cookie", "session=1"), ("set-cookie", "serin=abc; Max-Age=60; HttpOnly")];
        let found = |name| find_cookie(response(200, &set, "").headers(), name);
        assert_eq!(found("serin").unwrap(), "serin=abc");
        assert_eq!(found("seri"), None);
    }
}
