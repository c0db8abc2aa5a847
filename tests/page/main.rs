/*!
The pages in a real browser: what a person sees. What they see of Releases in a cluster comes from a board that follows what a mesh
had; what moves is a real agent on a real Envoy.
*/
mod board;
mod live;
mod use_by_all;

use anyhow::Result;
use serin_tests::tools;

/// The agent's binary, built beside these tests.
const AGENT: &str = env!("CARGO_BIN_EXE_serin-agent");

/// Brings the tools, and runs `work` on a runtime of its own.
fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    tools::bring(&[tools::PAGES])?;
    serin_tests::site::run(work)
}
