/*!
The agent: walks a Release through its steps, watches what real users got, and goes back on evidence.
*/
pub mod demo;
pub mod mesh;
pub mod release;
pub mod rollout;

/// The proxy-wasm module this agent was built with, ready to be served to proxies.
pub static MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/serin_filter.wasm"));
