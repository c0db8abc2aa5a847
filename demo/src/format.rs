/*!
Numbers as people like to read them.
*/
use std::time::Duration;

use jiff::Timestamp;

use serin_rollout::Grouped;

/// `12,345`.
pub(super) fn thousands(number: usize) -> String {
    Grouped(number as u64).to_string()
}

/// The share that `part` has in `whole`, as `24.9%`; nothing of nothing is a dash.
pub(super) fn share(part: usize, whole: usize) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = (part * 1000 + whole / 2) / whole;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// `7 ms`, from 10 s on `12 s`.
pub(super) fn short(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", duration.as_secs())
    }
}

/// Minutes and seconds since `began`: `01:23`.
pub(super) fn clock(began: Timestamp, at: Timestamp) -> String {
    let seconds = at.duration_since(began).as_secs().max(0);
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// `1 user`, `2 users`.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", thousands(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [(0, 0), (0, 3), (1, 3), (2, 3), (3, 3)].map(|(part, whole)| share(part, whole)),
            ["–", "0.0%", "33.3%", "66.7%", "100.0%"]
        );
        assert_eq!(
            [7, 9_999, 12_345].map(|ms| short(Duration::from_millis(ms))),
            ["7 ms", "9999 ms", "12 s"]
        );
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(clock(at(100), at(183)), "01:23");
        assert_eq!([1, 2].map(|number| count(number, "user")), ["1 user", "2 users"]);
    }
}
