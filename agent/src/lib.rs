/*!
The agent: reads what real users got, has the planner say what should be next, and carries it out.

[`observe`] says how things are, [`mesh`] makes what proxies are handed, and two loops go round between them and the
planner: [`standalone`] in front of plain Envoys, [`cluster`] in a cluster. [`serve`] answers over HTTP. What users write is
`serin-release`, what is decided about it `serin-rollout`.
*/
mod clock;
pub mod cluster;
pub mod config;
pub mod errors;
mod folder_lock;
pub mod hooks;
pub mod http;
pub mod journal;
#[cfg(test)]
mod manifests;
pub mod mesh;
pub mod metrics;
pub mod notify;
pub mod observe;
pub mod page;
pub mod preflight;
pub mod reach;
pub mod serve;
pub mod standalone;
mod told;
pub mod view;

/// The proxy-wasm module this agent was built with, ready to be served to proxies.
pub static MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/serin_filter.wasm"));
