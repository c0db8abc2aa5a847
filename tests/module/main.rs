/*!
The filter's module as proxies get it, run by itself: what it exports, what it costs, what it survives.
*/
mod exports;
mod fuel;
mod hostile;
mod on_node;
mod plugins;
mod retries;

use std::sync::LazyLock;

use serin_tests::module_host::{Compiled, ModuleHost};

/// A fresh proxy that runs the module.
fn host() -> ModuleHost {
    static COMPILED: LazyLock<Compiled> =
        LazyLock::new(|| Compiled::new(serin_agent::MODULE).expect("a module"));
    COMPILED.host().expect("the module starts")
}
