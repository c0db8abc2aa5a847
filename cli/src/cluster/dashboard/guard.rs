/*!
Who may come in: a browser that was given the address, at that address, and nobody who only has it in a frame, by another name, or
from another site.
*/
use anyhow::Context;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use subtle::ConstantTimeEq as _;

/// What tells those who may come in from others.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    port: u16,
    /// In the address, and then in the cookie.
    key: String,
    /// On the pages only.
    token: String,
}

impl Guard {
    /// For pages at this port.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn new(port: u16) -> anyhow::Result<Self> {
        Ok(Self { port, key: secret()?, token: secret()? })
    }

    /// What stands in every form.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Where a browser comes in.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/?key={}", self.port, self.key)
    }

    /// The name of the cookie: other programs on other ports of this machine have their own.
    fn cookie(&self) -> String {
        format!("serin-{}", self.port)
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == self.cookie() && is_same(value, &self.key))
    }

    /// Whether it is asked for by its own name. A site whose name leads to this machine asks by that.
    fn is_named(&self, headers: &HeaderMap) -> bool {
        let host = text(headers, &header::HOST);
        ["127.0.0.1", "localhost"].iter().any(|name| host == Some(&*format!("{name}:{}", self.port)))
    }

    /// Whether a page of this origin asks.
    fn is_from_here(headers: &HeaderMap) -> bool {
        let (host, origin) = (text(headers, &header::HOST), text(headers, &header::ORIGIN));
        host.zip(origin).is_some_and(|(host, origin)| origin == format!("http://{host}"))
    }

    fn has_key(&self, uri: &Uri) -> bool {
        let key = uri.query().and_then(|query| query.strip_prefix("key="));
        key.is_some_and(|key| is_same(key, &self.key))
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Lets those through who may come in.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !guard.is_named(headers) {
        let text = format!("open http://127.0.0.1:{}: this is known by no other name\n", guard.port);
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_look && guard.has_key(request.uri()) {
        let cookie = format!("{}={}; HttpOnly; SameSite=Strict; Path=/", guard.cookie(), guard.key);
        return ([(header::SET_COOKIE, cookie)], Redirect::to(request.uri().path())).into_response();
    }
    if !guard.has_cookie(headers) {
        let text = "open the address that serin dashboard has printed, with the key in it\n";
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    if !is_look && !Guard::is_from_here(headers) {
        return (StatusCode::FORBIDDEN, "orders come from these pages only\n").into_response();
    }
    next.run(request).await
}

/// Whether two words are the same, without telling by the time it takes how much of them is.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

fn secret() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system has no randomness")?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
