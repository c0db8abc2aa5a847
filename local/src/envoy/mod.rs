/*!
A real Envoy: where to get one, and how to run it.
*/
mod find;
mod process;

pub use find::{VERSION, at_hand, cache_dir, find, find_version, version_at_hand};
pub use process::{Envoy, EnvoyOptions};
