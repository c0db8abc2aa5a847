/*!
Percentages as people write them: `25`, `0.1`, `"0.1%"`, read exactly or not at all.
*/
use std::fmt;

use serde::{Deserialize, Serialize};
use serin_policy::Weight;

/// A percentage from 0 to 100 with at most four decimals, so that it is a whole number of ppm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(Weight);

impl Percent {
    /// Nothing.
    pub(super) const ZERO: Self = Self(Weight::ZERO);

    /// The same as a regular expression, for texts.
    pub const PATTERN: &str = r"^ *0*(100(\.0+)?|[0-9]{1,2}(\.[0-9]{1,4}0*)?) *%?$";

    /// Reads a number with or without `%`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let number = text.strip_suffix('%').unwrap_or(text).trim_matches(' ');
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return Err("write a percentage such as 25, 0.1 or \"0.1%\"");
        }
        let decimals = decimals.trim_end_matches('0');
        if decimals.len() > 4 {
            return Err("give at most 4 decimals: 0.0001% is the finest share there is");
        }
        // Four decimals of a percent are ppm: padding makes one whole number of the two parts.
        let ppm = format!("{whole}{decimals:0<4}").parse().map(Weight::from_ppm);
        ppm.ok().and_then(Result::ok).map(Self).ok_or("give at most 100%")
    }

    /// The percentage in parts per million.
    pub const fn ppm(self) -> u32 {
        self.0.ppm()
    }

    /// The percentage as a share of users.
    pub const fn weight(self) -> Weight {
        self.0
    }

    /// The percentage as a share, 0 to 1.
    pub fn share(self) -> f64 {
        self.0.share()
    }

    /// The smallest percentage with two decimals that is no less than `share`; none if that is no share.
    pub fn at_least(share: f64) -> Option<Self> {
        const HUNDREDTHS: f64 = 10_000.0;
        let hundredths = (share * HUNDREDTHS).ceil();
        if !(0.0..=HUNDREDTHS).contains(&hundredths) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
        let ppm = hundredths as u32 * 100;
        Weight::from_ppm(ppm).ok().map(Self)
    }

    /// What is missing to 100 %.
    pub(super) fn rest(self) -> Self {
        Self(Weight::from_ppm(Weight::FULL.ppm() - self.ppm()).unwrap_or_default())
    }
}

impl From<Weight> for Percent {
    fn from(weight: Weight) -> Self {
        Self(weight)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u32, &str>) {
        let found = Percent::parse(text).map(Percent::ppm);
        match (found, expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text:?}: {found}"),
            (found, expected) => assert_eq!(found, expected, "{text:?}"),
        }
    }

    #[test]
    fn a_percentage_is_read_exactly() {
        check("25", Ok(250_000));
        check("0.1%", Ok(1_000));
        check("0.1 %", Ok(1_000));
        check("12.5", Ok(125_000));
        check("0.0001", Ok(1));
        check("99.90000000", Ok(999_000));
        check("100%", Ok(1_000_000));
        check("0", Ok(0));
    }

    #[test]
    fn what_is_no_percentage_is_refused_with_the_mend() {
        for text in ["", "%", "-5", "1e2", "a", "1.", ".5", "1.2.3", "5%%", "+5", "½"] {
            check(text, Err("write a percentage"));
        }
        check("0.00001", Err("4 decimals"));
        check("100.0001", Err("at most 100%"));
        check("99999999999999999999", Err("at most 100%"));
    }

    #[test]
    fn the_pattern_takes_what_is_read() {
        let pattern = regex::Regex::new(Percent::PATTERN).unwrap();
        for text in [
            "0",
            "007",
            "25",
            "0.1%",
            " 0.1 %",
            "12.5",
            "0.0001",
            "99.90000000",
            "100%",
            "100.000",
            "0.00010",
            "",
            "%",
            "-5",
            "1e2",
            "a",
            "1.",
            ".5",
            "1.2.3",
            "5%%",
            "+5",
            "½",
            "\t5",
            "5% ",
            "0.00001",
            "100.0001",
            "101",
            "1000",
            "0100",
        ] {
            assert_eq!(pattern.is_match(text), Percent::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_rounded_up() {
        for (share, expected) in
            [(0.0, Some("0")), (0.013_500_1, Some("1.36")), (1.0, Some("100")), (1.1, None)]
        {
            assert_eq!(
                Percent::at_least(share),
                expected.map(|text| Percent::parse(text).unwrap()),
                "{share}"
            );
        }
        assert_eq!([f64::NAN, -0.1].map(Percent::at_least), [None, None]);
    }

    #[test]
    fn the_rest_is_what_is_missing_to_all() {
        assert_eq!(Percent::parse("99.5").unwrap().rest(), Percent::parse("0.5").unwrap());
        assert_eq!(Percent::ZERO.rest().weight(), Weight::FULL);
    }
}
