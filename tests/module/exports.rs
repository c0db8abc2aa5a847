/*!
What the module shows to proxies and asks of them.
*/
use std::collections::BTreeSet;

use walrus::Module;

/// A proxy calls the module for each callback it finds here, needed or not, so there are no others. The ABI's version is one by
/// which Envoy looks for the route again after a header was written: with a later one it does not, and nobody would ever get
/// the canary.
const EXPORTS: [&str; 11] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_delete",
    "proxy_on_log",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
    "proxy_on_tick",
];

/// What Envoy offers to modules of this ABI (proxy-wasm-cpp-host, `include/proxy-wasm/exports.h`). The module
/// links against many that it never calls, and Envoy loads none whose imports it cannot all find.
const OFFERED: [&str; 44] = [
    "env proxy_add_header_map_value",
    "env proxy_call_foreign_function",
    "env proxy_close_stream",
    "env proxy_continue_stream",
    "env proxy_define_metric",
    "env proxy_dequeue_shared_queue",
    "env proxy_done",
    "env proxy_enqueue_shared_queue",
    "env proxy_get_buffer_bytes",
    "env proxy_get_buffer_status",
    "env proxy_get_current_time_nanoseconds",
    "env proxy_get_header_map_pairs",
    "env proxy_get_header_map_size",
    "env proxy_get_header_map_value",
    "env proxy_get_log_level",
    "env proxy_get_metric",
    "env proxy_get_property",
    "env proxy_get_shared_data",
    "env proxy_get_status",
    "env proxy_grpc_call",
    "env proxy_grpc_cancel",
    "env proxy_grpc_close",
    "env proxy_grpc_send",
    "env proxy_grpc_stream",
    "env proxy_http_call",
    "env proxy_increment_metric",
    "env proxy_log",
    "env proxy_record_metric",
    "env proxy_register_shared_queue",
    "env proxy_remove_header_map_value",
    "env proxy_replace_header_map_value",
    "env proxy_resolve_shared_queue",
    "env proxy_send_local_response",
    "env proxy_set_buffer_bytes",
    "env proxy_set_effective_context",
    "env proxy_set_header_map_pairs",
    "env proxy_set_property",
    "env proxy_set_shared_data",
    "env proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1 environ_get",
    "wasi_snapshot_preview1 environ_sizes_get",
    "wasi_snapshot_preview1 fd_write",
    "wasi_snapshot_preview1 proc_exit",
    "wasi_snapshot_preview1 random_get",
];

fn module() -> Module {
    Module::from_buffer(serin_agent::MODULE).expect("a module")
}

#[test]
fn the_module_exports_what_proxies_need_and_nothing_else() {
    let module = module();
    let exports: BTreeSet<_> = module.exports.iter().map(|export| export.name.as_str()).collect();
    assert_eq!(exports, BTreeSet::from(EXPORTS));
}

#[test]
fn the_module_imports_nothing_that_envoy_does_not_offer() {
    let module = module();
    let imports = module.imports.iter().map(|import| format!("{} {}", import.module, import.name));
    let unknown: Vec<_> = imports.filter(|import| !OFFERED.contains(&import.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
