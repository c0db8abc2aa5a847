/*!
Another cargo, for what is built while tests run.
*/
use std::env;
use std::process::Command;

/// A cargo beside the one that runs the tests, without what that one was told about its own compiler.
///
/// It must be given a target folder of its own: in the outer one's, both would wait for the same lock.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let compiler = ["RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS"];
    let coverage = ["LLVM_PROFILE_FILE"];
    let outer = ["CARGO_ENCODED_", "CARGO_BUILD_", "CARGO_MAKEFLAGS", "CARGO_TARGET_", "CARGO_PROFILE_"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if compiler.contains(&&*text)
            || coverage.contains(&&*text)
            || outer.iter().any(|prefix| text.starts_with(prefix))
        {
            cargo.env_remove(&name);
        }
    }
    cargo
}
