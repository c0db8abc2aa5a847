/*!
Serin's proxy-wasm filter: host calls in, decisions out.

The rules are `serin-policy`'s. What is left for this crate is when to ask the proxy what ([`exchange`]), which
policies are in force ([`vm`]), what [caches](caching) may keep of an answer, what became of a request ([`outcome`]) and what it counts as ([`booking`]), even while it
[waits](waiting), for which [run] and in which counters ([`meters`]), when a [fuse] blows, and what
workers have [left] for each other. All of it speaks to the proxy through one
small trait, [`Host`], so that it runs natively in tests; only `callbacks` and `proxy` know the SDK, and they are only built for
the module itself.

The filter never panics: a panic takes down every request on its worker.
*/
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod booking;
pub mod caching;
#[cfg(target_arch = "wasm32")]
mod callbacks;
pub mod exchange;
pub mod fuse;
pub mod host;
pub mod left;
pub mod meters;
pub mod outcome;
#[cfg(target_arch = "wasm32")]
mod proxy;
pub mod run;
pub mod vm;
pub mod waiting;

pub use exchange::Exchange;
pub use host::Host;
pub use vm::Vm;
