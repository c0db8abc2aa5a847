/*!
Serin's module, cut down.
*/
use anyhow::{Context, Result};

/// What a proxy needs in order to load a module at all.
const BARE: [&str; 4] = ["memory", "_initialize", "proxy_abi_version_0_2_1", "proxy_on_memory_allocate"];

/// The module without any callback: what it costs to have one that is never called.
pub(crate) fn without_callbacks() -> Result<Vec<u8>> {
    let mut module =
        walrus::Module::from_buffer(serin_agent::MODULE).context("the agent's own module is in order")?;
    let callbacks: Vec<_> = module
        .exports
        .iter()
        .filter(|export| !BARE.contains(&&*export.name))
        .map(walrus::Export::id)
        .collect();
    for callback in callbacks {
        module.exports.delete(callback);
    }
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}
