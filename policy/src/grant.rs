/*!
Grants: a version for whoever has one, until an hour that stands in it. A link carries one, and a cookie keeps it.

Only who has the *token* can make one. Proxies have the *key*, as has whoever may read the Release or the Git it lies in,
and can only tell whether a grant is right. So it is a signature, and nothing but SHA-256 is needed for it:

- For each version and day the token gives a secret. It is hashed once for each of the day's 24 hours: the end of that
  chain is a leaf. The grant until an hour is what stands in the chain at this hour; hashed on it comes to the leaf. Who has
  it can hash on, which makes grants that end sooner, and cannot hash back, which would make later ones.
- The leaves are hashed in pairs, and these again, up to a root (Merkle, 1979). The key is a hash of the root and the
  release's name. A grant carries the nodes beside its leaf's way up; without those of the key's own tree nothing comes to
  the key.

Every hash has its own place in it, so none can stand for another. They are cut to 128 bits: to find what hashes to a given
one takes 2^128 tries, and nobody but the token's owner gets to choose what is hashed.
*/
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const SECONDS_PER_HOUR: u64 = 3_600;
const HOURS_PER_DAY: u32 = 24;
/// The first day that has leaves, in days since 1970: 1 January 2026.
const FIRST_DAY: u64 = 20_454;
/// So many bits say which day it is, from the first: 11 years.
const DAY_BITS: u32 = 12;
/// So many say which version.
const VERSION_BITS: u32 = 2;
/// How many levels of nodes there are above the leaves.
const HEIGHT: u32 = DAY_BITS + VERSION_BITS;

const NODE: usize = 16;
type Node = [u8; NODE];

/// A grant's nodes: one of a chain, and one beside each level of its way up.
type Proof = [u8; NODE * (1 + HEIGHT as usize)];

/// What is hashed.
#[derive(Clone, Copy)]
enum Kind {
    Seed,
    Secret,
    Hour,
    Pair,
    Key,
}

/// The hash of these parts, of which at most one has no length of its own, at a place that no other has.
fn hash(kind: Kind, index: u32, height: u32, parts: [&[u8]; 2]) -> Node {
    let mut hash = Sha256::new();
    hash.update(b"serin");
    hash.update([kind as u8]);
    hash.update(index.to_be_bytes());
    hash.update(height.to_be_bytes());
    for part in parts {
        hash.update(part);
    }
    let digest = hash.finalize();
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

/// What stands in a chain so many hours before its end, hashed on to the end.
fn hashed_on(node: Node, index: u32, hours: u32) -> Node {
    (0..hours).rev().fold(node, |node, hour| hash(Kind::Hour, index, hour, [&node, &[]]))
}

/// The leaf of grants for the version at this place until `until`, in seconds since 1970, and how many hours before its end
/// such a grant stands in the chain; none if there is none. They end with an hour.
fn leaf(version: usize, until: u64) -> Option<(u32, u32)> {
    let last =
        (until / SECONDS_PER_HOUR).checked_sub(1).filter(|_| until.is_multiple_of(SECONDS_PER_HOUR))?;
    let day = u32::try_from((last / u64::from(HOURS_PER_DAY)).checked_sub(FIRST_DAY)?).ok()?;
    let version = u32::try_from(version).ok()?;
    let is_there = day < 1 << DAY_BITS && version < 1 << VERSION_BITS;
    let hours = u32::try_from(last % u64::from(HOURS_PER_DAY) + 1).ok()?;
    is_there.then_some((version << DAY_BITS | day, hours))
}

/// A grant that is right and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant<'g> {
    /// The version's place among all.
    pub(crate) version: usize,
    /// Its name.
    pub(crate) name: &'g str,
    /// When it ends, in seconds since 1970.
    pub(crate) until: u64,
    proof: &'g str,
}

impl fmt::Display for Grant<'_> {
    /// As links and cookies have it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.name, self.until, self.proof)
    }
}

/// What proxies know of a release's grants: whether one is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(Node);

