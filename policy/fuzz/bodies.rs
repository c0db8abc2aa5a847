/*!
What must hold whatever the bytes are. The fuzz targets run this on bytes of their own making, the suite on those
in `seeds`.
*/
use serin_policy::cookie::{self, Cacheability};
use serin_policy::series::{Metric, Tag};
use serin_policy::{Arm, Id, Lease, Policy, Proxy, Reason, Request, Table, baggage};

/// A request whose every header is some part of these bytes.
struct Scraps<'d>(&'d [u8]);

impl Request for Scraps<'_> {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        // Which part depends on the name only, so that the same question gets the same answer.
        let place = name.bytes().fold(7_usize, |place, byte| place.wrapping_mul(31) + usize::from(byte));
        let part = self.0.split(|&byte| byte == b'"').nth(place % 64)?;
        Some(part.to_vec())
    }

    fn header_list(&self, name: &str) -> Option<Vec<u8>> {
        let first = self.header(name)?;
        Some([&first[..], b",", self.0].concat())
    }

    fn now_seconds(&self) -> u64 {
        1_795_860_000
    }
}

/// Any bytes as a policy document, and the same bytes as a request to it.
pub(crate) fn document(data: &[u8]) {
    const GOOD: &[u8] = br#"{"version": 1, "policies": [{"name": "a/good", "revision": 1, "hosts": ["good"],
        "salt": "s", "versions": [{"name": "stable"}, {"name": "canary", "weight": 1}]}]}"#;
    let (good, refusals) = Table::read(GOOD, &Proxy::default(), &Table::default());
    assert!(refusals.is_empty());

    let (table, refusals) = Table::read(data, &Proxy::of("", Some("ns")), &good);
    for refusal in &refusals {
        assert!(refusal.to_string().len() < 2_000, "a refusal is a line, not a page: {refusal}");
    }
    let names = |table: &Table| table.policies().map(|policy| policy.name().to_owned()).collect::<Vec<_>>();
    let (again, refused_again) = Table::read(data, &Proxy::of("", Some("ns")), &table);
    assert_eq!(
        (names(&table), &refusals),
        (names(&again), &refused_again),
        "the same document changes nothing"
    );

    let request = Scraps(data);
    for part in data.split(|&byte| byte == b'"').take(64) {
        if let Some((at, policy)) = table.find(part, || request.header(":path")) {
            assert_eq!(table.policies().nth(at).map(|policy| policy.name()), Some(policy.name()));
        }
    }
    for policy in table.policies() {
        decision(policy, &request);
    }
}

fn decision(policy: &Policy, request: &Scraps<'_>) {
    let decide = || policy.decide(request, Lease::Unleased, || Some(Id::from_random(1)));
    let decision = decide();
    assert_eq!(decision, decide(), "the same request gets the same answer");
    assert!(policy.slot(decision.arm, decision.reason) < policy.slots());
    if policy.is_closed() {
        assert_eq!((decision.arm, decision.reason), (Arm::Stable, Reason::Closed));
    }
    assert_eq!(decision.point.is_some(), decision.reason.is_random());
    let tag = Tag::of(policy, decision.arm, decision.reason);
    assert_eq!(Tag::parse(&tag.to_string()), Some(tag), "the agent reads what the filter counts");
    for metric in Metric::ALL {
        let name = tag.raw_name(metric);
        assert!(name.is_ascii() && !name.contains(char::is_whitespace), "{name:?}");
    }
    if let (Some(identity), Some(cookie)) = (decision.identity, policy.cookie()) {
        let set_cookie = cookie.set_cookie(&identity.id, true);
        assert!(set_cookie.bytes().all(|byte| (0x20..0x7F).contains(&byte)), "{set_cookie:?}");
        let found = cookie::find(set_cookie.as_bytes(), &cookie.name, id);
        assert_eq!(found, Some(identity.id), "{set_cookie:?}");
    }
}

fn id(value: &[u8]) -> Option<Id> {
    Id::try_from(value).ok()
}

/// Any bytes as a `cookie`, a `baggage` and a `cache-control` header.
pub(crate) fn cookie(data: &[u8]) {
    const KEY: &str = "serin";
    let holds = |part: &[u8]| data.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    if let Some(found) = cookie::find(data, KEY, id) {
        assert!(holds(found.as_bytes()), "{found} is not in the header");
    }

    for given in [id(b"50%"), baggage::find(data, KEY, id)].into_iter().flatten() {
        let header = baggage::with_member(data, KEY, given.as_bytes());
        assert_eq!(baggage::find(&header, KEY, id), Some(given), "what is put in comes out");
        let without = baggage::without_member(&header, KEY).expect("it has the member");
        assert_eq!(baggage::without_member(&without, KEY), None, "once is enough");
        let before = baggage::without_member(data, KEY);
        assert_eq!(members(&without), members(before.as_deref().unwrap_or(data)), "others stay as they were");
    }

    for expires in [false, true] {
        match Cacheability::of(Some(data), expires) {
            Cacheability::Never => assert!(holds(b"private") || holds(b"no-store")),
            Cacheability::Wanted => {
                assert!(expires || holds(b"public") || holds(b"s-maxage") || holds(b"max-age"));
            }
            Cacheability::Unsaid => {}
        }
    }
}

/// The members of a `baggage` header, but for empty ones.
fn members(header: &[u8]) -> Vec<&[u8]> {
    let members = header.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    members.filter(|member| !member.is_empty()).collect()
}
