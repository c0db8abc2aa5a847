/*!
Requests to a new version, whose answers must be as its Release says: smoke tests without another pod.

Each goes to the pods that the cluster has for it, and nowhere else: redirects are not followed, and no name is looked up.
*/
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{HOST, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use serin_release::hook::Check;
use serin_release::resource::{Header, JsonPointer};
use tokio::time::{Instant, timeout};

use super::shortened;
use crate::errors::chain;
use crate::http;

/// How much of an answer is read.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Where the requests of a check go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The pods that are asked, in turn; at least one.
    pub places: Vec<SocketAddr>,
    /// The host that is asked for.
    pub host: String,
    /// Whether TLS is spoken there.
    pub is_tls: bool,
    /// The header by which a tester chooses the version, if it takes one, and its value.
    pub tester: Option<(String, String)>,
    /// Whether the answers are the new version's for certain: its people may know what they say.
    pub is_own: bool,
}

/// Makes the requests of `checks`, one after the other, each to its target. All of them may take `limit` together.
///
/// # Errors
/// Which is the first whose answer is wrong, and why, in a sentence.
pub async fn run(checks: &[(Check, Target)], limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    for (i, (check, target)) in checks.iter().enumerate() {
        let one = |why: String| {
            let of = checks.len();
            format!("check {} of {of}, {} {}: {why}", i + 1, check.method, check.path)
        };
        // Each pod once at least.
        let times = usize::try_from(check.repeat).unwrap_or(1).max(target.places.len());
        for place in target.places.iter().cycle().take(times) {
            let left = deadline.saturating_duration_since(Instant::now());
            let asked = timeout(left, ask(check, target, *place)).await;
            asked.unwrap_or_else(|_| Err(format!("no answer in {limit:?}"))).map_err(one)?;
        }
    }
    Ok(())
}

async fn ask(check: &Check, target: &Target, place: SocketAddr) -> Result<(), String> {
    let began = Instant::now();
    let response = send(&client(target, place)?, check, target, place).await?;
    let status = response.status().as_u16();
    if status != check.status {
        return Err(format!("it answers {status}, not {}", check.status));
    }
    if let Some(Header { name, value }) = &check.header {
        let found = response.headers().get_all(name).iter().map(HeaderValue::to_str);
        let found: Vec<_> = found.filter_map(Result::ok).collect();
        if !found.iter().any(|found| found == value) {
            return Err(unlike(&format!("its header {name}"), found.first().copied(), value, target));
        }
    }
    let body = body(response).await?;
    if let Some(most) = check.max_latency
        && began.elapsed() > most
    {
        return Err(format!("it takes longer than {most:?}, its maxLatency"));
    }
    if let Some(JsonPointer { path, value }) = &check.json_pointer {
        let json: Value = serde_json::from_slice(&body).map_err(|_| "its answer is no JSON".to_owned())?;
        let found = json.pointer(path).map(|found| match found {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        if found.as_ref() != Some(value) {
            return Err(unlike(&format!("its JSON at {path}"), found.as_deref(), value, target));
        }
    }
    Ok(())
}

/// Makes the request of `check`, by a [`client`] for this place.
pub(super) async fn send(
    client: &Client,
    check: &Check,
    target: &Target,
    place: SocketAddr,
) -> Result<Response, String> {
    let method = Method::from_bytes(check.method.as_bytes()).map_err(|error| error.to_string())?;
    let url = if target.is_tls {
        format!("https://{}:{}{}", target.host, place.port(), check.path)
    } else {
        format!("http://{place}{}", check.path)
    };
    let mut request = client.request(method, url).header(HOST, &target.host);
    for Header { name, value } in &check.headers {
        request = request.header(name, value);
    }
    let mut request = request.build().map_err(|error| chain(&error.without_url()))?;
    if let Some((name, value)) = &target.tester {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        // What cannot be a header is not shown: it may have a token in it.
        let mut value = HeaderValue::try_from(value).map_err(|_| "the tester's token is no header")?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }
    let response = client.execute(request).await;
    response.map_err(|error| format!("no answer: {}", chain(&error.without_url())))
}

pub(super) fn client(target: &Target, place: SocketAddr) -> Result<Client, String> {
    // Whoever the host is to the rest of the world: it is asked for at this place.
    let builder = if target.is_tls { http::secure().resolve(&target.host, place) } else { http::plain() };
    let built = builder.redirect(Policy::none()).user_agent(super::USER_AGENT).build();
    built.map_err(|error| format!("no client: {}", chain(&error)))
}

pub(super) async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(format!("its answer breaks off: {}", chain(&error.without_url()))),
        }
        if body.len() > LONGEST_ANSWER {
            return Err(format!("its answer is longer than {LONGEST_ANSWER} bytes"));
        }
    }
}

