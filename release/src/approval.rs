/*!
Whose word it takes where a run waits for a person.
*/
use std::time::Duration;

use crate::resource::OnTimeout;

/// Whose word it takes where a run waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approval {
    /// How many different people have to approve: 1 at least.
    pub required: u32,
    /// How long they have for it, if not for ever.
    pub timeout: Option<Duration>,
    /// What becomes of the run then.
    pub on_timeout: OnTimeout,
}
