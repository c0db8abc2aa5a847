/*!
Work that takes minutes: told in lines while it goes on, tried again when it fails, and shown in full when that was the
last time.
*/
use std::io::{self, Write};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serin_local::child;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::runtime::Builder;
use tokio::time::{Instant, interval_at};

/// How often a line tells that it goes on.
const BEAT: Duration = Duration::from_secs(20);

/// How long is waited after a failure, which may be the network's, until the next attempt.
const PAUSES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(20), Duration::from_mins(1)];

/// How one piece of work tells that it goes on.
#[derive(Debug)]
pub(super) struct Progress {
    /// What every line begins with.
    label: String,
    began: Instant,
}

impl Progress {
    pub(super) fn begin(label: String) -> Self {
        Self { label, began: Instant::now() }
    }

    /// Writes a line. It goes straight to stderr, because a test harness keeps what tests print to itself.
    pub(super) fn say(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}: {text}", self.label);
    }

    /// Since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Makes attempts until one succeeds or there have been enough.
    ///
    /// # Errors
    /// The last attempt's.
    pub(super) fn persist<T>(&self, attempt: impl FnMut() -> Result<T>) -> Result<T> {
        self.persist_with(&PAUSES, attempt)
    }

    fn persist_with<T>(&self, pauses: &[Duration], mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        for pause in pauses {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) => self.say(&format!("failed, again in {} s: {error:#}", pause.as_secs())),
            }
            #[expect(clippy::disallowed_methods, reason = "a network that is back tells nobody")]
            thread::sleep(*pause);
        }
        attempt()
    }

    /// Runs a program to its end, telling now and then the latest line that it printed.
    ///
    /// # Errors
    /// When it fails: with all that it printed. Lines of a single word are left out, by which Go names the packages that
    /// it is done with.
    pub(super) fn run(&self, command: Command) -> Result<()> {
        let program = format!("{:?}", command.as_std());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (printed, status) =
            runtime.block_on(self.follow(command)).with_context(|| format!("cannot run {program}"))?;
        if status.success() {
            return Ok(());
        }
        let printed: Vec<_> =
            printed.iter().filter(|line| line.trim().contains(' ')).map(String::as_str).collect();
        bail!("{program} ended with {status}, having printed:\n{}", printed.join("\n"))
    }

    async fn follow(&self, mut command: Command) -> io::Result<(Vec<String>, ExitStatus)> {
        let (reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut lines = BufReader::new(Receiver::from_owned_fd(reader.into())?).split(b'\n');
        let mut child = child::spawn(command)?;
        let mut beat = interval_at(Instant::now() + BEAT, BEAT);
        let mut printed: Vec<String> = Vec::new();
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                line = lines.next_segment() => {
                    printed.extend(line?.map(|line| String::from_utf8_lossy(&line).into_owned()));
                }
                _ = beat.tick() => {
                    let latest = printed.last().map_or("", |line| line.trim());
                    self.say(&format!("{} s, {latest}", self.elapsed().as_secs()));
                }
            }
        };
        // With the child goes this process's own hold on the end that it wrote to.
        drop(child);
        while let Some(line) = lines.next_segment().await? {
            printed.push(String::from_utf8_lossy(&line).into_owned());
        }
        Ok((printed, status))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn shell(script: &str) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Progress::begin("test".to_owned()).run(command)
    }

    #[test]
    fn what_a_program_printed_is_told_when_it_fails() {
        shell("echo all is well").unwrap();
        let told =
            shell("echo some/package; echo to stdout; echo to stderr >&2; exit 3").unwrap_err().to_string();
        assert!(told.ends_with("ended with exit status: 3, having printed:\nto stdout\nto stderr"), "{told}");
        let mut none = Command::new("/no/such/program");
        none.arg("--now");
        let told = Progress::begin("test".to_owned()).run(none).unwrap_err().to_string();
        assert_eq!(told, r#"cannot run "/no/such/program" "--now""#);
    }

    #[test]
    fn work_is_tried_again_but_not_for_ever() {
        let attempts = |good: u32| {
            let mut made = 0;
            let outcome = Progress::begin("test".to_owned()).persist_with(&[Duration::ZERO; 2], || {
                made += 1;
                if made == good { Ok(made) } else { Err(anyhow!("attempt {made} failed")) }
            });
            (made, outcome.map_err(|error| error.to_string()))
        };
        assert_eq!(attempts(1), (1, Ok(1)));
        assert_eq!(attempts(3), (3, Ok(3)));
        assert_eq!(attempts(4), (3, Err("attempt 3 failed".to_owned())));
    }
}
