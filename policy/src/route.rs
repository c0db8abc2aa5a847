/*!
Which group of routes a request is of.

Where one route of many is dead, its failures drown in all the other requests. So failures are sorted by route, into few
enough groups to keep a counter of each. A group is a hash: the path itself, which may name a customer, stays where it is.
*/
use xxhash_rust::xxh64::xxh64;

use crate::series::ROUTE_GROUPS;

/// How many segments of a path make a route.
const SEGMENTS: usize = 2;

/// How many bytes of a path are looked at.
const LONGEST: usize = 64;

/// The group of requests for `path`, below [`ROUTE_GROUPS`]: by its first two segments, without the query. A segment
/// that names a thing rather than a kind of things (a number, a UUID, a long hexadecimal text) stands for any such.
#[expect(clippy::cast_possible_truncation, reason = "a remainder of 16")]
pub fn group(path: &[u8]) -> usize {
    let path = path.split(|byte| b"?#".contains(byte)).next().unwrap_or_default();
    let path = path.get(..LONGEST).unwrap_or(path);
    let segments = path.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty());
    let hash = segments.take(SEGMENTS).fold(0, |hash, segment| {
        let kind = if names_a_thing(segment) { b"*" } else { segment };
        xxh64(kind, hash)
    });
    (hash % ROUTE_GROUPS as u64) as usize
}

/// A segment with a digit that has nothing but digits in it; or, from 8 bytes on, nothing but hexadecimal ones and hyphens.
fn names_a_thing(segment: &[u8]) -> bool {
    let all = |accepted: fn(u8) -> bool| segment.iter().copied().all(accepted);
    let is_number = all(|byte| byte.is_ascii_digit());
    let is_hexadecimal = segment.len() >= 8 && all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_number || (is_hexadecimal && segment.iter().any(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_same(paths: &[&str]) {
        let groups: Vec<_> = paths.iter().map(|path| group(path.as_bytes())).collect();
        assert!(groups.windows(2).all(|pair| pair[0] == pair[1]), "{paths:?} are of {groups:?}");
    }

    #[test]
    fn what_differs_in_ids_queries_or_deeper_segments_is_one_route() {
        check_same(&[
            "/cart/17",
            "/cart/4711",
            "/cart/17?x=y",
            "//cart//17",
            "/cart/17/items",
            "/cart/17#a?b",
        ]);
        check_same(&[
            "/u/0f8fad5b-d9cb-469f-a165-70867728950e",
            "/u/7C9E6679-7425-40de-944b-e07fc1f90ae7",
            "/u/9f8e7d6c5b4a3928",
        ]);
        check_same(&["/", "", "?", "/?a=/b/c"]);
        let long = "x".repeat(100);
        check_same(&[&format!("/{long}"), &format!("/{long}y")]);
    }

    #[test]
    fn routes_are_spread_over_all_groups() {
        let paths =
            ["/cart", "/cart/items", "/checkout", "/checkout/pay", "/deadbeef", "/v2", "/shop.Shop/Buy"];
        let groups: std::collections::BTreeSet<_> = paths.iter().map(|path| group(path.as_bytes())).collect();
        assert!(groups.len() >= 5, "{groups:?}");
        let many: std::collections::BTreeSet<_> =
            (0..200).map(|i| group(format!("/r{i}").as_bytes())).collect();
        assert_eq!(many.len(), ROUTE_GROUPS);
    }

    #[test]
    fn any_bytes_are_of_some_group() {
        for path in [&b"\xff/\x00"[..], &[b'/'; 200], &[0xc3; 65]] {
            assert!(group(path) < ROUTE_GROUPS);
        }
    }
}
