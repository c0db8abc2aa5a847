/*!
Conditions on requests, of Istio's and Argo's, as those of a segment. Regular expressions that stand for something simpler
become that; Serin has none.
*/
use serde_json::Value;

use super::source::Source;
use crate::draft::{Draft, Fields};

/// How conditions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conditions {
    /// `{headers: {NAME: {exact: VALUE}}, uri: {prefix: /x}}`.
    Istio,
    /// `{headerName: NAME, headerValue: {exact: VALUE}}`.
    Argo,
}

/// A segment that has the new version as a whole: whoever meets one of `matches`. What cannot be asked for is left out of
/// it, and the whole of a match with it.
pub(super) fn segment(
    matches: &[Source],
    written: Conditions,
    place: &str,
    draft: &mut Draft,
) -> Option<Fields> {
    let mut kept = Vec::new();
    for (i, one) in matches.iter().enumerate() {
        let one = one.clone().into_value();
        let found = match written {
            Conditions::Istio => istio(&one),
            Conditions::Argo => argo(&one),
        };
        match found {
            Ok(found) => kept.push(found),
            Err(why) => draft.leave_out(format!("{place}[{i}]"), &why),
        }
    }
    (!kept.is_empty())
        .then(|| Fields::default().with("name", "chosen").with("matches", kept).with("weight", 100))
}

fn istio(one: &Value) -> Result<Fields, String> {
    let mut fields = Fields::default();
    let (mut headers, mut cookies) = (Vec::new(), Vec::new());
    for (kind, asked) in one.as_object().into_iter().flatten() {
        match kind.as_str() {
            "name" => {}
            "headers" => {
                for (name, asked) in asked.as_object().into_iter().flatten() {
                    match condition(name, asked)? {
                        Asked::Header(condition) => headers.push(condition),
                        Asked::Cookie(condition) => cookies.push(condition),
                    }
                }
            }
            "uri" => {
                let (how, value) = compared(asked).ok_or_else(|| format!("{asked}: {NO_REGEX}"))?;
                fields.put("path", Fields::default().with("type", how).with("value", value));
            }
            "method" => match asked["exact"].as_str() {
                Some(method) => fields.put("method", method),
                None => return Err(format!("method {asked}: {NO_REGEX}")),
            },
            other => return Err(format!("{other}: Serin asks for headers, cookies, path and method")),
        }
    }
    for (name, conditions) in [("headers", headers), ("cookies", cookies)] {
        if !conditions.is_empty() {
            fields.put(name, conditions);
        }
    }
    if fields.is_empty() { Err("it asks for nothing".to_owned()) } else { Ok(fields) }
}

fn argo(one: &Value) -> Result<Fields, String> {
    let name = one["headerName"].as_str().unwrap_or_default();
    Ok(match condition(name, &one["headerValue"])? {
        Asked::Header(condition) => Fields::default().with("headers", vec![condition]),
        Asked::Cookie(condition) => Fields::default().with("cookies", vec![condition]),
    })
}

const NO_REGEX: &str = "Serin has no regular expressions, only Exact, Prefix, Contains and Present";

enum Asked {
    Header(Fields),
    Cookie(Fields),
}

fn condition(name: &str, asked: &Value) -> Result<Asked, String> {
    let name = name.to_ascii_lowercase();
    let named = |name: &str| Fields::default().with("name", name);
    if let Some(regex) = asked["regex"].as_str() {
        if let Some((cookie, value)) = cookie_of(regex).filter(|_| name == "cookie") {
            return Ok(Asked::Cookie(named(&cookie).with("value", value)));
        }
        let (how, value) = simpler(regex).ok_or_else(|| format!("header {name} {regex:?}: {NO_REGEX}"))?;
        let condition = named(&name).with("type", how);
        let has_value = how != "Present";
        return Ok(Asked::Header(if has_value { condition.with("value", value) } else { condition }));
    }
    if asked.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(Asked::Header(named(&name).with("type", "Present")));
    }
    let (how, value) = compared(asked).ok_or_else(|| format!("header {name} {asked}: {NO_REGEX}"))?;
    // A browser sends its cookies in one header.
    if let Some((cookie, value)) = value.split_once('=').filter(|_| name == "cookie" && how == "Exact") {
        return Ok(Asked::Cookie(named(cookie).with("value", value)));
    }
    Ok(Asked::Header(named(&name).with("type", how).with("value", value)))
}