impl Key {
    /// The key that `text` spells.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut key = Node::default();
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut key).ok()?;
        (length == NODE).then_some(Self(key))
    }

    /// What `text` grants, if it is a grant for `release` of one of the versions `names` and has not ended at `now`, in seconds
    /// since 1970.
    pub(crate) fn check<'g>(
        &self,
        release: &str,
        names: &[String],
        text: &'g [u8],
        now: impl FnOnce() -> u64,
    ) -> Option<Grant<'g>> {
        // What costs least comes first: nothing is hashed that cannot be right.
        let mut parts = std::str::from_utf8(text).ok()?.split('.');
        let (name, until, proof) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let version = names.iter().position(|known| known == name)?;
        let (index, hours) = leaf(version, until)?;
        let mut bytes = [0; size_of::<Proof>()];
        let length = BASE64_URL_SAFE_NO_PAD.decode_slice(proof, &mut bytes).ok()?;
        if parts.next().is_some() || length != bytes.len() || until <= now() {
            return None;
        }
        let (nodes, _) = bytes.as_chunks::<NODE>();
        let (first, beside) = nodes.split_first()?;
        let leaf = (hashed_on(*first, index, hours), index, 0);
        let (root, ..) = beside.iter().fold(leaf, |(node, index, height), other| {
            let both = if index.is_multiple_of(2) { [&node[..], other] } else { [other, &node[..]] };
            (hash(Kind::Pair, index / 2, height, both), index / 2, height + 1)
        });
        let is_right = key_of(release, &root).ct_eq(&self.0);
        bool::from(is_right).then_some(Grant { version, name, until, proof })
    }
}

fn key_of(release: &str, root: &Node) -> Node {
    hash(Kind::Key, 0, 0, [release.as_bytes(), root])
}

/// Makes a release's grants, for whoever has its token.
#[derive(Debug)]
pub struct Granter {
    release: String,
    seed: Node,
    /// All nodes, from the leaves to the root.
    levels: Vec<Vec<Node>>,
}

impl Granter {
    /// The fewest characters of a token: 128 bits, in letters and digits.
    pub const SHORTEST_TOKEN: usize = 22;
    /// For how long grants can be made, in seconds since 1970.
    pub const LAST: u64 = (FIRST_DAY + (1 << DAY_BITS)) * 24 * SECONDS_PER_HOUR;

    /// That of the release `namespace/name` whose token is `token`. What it takes is a few hundred thousand hashes.
    pub fn new(token: &str, release: &str) -> Self {
        let seed = hash(Kind::Seed, 0, 0, [&Sha256::digest(token), release.as_bytes()]);
        let leaf = |index| hashed_on(secret(&seed, index), index, HOURS_PER_DAY);
        let mut levels = vec![(0..1 << HEIGHT).map(leaf).collect::<Vec<_>>()];
        for height in 0..HEIGHT {
            let below = levels.last().map_or(&[][..], Vec::as_slice).as_chunks::<2>().0;
            let pairs = (0..).zip(below);
            levels.push(
                pairs.map(|(index, [left, right])| hash(Kind::Pair, index, height, [left, right])).collect(),
            );
        }
        Self { release: release.to_owned(), seed, levels }
    }

    /// The release's key, for all to know.
    pub fn key(&self) -> String {
        let root = self.levels.last().and_then(|level| level.first()).copied().unwrap_or_default();
        BASE64_URL_SAFE_NO_PAD.encode(key_of(&self.release, &root))
    }

    /// The grant of the version `name` at this place, with which a link ends, and until when it is: `until`, in seconds since
    /// 1970, or the end of that hour. None where there can be none.
    pub fn grant(&self, version: usize, name: &str, until: u64) -> Option<(String, u64)> {
        let until = until.next_multiple_of(SECONDS_PER_HOUR);
        let (index, hours) = leaf(version, until)?;
        let start = secret(&self.seed, index);
        let first = (hours..HOURS_PER_DAY)
            .rev()
            .fold(start, |node, hour| hash(Kind::Hour, index, hour, [&node, &[]]));
        let beside = self.levels.iter().zip(0..HEIGHT).map(|(level, height)| {
            let at = usize::try_from(index >> height ^ 1).ok()?;
            level.get(at).copied()
        });
        let proof = std::iter::once(Some(first)).chain(beside).collect::<Option<Vec<_>>>()?.concat();
        Some((format!("{name}.{until}.{}", BASE64_URL_SAFE_NO_PAD.encode(proof)), until))
    }
}

