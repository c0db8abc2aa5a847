/*!
The agent: walks a Release through its steps, watches what real users got, and goes back on evidence.

[`release`] is what users write, [`rollout`] decides what to do about it, [`observe`] says how things are,
[`mesh`] hands policies to proxies, and [`driver`] goes round between them. [`serve`] and [`cli`] face people;
[`demo`] shows all of it on one machine, [`simulate`] says what to expect of it.
*/
pub mod cli;
pub mod cluster;
pub mod demo;
pub mod driver;
mod folder_lock;
pub mod http;
pub mod mesh;
pub mod metrics;
pub mod observe;
pub mod release;
pub mod rollout;
pub mod serve;
pub mod simulate;

/// The proxy-wasm module this agent was built with, ready to be served to proxies.
pub static MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/serin_filter.wasm"));
