/*!
One request and its response.

Every callback asks the proxy for as little as it can: a question whose answer is bytes costs more than all the
arithmetic of a decision.
*/
use std::cell::OnceCell;
use std::sync::Arc;

use serin_policy::access_log;
use serin_policy::cookie::{self, Cacheability, OnCacheable};
use serin_policy::document::Caches;
use serin_policy::flags::FLAGS_HEADER;
use serin_policy::links::Visit;
use serin_policy::marks::MARK_HEADER;
use serin_policy::series::{self, Metric};
use serin_policy::{Arm, Decision, Id, Identity, Origin, Point, Policy, Reason, Request, Table, baggage};

use crate::booking::Booking;
use crate::caching::{self, CDN_FIELDS};
use crate::host::{Host, MetricKind};
use crate::outcome::{Ending, GRPC_STATUS};
use crate::vm::{Live, Vm};

const NS_PER_S: u64 = 1_000_000_000;

/// A request on its way through the proxy. One whose host no policy answers for is [`Default`] to the end.
#[derive(Debug, Default)]
pub struct Exchange(Option<Assigned>);

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onward {
    /// It goes on its way.
    Upstream,
    /// It has had its answer.
    Answered,
}

#[derive(Debug)]
struct Assigned {
    policy: Arc<Policy>,
    arm: Arm,
    reason: Reason,
    /// The id to give to the caller, and whether they came by https.
    issue: Option<(Id, bool)>,
    /// What it counts as, if anything is counted.
    booking: Option<Booking>,
}

/// The request as `serin-policy` wants to see it. By its host and path a policy is found, and rules may ask for them again.
struct Inbound<'h, H> {
    host: &'h H,
    authority: OnceCell<Option<Vec<u8>>>,
    path: OnceCell<Option<Vec<u8>>>,
}

impl<'h, H: Host> Inbound<'h, H> {
    const fn new(host: &'h H) -> Self {
        Self { host, authority: OnceCell::new(), path: OnceCell::new() }
    }

    fn authority(&self) -> Option<&Vec<u8>> {
        self.authority.get_or_init(|| self.host.request_header(":authority")).as_ref()
    }

    fn path(&self) -> Option<&Vec<u8>> {
        self.path.get_or_init(|| self.host.request_header(":path")).as_ref()
    }
}

impl<H: Host> Request for Inbound<'_, H> {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            ":authority" => self.authority().cloned(),
            ":path" => self.path().cloned(),
            _ => self.host.request_header(name),
        }
    }

    fn header_list(&self, name: &str) -> Option<Vec<u8>> {
        self.host.request_header_list(name)
    }

    fn now_seconds(&self) -> u64 {
        self.host.now_ns() / NS_PER_S
    }
}

impl Exchange {
    /// Whether a policy answers for it: if none does, there is nothing to do for the rest of it.
    pub const fn is_assigned(&self) -> bool {
        self.0.is_some()
    }

