/*!
Child processes that do not outlive this one, however it ends.
*/
use std::convert::Infallible;
use std::io;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::runtime;
use tokio::time::timeout;

/// How long a child may take to end in good order.
const GRACE: Duration = Duration::from_secs(5);

/// A child process. It is killed when this is dropped, and by the kernel when this process dies without dropping it.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    pid: u32,
    /// Lets go of the thread that started the child; dropped after it.
    _parent: mpsc::Sender<Infallible>,
}

/// Starts `command`.
///
/// The kernel takes a child's parent to be the *thread* that started it, and threads of an async runtime come and
/// go. So each child gets a thread of its own, which does nothing but live as long as the child may.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    command.kill_on_drop(true);
    die_with_parent(&mut command);
    let runtime = runtime::Handle::current();
    let (parent, released) = mpsc::channel::<Infallible>();
    let (started, outcome) = mpsc::sync_channel(1);
    thread::Builder::new().name("parent".to_owned()).spawn(move || {
        let spawned = {
            let _inside = runtime.enter();
            command.spawn()
        };
        if started.send(spawned).is_ok() {
            let _ = released.recv();
        }
    })?;
    let process = outcome.recv().map_err(io::Error::other)??;
    let pid = process.id().ok_or_else(|| io::Error::other("the child has ended already"))?;
    Ok(Child { process, pid, _parent: parent })
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the only way to ask the kernel for this; prctl is safe to call after a fork")]
fn die_with_parent(command: &mut Command) {
    let ask = || Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?);
    unsafe {
        command.pre_exec(ask);
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

impl Child {
    /// The process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// What the child reads from and writes to, where its command has made pipes of them. They are there once.
    pub fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.process.stdin.take()?, self.process.stdout.take()?))
    }

    /// Waits for the end of the child.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Asks the child to end, and kills it when it does not.
    pub async fn stop(self) -> io::Result<ExitStatus> {
        self.stop_within(GRACE).await
    }

    async fn stop_within(mut self, grace: Duration) -> io::Result<ExitStatus> {
        // An id of a child that was waited for may belong to somebody else by now; then there is none.
        if let Some(pid) = self.process.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
            rustix::process::kill_process(pid, Signal::TERM)?;
        }
        if let Ok(ended) = timeout(grace, self.process.wait()).await {
            return ended;
        }
        self.process.kill().await?;
        self.process.wait().await
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::{AsyncBufReadExt, BufReader};

    use super::*;

    #[tokio::test]
    async fn a_child_ends_when_asked_to() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let child = spawn(command).unwrap();
        assert!(!child.stop().await.unwrap().success());
    }

    #[tokio::test]
    async fn a_child_that_will_not_end_is_killed() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' TERM; echo deaf; read never"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn(command).unwrap();
        let _open = child.process.stdin.take().unwrap();
        let mut lines = BufReader::new(child.process.stdout.take().unwrap()).lines();
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("deaf"));
        let ended = child.stop_within(Duration::from_millis(50)).await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error() {
        assert_eq!(spawn(Command::new("/no/such/program")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
