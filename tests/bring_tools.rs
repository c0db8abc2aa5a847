/*!
Brings what the other tests need: cargo runs this one before them, by its name. So what is missing on the machine is
told at once, and nobody waits for a tool in the middle of a test. A test that is run by itself brings what it needs too.
*/
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use serin_tests::tools;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let bring = || tools::bring(&tools::ALL).map_err(|error| format!("{error:#}").into());
    // With one it would begin a line with the test's name, and go on after all that is told meanwhile.
    arguments.test_threads.get_or_insert(2);
    let trials = vec![Trial::test("all_tools_are_there", bring)];
    libtest_mimic::run(&arguments, trials).exit_code()
}