    /// The request's headers are there: decide, and write the version where the route looks for it.
    pub fn on_request_headers(&mut self, vm: &mut Vm, host: &impl Host) -> Onward {
        let live = vm.live();
        let table = live.table();
        let request = Inbound::new(host);
        let authority = || request.authority().map(Vec::as_slice).unwrap_or_default();
        let found = (!table.is_empty()).then(authority);
        let found = found.and_then(|authority| table.find(authority, || request.header(":path")));
        let Some((index, policy)) = found else {
            refuse_versions(table, host);
            return Onward::Upstream;
        };
        if policy.has_links() && is_sent_on(vm, &request, policy) {
            return Onward::Answered;
        }
        let policy = Arc::clone(policy);
        let began_ns = policy.counts().map(|_| host.now_ns());
        let mint = || vm.mint(host);
        let decision = if live.is_fuse_blown(index) {
            policy.decide_closed(&request, mint)
        } else {
            let lease = table.lease(index, || began_ns.unwrap_or_else(|| host.now_ns()));
            policy.decide(&request, lease, mint)
        };
        let Decision { arm, reason, identity, point, user, flags } = decision;
        host.set_request_header(policy.request_header(), policy.version_name(arm).as_bytes());
        if policy.caches() == Caches::WholeAnswers {
            caching::ask_for_whole_answer(host);
        }
        if let Some(retries) = policy.retries()
            && began_ns.unwrap_or_else(|| host.now_ns()) < live.retries_end_ns(index)
        {
            for (name, value) in retries.headers() {
                host.set_request_header(name, value.as_bytes());
            }
        }
        if let Some(flags) = flags {
            // Also where the caller has none: what a client says of itself goes no further.
            host.set_request_header(FLAGS_HEADER, flags.as_bytes());
        }
        let marked =
            policy.has_marks().then(|| mark(vm, &request, &policy, (arm, reason), began_ns)).flatten();
        let (is_faulty, is_copied) = (marked == Some(Marked::Apart), marked == Some(Marked::Copied));
        let booked = if is_faulty { Reason::Fault } else { reason };
        if policy.tells_access_log() {
            let who = || identity.as_ref().map(|identity| Point::of(policy.salt(), &identity.id));
            let told = policy.access_log_line(arm, booked, point.or_else(who));
            host.set_property(access_log::PROPERTY, told.as_bytes());
        }
        if let Some(key) = policy.baggage() {
            send_on(host, &policy, key, identity.as_ref());
        }
        let issue = identity.filter(|identity| identity.origin == Origin::Issued).map(|identity| {
            let https = host.request_header(":scheme").is_some_and(|scheme| scheme == b"https");
            (identity.id, https)
        });
        let is_new = issue.is_some();
        if is_faulty && is_new {
            count_issued(vm, host, &live, (index, &policy), (arm, reason));
        }
        let booking = policy.counts().zip(began_ns).and_then(|(counts, began_ns)| {
            let account = vm.account(host, &live, (index, &policy), (arm, booked), user)?;
            let copied =
                is_copied.then(|| vm.account(host, &live, (index, &policy), (arm, Reason::Copied), None));
            let booking = Booking::begin(vm, account, began_ns, counts.objective_ms, is_new && !is_faulty);
            Some(booking.and_once_more(copied.flatten().map(|account| account.series)))
        });
        self.0 = Some(Assigned { policy, arm, reason: booked, issue, booking });
        Onward::Upstream
    }

    /// The response's headers are there, and are the whole of it if `is_whole`: show the version to whoever is to see it, give
    /// new callers their id.
    pub fn on_response_headers(&mut self, vm: &mut Vm, host: &impl Host, is_whole: bool) {
        let Some(assigned) = &mut self.0 else { return };
        if let Some(booking) = &mut assigned.booking {
            booking.answered(vm, host);
            if is_whole {
                booking.ends_with(Ending::Headers(host.response_header(GRPC_STATUS)));
            }
        }
        if let Some(header) = assigned.policy.response_header() {
            host.set_response_header(header, assigned.policy.version_name(assigned.arm).as_bytes());
        }
        let is_testers = assigned.reason == Reason::Override && assigned.policy.has_links();
        let is_guarded = assigned.arm == Arm::Canary && assigned.policy.caches() == Caches::PrivateCanary;
        if is_testers {
            caching::keep_from_shared(host);
        }
        // Of others whether they keep an id must not depend on their version, or the canary would gather those who do.
        assigned.give_id(host);
        if is_guarded && !is_testers {
            caching::keep_from_shared(host);
        }
    }

    /// The response ends with trailers.
    pub fn on_response_trailers(&mut self, host: &impl Host) {
        if let Some(Assigned { booking: Some(booking), .. }) = &mut self.0 {
            booking.ends_with(Ending::Trailers(host.response_trailer(GRPC_STATUS)));
        }
    }

    /// All is over: count it, once.
    pub fn on_log(&mut self, vm: &mut Vm, host: &impl Host) {
        let Some(Assigned { policy, arm, reason, booking: Some(booking), .. }) = self.0.take() else {
            return;
        };
        booking.end(vm, host, &policy, arm, reason);
    }
}