/// Says that `found` is not as it should be; what it is, where people may know.
fn unlike(what: &str, found: Option<&str>, wanted: &str, target: &Target) -> String {
    match found {
        None => format!("{what} is missing"),
        Some(found) if target.is_own => format!("{what} is {:?}, not {wanted:?}", shortened(found)),
        Some(_) => format!("{what} is not {wanted:?}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};
    use serin_release::resource::Through;

    use super::*;

    pub(in crate::hooks) fn check(path: &str) -> Check {
        Check {
            path: path.to_owned(),
            through: Through::Canary,
            method: "GET".to_owned(),
            headers: Vec::new(),
            token: None,
            status: 200,
            header: None,
            json_pointer: None,
            max_latency: None,
            repeat: 1,
        }
    }

    /// What comes of `change`d checks of a version that answers in all ways.
    async fn outcome(path: &str, is_own: bool, change: impl Fn(&mut Check)) -> Result<(), String> {
        let greets = async |headers: HeaderMap| {
            let is_tester = headers.get("x-canary").is_some_and(|value| value == "canary:secret");
            let is_host = headers.get("host").is_some_and(|host| host == "shop.example.com");
            if is_tester && is_host { StatusCode::OK } else { StatusCode::NOT_FOUND }
        };
        let router = Router::new()
            .route("/tester", get(greets))
            .route("/json", get(async || ([("x-kind", "json")], r#"{"ok": true, "db": {"state": "down"}}"#)))
            .route("/moved", get(async || (StatusCode::FOUND, [("location", "/tester")])))
            .route("/text", post(async || "text"))
            .route("/never", get(std::future::pending::<StatusCode>));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        let tester = Some(("x-canary".to_owned(), "canary:secret".to_owned()));
        let host = "shop.example.com".to_owned();
        let target = Target { places: vec![place], host, is_tls: false, tester, is_own };
        let mut checked = check(path);
        change(&mut checked);
        run(&[(check("/tester"), target.clone()), (checked, target)], Duration::from_millis(700)).await
    }

    async fn expect(path: &str, is_own: bool, change: impl Fn(&mut Check), expected: Result<(), &str>) {
        let found = outcome(path, is_own, change).await;
        assert_eq!(found.as_ref().map_err(String::as_str), expected.as_ref().map_err(|it| *it));
    }

    #[tokio::test]
    async fn an_answer_is_right_or_the_first_wrong_one_is_told() {
        let json = |path: &str, value: &str| {
            let (path, value) = (path.to_owned(), value.to_owned());
            move |check: &mut Check| {
                check.json_pointer = Some(JsonPointer { path: path.clone(), value: value.clone() });
            }
        };
        let header = |value: &'static str| {
            move |check: &mut Check| {
                check.header = Some(Header { name: "x-kind".to_owned(), value: value.to_owned() });
            }
        };
        let same = |_: &mut Check| {};
        expect("/tester", true, same, Ok(())).await;
        expect("/json", true, json("/ok", "true"), Ok(())).await;
        expect("/json", true, header("json"), Ok(())).await;
        let wrong = "check 2 of 2, GET /json: its JSON at /db/state is \"down\", not \"up\"";
        expect("/json", true, json("/db/state", "up"), Err(wrong)).await;
        let hidden = "check 2 of 2, GET /json: its JSON at /db/state is not \"up\"";
        expect("/json", false, json("/db/state", "up"), Err(hidden)).await;
        let missing = "check 2 of 2, GET /json: its JSON at /no is missing";
        expect("/json", true, json("/no", "up"), Err(missing)).await;
        let kind = "check 2 of 2, GET /json: its header x-kind is \"json\", not \"xml\"";
        expect("/json", true, header("xml"), Err(kind)).await;
        expect("/gone", true, same, Err("check 2 of 2, GET /gone: it answers 404, not 200")).await;
        expect("/moved", true, same, Err("check 2 of 2, GET /moved: it answers 302, not 200")).await;
        let no_json = "check 2 of 2, POST /text: its answer is no JSON";
        let posted = |check: &mut Check| {
            check.method = "POST".to_owned();
            check.json_pointer = Some(JsonPointer { path: String::new(), value: String::new() });
        };
        expect("/text", true, posted, Err(no_json)).await;
        let late = |check: &mut Check| check.max_latency = Some(Duration::ZERO);
        let too_late = "check 2 of 2, GET /json: it takes longer than 0ns, its maxLatency";
        expect("/json", true, late, Err(too_late)).await;
        expect("/never", true, same, Err("check 2 of 2, GET /never: no answer in 700ms")).await;
    }
}
