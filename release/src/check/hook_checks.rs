/*!
From words to the requests that a hook of `checks` makes.
*/
use serin_policy::rule::{METHOD, TOKEN_SHA256};

use super::delivery::Parts;
use super::{few, named, quoted, span};
use crate::hook::Check;
use crate::problem::Problems;
use crate::resource::{self, Given, Header, JsonPointer, SecretKey, Through};
use crate::rule::{self, request};

pub(super) fn check(
    path: &str,
    words: Vec<resource::Check>,
    parts: &Parts<'_>,
    problems: &mut Problems,
) -> Vec<Check> {
    if words.is_empty() {
        problems.add(path, "[]", request::ONE_CHECK);
    }
    few(path, words.len(), request::MAX_CHECKS, problems);
    let one = |(i, words): (usize, resource::Check)| one(&format!("{path}[{i}]"), words, parts, problems);
    words.into_iter().enumerate().map(one).collect()
}

pub(super) fn one(path: &str, words: resource::Check, parts: &Parts<'_>, problems: &mut Problems) -> Check {
    let resource::Check {
        path: target,
        through,
        method,
        headers,
        secret_ref,
        status,
        header,
        json_pointer,
        max_latency,
        repeat,
    } = words;
    let at = |field: &str| format!("{path}.{field}");
    match through {
        Through::Gateway => through_gateway(path, secret_ref.as_ref(), parts, problems),
        Through::Canary if secret_ref.is_some() => {
            problems.add(at("secretRef"), "without a Gateway", request::TOKEN_OF_GATEWAY);
        }
        Through::Canary => {}
    }
    if let Some(SecretKey { name, key }) = &secret_ref {
        named(&at("secretRef.name"), Some(name.clone()), &rule::OBJECT_NAME, problems);
        named(&at("secretRef.key"), Some(key.clone()), &rule::SECRET_KEY, problems);
    }
    if !(100..=599).contains(&status) {
        problems.add(at("status"), status, request::NO_STATUS);
    }
    if !(1..=request::MAX_REPEAT).contains(&repeat) {
        problems.add(at("repeat"), repeat, format!("give 1 to {}", request::MAX_REPEAT));
    }
    few(&at("headers"), headers.len(), request::MAX_HEADERS, problems);
    for (i, header) in headers.iter().enumerate() {
        of_header(&at(&format!("headers[{i}]")), header, problems);
    }
    if let Some(header) = &header {
        of_header(&at("header"), header, problems);
    }
    if let Some(JsonPointer { path, value }) = &json_pointer {
        named(&at("jsonPointer.path"), Some(path.clone()), &request::JSON_PATH, problems);
        if value.chars().count() > request::MAX_JSON_VALUE {
            problems.add(at("jsonPointer.value"), "a long text", request::JSON_VALUE);
        }
    }
    let latency = max_latency.as_ref();
    Check {
        path: named(&at("path"), Some(target), &request::PATH, problems).unwrap_or_default(),
        through,
        method: named(&at("method"), Some(method), &METHOD, problems).unwrap_or_default(),
        headers,
        token: secret_ref,
        status,
        header,
        json_pointer,
        max_latency: latency.map(|found| span(&at("maxLatency"), found, &request::MAX_LATENCY, problems)),
        repeat,
    }
}

fn of_header(path: &str, Header { name, value }: &Header, problems: &mut Problems) {
    if !request::is_header_name(name) {
        problems.add(format!("{path}.name"), quoted(Some(name)), request::HEADER_NAME);
    }
    named(&format!("{path}.value"), Some(value.clone()), &request::HEADER_TEXT, problems);
}

/// What it takes to come in as a tester.
fn through_gateway(path: &str, token: Option<&SecretKey>, parts: &Parts<'_>, problems: &mut Problems) {
    let at = format!("{path}.through");
    if parts.routing.gateways.iter().all(|gateway| gateway == super::delivery::MESH) {
        problems.add(&at, "Gateway", request::NO_GATEWAY);
    }
    let Some(first) = parts.overrides.first() else {
        problems.add(at, "Gateway", request::NO_OVERRIDE);
        return;
    };
    let takes_token = matches!(&first.token_sha256, Given::Value(token) if TOKEN_SHA256.accepts(token));
    if takes_token && token.is_none() {
        problems.add(format!("{path}.secretRef"), "missing", request::TESTERS_TOKEN);
    }
}
