/*!
One request and its response.

Every callback asks the proxy for as little as it can: a question whose answer is bytes costs more than all the
arithmetic of a decision.
*/
use std::rc::Rc;
use std::sync::Arc;

use serin_policy::cookie::Cacheability;
use serin_policy::series::Metric;
use serin_policy::{Arm, Decision, Id, Identity, Origin, Policy, Reason, Request, baggage};

use crate::host::Host;
use crate::vm::{Live, Vm};

/// A request on its way through the proxy. One whose host no policy answers for is [`Default`] to the end.
#[derive(Debug, Default)]
pub struct Exchange(Option<Assigned>);

#[derive(Debug)]
struct Assigned {
    live: Rc<Live>,
    index: usize,
    policy: Arc<Policy>,
    arm: Arm,
    reason: Reason,
    /// The id to give to the caller, and whether they came by https.
    issue: Option<(Id, bool)>,
    /// Whether the caller's id was made just now.
    is_new: bool,
    /// When the request came, if its time is to be taken.
    began_ns: Option<u64>,
}

/// The request as `serin-policy` wants to see it.
struct Inbound<'h, H>(&'h H);

impl<H: Host> Request for Inbound<'_, H> {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.0.request_header(name)
    }

    fn header_list(&self, name: &str) -> Option<Vec<u8>> {
        self.0.request_header_list(name)
    }
}

impl Exchange {
    /// The request's headers are there: decide, and write the version where the route looks for it.
    pub fn on_request_headers(&mut self, vm: &mut Vm, host: &impl Host) {
        let live = vm.live();
        let authority = host.request_header(":authority").unwrap_or_default();
        let Some((index, policy)) = live.table().find(&authority, || host.request_header(":path")) else {
            return;
        };
        let policy = Arc::clone(policy);
        let began_ns = policy.counts().map(|_| host.now_ns());
        let Decision { arm, reason, identity, .. } = policy.decide(&Inbound(host), || vm.mint(host));
        host.set_request_header(policy.request_header(), policy.version_name(arm).as_bytes());
        if let Some(key) = policy.baggage() {
            send_on(host, &policy, key, identity.as_ref());
        }
        let issue = identity.filter(|identity| identity.origin == Origin::Issued).map(|identity| {
            let https = host.request_header(":scheme").is_some_and(|scheme| scheme == b"https");
            (identity.id, https)
        });
        let is_new = issue.is_some();
        self.0 = Some(Assigned { live, index, policy, arm, reason, issue, is_new, began_ns });
    }

    /// The response's headers are there: show the version to whoever is to see it, give new callers their id.
    pub fn on_response_headers(&mut self, host: &impl Host) {
        let Some(assigned) = &mut self.0 else { return };
        if let Some(header) = assigned.policy.response_header() {
            host.set_response_header(header, assigned.policy.version_name(assigned.arm).as_bytes());
        }
        let (Some((id, https)), Some(cookie)) = (assigned.issue.take(), assigned.policy.cookie()) else {
            return;
        };
        // A CDN goes by its own header where there is one (RFC 9213), and by this one's forerunner.
        let kept_by_cdn = |name| {
            let field = host.response_header(name);
            field.is_some_and(|field| Cacheability::of(Some(&field), false) != Cacheability::Never)
        };
        if kept_by_cdn("cdn-cache-control") || kept_by_cdn("surrogate-control") {
            return;
        }
        // That there is none costs an eighth of what all of its lines do, and most answers to new callers have none.
        let cache_control = host.response_header("cache-control").is_some();
        let cache_control = cache_control.then(|| host.response_header_list("cache-control")).flatten();
        match Cacheability::of(cache_control.as_deref(), host.response_header("expires").is_some()) {
            Cacheability::Wanted => return,
            Cacheability::Unsaid => host.add_response_header("cache-control", b"private"),
            Cacheability::Never => {}
        }
        host.add_response_header("set-cookie", cookie.set_cookie(&id, https).as_bytes());
    }

    /// All is over: count it.
    pub fn on_log(&mut self, vm: &mut Vm, host: &impl Host) {
        let Some(Assigned { live, index, policy, arm, reason, is_new, began_ns, .. }) = self.0.take() else {
            return;
        };
        let (Some(counts), Some(began_ns)) = (policy.counts(), began_ns) else { return };
        let Some(series) = vm.series(host, &live, (index, &policy), (arm, reason)) else { return };
        let count = |metric| host.increment(series.of(metric));

        let status = host.response_header(":status").as_deref().and_then(status_code).unwrap_or(CLIENT_LEFT);
        count(Metric::Requests(u8::try_from(status / 100).unwrap_or(5)));
        if let Some(metric) = grpc_status(host).and_then(Metric::of_grpc_status) {
            count(metric);
        }
        if host.attempts().is_some_and(|attempts| attempts > 1) {
            count(Metric::Retried);
        }
        if is_new {
            count(Metric::Issued);
        }
        // A connection that became something else lasts as long as its user likes: that is no latency.
        if status != SWITCHING_PROTOCOLS {
            let took_ns = host.now_ns().saturating_sub(began_ns);
            if took_ns > u64::from(counts.objective_ms) * 1_000_000 {
                count(Metric::Slow);
            }
            host.record(series.of(Metric::Time), took_ns / 1_000_000);
        }
    }
}

const SWITCHING_PROTOCOLS: u16 = 101;

/// What a caller who left before there was an answer counts as: no error of the version, but slow if they waited
/// for longer than the objective. The number is nginx's.
const CLIENT_LEFT: u16 = 499;

/// Sends the caller's id on in baggage, or keeps one that a client made up from travelling on.
fn send_on(host: &impl Host, policy: &Policy, key: &str, identity: Option<&Identity>) {
    let existing = || host.request_header_list("baggage");
    let changed = match identity {
        Some(Identity { origin: Origin::Baggage, .. }) => None,
        Some(Identity { id, .. }) => {
            Some(baggage::with_member(&existing().unwrap_or_default(), key, id.as_bytes()))
        }
        None if policy.trusts_baggage() => None,
        None => existing().and_then(|header| baggage::without_member(&header, key)),
    };
    if let Some(header) = changed {
        host.set_request_header("baggage", &header);
    }
}

/// `grpc-status`, from the trailers or, where an answer has only headers, from these. What is not a number is
/// none of gRPC's own codes: UNKNOWN, as gRPC clients take it.
fn grpc_status(host: &impl Host) -> Option<u32> {
    const UNKNOWN: u32 = 2;
    let present = |value: &Vec<u8>| !value.is_empty();
    let value = host.response_trailer("grpc-status").filter(present);
    let value = value.or_else(|| host.response_header("grpc-status").filter(present))?;
    Some(std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).unwrap_or(UNKNOWN))
}

fn status_code(value: &[u8]) -> Option<u16> {
    let code = std::str::from_utf8(value).ok()?.parse().ok()?;
    (100..=599).contains(&code).then_some(code)
}
