/*!
How different users are told apart without keeping their ids.
*/

/// Into how many cells users fall by a hash of their id, for each version and each thing that is told of them. A cell
/// counts once: among `u` users about `CELLS·(1 − (1 − 1/CELLS)^u)` cells count.
pub const CELLS: u32 = 512;
