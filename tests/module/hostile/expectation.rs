/*!
What must have become of a request, worked out natively by the same rules.
*/
use std::sync::Arc;

use serin_policy::cookie::Cacheability;
use serin_policy::links::Visit;
use serin_policy::{Arm, Decision, Id, Lease, Origin, Policy, Reason, Request, Table, baggage, cookie};
use serin_tests::module_host::{Headers, Response, values};

/// Headers as the filter gets to see them, at a time in seconds since 1970.
pub(super) struct Seen<'h>(pub(super) &'h Headers, pub(super) u64);

impl Seen<'_> {
    pub(super) fn first(&self, name: &str) -> Option<Vec<u8>> {
        values(self.0, name).first().map(|value| value.to_vec())
    }
}

impl Request for Seen<'_> {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.first(name)
    }

    fn header_list(&self, name: &str) -> Option<Vec<u8>> {
        let all = values(self.0, name);
        (!all.is_empty()).then(|| all.join(&b','))
    }

    fn now_seconds(&self) -> u64 {
        self.1
    }
}

/// A request in flight, and what is known of how it must end.
pub(super) struct Expectation {
    policy: Option<Arc<Policy>>,
    lease: Lease,
    request: Headers,
    /// When it came, in seconds since 1970.
    now: u64,
    /// What the filter answers by itself.
    followed: Option<Headers>,
    /// The headers that are taken away where no policy answers, since a client would claim a version by them.
    claims: Vec<String>,
    response: Option<Headers>,
}

impl Expectation {
    /// By `table`, at `now_ns`.
    pub(super) fn new(table: &Table, request: Headers, now_ns: u64) -> Self {
        let now = now_ns / 1_000_000_000;
        let seen = Seen(&request, now);
        let authority = seen.first(":authority").unwrap_or_default();
        let found = table.find(&authority, || seen.first(":path"));
        let lease = found.map_or(Lease::Unleased, |(index, _)| table.lease(index, || now_ns));
        let mut policy = found.map(|(_, policy)| Arc::clone(policy));
        let mut claims: Vec<_> = table.version_headers().map(str::to_owned).collect();
        let followed = policy.as_ref().and_then(|policy| followed(policy.visit(&seen)));
        if followed.is_some() {
            (policy, claims) = (None, Vec::new());
        }
        Self { policy, lease, request, now, followed, claims, response: None }
    }

    /// What the filter has answered by itself.
    pub(super) fn followed(&self) -> Option<&Headers> {
        self.followed.as_ref()
    }

