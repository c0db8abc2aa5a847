/*!
How different users are told apart without keeping their ids.

Every user falls into one of [`CELLS`] cells, by bits of the hash that is their [`Point`](crate::Point) as well, but by
none of the bits that place them: which cell somebody is in says nothing of their version. For each version and each
[`Met`] a proxy keeps which cells have somebody, 64 bytes a map. Maps of all workers and proxies are put together by *or*,
in any order and any number of times, so a user whom several proxies have seen counts once.

This is linear counting (Whang, Vander-Zanden, Taylor: "A linear-time probabilistic counting algorithm for database
applications", 1990). `c` cells of `m` stand for about `-m·ln(1 - c/m)` users. What it costs: two users in one cell count
once. Of a few that is seldom (of 10 users 0.9 % are lost, of 50 some 5 %); of 512 about 190 are. The estimate is off by a
standard deviation of 3.2 % for 50 users, 3.7 % for 512 and 7.5 % for 2,000, and beyond about 3,200 all cells are full: from there on
there is nothing to be told, but that there are many.

Where callers have no lasting id, but one for each request, every request is a user of its own.
*/
use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::xxh64;

use crate::decision::Arm;

/// Into how many cells users fall by a hash of their id, for each version and each thing that is told of them. A cell
/// counts once: among `u` users about `CELLS·(1 − (1 − 1/CELLS)^u)` cells count.
pub const CELLS: u32 = 512;

/// How many words of 32 cells there are.
pub const WORDS: usize = (CELLS / 32) as usize;

/// A user of a run: the hash of its salt and their id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct User(u64);

impl User {
    pub(crate) const fn of(digest: u64) -> Self {
        Self(digest)
    }

    /// The hash.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The cell they fall into, by the lowest bits; a [`Point`](crate::Point) is made of the highest.
    #[expect(clippy::cast_possible_truncation, reason = "a remainder of 512")]
    pub const fn cell(self) -> Cell {
        Cell((self.0 % CELLS as u64) as u16)
    }
}

/// The cell a user falls into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell(u16);

impl Cell {
    /// Its number, below [`CELLS`].
    pub const fn get(self) -> u16 {
        self.0
    }

    const fn word_and_bit(self) -> (usize, u32) {
        (self.0 as usize / 32, 1 << (self.0 % 32))
    }
}

/// What a user has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Met {
    /// An answer, or a request of theirs that hangs.
    Answer,
    /// A failure.
    Failure,
    /// An answer slower than the objective, or a request that hangs for longer than that.
    Delay,
}

impl Met {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Answer, Self::Failure, Self::Delay];

    /// The word for it in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "seen",
            Self::Failure => "failed",
            Self::Delay => "slow",
        }
    }
}

/// Which cells have somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cells([u32; WORDS]);

