//! The binary `serin`.

use std::process::ExitCode;

fn main() -> ExitCode {
    serin::cli::parse_and_run()
}