impl Assigned {
    /// Gives a new caller their id, unless the answer is one that cannot carry it.
    fn give_id(&mut self, host: &impl Host) {
        let (Some((id, https)), Some(cookie)) = (self.issue.take(), self.policy.cookie()) else {
            return;
        };
        // What it is an answer to is in the caller's own cache, and stays there as it is.
        if host.response_header(":status").is_some_and(|status| status == b"304") {
            return;
        }
        // The application gives its own cookie of this name, and knows better.
        let sets_cookies = host.response_header("set-cookie").is_some();
        let cookies = sets_cookies.then(|| host.response_header_list("set-cookie")).flatten();
        if cookies.is_some_and(|lines| cookie::is_set(&lines, &cookie.name)) {
            return;
        }
        if CDN_FIELDS.iter().any(|field| caching::is_kept_by_cdn(host, field)) {
            return self.withhold();
        }
        let cache_control = caching::cache_control(host);
        match caching::cacheability(host, cache_control.as_deref()) {
            Cacheability::Wanted if cookie.on_cacheable != OnCacheable::MakePrivate => {
                return self.withhold();
            }
            Cacheability::Wanted | Cacheability::Unsaid => {
                caching::make_private(host, cache_control.as_deref());
            }
            Cacheability::Never => {}
        }
        host.add_response_header("set-cookie", cookie.set_cookie(&id, https).as_bytes());
    }

    /// The caller is not given their id after all.
    fn withhold(&mut self) {
        if let Some(booking) = &mut self.booking {
            booking.withhold();
        }
    }
}

/// No policy answers for this request. What its client says of versions is not for routes to see.
fn refuse_versions(table: &Table, host: &impl Host) {
    for header in table.version_headers() {
        // Taking one away that is not there would have the proxy look for a route anew.
        if host.request_header(header).is_some() {
            host.remove_request_header(header);
        }
    }
}

/// Whether the request is a link, and has been answered with where to go on. One that is not right is counted, and like any
/// other.
#[inline(never)]
fn is_sent_on(vm: &mut Vm, request: &Inbound<'_, impl Host>, policy: &Policy) -> bool {
    let host = request.host;
    match policy.visit(request) {
        Visit::Plain => false,
        Visit::Refused => {
            let name = series::raw_refused_links(policy);
            let counter = vm.meters().single(host, MetricKind::Counter, name);
            host.increment(counter);
            false
        }
        Visit::Follow { location, set_cookie } => {
            // Nobody keeps it, and nobody further on is told of it.
            host.answer(
                303,
                &[
                    ("location", &location),
                    ("set-cookie", &set_cookie),
                    ("cache-control", "private, no-store"),
                    ("referrer-policy", "no-referrer"),
                ],
            );
            true
        }
    }
}

/// How a request with a mark counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marked {
    /// As a fault, and nothing else.
    Apart,
    /// As ever, and as one that is copied.
    Copied,
}

/// Tells the route of the request's mark, if it has one, and says how it counts then. Where no agent has been heard of for too
/// long, nothing is marked.
#[inline(never)]
fn mark(
    vm: &mut Vm,
    request: &Inbound<'_, impl Host>,
    policy: &Policy,
    (arm, reason): (Arm, Reason),
    began_ns: Option<u64>,
) -> Option<Marked> {
    let host = request.host;
    let now_seconds = began_ns.unwrap_or_else(|| host.now_ns()) / NS_PER_S;
    let has_lapsed = reason == Reason::Lapsed;
    let mark = if has_lapsed { None } else { policy.mark(request, arm, now_seconds, || vm.draw(host)) };
    // Also where there is none: what a client writes chooses no route.
    host.set_request_header(MARK_HEADER, mark.map_or("", |mark| &mark.name).as_bytes());
    mark.map(|mark| if mark.apart { Marked::Apart } else { Marked::Copied })
}

/// Counts a caller who was given an id, whatever becomes of the answer: they were drawn all the same.
#[inline(never)]
fn count_issued(vm: &mut Vm, host: &impl Host, live: &Live, policy: (usize, &Policy), drawn: (Arm, Reason)) {
    if let Some(account) = vm.account(host, live, policy, drawn, None) {
        host.increment(account.series.of(Metric::Issued));
    }
}

/// Sends the caller's id on in baggage, or keeps one that a client made up from travelling on.
fn send_on(host: &impl Host, policy: &Policy, key: &str, identity: Option<&Identity>) {
    let existing = || host.request_header_list("baggage");
    let is_as_it_came = identity.is_none_or(|identity| identity.origin == Origin::Baggage);
    let changed = match identity {
        _ if is_as_it_came && policy.trusts_baggage() => None,
        Some(Identity { id, .. }) => {
            Some(baggage::with_member(&existing().unwrap_or_default(), key, id.as_bytes()))
        }
        None => existing().and_then(|header| baggage::without_member(&header, key)),
    };
    match changed {
        Some(header) if header.is_empty() => host.remove_request_header("baggage"),
        Some(header) => host.set_request_header("baggage", &header),
        None => {}
    }
}
