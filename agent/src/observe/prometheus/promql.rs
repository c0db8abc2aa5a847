/*!
Writing PromQL.
*/
use std::collections::BTreeSet;

use serin_release::prometheus::escaped;

/// `text` as a string of PromQL.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// A pattern, as a string, that matches exactly these texts.
pub(super) fn any_of<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let texts: BTreeSet<&str> = texts.into_iter().collect();
    quoted(&texts.into_iter().map(literal).collect::<Vec<_>>().join("|"))
}

/// A pattern that matches exactly `text`.
pub(super) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_' | '/' | ':') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_stays_inside_its_quotes() {
        assert_eq!(quoted("a\"} or up{x=\"\\"), r#""a\"} or up{x=\"\\""#);
    }

    #[test]
    fn names_with_signs_of_patterns_only_match_themselves() {
        assert_eq!(any_of(["shop", "a.b", "shop"]), r#""a\\.b|shop""#);
    }
}
