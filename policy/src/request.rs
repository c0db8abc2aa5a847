/*!
What a decision may ask of a request.

In the proxy each question is a call out of the module and costs more than the whole decision, so questions are
asked one at a time, only when a rule needs the answer, and never twice.
*/
use std::cell::OnceCell;

/// A request as the proxy sees it: header names in lower case, pseudo-headers (`:path`, `:method`) included.
pub trait Request {
    /// The first value of the header `name`; the cheap question.
    fn header(&self, name: &str) -> Option<Vec<u8>>;

    /// All values of the header `name`, joined by commas: a list may be spread over several lines, and
    /// HTTP/1.1 clients do send more than one `cookie` line.
    fn header_list(&self, name: &str) -> Option<Vec<u8>>;
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
            .or_else(|| crate::cookie::find(&self.request.header_list("cookie")?, name, &accept))
    }

    /// Whether this request may be given a new identity: a navigation, or a client that is not a browser.
    /// A page's sub-resource fetches would otherwise each start one of their own.
    pub(crate) fn may_start_identity(&self) -> bool {
        self.header("sec-fetch-mode").is_none_or(|mode| mode == b"navigate")
    }
}
