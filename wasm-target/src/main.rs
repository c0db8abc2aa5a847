//! Makes sure that the Rust toolchain in use can compile for the target that is named.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(target) = env::args().nth(1) else {
        eprintln!("usage: wasm-target TARGET, such as wasm32-wasip1");
        return ExitCode::from(64);
    };
    match serin_wasm_target::ensure(&target, |what| eprintln!("{what}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
