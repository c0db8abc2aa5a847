/*!
Numbers as places in a picture.
*/
use std::fmt;

/// A length or a place in a picture, to a tenth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 * 10.0).round() / 10.0;
        // No "-0", and nothing that no picture can have.
        let rounded = if rounded.is_finite() { rounded + 0.0 } else { 0.0 };
        write!(f, "{rounded}")
    }
}

/// A number for people, to two digits or so.
pub(super) fn two_digits(number: f64) -> String {
    if number == 0.0 || number.abs() >= 10.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

/// A time in milliseconds, for people.
pub(super) fn milliseconds(ms: f64) -> String {
    if ms >= 10_000.0 {
        format!("{:.0} s", ms / 1_000.0)
    } else if ms >= 1_000.0 {
        format!("{:.1} s", ms / 1_000.0)
    } else {
        format!("{} ms", two_digits(ms))
    }
}

/// A count as a number to draw by.
#[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred places")]
pub(super) const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_short_and_always_numbers() {
        for (place, expected) in
            [(1.0, "1"), (1.26, "1.3"), (-0.01, "0"), (f64::NAN, "0"), (f64::INFINITY, "0")]
        {
            assert_eq!(Px(place).to_string(), expected);
        }
    }

    #[test]
    fn times_have_the_digits_that_people_read() {
        for (ms, expected) in [(0.4, "0.4 ms"), (12.4, "12 ms"), (1_250.0, "1.2 s"), (30_000.0, "30 s")] {
            assert_eq!(milliseconds(ms), expected);
        }
    }
}
