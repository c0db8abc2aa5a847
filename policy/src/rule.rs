/*!
What the texts and lists of a policy must be, each spelled once: which characters, how many, and what to write instead.

The reader asks [`Text::accepts`]. Whoever describes the same field to somebody else (the Release's schema, its checks)
takes the pattern, the bound and the hint from here, so that all of them say the same.
*/
use std::ops::RangeInclusive;

#[cfg(feature = "schema")]
use serde_json::{Value, json};

use crate::refusal::{Kind, Refusal};

/// Bytes, as ranges.
type Ranges = &'static [RangeInclusive<u8>];

/// Bytes, as ranges to be shown and as bits to be asked: documents have many names, and every proxy reads them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class {
    ranges: Ranges,
    /// One bit for each byte below 64, and one for each below 128.
    ascii: (u64, u64),
    /// Whether bytes from 128 on belong to it, which is all of them or none.
    others: bool,
}

impl Class {
    const fn of(ranges: Ranges) -> Self {
        let (mut low, mut high, mut others) = (0, 0, false);
        let mut rest = ranges;
        while let [range, after @ ..] = rest {
            let mut byte = *range.start();
            loop {
                match byte {
                    0..64 => low |= 1 << byte,
                    64..128 => high |= 1 << (byte - 64),
                    _ => others = true,
                }
                if byte >= *range.end() {
                    break;
                }
                byte += 1;
            }
            rest = after;
        }
        Self { ranges, ascii: (low, high), others }
    }

    const fn has(&self, byte: u8) -> bool {
        match byte {
            0..64 => self.ascii.0 >> byte & 1 == 1,
            64..128 => self.ascii.1 >> (byte - 64) & 1 == 1,
            _ => self.others,
        }
    }
}

/// What a text must be.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    first: Class,
    inner: Class,
    last: Class,
    least: usize,
    most: usize,
    hint: &'static str,
}

const ANY: Ranges = &[0x00..=0xFF];
const UPPER: Ranges = &[b'A'..=b'Z'];
const LOWER_OR_DIGIT: Ranges = &[b'a'..=b'z', b'0'..=b'9'];
const HEX: Ranges = &[b'0'..=b'9', b'a'..=b'f', b'A'..=b'F'];
/// Characters that may stand in a cookie attribute (RFC 6265 section 4.1.1, av-octet).
const ATTRIBUTE: Ranges = &[0x20..=0x3A, 0x3C..=0x7E];

/// A DNS label: safe in host names, headers, metric labels and Kubernetes names alike.
pub const LABEL: Text = Text::of(
    &[b'a'..=b'z', b'0'..=b'9', b'-'..=b'-'],
    1..=63,
    "give a name of 1 to 63 lower-case letters, digits and -, with no - at its ends",
)
.begin(LOWER_OR_DIGIT)
.end(LOWER_OR_DIGIT);

/// The name of a header as HTTP/2 writes it.
pub const HEADER: Text = Text::of(
    &[b'a'..=b'z', b'0'..=b'9', b'-'..=b'-', b'_'..=b'_', b'.'..=b'.'],
    1..=128,
    "write a header's name in lower case: letters, digits, -, _ and ., such as x-canary",
);