impl Cells {
    /// Puts somebody into `cell`; says whether they are the first there.
    pub fn insert(&mut self, cell: Cell) -> bool {
        let (word, bit) = cell.word_and_bit();
        // A cell is below the number of cells, so its word is there.
        let Some(word) = self.0.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Adds those of `other`.
    pub fn add(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    /// Adds `cells` to the word of this index, if there is one.
    pub fn add_word(&mut self, index: usize, cells: u32) {
        if let Some(word) = self.0.get_mut(index) {
            *word |= cells;
        }
    }

    /// The words, of 32 cells each.
    pub const fn words(&self) -> &[u32; WORDS] {
        &self.0
    }

    /// Those that `other` has not.
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = *self;
        for (word, taken) in rest.0.iter_mut().zip(other.0) {
            *word &= !taken;
        }
        rest
    }

    /// How many cells have somebody.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// One version's maps, by [`Met`].
type OfArm = [Cells; Met::ALL.len()];

/// All of a run's maps, by version and [`Met`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<OfArm>", into = "Vec<OfArm>")]
pub struct Maps([OfArm; Arm::MOST]);

impl Maps {
    /// The map of those who met `met` on `arm`.
    pub fn of(&self, arm: Arm, met: Met) -> &Cells {
        let [stable, others @ ..] = &self.0;
        let [answer, failure, delay] = others.get(arm.index().wrapping_sub(1)).unwrap_or(stable);
        match met {
            Met::Answer => answer,
            Met::Failure => failure,
            Met::Delay => delay,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, arm: Arm, met: Met) -> &mut Cells {
        let [stable, others @ ..] = &mut self.0;
        let [answer, failure, delay] = others.get_mut(arm.index().wrapping_sub(1)).unwrap_or(stable);
        match met {
            Met::Answer => answer,
            Met::Failure => failure,
            Met::Delay => delay,
        }
    }

    /// Those of stable and canary, and of as many others as have met anything.
    fn in_use(&self) -> &[OfArm] {
        let used = self.0.iter().rposition(|of_arm| *of_arm != OfArm::default()).map_or(0, |last| last + 1);
        self.0.get(..used.max(Arm::BOTH.len())).unwrap_or(&self.0)
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Self) {
        for (cells, more) in self.0.as_flattened_mut().iter_mut().zip(other.0.as_flattened()) {
            cells.add(more);
        }
    }

    /// The words, in order; of versions beside stable and canary only as far as they have met anything.
    pub fn to_bytes(&self) -> Vec<u8> {
        let words = self.in_use().as_flattened().iter().flat_map(|cells| &cells.0);
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gives; what is missing is empty.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut maps = Self::default();
        let words = maps.0.as_flattened_mut().iter_mut().flat_map(|cells| &mut cells.0);
        for (word, bytes) in words.zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        maps
    }
}

impl From<Vec<OfArm>> for Maps {
    fn from(found: Vec<OfArm>) -> Self {
        let mut maps = Self::default();
        maps.0.iter_mut().zip(found).for_each(|(of_arm, found)| *of_arm = found);
        maps
    }
}

impl From<Maps> for Vec<OfArm> {
    fn from(maps: Maps) -> Self {
        maps.in_use().to_vec()
    }
}

/// Tells a run from the others of its release, in 20 bits: those of another are seldom taken for its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunMark(u32);

impl RunMark {
    const BITS: u32 = 20;

    /// The mark of the run whose points have this salt.
    pub fn of(salt: &str) -> Self {
        Self((xxh64(salt.as_bytes(), 0) >> (64 - Self::BITS)) as u32)
    }
}

/// What a gauge of users says: the cells of one word, and whose they are. It is below 2^52, so that it survives as a
/// floating-point number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The run.
    pub run: RunMark,
    /// The cells.
    pub cells: u32,
}

impl Word {
    /// The gauge's value.
    pub fn to_value(self) -> u64 {
        u64::from(self.run.0) << 32 | u64::from(self.cells)
    }

    /// Reads a gauge's value.
    #[expect(clippy::cast_possible_truncation, reason = "each half by itself")]
    pub const fn from_value(value: u64) -> Self {
        Self { run: RunMark((value >> 32) as u32), cells: value as u32 }
    }
}

/// Name in Prometheus of the gauges of users.
pub const USERS: &str = "serin_users";

/// Which cells a gauge holds, as its label `tag` says: `namespace/release/version/users:seen:7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WordTag<'t> {
    /// `namespace/release`.
    pub release: &'t str,
    /// The version.
    pub arm: Arm,
    /// What they have met.
    pub met: Met,
    /// Index of the word.
    pub word: usize,
}

impl<'t> WordTag<'t> {
    /// The gauge's raw name.
    pub fn raw_name(&self) -> String {
        format!("tag.{self};.{USERS}")
    }

    /// Takes the label's value apart; `None` for what the filter did not write.
    pub fn parse(tag: &'t str) -> Option<Self> {
        let (rest, cells) = tag.rsplit_once('/')?;
        let (release, arm) = rest.rsplit_once('/')?;
        let (met, word) = cells.strip_prefix("users:")?.split_once(':')?;
        let arm = Arm::of_word(arm)?;
        let met = Met::ALL.into_iter().find(|known| known.as_str() == met)?;
        let word = word.parse().ok().filter(|&word| word < WORDS)?;
        Some(Self { release, arm, met, word })
    }
}

impl fmt::Display for WordTag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/users:{}:{}", self.release, self.arm.as_str(), self.met.as_str(), self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Extra, Id, Point};

    fn crowd(count: u128, salt: &str) -> Cells {
        let mut cells = Cells::default();
        for i in 0..count {
            cells.insert(Point::with_user(salt, &Id::from_random(i)).1.cell());
        }
        cells
    }

