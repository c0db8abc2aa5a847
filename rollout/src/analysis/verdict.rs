/*!
What the judge says, and how it says it to people.
*/
use std::fmt;

use serde::{Deserialize, Serialize};
use serin_policy::evidence::{Allowance, Tally};

use serin_release::{Metric, Percent};

/// What the judge makes of the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Verdict {
    /// Enough was seen and it is good.
    Pass,
    /// The canary is worse than allowed, but for the chance that was asked for.
    Fail(Failure),
    /// Not proven bad, but not to be trusted with more users yet.
    NotYet(Wait),
}

/// What a verdict waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum Wait {
    /// Too few requests to the canary in this step.
    Requests {
        /// Requests so far.
        have: u64,
        /// Requests it takes.
        need: u64,
    },
    /// The evidence leans against the canary without being conclusive.
    Doubt {
        /// What it leans by.
        metric: Judged,
    },
    /// One of people's own metrics says nothing.
    Reading {
        /// Which.
        metric: String,
        /// Why.
        why: String,
    },
    /// New callers do not get the canary in the share that was asked for: some path loses or repeats them.
    SampleRatio,
}

/// A test that the canary failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What was judged.
    pub metric: Judged,
    /// The test.
    pub test: Test,
    /// The canary's requests in this step.
    pub canary: Tally,
    /// Stable's, in the same moments.
    pub stable: Tally,
    /// The canary's bad answers since anybody has been on it, judged or not, and so the most users who can have met one.
    pub met: u64,
    /// The evidence: ln E.
    pub evidence: f64,
    /// The evidence it takes.
    pub needed: f64,
    /// Seconds since the evidence began to lean against the canary, where that is known.
    pub after_s: Option<f64>,
}

/// A test of the canary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Test {
    /// Against a share that is fixed beforehand.
    Limit {
        /// The largest share that may be bad.
        allowed: Percent,
    },
    /// Readings of people's own metric, against its range.
    Range,
    /// Readings of people's own metric, against stable's.
    Excess,
    /// Against stable.
    Comparison {
        /// How much worse the canary may be, what its users had before included.
        allowance: Allowance,
        /// What the planned is worth.
        promise: Promise,
    },
}

/// What is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judged {
    /// Requests.
    Requests(Metric),
    /// Readings of people's own metric of this name.
    Readings(String),
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(metric) => metric.fmt(f),
            Self::Readings(name) => f.write_str(name),
        }
    }
}

/// What a comparison is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Stable was there in the same moments: the chance of a false rollback is what was asked for.
    Guaranteed,
    /// Stable was there in the same moments, but nobody has compared those who were moved with the rest beforehand: the
    /// chance is what was asked for where requests fail by themselves, and not where a few users have most failures.
    WithoutBaseline,
    /// Nobody is left on stable: compared with its recent past, which may have been another time of day.
    AgainstPast,
    /// There is nothing to compare with: only the limits count.
    NoControl,
}

/// What a version does whose requests are bad in the sense of `metric`.
const fn verb(metric: Metric) -> &'static str {
    match metric {
        Metric::RequestSuccessRate => "fails",
        Metric::RequestDuration => "is too slow in",
    }
}

impl fmt::Display for Verdict {
    /// One sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("healthy: the canary is within its limits and no worse than allowed"),
            Self::Fail(failure) => write!(f, "unhealthy: {failure}"),
            Self::NotYet(Wait::Requests { have, need }) => {
                let (have, need) = (Grouped(*have), Grouped(*need));
                write!(f, "not enough data yet: {have} of {need} requests to the canary")
            }
            Self::NotYet(Wait::Reading { metric, why }) => write!(f, "not enough data yet: {metric}: {why}"),
            Self::NotYet(Wait::Doubt { metric }) => {
                write!(f, "not enough data yet: the evidence leans against the canary by {metric}")
            }
            Self::NotYet(Wait::SampleRatio) => {
                f.write_str("not to be trusted: new callers do not get the canary in the share asked for")
            }
        }
    }
}