/// The name of a cookie or of a baggage member: a safe subset of RFC 9110 `token`.
pub const TOKEN: Text = Text::of(
    &[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9', b'-'..=b'-', b'_'..=b'_', b'.'..=b'.'],
    1..=128,
    "give a name of 1 to 128 letters, digits, -, _ and .",
);

/// The SHA-256 of a token.
pub const TOKEN_SHA256: Text =
    Text::of(HEX, 64..=64, "give the token's SHA-256 as 64 hexadecimal digits, never the token itself");

/// The key of a release's links.
pub const LINK_KEY: Text = Text::of(
    &[b'A'..=b'Z', b'a'..=b'z', b'0'..=b'9', b'-'..=b'-', b'_'..=b'_'],
    22..=22,
    "give the key that `serin link NAME --key` prints, 22 characters, never the token itself",
);

/// A request's method.
pub const METHOD: Text = Text::of(UPPER, 1..=32, "write the method in capitals, such as GET");

/// The prefix of paths.
pub const PATH_PREFIX: Text = Text::of(ANY, 1..=1024, "begin with /, such as /api").begin(&[b'/'..=b'/']);

/// A cookie's `Path`.
pub const COOKIE_PATH: Text =
    Text::of(ATTRIBUTE, 1..=1024, "begin with /, and use neither ; nor control characters")
        .begin(&[b'/'..=b'/']);

/// A cookie's `Domain`.
pub const COOKIE_DOMAIN: Text = Text::of(ATTRIBUTE, 1..=253, "give a host name, or leave it out");

/// What a header, a cookie or a path is compared with.
pub const WANTED: Text = Text::of(ANY, 1..=1024, "give a value to compare with");

impl Text {
    /// A text of so many characters, of these bytes.
    pub const fn of(inner: Ranges, length: RangeInclusive<usize>, hint: &'static str) -> Self {
        let inner = Class::of(inner);
        Self { first: inner, inner, last: inner, least: *length.start(), most: *length.end(), hint }
    }

    /// The same, beginning with one of these, which are among the others.
    #[must_use]
    pub const fn begin(self, first: Ranges) -> Self {
        Self { first: Class::of(first), ..self }
    }

    /// The same, ending with one of these, which are among the others.
    #[must_use]
    pub const fn end(self, last: Ranges) -> Self {
        Self { last: Class::of(last), ..self }
    }

    /// The most characters it may have.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// What to write instead of a text that is not accepted.
    pub const fn hint(&self) -> &'static str {
        self.hint
    }

    /// Whether `text` is as it must be.
    pub fn accepts(&self, text: &str) -> bool {
        let length = if self.inner.others { text.chars().count() } else { text.len() };
        let bytes = text.as_bytes();
        (self.least..=self.most).contains(&length)
            && bytes.iter().all(|&byte| self.inner.has(byte))
            && bytes.first().is_none_or(|&byte| self.first.has(byte))
            && bytes.last().is_none_or(|&byte| self.last.has(byte))
    }

    /// What is wrong with `field`, if `text` is not as it must be.
    pub(crate) fn check(&self, field: &str, text: &str) -> Result<(), Refusal> {
        if self.accepts(text) { Ok(()) } else { Err(self.refusal(field, text)) }
    }

    pub(crate) fn refusal(&self, field: &str, text: &str) -> Refusal {
        Refusal::new(Kind::Invalid, field, format!("{text:?}"), self.hint)
    }

    /// The same as a regular expression of RE2, from the text's beginning to its end. How long the text may be is in it
    /// only where it has one length; [`most`](Self::most) has it otherwise.
    pub fn pattern(&self) -> String {
        format!("^{}$", self.expression())
    }

    /// The same as CEL has it, of the text called `what` there; without its length, which a schema has a keyword for.
    #[cfg(feature = "schema")]
    pub fn cel(&self, what: &str) -> String {
        match self.first.ranges {
            _ if !self.inner.others => format!("{what}.matches('{}')", self.pattern()),
            [one] if one.start() == one.end() => format!("{what}.startsWith('{}')", char::from(*one.start())),
            _ => format!("{what} != ''"),
        }
    }

    /// The same as a rule of the API server, for a schema's `x-kubernetes-validations`.
    #[cfg(feature = "schema")]
    pub fn validation(&self) -> Value {
        json!({"rule": self.cel("self"), "message": self.hint})
    }

    /// The regular expression without its anchors, to be part of another.
    pub fn expression(&self) -> String {
        let [first, inner, last] = [self.first, self.inner, self.last].map(spelled);
        let only_first = if self.least == 0 { "*" } else { "+" };
        match (self.first == self.inner, self.last == self.inner) {
            (true, true) if self.least == self.most => format!("{inner}{{{}}}", self.most),
            (true, true) => format!("{inner}{only_first}"),
            (_, true) => format!("{first}{inner}*"),
            (_, false) => format!("{first}({inner}*{last})?"),
        }
    }
}

