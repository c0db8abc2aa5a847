/*!
Requests and responses by chance: what clients and applications send, what they should not, and junk.

There are no line ends and zero bytes in values, because Envoy's codecs let none through.
*/
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use serin_tests::module_host::{Headers, Response};

use super::documents::{BAGGAGE, COOKIE, GRANTS, LINK_COOKIE, OVERRIDE, ROUTING, SERVED_BY, USER};

/// Random bytes, drawn once and cut from again and again.
pub(super) struct Junk(Vec<u8>);

impl Junk {
    const LENGTH: usize = 128 * 1024;

    pub(super) fn new(random: &mut StdRng) -> Self {
        let mut bytes = vec![0; Self::LENGTH];
        random.fill_bytes(&mut bytes);
        for byte in bytes.iter_mut().filter(|byte| b"\r\n\0".contains(byte)) {
            *byte = b'=';
        }
        Self(bytes)
    }

    /// Some of it: mostly little, at times 64 KB.
    pub(super) fn any(&self, random: &mut StdRng) -> &[u8] {
        let most = match random.random_range(0..1_000) {
            0 => 64 * 1024,
            1..20 => 2_000,
            _ => 40,
        };
        let (start, length) = (random.random_range(0..Self::LENGTH / 2), random.random_range(0..=most));
        &self.0[start..start + length]
    }
}

/// One of `known`, or junk one time in eight.
fn one_of(random: &mut StdRng, junk: &Junk, known: &[&str]) -> Vec<u8> {
    if random.random_ratio(1, 8) {
        junk.any(random).to_vec()
    } else {
        known.choose(random).expect("there are some").as_bytes().to_vec()
    }
}

const AUTHORITIES: [&str; 16] = [
    "shop.example.com",
    "SHOP.example.com:443",
    "shop.example.com.",
    "a.wild.example.com",
    "a.b.wild.example.com",
    "cart.shop.svc.cluster.local",
    "cart.shop",
    "cart",
    "cart:8080",
    "[2001:db8::1]:80",
    "elsewhere.example",
    "",
    ":",
    ".",
    "..........",
    "shop.example.com:",
];

const PATHS: [&str; 12] = [
    "/",
    "/cart",
    "/cart/1?x=y",
    "/cart/../admin",
    "/cartoon",
    "/beta/x",
    "*",
    "",
    "?",
    "/%00",
    "//",
    "http://a/cart",
];

const IDS: [&str; 8] =
    ["alice", "bob", "0123456789abcdef0123456789abcdef", "50%", "two words", "\"quoted\"", "", "caf\u{e9}"];

/// A request's headers.
pub(super) fn request(random: &mut StdRng, junk: &Junk) -> Headers {
    let mut headers = Headers::new();
    let mut pseudo: [(&str, &[&str]); 4] = [
        (":method", &["GET", "POST", "CONNECT", "get", ""]),
        (":scheme", &["https", "http", "HTTPS", ""]),
        (":authority", &AUTHORITIES),
        (":path", &PATHS),
    ];
    let (link, links);
    if random.random_ratio(1, 8) {
        link = self::link(random);
        links = [link.as_str()];
        pseudo[3].1 = &links;
    }
    for (name, known) in pseudo {
        // Now and then none, or two.
        let copies = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2].choose(random).copied().unwrap_or(1);
        for _ in 0..copies {
            headers.push((name.into(), one_of(random, junk, known)));
        }
    }
    for _ in 0..random.random_range(0..8) {
        headers.push(line(random, junk));
    }
    headers
}

/// A path with a link in it, or what looks like one.
fn link(random: &mut StdRng) -> String {
    let mut one = |known: &[&str]| known.choose(random).copied().unwrap_or_default().to_owned();
    let place = one(&[
        "/",
        "/cart",
        "//evil.example/x",
        "/\\evil.example",
        "///",
        "/.//evil.example",
        "cart",
        "/\t/evil.example",
    ]);
    let value = match one(&["off", "grant", "grant", "grant", "cut", "junk"]).as_str() {
        "grant" => one(&GRANTS.each_ref().map(String::as_str)),
        "cut" => GRANTS[3][..one(&["1", "20", "60", "330"]).parse().unwrap_or(1)].to_owned(),
        "off" => "off".to_owned(),
        _ => one(&["", "canary", "canary.", "canary.1800003600.", "canary.99999999999999999999.A", "OFF"]),
    };
    let (before, after) =
        (one(&["", "a=b&", "&&", "serin&", "xserin=1&"]), one(&["", "&c=%2F?", "&serin=off", "&", "#x"]));
    format!("{place}?{before}serin={value}{after}")
}