fn secret(seed: &Node, index: u32) -> Node {
    hash(Kind::Secret, index, 0, [seed, &[]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = SECONDS_PER_HOUR;
    /// 28 November 2026, 10:00.
    const NOW: u64 = 1_795_860_000;

    fn names() -> Vec<String> {
        vec!["stable".to_owned(), "canary".to_owned()]
    }

    fn key(granter: &Granter) -> Key {
        Key::parse(&granter.key()).unwrap()
    }

    #[track_caller]
    fn is_taken(granter: &Granter, release: &str, text: &str, now: u64) -> bool {
        key(granter).check(release, &names(), text.as_bytes(), || now).is_some()
    }

    #[test]
    fn a_grant_holds_until_its_hour_for_its_release_and_version_and_by_its_token() {
        let own = Granter::new("0123456789abcdef0123456789abcdef", "shop/shop");
        for hours in [1, 2, 13, 14, 15, 24, 100, 24 * 400] {
            for (version, name) in names().iter().enumerate() {
                let (text, until) = own.grant(version, name, NOW + hours * HOUR - 100).unwrap();
                assert_eq!(until, NOW + hours * HOUR, "to the end of the hour");
                let found = key(&own).check("shop/shop", &names(), text.as_bytes(), || NOW).unwrap();
                assert_eq!((found.version, found.until), (version, until));
                assert_eq!(found.to_string(), text);
                assert!(is_taken(&own, "shop/shop", &text, until - 1));
                assert!(!is_taken(&own, "shop/shop", &text, until), "it has ended");
                assert!(!is_taken(&own, "shop/other", &text, NOW), "another release's");
                let longer = text.replace(&until.to_string(), &(until + HOUR).to_string());
                assert!(!is_taken(&own, "shop/shop", &longer, NOW), "made to last longer");
                let other = names()[1 - version].clone();
                assert!(!is_taken(&own, "shop/shop", &text.replace(name.as_str(), &other), NOW));
            }
        }
        let (text, _) = own.grant(1, "canary", NOW + HOUR).unwrap();
        let other = Granter::new("fedcba9876543210fedcba9876543210", "shop/shop");
        assert!(!is_taken(&other, "shop/shop", &text, NOW), "by another token");
        assert!(!is_taken(&Granter::new("0123456789abcdef0123456789abcdef", "shop/b"), "shop/b", &text, NOW));
        assert_eq!(own.grant(1, "canary", Granter::LAST + 1), None);
        assert_eq!(own.grant(4, "v5", NOW + HOUR), None);
        assert!(own.grant(1, "canary", Granter::LAST).is_some());
    }

    #[test]
    fn no_byte_of_a_grant_can_be_another() {
        let own = Granter::new("0123456789abcdef0123456789abcdef", "shop/shop");
        let (text, _) = own.grant(1, "canary", NOW + 5 * HOUR).unwrap();
        for at in 0..text.len() {
            for byte in *b"A9_.-z" {
                let mut other = text.clone().into_bytes();
                if std::mem::replace(&mut other[at], byte) != byte {
                    let found = key(&own).check("shop/shop", &names(), &other, || NOW);
                    assert_eq!(found, None, "{}", String::from_utf8_lossy(&other));
                }
            }
            assert!(!is_taken(&own, "shop/shop", &text[..at], NOW));
        }
        assert!(!is_taken(&own, "shop/shop", &format!("{text}A"), NOW));
        assert!(!is_taken(&own, "shop/shop", &format!("{text}."), NOW));
    }

    #[test]
    fn what_a_grant_was_made_of_before_is_made_of_it_now() {
        let own = Granter::new("0123456789abcdef0123456789abcdef", "shop/shop");
        assert_eq!(own.key(), "E-9poOv_kk5helVEClOHNw");
    }
}