/// A class as a regular expression spells it.
fn spelled(class: Class) -> String {
    if class.others {
        return "(?s:.)".to_owned();
    }
    // A hyphen between others would make a range of them.
    let hyphen = if class.ranges.contains(&(b'-'..=b'-')) { "-" } else { "" };
    let ranges = class.ranges.iter().filter(|&range| *range != (b'-'..=b'-')).map(|range| {
        let (from, to) = (char::from(*range.start()), char::from(*range.end()));
        if from == to { from.to_string() } else { format!("{from}-{to}") }
    });
    format!("[{hyphen}{}]", ranges.collect::<String>())
}

/// What to do where a list has too many entries.
pub fn at_most(most: usize) -> String {
    format!("give at most {most}")
}

/// Refuses a list of more than `most` entries.
pub(crate) fn check_length<T>(field: &str, list: &[T], most: usize) -> Result<(), Refusal> {
    if list.len() <= most {
        return Ok(());
    }
    Err(Refusal::new(Kind::Invalid, field, format!("{} of them", list.len()), at_most(most)))
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use super::*;

    /// Checks that the reader and the pattern both take `good` and both refuse `bad`.
    fn check(rule: &Text, good: &[&str], bad: &[&str]) {
        let pattern = regex::Regex::new(&rule.pattern()).unwrap();
        let is_bounded = |text: &str| text.chars().count() <= rule.most();
        for (texts, wanted) in [(good, true), (bad, false)] {
            for text in texts {
                assert_eq!(rule.accepts(text), wanted, "{text:?}: {}", rule.hint());
                assert_eq!(pattern.is_match(text) && is_bounded(text), wanted, "{text:?}: {pattern}");
            }
        }
        let longest = format!("{}{}", good[0], "a".repeat(rule.most().saturating_sub(good[0].len())));
        let too_long = format!("{longest}a");
        assert!(!rule.accepts(&too_long) && !is_bounded(&too_long), "{}", rule.hint());
    }

    #[test]
    fn the_pattern_takes_what_the_reader_takes() {
        let longest = |most: usize| "a".repeat(most);
        check(
            &LABEL,
            &["a", "0", "a-b", "a--0", &longest(63)],
            &["", "-", "a-", "-a", "A", "a.b", "a_b", "ä", "a\n", &longest(64)],
        );
        check(
            &HEADER,
            &["x", "x-a_b.c", "-", &longest(128)],
            &["", "X-A", "x a", ":path", "x:", &longest(129)],
        );
        check(&TOKEN, &["c", "C-a_b.c", "0", &longest(128)], &["", "a b", "a=b", "a;b", "é", &longest(129)]);
        check(
            &TOKEN_SHA256,
            &[&"0123456789abcdef".repeat(4), &"0123456789ABCDEF".repeat(4)],
            &["", &longest(63), &longest(65), &"+f".repeat(32), &"g".repeat(64)],
        );
        check(
            &LINK_KEY,
            &["AbCdEfGhIjKlMnOpQrSt-_", &longest(22)],
            &["", &longest(21), &longest(23), &"+".repeat(22)],
        );
        check(&METHOD, &["GET", "M", &"X".repeat(32)], &["", "get", "GET ", "M-SEARCH", &"X".repeat(33)]);
        check(
            &PATH_PREFIX,
            &["/", "/api", "/ü\n", &format!("/{}", longest(1023))],
            &["", "api", " /", &longest(1025)],
        );
        check(&COOKIE_PATH, &["/", "/a b~", "/:"], &["", "a", "/;", "/\n", "/\u{7f}", "/é"]);
        check(&COOKIE_DOMAIN, &["example.com", "a", &longest(253)], &["", "a;b", "a\r\nb", &longest(254)]);
        check(&WANTED, &["a", " ", "ü\n", &longest(1024)], &["", &longest(1025)]);
    }
}
