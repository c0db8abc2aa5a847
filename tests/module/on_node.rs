/*!
The policy crate's vectors in WebAssembly, on Node: the filter's 32-bit world comes to the same answers as the
agent's.
*/
use std::env;
use std::path::Path;
use std::process::Stdio;

use serin_tests::tools::{self, Tool};

#[test]
fn the_vectors_hold_in_webassembly_too() {
    tools::bring(&[tools::ON_NODE]).unwrap_or_else(|error| panic!("{error:#}"));
    let runner = Tool::WasmBindgen.path().unwrap();
    // target/<profile>/deps/module-… → target/on-node
    let test = env::current_exe().unwrap();
    let target =
        test.ancestors().nth(3).expect("tests lie three levels below the target folder").join("on-node");
    let mut cargo = tools::cargo();
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    cargo.args(["test", "--locked", "--package", "serin-policy", "--test", "vectors"]);
    cargo.args(["--target", "wasm32-unknown-unknown", "--target-dir"]).arg(target);
    cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner).stdin(Stdio::null());
    let output = cargo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let passed =
        said.lines().find_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse().ok());
    assert!(
        output.status.success() && passed.is_some_and(|passed: u32| passed >= 3),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
