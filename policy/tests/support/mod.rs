/*!
Requests and policies for this crate's tests, written down as briefly as they can be.
*/
#![allow(dead_code, reason = "every test binary uses a part of it")]
use serde_json::{Value, json};
use serin_policy::{Decision, Id, Lease, Policy, Proxy, Reason, Request, Table};

/// The time in these tests, in seconds since 1970: 28 November 2026, 10:00.
pub(crate) const NOW: u64 = 1_795_860_000;

/// What a test's `mint` hands out.
pub(crate) const MINTED: &str = "minted";

/// Header lines as a proxy has them: names in lower case, in order, some more than once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(pub(crate) Vec<(String, Vec<u8>)>);

impl Lines {
    pub(crate) fn of(lines: &[(&str, &[u8])]) -> Self {
        Self(lines.iter().map(|&(name, value)| (name.to_owned(), value.to_vec())).collect())
    }

    /// One `name: value` on each line of `text`. A name may begin with the colon of a pseudo-header.
    pub(crate) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let end = line.get(1..).and_then(|rest| rest.find(':')).expect("name: value") + 1;
            (line[..end].to_owned(), line[end + 1..].trim().as_bytes().to_vec())
        };
        Self(text.lines().map(str::trim).filter(|text| !text.is_empty()).map(line).collect())
    }

    fn values<'l>(&'l self, name: &str) -> impl Iterator<Item = &'l [u8]> {
        let name = name.to_owned();
        self.0.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_slice())
    }
}

impl Request for Lines {
    fn header(&self, name: &str) -> Option<Vec<u8>> {
        self.values(name).next().map(<[u8]>::to_vec)
    }

    fn header_list(&self, name: &str) -> Option<Vec<u8>> {
        let all: Vec<_> = self.values(name).collect();
        (!all.is_empty()).then(|| all.join(&b','))
    }

    fn now_seconds(&self) -> u64 {
        NOW
    }
}

/// The smallest policy, as JSON, with `changes` over it; a `null` takes a field away.
pub(crate) fn spec(changes: &Value) -> Value {
    let mut spec = json!({
        "name": "shop/shop",
        "revision": 7,
        "hosts": ["shop.example.com"],
        "versions": [{"name": "stable"}, {"name": "canary", "weight": 500_000}],
        "salt": "shop/shop/1",
    });
    for (field, value) in changes.as_object().expect("changes are an object") {
        if value.is_null() {
            spec.as_object_mut().unwrap().remove(field);
        } else {
            spec[field] = value.clone();
        }
    }
    spec
}

/// A document of these policies.
pub(crate) fn document(policies: &[Value]) -> Vec<u8> {
    json!({"version": 1, "policies": policies}).to_string().into_bytes()
}

/// The smallest policy with `changes` over it, ready to decide.
pub(crate) fn policy(changes: &Value) -> Policy {
    let (table, refusals) = Table::read(&document(&[spec(changes)]), &Proxy::default(), &Table::default());
    assert!(refusals.is_empty(), "{changes}: {}", refusals[0]);
    Policy::clone(table.policies().next().unwrap())
}

/// What `policy` decides for `request`.
pub(crate) fn decide(policy: &Policy, request: &impl Request) -> Decision {
    policy.decide(request, Lease::Unleased, || Some(id(MINTED)))
}

pub(crate) fn id(text: &str) -> Id {
    Id::try_from(text.as_bytes()).unwrap()
}

/// A decision in one line: `canary: bucket step 1; cookie alice`.
pub(crate) fn describe(decision: &Decision) -> String {
    let reason = decision.reason.to_string();
    // The reason's first words say which it is; the rest explains it to people.
    let reason = match decision.reason {
        Reason::Bucket(_) => format!("bucket {}", reason.rsplit("moved by ").next().unwrap()),
        Reason::Split(_) => format!("split {}", reason.split(':').next().unwrap()),
        _ => reason.split(':').next().unwrap().to_owned(),
    };
    let who = decision.identity.as_ref().map(|who| format!("; {} {}", who.origin, who.id));
    format!("{}: {reason}{}", decision.arm.as_str(), who.unwrap_or_default())
}

/// Each request, as header lines, gets the answer beside it from the policy with `changes`.
#[track_caller]
pub(crate) fn check(changes: &Value, cases: &[(&str, &str)]) {
    let policy = policy(changes);
    for (request, expected) in cases {
        assert_eq!(describe(&decide(&policy, &Lines::parse(request))), *expected, "{request:?} by {changes}");
    }
}

/// `changes`, and `more` over them.
pub(crate) fn with(mut changes: Value, more: &Value) -> Value {
    changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    changes
}
