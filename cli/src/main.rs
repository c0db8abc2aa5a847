//! The binary `serin`.

use std::process::ExitCode;

fn main() -> ExitCode {
    serin::parse_and_run()
}
