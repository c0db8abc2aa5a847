/*!
Conditions on a measurement, as Argo has them (`result[0] >= 0.95`), as a range of good values.
*/
use std::fmt;

use crate::draft::Fields;

/// The good values, from and to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Range {
    min: Option<f64>,
    max: Option<f64>,
}

impl Range {
    /// As a Release has it.
    pub(super) fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        fields.put_some("min", self.min);
        fields.put_some("max", self.max);
        fields
    }

    fn narrow(&mut self, other: &Self) {
        let tighter = |one: Option<f64>, other: Option<f64>, pick: fn(f64, f64) -> f64| match (one, other) {
            (Some(one), Some(other)) => Some(pick(one, other)),
            (one, other) => one.or(other),
        };
        self.min = tighter(self.min, other.min, f64::max);
        self.max = tighter(self.max, other.max, f64::min);
    }
}

/// A condition that is more than bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread(String);

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: Serin takes bounds of one number (thresholdRange), as in result[0] >= 0.95", self.0)
    }
}

/// The values at which `condition` holds.
pub(super) fn where_true(condition: &str) -> Result<Range, Unread> {
    read(condition, "&&", |op| op)
}

/// The values at which it does not.
pub(super) fn where_false(condition: &str) -> Result<Range, Unread> {
    read(condition, "||", |op| match op {
        "<" => ">=",
        "<=" => ">",
        ">" => "<=",
        ">=" => "<",
        other => other,
    })
}

/// Bounds that are joined by `joint`, each turned round by `turn`.
fn read(condition: &str, joint: &str, turn: fn(&str) -> &str) -> Result<Range, Unread> {
    let mut range = Range::default();
    for clause in condition.split(joint) {
        let bound = bound(clause.trim(), turn).ok_or_else(|| Unread(condition.to_owned()))?;
        range.narrow(&bound);
    }
    Ok(range)
}

fn bound(clause: &str, turn: fn(&str) -> &str) -> Option<Range> {
    let clause = clause.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(clause);
    // Of one series, all is that one.
    let clause = clause.strip_prefix("all(result,").and_then(|rest| rest.strip_suffix(')')).unwrap_or(clause);
    let clause = clause.trim().trim_start_matches('{').trim_end_matches('}').trim();
    let op = [">=", "<=", ">", "<"].into_iter().find(|op| clause.contains(op))?;
    let (left, right) = clause.split_once(op)?;
    let number: f64 = right.trim().parse().ok()?;
    let is_result =
        matches!(left.trim(), "result[0]" | "result" | "#" | "asFloat(result[0])" | "asFloat(result)");
    let bounds = |op: &str| match op {
        ">" | ">=" => Range { min: Some(number), max: None },
        _ => Range { min: None, max: Some(number) },
    };
    is_result.then(|| bounds(turn(op)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_and_nothing_else() {
        let range = |min, max| Ok(Range { min, max });
        for (condition, expected) in [
            ("result[0] >= 0.95", range(Some(0.95), None)),
            ("result[0] <= 0.05 && result[0] > 0", range(Some(0.0), Some(0.05))),
            ("all(result, # < 1000)", range(None, Some(1000.0))),
            ("all(result, {# < 1000})", range(None, Some(1000.0))),
            ("(result < 5) && (result < 3)", range(None, Some(3.0))),
        ] {
            assert_eq!(where_true(condition), expected, "{condition}");
        }
        for (condition, expected) in [
            ("result[0] < 0.95", range(Some(0.95), None)),
            ("result[0] < 1 || result[0] > 2", range(Some(1.0), Some(2.0))),
        ] {
            assert_eq!(where_false(condition), expected, "{condition}");
        }
        for condition in ["len(result) == 0", "result[0] >= 1 || result[0] < 0", "result[1] > 2", "true", ""]
        {
            assert!(where_true(condition).is_err(), "{condition}");
        }
        assert!(where_false("result[0] > 1 && result[0] < 2").is_err());
    }
}
