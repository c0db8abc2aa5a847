/*!
Lanes: where on the line of points the versions beside stable and canary have their share.

The canary grows from 0 upwards. Every other version grows from an origin of its own, in a direction of its own, and what
no lane has is stable's: so raising or lowering one share moves callers between that version and stable, and nobody
between two others, whatever was changed before. No memory is needed for it, so a status that is lost moves nobody. The
price is that a share ends where the next lane begins, which [`Extras::compile`] and [`room`] refuse by name.
*/
use crate::document::VersionSpec;
use crate::point::Point;
use crate::refusal::{Kind, Refusal};
use crate::weight::Weight;

/// A version beside stable and canary, by its place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extra(u8);

/// From where a lane grows, and whether upwards.
const ORIGINS: [(u32, bool); Extra::MOST] =
    [(1_000_000, false), (500_000, true), (750_000, false), (750_000, true)];

impl Extra {
    /// The most there can be.
    pub const MOST: usize = 4;

    /// Every one that there can be.
    pub const ALL: [Self; Self::MOST] = [Self(0), Self(1), Self(2), Self(3)];

    /// Its place among those beside stable and canary, from 0.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The same, to find it in a list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self.0 {
            0 => "extra-1",
            1 => "extra-2",
            2 => "extra-3",
            _ => "extra-4",
        }
    }

    /// Its lane, if it has this share.
    pub fn lane(self, share: Weight) -> Lane {
        let (from, to) = match ORIGINS.get(self.index()) {
            Some(&(origin, true)) => (origin, origin.saturating_add(share.ppm())),
            Some(&(origin, false)) => (origin.saturating_sub(share.ppm()), origin),
            None => (0, 0),
        };
        Lane { from, to }
    }
}

/// A part of the line of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Its first point.
    from: u32,
    /// The first one after it.
    to: u32,
}

impl Lane {
    /// The canary's.
    const fn of_canary(weight: Weight) -> Self {
        Self { from: 0, to: weight.ppm() }
    }

    const fn has(self, point: Point) -> bool {
        self.from <= point.get() && point.get() < self.to
    }

    const fn meets(self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    const fn leaves_the_line(self) -> bool {
        self.to > Weight::FULL.ppm()
    }
}

/// What a lane runs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The share of the canary.
    Canary,
    /// The lane of an earlier version.
    Lane(Extra),
    /// The end of the line.
    End,
}

/// The first lane, of versions with these `shares` beside a canary that gets `canary`, that has no room, and what is in
/// its way. A canary that gets everybody gets all who are in no lane, and is in nobody's way.
pub fn first_without_room(canary: Weight, shares: &[Weight]) -> Option<(Extra, Obstacle)> {
    let canary = Lane::of_canary(if canary == Weight::FULL { Weight::ZERO } else { canary });
    let mut taken: Vec<(Extra, Lane)> = Vec::new();
    for (extra, share) in Extra::ALL.into_iter().zip(shares).filter(|(_, share)| **share > Weight::ZERO) {
        let lane = extra.lane(*share);
        if lane.leaves_the_line() {
            return Some((extra, Obstacle::End));
        }
        if let Some((other, _)) = taken.iter().find(|(_, other)| other.meets(lane)) {
            return Some((extra, Obstacle::Lane(*other)));
        }
        if canary.meets(lane) {
            return Some((extra, Obstacle::Canary));
        }
        taken.push((extra, lane));
    }
    None
}

/// The share of a canary that gets `canary` among those who are on it or on stable, where lanes take `taken` of everybody.
pub fn beside_stable(canary: Weight, taken: Weight) -> Weight {
    let left = u64::from(Weight::FULL.ppm().saturating_sub(taken.ppm()));
    let of_left = (u64::from(canary.ppm()) * u64::from(Weight::FULL.ppm())).checked_div(left);
    let ppm = of_left.and_then(|ppm| u32::try_from(ppm).ok());
    ppm.and_then(|ppm| Weight::from_ppm(ppm).ok()).unwrap_or(Weight::FULL)
}

