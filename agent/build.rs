/*!
Builds the filter for proxies and puts it where the agent embeds it from.

The nested cargo has a target folder of its own: in the outer one's it would wait for a lock that is only given
up when this script ends. The exports are set right afterwards: a proxy calls into the module for every callback it finds there,
and rustc keeps all of the SDK's. They are cut, and the filter's own get their names.
*/
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What it is compiled for.
const TARGET: &str = "wasm32-wasip1";

/// What a proxy needs to find in the module besides the filter's callbacks.
const EXPORTS: [&str; 4] = ["memory", "_initialize", "proxy_abi_version_0_2_1", "proxy_on_memory_allocate"];

/// The filter's callbacks are called `serin_on_log` and so on, the ABI's `proxy_on_log`.
const CALLBACKS: (&str, &str) = ("serin_on_", "proxy_on_");

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    for watched in
        ["Cargo.toml", "Cargo.lock", "policy/src", "policy/Cargo.toml", "filter/src", "filter/Cargo.toml"]
    {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = serin_wasm_target::ensure(TARGET, |line| println!("cargo::warning={line}")) {
        // Cargo fails the build for it. After a script that fails itself it would show all that the script printed.
        println!("cargo::error={error}");
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let module = build_filter(&root, &target_folder(&out));
    set_exports(&module, &out.join("serin_filter.wasm"));
}

/// One folder for all profiles of the outer build, beside theirs: `target/<profile>/build/<package>/out` → `target`.
fn target_folder(out: &Path) -> PathBuf {
    out.ancestors().nth(4).expect("OUT_DIR lies four levels below the target folder").join("filter-module")
}

fn build_filter(root: &Path, target: &Path) -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    cargo.current_dir(root).args(["build", "--package", "serin-filter", "--lib"]);
    cargo.args(["--profile", "wasm", "--target", TARGET, "--locked"]).arg("--target-dir").arg(target);
    // What the outer cargo, clippy or a coverage run ask of their own compiler is not meant for the module.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let inherited =
            ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS", "CARGO_MAKEFLAGS"];
        if inherited.contains(&&*name)
            || name == "CARGO_ENCODED_RUSTFLAGS"
            || name.starts_with("CARGO_BUILD_")
        {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status().expect("cargo runs, for it runs this script");
    assert!(status.success(), "building the filter failed");
    target.join(TARGET).join("wasm/serin_filter.wasm")
}

fn set_exports(module: &Path, result: &Path) {
    let (ours, abi) = CALLBACKS;
    let mut module = walrus::Module::from_file(module).expect("rustc wrote a module");
    let is_unused = |name: &str| !(EXPORTS.contains(&name) || name.starts_with(ours));
    let unused: Vec<_> =
        module.exports.iter().filter(|export| is_unused(&export.name)).map(walrus::Export::id).collect();
    for export in unused {
        module.exports.delete(export);
    }
    for export in module.exports.iter_mut() {
        if let Some(callback) = export.name.strip_prefix(ours) {
            export.name = format!("{abi}{callback}");
        }
    }
    walrus::passes::gc::run(&mut module);
    module.emit_wasm_file(result).expect("OUT_DIR can be written");
}