impl fmt::Display for Failure {
    /// One plain sentence with the numbers it rests on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, test, canary, stable, met, evidence, needed, after_s } = self;
        let (bad, of) = (Grouped(canary.bad), Grouped(canary.requests));
        match metric {
            Judged::Requests(metric) => {
                write!(f, "canary {} {} ({bad} of {of})", verb(*metric), Share(*canary))?;
            }
            Judged::Readings(name) => write!(f, "{name} is out of range in {bad} of {of} readings")?,
        }
        match test {
            Test::Range => {}
            Test::Excess => f.write_str(" and larger than stable's by more than is allowed")?,
            Test::Limit { allowed } => write!(f, ", allowed {allowed}")?,
            Test::Comparison { promise: Promise::AgainstPast, .. } => {
                write!(f, ", stable {} until lately", Share(*stable))?;
            }
            Test::Comparison { .. } => write!(f, ", stable {}", Share(*stable))?,
        }
        write!(f, "; evidence {}, needed {}", Odds(*evidence), Odds(*needed))?;
        match after_s {
            None => return Ok(()),
            Some(..0.05) => f.write_str("; at the first sign")?,
            Some(after_s) => write!(f, "; {after_s:.1} s after the first sign")?,
        }
        write!(f, "; at most {} had met it by then", Users(*met))
    }
}

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

struct Users(u64);

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

/// Evidence, given as ln E, as odds that people can read: `1:4,000` for the claim, `4:1` against it.
#[derive(Debug, Clone, Copy)]
pub struct Odds(pub f64);

impl fmt::Display for Odds {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Beyond this nobody reads the number.
        const MOST: f64 = 1e9;
        let odds = self.0.abs().exp().min(MOST);
        // Two digits that count.
        let unit = 10_f64.powf((odds.log10().floor() - 1.0).max(0.0));
        let odds = ((odds / unit).round() * unit) as u64;
        let more = if self.0.abs().exp() > MOST { ">" } else { "" };
        if self.0 >= 0.0 {
            write!(f, "{more}1:{}", Grouped(odds))
        } else {
            write!(f, "{more}{}:1", Grouped(odds))
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guaranteed => "compared with stable in the same moments",
            Self::WithoutBaseline => "compared with stable in the same moments, but without a baseline",
            Self::AgainstPast => "compared with stable's recent past: no guarantee",
            Self::NoControl => "nothing to compare with: only limits",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_plain_sentence() {
        let failure = Failure {
            metric: Judged::Requests(Metric::RequestSuccessRate),
            test: Test::Comparison { allowance: Allowance::new(1.5, 0.001), promise: Promise::Guaranteed },
            canary: Tally { requests: 1_190, bad: 57 },
            stable: Tally { requests: 10_700, bad: 32 },
            met: 61,
            evidence: 4_000_f64.ln(),
            needed: 100_f64.ln(),
            after_s: Some(8.0),
        };
        let sentence = "canary fails 4.8% (57 of 1,190), stable 0.3%; evidence 1:4,000, needed 1:100; 8.0 s after \
                        the first sign; at most 61 users had met it by then";
        assert_eq!(failure.to_string(), sentence);
        let test = Test::Limit { allowed: Percent::parse("1").unwrap() };
        let sentence = "canary is too slow in 4.8% (57 of 1,190), allowed 1%; evidence 1:4,000, needed 1:100; \
                        8.0 s after the first sign; at most 61 users had met it by then";
        assert_eq!(
            Failure { metric: Judged::Requests(Metric::RequestDuration), test, ..failure }.to_string(),
            sentence
        );
    }

    #[test]
    fn numbers_are_written_for_people() {
        let odds =
            [(0.0, "1:1"), (2.0, "1:7"), (-2.0, "7:1"), (12.0, "1:160,000"), (50.0, ">1:1,000,000,000")];
        for (ln_e, expected) in odds {
            assert_eq!(Odds(ln_e).to_string(), expected);
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
