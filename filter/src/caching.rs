/*!
What caches keep of answers: no shared one an answer that is not for everybody, and no browser the canary's page for ever.
*/
use serin_policy::cookie::{self, Cacheability};

use crate::host::Host;

/// What CDNs go by where it is there: their own field (RFC 9213), and its forerunner.
pub const CDN_FIELDS: [&str; 2] = ["cdn-cache-control", "surrogate-control"];

/// Whether a CDN that goes by `field` may keep the answer at hand.
pub fn is_kept_by_cdn(host: &impl Host, field: &str) -> bool {
    let field = host.response_header(field);
    field.is_some_and(|field| Cacheability::of(Some(&field), false) != Cacheability::Never)
}

/// All of its `cache-control`.
pub fn cache_control(host: &impl Host) -> Option<Vec<u8>> {
    // That there is none costs an eighth of what all of its lines do, and most answers to new callers have none.
    let is_there = host.response_header("cache-control").is_some();
    is_there.then(|| host.response_header_list("cache-control")).flatten()
}

/// What shared caches may do with it, by this `cache-control`.
pub fn cacheability(host: &impl Host, cache_control: Option<&[u8]>) -> Cacheability {
    let expires = host.response_header("expires");
    let is_to_come = expires.is_some_and(|expires| cookie::is_to_come(&expires, host.now_ns()));
    Cacheability::of(cache_control, is_to_come)
}

/// Has shared caches leave it alone, which has this `cache-control`.
pub fn make_private(host: &impl Host, cache_control: Option<&[u8]>) {
    let private = Cacheability::made_private(cache_control.unwrap_or_default());
    host.set_response_header("cache-control", &private);
}

/// The answer at hand is for its caller alone: another one, of another version, would get it from a shared cache.
#[inline(never)]
pub fn keep_from_shared(host: &impl Host) {
    for field in CDN_FIELDS {
        if is_kept_by_cdn(host, field) {
            host.set_response_header(field, b"no-store");
        }
    }
    let cache_control = cache_control(host);
    if cacheability(host, cache_control.as_deref()) != Cacheability::Never {
        make_private(host, cache_control.as_deref());
    }
}

/// A browser that has a later page than the application does would be told that it has not changed since. One that names what
/// it has, by its entity tag, is told the truth.
#[inline(never)]
pub fn ask_for_whole_answer(host: &impl Host) {
    const SINCE: &str = "if-modified-since";
    if host.request_header(SINCE).is_some() && host.request_header("if-none-match").is_none() {
        host.remove_request_header(SINCE);
    }
}