    fn seen(&self) -> Seen<'_> {
        Seen(&self.request, self.now)
    }

    /// The filter was not asked about this request, and has nothing to do with it.
    pub(super) fn never_asked(&mut self) {
        (self.policy, self.claims, self.followed) = (None, Vec::new(), None);
    }

    pub(super) fn answered(&mut self, response: &Response) {
        self.response = Some(response.headers.clone());
    }

    pub(super) fn is_counted(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.counts().is_some())
    }

    /// Checks the request as it was sent on, and the response as the client got it.
    pub(super) fn check(&self, routed: &Headers, response: Option<&Headers>) {
        let Some(policy) = &self.policy else {
            let is_claim = |name: &[u8]| self.claims.iter().any(|claim| claim.as_bytes() == name);
            assert_eq!(
                others(routed, |_| false),
                others(&self.request, is_claim),
                "no policy, and yet touched"
            );
            assert_eq!(response, self.response.as_ref(), "no policy, and yet touched");
            return;
        };
        let (issued, may_issue) = match response {
            Some(response) => self.check_response(policy, routed, response),
            None => (None, false),
        };
        let new = self.check_request(policy, routed, issued.as_ref());
        assert_eq!(issued.is_some(), new && may_issue, "who is new gets a cookie, and nobody else");
    }

    /// Whether the caller is a new one.
    fn check_request(&self, policy: &Policy, routed: &Headers, issued: Option<&Id>) -> bool {
        let [version] = values(routed, policy.request_header())[..] else {
            panic!("not exactly one version in {routed:?}");
        };
        let arm = Arm::BOTH.into_iter().find(|&arm| policy.version_name(arm).as_bytes() == version);
        let arm = arm.unwrap_or_else(|| panic!("no version of {}: {version:?}", policy.name()));

        // An id that the module made up is learnt from where it went: the cookie, or baggage.
        let sent_on = policy.baggage().and_then(|key| {
            baggage::find(&Seen(routed, self.now).header_list("baggage")?, key, |value| {
                Id::try_from(value).ok()
            })
        });
        let minted = issued.cloned().or_else(|| sent_on.clone());
        let unknown = minted.is_none();
        let placeholder = || Id::try_from(&b"unknown"[..]).ok();
        let decision = policy.decide(&self.seen(), self.lease, || minted.or_else(placeholder));
        let new = decision.identity.as_ref().is_some_and(|identity| identity.origin == Origin::Issued);
        if !(new && unknown) {
            assert_eq!(arm, decision.arm, "{decision:?} by {} for {:?}", policy.name(), self.request);
        }
        check_baggage(policy, &decision, sent_on.as_ref(), &self.seen(), &Seen(routed, self.now));

        let touched = |name: &[u8]| {
            name == policy.request_header().as_bytes() || (policy.baggage().is_some() && name == b"baggage")
        };
        assert_eq!(others(routed, touched), others(&self.request, touched), "others' headers");
        new
    }

    /// The id in the cookie that was issued, if one was, and whether one may be.
    fn check_response(&self, policy: &Policy, routed: &Headers, got: &Headers) -> (Option<Id>, bool) {
        let mut sent = self.response.clone().expect("an answer was given");
        let reason = policy.decide(&self.seen(), self.lease, || None).reason;
        if reason == Reason::Override && policy.has_links() {
            keep_to_caller(&mut sent);
        }
        let sent = &sent;
        if let Some(header) = policy.response_header() {
            assert_eq!(values(got, header), values(routed, policy.request_header()), "the version is shown");
        }
        let touched = |name: &[u8]| policy.response_header().is_some_and(|header| name == header.as_bytes());
        let seen = Seen(sent, self.now);
        let is_kept_already = seen.first(":status").is_some_and(|status| status == b"304");
        let sets_it =
            |name: &str| seen.header_list("set-cookie").is_some_and(|lines| cookie::is_set(&lines, name));
        let is_theirs = policy.cookie().is_some_and(|own| sets_it(&own.name));
        let cache_control = seen.header_list("cache-control");
        let expires = seen.first("expires").is_some_and(|expires| cookie::is_to_come(&expires, 0));
        let keeping = Cacheability::of(cache_control.as_deref(), expires);
        let may_issue = !is_kept_already && !is_theirs && keeping != Cacheability::Wanted;
        if others(got, touched) == others(sent, touched) {
            return (None, may_issue);
        }
        assert!(may_issue, "{got:?} on {sent:?}");
        let is_unsaid = keeping == Cacheability::Unsaid;
        let changes = |name: &[u8]| touched(name) || (is_unsaid && name == b"cache-control");
        let (before, mut after) = (others(sent, changes), others(got, changes));
        let added = after.split_off(before.len());
        assert_eq!(after, before, "the application's own headers");
        if is_unsaid {
            let private = Cacheability::made_private(&cache_control.unwrap_or_default());
            assert_eq!(values(got, "cache-control"), [&private[..]]);
        }
        let [(b"set-cookie", set_cookie)] = added[..] else { panic!("{added:?} beside a cookie") };
        let spec = policy.cookie().expect("a policy that issues cookies");
        let id = cookie::find(set_cookie, &spec.name, |value| Id::try_from(value).ok());
        let id = id.unwrap_or_else(|| panic!("no id in {set_cookie:?}"));
        assert_eq!(id.as_bytes().len(), 32, "{id}");
        (Some(id), true)
    }
}

/// What the browser is told, if it came by a link. Wherever that leads, it is this host.
fn followed(visit: Visit) -> Option<Headers> {
    let Visit::Follow { location, set_cookie } = visit else { return None };
    assert!(
        location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\"),
        "{location}"
    );
    let lines = [
        (":status", "303"),
        ("location", &location),
        ("set-cookie", &set_cookie),
        ("cache-control", "private, no-store"),
        ("referrer-policy", "no-referrer"),
    ];
    Some(lines.map(|(name, value)| (name.into(), value.into())).to_vec())
}

/// An answer to a tester, as no shared cache keeps it.
fn keep_to_caller(headers: &mut Headers) {
    let all = Seen(headers, 0).header_list("cache-control").unwrap_or_default();
    if Cacheability::of(Some(&all), false) == Cacheability::Never {
        return;
    }
    let is_it = |name: &[u8]| name == b"cache-control";
    let first = headers.iter().position(|(name, _)| is_it(name)).unwrap_or(headers.len());
    headers.retain(|(name, _)| !is_it(name));
    headers.insert(first, (b"cache-control".to_vec(), Cacheability::made_private(&all)));
}

/// The caller's id travels on; one that a client made up does not.
fn check_baggage(policy: &Policy, decision: &Decision, sent_on: Option<&Id>, before: &Seen, after: &Seen) {
    let Some(key) = policy.baggage() else { return };
    match &decision.identity {
        Some(identity) => assert_eq!(sent_on, Some(&identity.id), "the id travels on"),
        None if policy.trusts_baggage() => {
            assert_eq!(after.header_list("baggage"), before.header_list("baggage"));
        }
        None => {
            let left = after.header_list("baggage").unwrap_or_default();
            assert_eq!(baggage::without_member(&left, key), None, "made up by a client");
        }
    }
}

type Line<'h> = (&'h [u8], &'h [u8]);

fn others(headers: &Headers, touched: impl Fn(&[u8]) -> bool) -> Vec<Line<'_>> {
    headers.iter().filter(|(name, _)| !touched(name)).map(|(name, value)| (&name[..], &value[..])).collect()
}
