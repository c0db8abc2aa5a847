/*!
Asking before something is done that moves everybody.
*/
use std::io::{IsTerminal, Write as _};

use anyhow::bail;

/// Whether whoever sits at the terminal wants `what`. With `yes` nobody is asked.
///
/// # Errors
/// When nobody can be asked.
pub(super) fn confirmed(what: &str, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        bail!("--yes: missing: this is asked for at a terminal, and there is none: write --yes in a script");
    }
    eprint!("{what}? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
