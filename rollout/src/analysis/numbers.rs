/*!
Numbers as people read them.
*/
use std::fmt;

use serin_policy::evidence::Tally;

/// A share of bad requests, with two digits that count: `4.8%`, `0.031%`.
#[derive(Debug, Clone, Copy)]
pub struct Share(pub Tally);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(percent) = self.0.share().map(|share| share * 100.0) else { return f.write_str("–") };
        let decimals = if percent >= 9.95 || percent == 0.0 {
            0
        } else if percent >= 0.0995 {
            1
        } else {
            3
        };
        write!(f, "{percent:.decimals$}%")
    }
}

/// So many users.
#[derive(Debug, Clone, Copy)]
pub(super) struct Users(pub(super) u64);

impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} user{}", Grouped(self.0), if self.0 == 1 { "" } else { "s" })
    }
}

/// A number with its thousands set apart.
#[derive(Debug, Clone, Copy)]
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// Evidence, given as ln E, as what it is worth: a version against which it speaks wrongly shows as much at most once in
/// E releases. `7` for once in seven, `870 million`.
///
/// Ville's inequality has it so: an e-process of a claim that is true reaches E with a chance of 1/E at most, however
/// often one looks. Evidence below 1 says nothing, so it is `1`.
#[derive(Debug, Clone, Copy)]
pub struct OneIn(pub f64);

impl OneIn {
    /// In how many releases, at most a billion: beyond that nobody reads the number. Two digits count, rounded down, so
    /// that never more is claimed than is so.
    pub fn releases(self) -> u64 {
        const MOST: f64 = 1e9;
        let odds = self.0.exp().clamp(1.0, MOST);
        let unit = 10_f64.powf((odds.log10().floor() - 1.0).max(0.0));
        // What a logarithm has cost a round number is given back to it.
        let digits = (odds / unit * (1.0 + 1e-9)).floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to a billion")]
        let releases = (digits * unit).round() as u64;
        releases
    }
}

impl fmt::Display for OneIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MILLION: u64 = 1_000_000;
        match self.releases() {
            releases @ ..MILLION => Grouped(releases).fmt(f),
            releases @ ..1_000_000_000 => {
                let (whole, tenths) = (releases / MILLION, releases % MILLION / (MILLION / 10));
                if whole < 10 && tenths > 0 {
                    write!(f, "{whole}.{tenths} million")
                } else {
                    write!(f, "{whole} million")
                }
            }
            _ => f.write_str("a billion"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        let chances = [
            (-2.0, "1"),
            (0.0, "1"),
            (2.0, "7"),
            (400_f64.ln(), "400"),
            (12.0, "160,000"),
            (1_290_000_f64.ln(), "1.2 million"),
            (2_000_001_f64.ln(), "2 million"),
            (870_000_001_f64.ln(), "870 million"),
            (50.0, "a billion"),
            (f64::INFINITY, "a billion"),
        ];
        for (ln_e, expected) in chances {
            assert_eq!(OneIn(ln_e).to_string(), expected);
        }
        for (bad, of, expected) in
            [(0, 0, "–"), (0, 9, "0%"), (1, 3, "33%"), (1, 1000, "0.1%"), (1, 100_000, "0.001%")]
        {
            assert_eq!(Share(Tally { requests: of, bad }).to_string(), expected);
        }
        for (number, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Grouped(number).to_string(), expected);
        }
    }
}
