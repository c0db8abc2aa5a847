/*!
What a decision may ask of a request.

In the proxy each question is a call out of the module and costs more than the whole decision, so questions are
asked one at a time, only when a rule needs the answer, and never twice.
*/
use std::cell::OnceCell;

use crate::cookie::{CookieSpec, SameSite, Start};

/// A request as the proxy sees it: header names in lower case, pseudo-headers (`:path`, `:method`) included.
pub trait Request {
    /// The first value of the header `name`; the cheap question.
    fn header(&self, name: &str) -> Option<Vec<u8>>;

    /// All values of the header `name`, joined by commas: a list may be spread over several lines, and
    /// HTTP/1.1 clients do send more than one `cookie` line.
    fn header_list(&self, name: &str) -> Option<Vec<u8>>;

    /// What time it is, in seconds since 1970.
    fn now_seconds(&self) -> u64;
}

/// A request whose path and cookies, which several rules may look at, are asked for once.
pub(crate) struct Asked<'r, R> {
    request: &'r R,
    path: OnceCell<Option<Vec<u8>>>,
    cookies: OnceCell<Option<Vec<u8>>>,
}

impl<'r, R: Request> Asked<'r, R> {
    pub(crate) fn new(request: &'r R) -> Self {
        Self { request, path: OnceCell::new(), cookies: OnceCell::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.request.header(name)
    }

    pub(crate) fn header_list(&self, name: &str) -> Option<Vec<u8>> {
        self.request.header_list(name)
    }

    pub(crate) fn now_seconds(&self) -> u64 {
        self.request.now_seconds()
    }

    pub(crate) fn path(&self) -> &[u8] {
        self.path.get_or_init(|| self.request.header(":path")).as_deref().unwrap_or_default()
    }

    /// The first value of the cookie `name` that `accept` takes.
    ///
    /// Nearly every request that has the cookie has it on its first `cookie` line, so the dearer question for
    /// all lines is asked only when that line does not hold it.
    pub(crate) fn cookie<T>(&self, name: &str, accept: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let first = self.cookies.get_or_init(|| self.request.header("cookie")).as_deref()?;
        crate::cookie::find(first, name, &accept)
            .or_else(|| crate::cookie::find_in_lines(&self.request.header_list("cookie")?, name, &accept))
    }

    /// Whether this request may be given a new identity: a navigation, or a client that is not a browser.
    /// A page's sub-resource fetches would otherwise each start one of their own.
    pub(crate) fn may_start_identity(&self, cookie: &CookieSpec) -> bool {
        // What a shared cache fetches is everybody's.
        if self.header("cdn-loop").is_some() {
            return false;
        }
        match (cookie.start, self.header("sec-fetch-mode")) {
            // The browser itself makes a preflight, before it says anything of its user.
            (Start::Any, _) => self.header("access-control-request-method").is_none(),
            (Start::Navigation, Some(mode)) => mode == b"navigate" && !self.may_lack_cookie(cookie.same_site),
            (Start::Navigation, None) => !self.is_sub_resource(),
        }
    }

    /// Whether the browser may know the caller and keep their cookie to itself, as it does where another site leads here.
    fn may_lack_cookie(&self, same_site: SameSite) -> bool {
        let is_from_elsewhere = || self.header("sec-fetch-site").is_some_and(|site| site == b"cross-site");
        match same_site {
            SameSite::None => false,
            SameSite::Strict => is_from_elsewhere(),
            SameSite::Lax => {
                is_from_elsewhere() && self.header(":method").is_none_or(|method| method != b"GET")
            }
        }
    }

    /// Whether a browser asks for something that is no page. One that does not say so, over plain http or being old, says what
    /// it would like to have.
    fn is_sub_resource(&self) -> bool {
        let is_browser = self.header("user-agent").is_some_and(|agent| agent.starts_with(b"Mozilla/"));
        let wants_page = |accept: Vec<u8>| accept.windows(9).any(|part| part == b"text/html");
        is_browser && !self.header("accept").is_some_and(wants_page)
    }
}
