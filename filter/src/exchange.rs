/*!
One request and its response.

Every callback asks the proxy for as little as it can: a question whose answer is bytes costs more than all the
arithmetic of a decision.
*/
use std::cell::OnceCell;
use std::sync::Arc;

use serin_policy::access_log;
use serin_policy::cookie::{self, Cacheability, OnCacheable};
use serin_policy::flags::FLAGS_HEADER;
use serin_policy::marks::MARK_HEADER;
use serin_policy::series::Metric;
use serin_policy::{Arm, Decision, Id, Identity, Origin, Point, Policy, Reason, Request, Table, baggage};

use crate::booking::Booking;
use crate::host::Host;
use crate::outcome::{Ending, GRPC_STATUS};
use crate::vm::{Live, Vm};

/// A request on its way through the proxy. One whose host no policy answers for is [`Default`] to the end.
#[derive(Debug, Default)]
pub struct Exchange(Option<Assigned>);

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
}

impl Exchange {
    /// Whether a policy answers for it: if none does, there is nothing to do for the rest of it.
    pub const fn is_assigned(&self) -> bool {
        self.0.is_some()
    }

    /// The request's headers are there: decide, and write the version where the route looks for it.
    pub fn on_request_headers(&mut self, vm: &mut Vm, host: &impl Host) {
        let live = vm.live();
        let table = live.table();
        let request = Inbound::new(host);
        let authority = || request.authority().map(Vec::as_slice).unwrap_or_default();
        let found = (!table.is_empty()).then(authority);
        let found = found.and_then(|authority| table.find(authority, || request.header(":path")));
        let Some((index, policy)) = found else {
            return refuse_versions(table, host);
        };
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
        let is_faulty = policy.has_marks() && mark(vm, &request, &policy, arm, began_ns);
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
            Some(Booking::begin(vm, account, began_ns, counts.objective_ms, is_new && !is_faulty))
        });
        self.0 = Some(Assigned { policy, arm, reason: booked, issue, booking });
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
        let (Some((id, https)), Some(cookie)) = (assigned.issue.take(), assigned.policy.cookie()) else {
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
        // A CDN goes by its own header where there is one (RFC 9213), and by this one's forerunner.
        let kept_by_cdn = |name| {
            let field = host.response_header(name);
            field.is_some_and(|field| Cacheability::of(Some(&field), false) != Cacheability::Never)
        };
        if kept_by_cdn("cdn-cache-control") || kept_by_cdn("surrogate-control") {
            return assigned.withhold();
        }
        // That there is none costs an eighth of what all of its lines do, and most answers to new callers have none.
        let cache_control = host.response_header("cache-control").is_some();
        let cache_control = cache_control.then(|| host.response_header_list("cache-control")).flatten();
        let expires = host.response_header("expires");
        let is_to_come = expires.is_some_and(|expires| cookie::is_to_come(&expires, host.now_ns()));
        match Cacheability::of(cache_control.as_deref(), is_to_come) {
            Cacheability::Wanted if cookie.on_cacheable != OnCacheable::MakePrivate => {
                return assigned.withhold();
            }
            Cacheability::Wanted | Cacheability::Unsaid => {
                let private = Cacheability::made_private(&cache_control.unwrap_or_default());
                host.set_response_header("cache-control", &private);
            }
            Cacheability::Never => {}
        }
        host.add_response_header("set-cookie", cookie.set_cookie(&id, https).as_bytes());
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

/// Tells the route of the request's mark, if it has one, and says whether that is a fault.
#[inline(never)]
fn mark(
    vm: &mut Vm,
    request: &Inbound<'_, impl Host>,
    policy: &Policy,
    arm: Arm,
    began_ns: Option<u64>,
) -> bool {
    let host = request.host;
    let now_seconds = began_ns.unwrap_or_else(|| host.now_ns()) / 1_000_000_000;
    let mark = policy.mark(request, arm, now_seconds, || vm.draw(host));
    // Also where there is none: what a client writes chooses no route.
    host.set_request_header(MARK_HEADER, mark.map_or("", |mark| &mark.name).as_bytes());
    mark.is_some_and(|mark| mark.apart)
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