    /// The mean over a hundred runs of what `count` users are taken for, and the standard deviation, both as shares of
    /// `count`; and the mean share of cells they fill.
    fn measured(count: u32) -> (f64, f64, f64) {
        let of_a_run = |run| f64::from(crowd(count.into(), &format!("shop/shop/{run}")).count());
        let filled: Vec<f64> = (0..100).map(of_a_run).collect();
        let cells = f64::from(CELLS);
        let shares: Vec<f64> =
            filled.iter().map(|filled| -cells * (1.0 - filled / cells).ln() / f64::from(count)).collect();
        let mean = shares.iter().sum::<f64>() / 100.0;
        let deviation = (shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 99.0).sqrt();
        (mean, deviation, filled.iter().sum::<f64>() / 100.0 / f64::from(count))
    }

    #[test]
    fn what_is_lost_is_what_the_page_above_says() {
        for (count, deviation, kept) in
            [(10, 0.031, 0.991), (50, 0.032, 0.953), (512, 0.037, 0.632), (2_000, 0.075, 0.251)]
        {
            let (mean, measured, filled) = measured(count);
            assert!((mean - 1.0).abs() < 0.02, "{count} users are taken for {mean} of them");
            assert!((0.7..1.3).contains(&(measured / deviation)), "{count} users: off by {measured}");
            assert!((filled - kept).abs() < 0.01, "{count} users: {filled} of them fill cells");
        }
    }

    #[test]
    fn a_cell_says_nothing_of_the_version() {
        let mut canary = [0_i32; CELLS as usize];
        for i in 0..CELLS * 100 {
            let (point, user) = Point::with_user("shop/shop/1", &Id::from_random(i.into()));
            canary[usize::from(user.cell().get())] += if point.get() < 500_000 { 1 } else { -1 };
        }
        // In each cell about a hundred users, and a difference of chance: its square is a hundred on average.
        let squares: i32 = canary.iter().map(|difference| difference * difference).sum();
        let mean = f64::from(squares) / f64::from(CELLS);
        assert!((80.0..120.0).contains(&mean), "{mean}");
    }

    #[test]
    fn maps_of_several_proxies_come_to_what_one_would_have_seen() {
        let salt = "shop/shop/1";
        let (mut one, mut other) = (Cells::default(), Cells::default());
        for i in 0..300 {
            let cell = Point::with_user(salt, &Id::from_random(i)).1.cell();
            if i < 200 {
                one.insert(cell);
            }
            if i >= 100 {
                other.insert(cell);
            }
        }
        one.add(&other);
        one.add(&other);
        assert_eq!(one, crowd(300, salt));
    }

    #[test]
    fn what_a_gauge_says_comes_back_even_as_a_floating_point_number() {
        for cells in [0, 1, 0x8000_0001, u32::MAX] {
            let word = Word { run: RunMark::of("shop/shop/v2"), cells };
            #[expect(clippy::cast_precision_loss, reason = "this is what Prometheus does")]
            let as_float = word.to_value() as f64;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole")]
            let back = as_float as u64;
            assert_eq!(Word::from_value(back), word);
        }
        assert!(Word { run: RunMark(0xF_FFFF), cells: u32::MAX }.to_value() < 1 << 52);
    }

    #[test]
    fn a_gauges_tag_comes_back_as_it_was_written_and_is_taken_for_no_other() {
        let tag = WordTag { release: "shop/shop", arm: Arm::Canary, met: Met::Failure, word: 15 };
        assert_eq!(tag.to_string(), "shop/shop/canary/users:failed:15");
        assert_eq!(WordTag::parse(&tag.to_string()), Some(tag));
        assert_eq!(crate::series::Tag::parse(&tag.to_string()), None);
        for foreign in
            ["", "shop/shop/canary/step-1", "shop/shop/canary/users:failed:16", "a/canary/users:seen"]
        {
            assert_eq!(WordTag::parse(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn maps_come_back_from_their_bytes() {
        let mut maps = Maps::default();
        let cells =
            [(Arm::Stable, Met::Answer, 0), (Arm::Canary, Met::Failure, 77), (Arm::Canary, Met::Delay, 511)];
        for (arm, met, cell) in cells {
            assert!(maps.of_mut(arm, met).insert(Cell(cell)));
            assert!(!maps.of_mut(arm, met).insert(Cell(cell)));
        }
        let bytes = maps.to_bytes();
        assert_eq!((bytes.len(), Maps::from_bytes(&bytes)), (2 * 3 * 64, maps));
        assert_eq!(Vec::from(maps).len(), 2, "saved as ever");
        maps.of_mut(Arm::Extra(Extra::ALL[1]), Met::Answer).insert(Cell(9));
        assert_eq!(Maps::from_bytes(&maps.to_bytes()), maps);
        assert_eq!(Maps::from_bytes(&bytes[..3]), Maps::default());
    }
}
