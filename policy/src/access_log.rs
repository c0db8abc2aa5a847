/*!
What a proxy's access log is told of a request: one line of `key=value` pairs, as logfmt has them.

It never holds an id. Who asked is told by their point: one of a million, another in every run, and the same that
`serin explain` finds for an id, so that whoever knows the id finds the lines, and the lines give nobody away.
*/
use crate::decision::{Arm, Reason};
use crate::point::Point;
use crate::policy::Policy;
use crate::series::Group;

/// The property in which the line is left; Envoy calls it [`FILTER_STATE`].
pub const PROPERTY: &str = "serin";

/// Where formats of access logs find the line.
pub const FILTER_STATE: &str = "%FILTER_STATE(wasm.serin:PLAIN)%";

impl Policy {
    /// The line for a request that got `arm` for `reason`, of a caller at `point`. None of its values needs quotes: names
    /// are labels, and so is all that an agent salts with.
    pub fn access_log_line(&self, arm: Arm, reason: Reason, point: Option<Point>) -> String {
        let (release, run, version) = (self.name(), self.run(), self.version_name(arm));
        let mut line = format!("release={release} run={run} version={version} reason=");
        let mut push = |parts: &[&str]| parts.iter().for_each(|part| line.push_str(part));
        match Group::of(self, reason) {
            cohort @ Group::Cohort(_) => push(&["bucket cohort=", &cohort.to_string()]),
            Group::Split(segment) => push(&["split segment=", segment]),
            Group::Segment(segment) => push(&["segment segment=", segment]),
            other => push(&[&other.to_string()]),
        }
        if let Some(point) = point {
            push(&[" user=", &point.get().to_string()]);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decision::Cohort;
    use crate::document::PolicySpec;
    use crate::identity::Id;
    use crate::place::Place;

    #[test]
    fn a_line_says_why_and_never_who() {
        let spec: PolicySpec = serde_json::from_value(json!({
            "name": "shop/shop", "revision": 1, "hosts": ["shop"], "salt": "shop/shop/v2.0.1", "steps": [100_000],
            "versions": [{"name": "stable"}, {"name": "canary", "weight": 1}],
            "segments": [{"name": "beta", "weight": 1_000_000, "matches": [{"method": "GET"}]}],
        }))
        .unwrap();
        let policy = Policy::compile(spec, Place::default()).unwrap();
        let id = Id::try_from(&b"bob@example.com"[..]).unwrap();
        let point = Point::of(policy.salt(), &id);
        let user = format!(" user={}", point.get());
        for (arm, reason, point, rest) in [
            (Arm::Canary, Reason::Bucket(Cohort::Step(0)), Some(point), "canary reason=bucket cohort=step-1"),
            (Arm::Stable, Reason::Bucket(Cohort::Rest), Some(point), "stable reason=bucket cohort=rest"),
            (Arm::Canary, Reason::Segment(0), None, "canary reason=segment segment=beta"),
            (Arm::Canary, Reason::Split(0), Some(point), "canary reason=split segment=beta"),
            (Arm::Canary, Reason::Override, None, "canary reason=override"),
            (Arm::Stable, Reason::NoIdentity, None, "stable reason=no-id"),
            (Arm::Stable, Reason::Closed, None, "stable reason=closed"),
            (Arm::Stable, Reason::Lapsed, None, "stable reason=lapsed"),
            (Arm::Canary, Reason::Fault, Some(point), "canary reason=fault"),
        ] {
            let user = if point.is_some() { &*user } else { "" };
            let wanted = format!("release=shop/shop run=v2.0.1 version={rest}{user}");
            let line = policy.access_log_line(arm, reason, point);
            assert_eq!(line, wanted);
            assert!(!line.contains("bob"), "{line}");
        }
        assert_eq!(FILTER_STATE, format!("%FILTER_STATE(wasm.{PROPERTY}:PLAIN)%"));
    }
}
