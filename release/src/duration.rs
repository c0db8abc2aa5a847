/*!
Durations as people write them: `500ms`, `2m`, `1h30m`, `7d`.
*/
use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;

/// What to write instead of what is no duration.
pub const HINT: &str = "write a duration such as 500ms, 2m, 1h30m or 7d";

/// Texts that may be durations, as a regular expression. What it takes and [`parse`] does not (`1 month`, say) is refused
/// later, with better words.
pub const PATTERN: &str = "^[0-9]+([.,][0-9]+)? ?[a-zµμ]+(,? ?[0-9]+([.,][0-9]+)? ?[a-zµμ]+)*$";

/// Reads a duration. A day has 24 hours.
///
/// # Errors
/// What to write instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("a number needs a unit: write {text}s for seconds, or ms, m, h or d"));
    }
    SpanParser::new()
        .parse_span(text)
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| HINT.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        match (parse(text), expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text:?}: {found}"),
            (found, expected) => {
                assert_eq!(found, expected.map(Duration::from_millis).map_err(str::to_owned), "{text:?}");
            }
        }
    }

    #[test]
    fn a_duration_is_read_with_its_units() {
        check("500ms", Ok(500));
        check("2m", Ok(120_000));
        check("1h30m", Ok(5_400_000));
        check("7d", Ok(7 * 86_400_000));
        check("1.5h", Ok(5_400_000));
        check("0s", Ok(0));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_mend() {
        check("60", Err("write 60s for seconds"));
        check("0.5", Err("needs a unit"));
        for text in ["", "soon", "-2m", "2m ago", "1 month", "PT2M", "999999999999999999h"] {
            check(text, Err("write a duration such as 500ms"));
        }
    }
}