/// The versions beside stable and canary, ready for use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras(Vec<Open>);

#[derive(Debug, Clone)]
struct Open {
    lane: Lane,
    is_closed: bool,
}

impl Extras {
    /// What to write where there are too many.
    const MOST: &str =
        "this filter serves at most six versions: stable first, then the canary, then four others";
    const SHARE: &str = "give its share in ppm, 0 to 1000000";
    const ROOM: &str = "give less: the lane runs into another version's, or beyond the line";

    /// Makes sense of the `versions` of a document from the third on.
    pub(crate) fn compile(versions: &[VersionSpec]) -> Result<Self, Refusal> {
        if versions.len() > Extra::MOST {
            let found = format!("{} of them", versions.len() + 2);
            return Err(Refusal::new(Kind::Unsupported, "versions", found, Self::MOST));
        }
        let field = |index: usize| format!("versions[{}].weight", index + 2);
        let mut shares = Vec::with_capacity(versions.len());
        for (index, version) in versions.iter().enumerate() {
            let missing = || Refusal::new(Kind::Invalid, field(index), "none", Self::SHARE);
            shares.push(version.weight.ok_or_else(missing)?);
        }
        if let Some((extra, _)) = first_without_room(Weight::ZERO, &shares) {
            let share = shares.get(extra.index()).map_or(0, |share| share.ppm());
            return Err(Refusal::new(Kind::Invalid, field(extra.index()), share, Self::ROOM));
        }
        let of = |((extra, share), version): ((Extra, Weight), &VersionSpec)| Open {
            lane: extra.lane(share),
            is_closed: version.closed,
        };
        Ok(Self(Extra::ALL.into_iter().zip(shares).zip(versions).map(of).collect()))
    }

    /// The share of a canary that gets `canary` among those who are on it or on stable.
    pub(crate) fn without(&self, canary: Weight) -> Weight {
        let open = self.0.iter().filter(|open| !open.is_closed);
        let taken = open.map(|Open { lane, .. }| lane.to.saturating_sub(lane.from)).sum();
        beside_stable(canary, Weight::from_ppm(taken).unwrap_or(Weight::FULL))
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one whose lane has `point`, whether it takes traffic or not.
    pub(crate) fn at(&self, point: Point) -> Option<Extra> {
        let mut lanes = Extra::ALL.into_iter().zip(&self.0);
        lanes.find(|(_, open)| open.lane.has(point)).map(|(extra, _)| extra)
    }

    /// Whether `extra` takes traffic.
    pub(crate) fn are_open(&self, extra: Extra) -> bool {
        self.0.get(extra.index()).is_some_and(|open| !open.is_closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ppm(ppm: u32) -> Weight {
        Weight::from_ppm(ppm).unwrap()
    }

    #[test]
    fn lanes_have_room_until_they_meet() {
        #[track_caller]
        fn check(canary: u32, shares: &[u32], expected: Option<(usize, Obstacle)>) {
            let shares: Vec<_> = shares.iter().copied().map(ppm).collect();
            let found = first_without_room(ppm(canary), &shares);
            assert_eq!(found.map(|(extra, what)| (extra.index(), what)), expected, "{canary} {shares:?}");
        }
        check(150_000, &[50_000], None);
        check(500_000, &[500_000], None);
        check(500_001, &[500_000], Some((0, Obstacle::Canary)));
        // Everybody means all who are in no lane.
        check(1_000_000, &[500_000, 0], None);
        check(500_000, &[250_000, 250_000], None);
        check(500_000, &[125_000, 125_000, 125_000, 125_000], None);
        check(0, &[500_000, 500_001], Some((1, Obstacle::End)));
        check(0, &[100_000, 450_000], Some((1, Obstacle::Lane(Extra(0)))));
        check(0, &[0, 200_000, 50_001], Some((2, Obstacle::Lane(Extra(1)))));
        check(600_000, &[100_000, 1], Some((1, Obstacle::Canary)));
        check(600_000, &[100_000, 0], None);
    }
}
