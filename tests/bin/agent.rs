//! The agent's binary, for tests that start, watch and kill it: cargo hands a test only the binaries of its own package.

use std::process::ExitCode;

fn main() -> ExitCode {
    serin::parse_and_run()
}