/// `{exact: VALUE}` or `{prefix: VALUE}`.
fn compared(asked: &Value) -> Option<(&'static str, String)> {
    let text = |kind: &str| asked[kind].as_str().map(str::to_owned);
    text("exact").map(|value| ("Exact", value)).or_else(|| text("prefix").map(|value| ("Prefix", value)))
}

/// `^(.*?;)?(canary=always)(;.*)?$`: a cookie among others.
fn cookie_of(regex: &str) -> Option<(String, String)> {
    let rest = regex.strip_prefix('^').unwrap_or(regex);
    let rest = rest.strip_suffix('$').unwrap_or(rest);
    let rest =
        ["(.*?;)?", "(.*;)?", "(.*?;\\s*)?", "(.*;\\s*)?"].iter().find_map(|head| rest.strip_prefix(head))?;
    let rest = ["(;.*)?", "(;\\s*.*)?"].iter().find_map(|tail| rest.strip_suffix(tail))?;
    let pair = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(rest);
    let (name, value) = pair.split_once('=')?;
    (is_plain(name) && is_plain(value)).then(|| (name.to_owned(), value.to_owned()))
}

/// What a regular expression asks for that needs none: Istio's have to match the whole value.
fn simpler(regex: &str) -> Option<(&'static str, String)> {
    let begins = regex.strip_prefix('^').unwrap_or(regex);
    let whole = begins.strip_suffix('$').unwrap_or(begins);
    let (open_left, rest) = match whole.strip_prefix(".*") {
        Some(rest) => (true, rest),
        None => (false, whole),
    };
    let (open_right, rest) = match rest.strip_suffix(".*").or_else(|| rest.strip_suffix("(.*)")) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if whole == ".*" || whole == ".+" {
        return Some(("Present", String::new()));
    }
    let value = rest.replace("\\.", ".");
    if rest.is_empty() || !is_plain(&rest.replace("\\.", "")) {
        return None;
    }
    match (open_left, open_right) {
        (false, false) => Some(("Exact", value)),
        (false, true) => Some(("Prefix", value)),
        (true, true) => Some(("Contains", value)),
        (true, false) => None,
    }
}

/// Whether none of it means anything else to a regular expression.
fn is_plain(text: &str) -> bool {
    text.chars().all(|one| {
        one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | ' ' | '/' | '=' | '@' | ':' | ';')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_becomes_what_it_stands_for_or_nothing() {
        for (regex, expected) in [
            (".*Firefox.*", Some(("Contains", "Firefox"))),
            ("^Mozilla.*", Some(("Prefix", "Mozilla"))),
            ("^2\\.0(.*)$", Some(("Prefix", "2.0"))),
            ("insider", Some(("Exact", "insider"))),
            (".+", Some(("Present", ""))),
            (".*-beta", None),
            ("^(?!.*Chrome).*Safari.*", None),
            ("2.0.(.*)", None),
            ("a|b", None),
        ] {
            let found = simpler(regex);
            let found = found.as_ref().map(|(how, value)| (*how, value.as_str()));
            assert_eq!(found, expected, "{regex}");
        }
        for (regex, expected) in [
            ("^(.*?;)?(canary=always)(;.*)?$", Some(("canary", "always"))),
            ("^(.*;\\s*)?user=test(;.*)?$", Some(("user", "test"))),
            ("^(.*?;)?(type=(a|b))(;.*)?$", None),
            ("canary=always", None),
        ] {
            let found = cookie_of(regex);
            let found = found.as_ref().map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(found, expected, "{regex}");
        }
    }
}
