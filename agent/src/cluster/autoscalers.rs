/*!
The floor of an autoscaler: raised while a release needs it, and given back as its owner wants it.

What its owner writes meanwhile is their floor from then on: it is never lowered, and it is what they get back. So both
are noted on the autoscaler, what was theirs and what it was raised to.
*/
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::ResourceExt;
use serde_json::{Value, json};

/// Its owner's floor, while Serin has raised it.
const OWN_FLOOR: &str = "serin.dev/min-replicas";

/// What Serin has raised it to.
const RAISED_TO: &str = "serin.dev/raised-min-replicas";

/// The floor of an autoscaler, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Floor {
    /// Its owner's.
    Own(i32),
    /// Serin's, over one of its owner's.
    Raised { own: i32, to: i32 },
}

impl Floor {
    /// As it is.
    pub(super) fn of(autoscaler: &HorizontalPodAutoscaler) -> Self {
        let (present, own) = (min_replicas(autoscaler), noted(autoscaler, OWN_FLOOR));
        // Earlier agents did not note what they had raised it to: what is there is taken for that.
        let is_serins = match autoscaler.annotations().get(RAISED_TO) {
            Some(to) => to.parse() == Ok(present),
            None => true,
        };
        match own {
            Some(own) if is_serins => Self::Raised { own, to: present },
            // Nobody has raised it, or its owner has changed it since.
            _ => Self::Own(present),
        }
    }

    /// As it is to be while `needed` pods are, with `most` allowed.
    pub(super) fn wanted(self, needed: Option<u32>, most: i32) -> Self {
        let (Self::Own(own) | Self::Raised { own, .. }) = self;
        let needed = needed.map(|needed| i32::try_from(needed).unwrap_or(i32::MAX).min(most));
        match needed {
            Some(to) if to > own => Self::Raised { own, to },
            _ => Self::Own(own),
        }
    }

    /// What `autoscaler` lacks to have this floor, as a merge patch that is refused if it has changed meanwhile.
    pub(super) fn patch(self, autoscaler: &HorizontalPodAutoscaler) -> Option<Value> {
        let (min, own, to) = match self {
            Self::Own(own) => (own, None, None),
            Self::Raised { own, to } => (to, Some(own.to_string()), Some(to.to_string())),
        };
        let notes = autoscaler.annotations();
        let is_there = min_replicas(autoscaler) == min
            && notes.get(OWN_FLOOR) == own.as_ref()
            && notes.get(RAISED_TO) == to.as_ref();
        (!is_there).then(|| {
            json!({
                "metadata": {
                    "resourceVersion": autoscaler.resource_version(),
                    "annotations": {OWN_FLOOR: own, RAISED_TO: to},
                },
                "spec": {"minReplicas": min},
            })
        })
    }
}

/// The API server fills it in where its owner leaves it out.
fn min_replicas(autoscaler: &HorizontalPodAutoscaler) -> i32 {
    autoscaler.spec.as_ref().and_then(|spec| spec.min_replicas).unwrap_or(1)
}

fn noted(autoscaler: &HorizontalPodAutoscaler, name: &str) -> Option<i32> {
    autoscaler.annotations().get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    /// What becomes of an autoscaler's `minReplicas` and notes, while so many pods are needed: `3` or `3 own=1 raised=3`.
    fn check(found: &str, needed: Option<u32>, wanted: &str) {
        let found = autoscaler(found);
        let after = Floor::of(&found).wanted(needed, 10).patch(&found).map_or_else(
            || found.clone(),
            |patch| {
                assert_eq!(patch["metadata"]["resourceVersion"], "7", "it names what it was planned from");
                let mut after = json!(found);
                merge(&mut after, &patch);
                from_value(after).unwrap()
            },
        );
        let again = Floor::of(&after).wanted(needed, 10).patch(&after);
        assert_eq!((in_words(&after), again), (wanted.to_owned(), None), "{found:?}");
    }

    fn autoscaler(words: &str) -> HorizontalPodAutoscaler {
        let mut words = words.split(' ');
        let min: i32 = words.next().unwrap().parse().unwrap();
        let annotations: serde_json::Map<_, _> = words
            .map(|word| match word.split_once('=').unwrap() {
                ("own", own) => (OWN_FLOOR.to_owned(), json!(own)),
                (_, to) => (RAISED_TO.to_owned(), json!(to)),
            })
            .collect();
        let spec = json!({"maxReplicas": 10, "minReplicas": min, "scaleTargetRef": {"kind": "Deployment", "name": "shop"}});
        from_value(json!({"metadata": {"resourceVersion": "7", "annotations": annotations}, "spec": spec}))
            .unwrap()
    }

    fn in_words(autoscaler: &HorizontalPodAutoscaler) -> String {
        let noted =
            |name, word| noted(autoscaler, name).map_or_else(String::new, |note| format!(" {word}={note}"));
        let min = min_replicas(autoscaler);
        format!("{min}{}{}", noted(OWN_FLOOR, "own"), noted(RAISED_TO, "raised"))
    }

    /// RFC 7396.
    fn merge(target: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        for (key, value) in patch {
            if value.is_null() {
                target.as_object_mut().unwrap().remove(key);
            } else {
                merge(&mut target[key], value);
            }
        }
    }

    #[test]
    fn a_floor_is_raised_to_what_is_needed_and_given_back() {
        check("3", Some(5), "5 own=3 raised=5");
        check("5 own=3 raised=5", Some(6), "6 own=3 raised=6");
        check("5 own=3 raised=5", Some(4), "4 own=3 raised=4");
        check("5 own=3 raised=5", None, "3");
    }

    #[test]
    fn a_floor_that_is_enough_is_left_alone() {
        check("3", Some(3), "3");
        check("8", Some(3), "8");
        check("3", None, "3");
    }

    #[test]
    fn what_its_owner_writes_meanwhile_is_never_lowered_and_stays() {
        check("9 own=3 raised=5", Some(5), "9");
        check("9 own=3 raised=5", None, "9");
        check("4 own=3 raised=5", Some(5), "5 own=4 raised=5");
        check("4 own=3 raised=5", None, "4");
    }

    #[test]
    fn nothing_is_raised_beyond_what_is_allowed() {
        check("3", Some(40), "10 own=3 raised=10");
    }

    #[test]
    fn what_an_earlier_agent_has_raised_is_given_back() {
        check("5 own=3", Some(5), "5 own=3 raised=5");
        check("5 own=3", None, "3");
    }

    #[test]
    fn a_note_that_makes_no_sense_counts_for_nothing() {
        check("5 own=three raised=5", None, "5");
    }
}
