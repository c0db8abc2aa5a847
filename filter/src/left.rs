/*!
What the workers of a proxy leave with it for each other, about one run of a release.
*/
use crate::host::Host;

/// How often a worker tries to leave something while others do. Each attempt fails only because another one's
/// succeeded, and what is left out is brought the next time.
pub const ATTEMPTS: usize = 8;

/// Where something about a run is left. What stands there is of this run or of another: whose it is comes first.
#[derive(Debug)]
pub struct Left {
    key: String,
    run: String,
}

impl Left {
    /// Where `what` is left about the run of `release` that has this [key](serin_policy::Policy::run_key).
    pub fn about(what: &str, release: &str, run: &str) -> Self {
        Self { key: format!("serin.{what}/{release}"), run: run.to_owned() }
    }

    /// The key of the run.
    pub fn run_key(&self) -> &str {
        &self.run
    }

    /// What is left about this run, if anything is, and the version of what is there.
    pub fn read(&self, host: &impl Host) -> (Option<Vec<u8>>, Option<u32>) {
        let (left, version) = host.shared(&self.key);
        let own = |mut left: Vec<u8>| {
            let seen = left.strip_prefix(self.run.as_bytes())?.strip_prefix(&[0])?.len();
            left.drain(..left.len() - seen);
            Some(left)
        };
        (left.and_then(own), version)
    }

    /// Leaves `bytes` about this run, if what is there is of `version` still; says whether it was. Its key holds no zero byte.
    pub fn write(&self, host: &impl Host, bytes: &[u8], version: Option<u32>) -> bool {
        host.set_shared(&self.key, &[self.run.as_bytes(), &[0], bytes].concat(), version)
    }
}