fn line(random: &mut StdRng, junk: &Junk) -> (Vec<u8>, Vec<u8>) {
    match random.random_range(0..17) {
        16 => ("cookie".into(), {
            let grant = one_of(random, junk, &GRANTS.each_ref().map(String::as_str));
            [b"a=b; ", LINK_COOKIE.as_bytes(), b"=", &grant[..]].concat()
        }),
        0..3 => ("cookie".into(), list(random, junk, COOKIE, b"; ")),
        3..5 => ("baggage".into(), list(random, junk, BAGGAGE, b",")),
        5 => (USER.into(), one_of(random, junk, &IDS)),
        6 => ("x-request-id".into(), one_of(random, junk, &IDS)),
        7 => {
            let known =
                ["canary", "stable", "canary:open sesame", "canary:open barley", "v9", ":", "canary:"];
            (OVERRIDE.into(), one_of(random, junk, &known))
        }
        8 => ("x-user-type".into(), one_of(random, junk, &["beta", "staff", "half", "betamax"])),
        9 => ("sec-fetch-mode".into(), one_of(random, junk, &["navigate", "no-cors", "cors", "websocket"])),
        10 => ("sec-fetch-site".into(), one_of(random, junk, &["cross-site", "same-origin", "none"])),
        11 => ("user-agent".into(), one_of(random, junk, &["Mozilla/5.0", "curl/8.0", ""])),
        12 => ("accept".into(), one_of(random, junk, &["text/html,*/*", "*/*", "image/avif"])),
        13 => ("cdn-loop".into(), one_of(random, junk, &["cdn", ""])),
        // A client that would choose for itself.
        14 => (ROUTING.into(), one_of(random, junk, &["canary", "stable", "v9"])),
        _ => (name(random, junk), junk.any(random).to_vec()),
    }
}

/// Any name but the empty one, and of no header that a rule looks at: those are above.
fn name(random: &mut StdRng, junk: &Junk) -> Vec<u8> {
    [b"\xff", junk.any(random)].concat()
}

/// Cookies or baggage members, `ours` and others.
fn list(random: &mut StdRng, junk: &Junk, ours: &str, between: &[u8]) -> Vec<u8> {
    let members = if random.random_ratio(1, 50) { 100 } else { random.random_range(0..4) };
    let mut result = Vec::new();
    for _ in 0..members {
        match random.random_range(0..4) {
            0 => result.extend_from_slice(junk.any(random)),
            1 => result.extend_from_slice(b"theme=dark"),
            _ => {
                result.extend_from_slice(ours.as_bytes());
                result.extend_from_slice(b"=");
                result.extend_from_slice(&one_of(random, junk, &IDS));
            }
        }
        result.extend_from_slice(between);
    }
    result
}

/// A response's headers and trailers.
pub(super) fn response(random: &mut StdRng, junk: &Junk) -> Response {
    let mut response = Response::default();
    for _ in 0..[1, 1, 1, 1, 1, 1, 0, 2].choose(random).copied().unwrap_or(1) {
        let known = [
            "200", "200", "204", "301", "304", "404", "500", "503", "101", "999", "0", "99", "-1", "200 OK",
            "",
        ];
        response.headers.push((":status".into(), one_of(random, junk, &known)));
    }
    for _ in 0..random.random_range(0..4) {
        let line = match random.random_range(0..6) {
            0 => ("cache-control".into(), {
                let known = [
                    "private",
                    "no-store",
                    "public",
                    "max-age=60",
                    "max-age=0",
                    "no-cache",
                    "private=\"a\"",
                    ",,=",
                ];
                one_of(random, junk, &known)
            }),
            1 => (
                "expires".into(),
                one_of(
                    random,
                    junk,
                    &["0", "Thu, 01 Dec 2033 16:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"],
                ),
            ),
            2 => ("set-cookie".into(), one_of(random, junk, &["session=1; Path=/", "serin=theirs"])),
            3 => (SERVED_BY.into(), one_of(random, junk, &["canary", "app"])),
            4 => grpc_status(random, junk),
            _ => (name(random, junk), junk.any(random).to_vec()),
        };
        response.headers.push(line);
    }
    if random.random_ratio(1, 3) {
        response.trailers =
            Some(vec![grpc_status(random, junk), (name(random, junk), junk.any(random).to_vec())]);
    }
    response.flags = [0, 0, 1 << 4, 1 << 6 | 1 << 14, u64::MAX].choose(random).copied().unwrap_or_default();
    response
}

fn grpc_status(random: &mut StdRng, junk: &Junk) -> (Vec<u8>, Vec<u8>) {
    ("grpc-status".into(), one_of(random, junk, &["0", "1", "13", "14", "16", "17", "-1", "99999999999", ""]))
}

/// How long a request takes.
pub(super) fn pause(random: &mut StdRng) -> Duration {
    let most: u64 = if random.random_ratio(1, 1_000) { 10_000_000_000 } else { 1_000_000 };
    Duration::from_nanos(random.random_range(0..most))
}
