/*!
Serin's proxy-wasm filter: host calls in, decisions out.

The rules are `serin-policy`'s. What is left for this crate is when to ask the proxy what ([`exchange`]), which
policies are in force ([`vm`]) and what to count where ([`meters`]). All of it speaks to the proxy through one
small trait, [`Host`], so that it runs natively in tests; only `proxy` knows the SDK, and it is only built for
the module itself.

The filter never panics: a panic takes down every request on its worker.
*/
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod exchange;
pub mod host;
pub mod meters;
#[cfg(target_arch = "wasm32")]
mod proxy;
pub mod vm;

pub use exchange::Exchange;
pub use host::Host;
pub use vm::Vm;
