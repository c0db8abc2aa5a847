/*!
The commands for Releases in a cluster, with the rights of whoever calls them: `kubectl serin` is the same.

What people see is made from [`View`](serin_agent::view::View); what they ask for is written as the annotations that anybody
can write.
*/
pub(super) mod access;
mod commands;
mod confirm;
mod doctor;
mod get;
mod lint;
mod output;
mod print_patch;
mod status;
mod style;
mod tree;
mod wait;
mod watch;

pub(super) use self::access::Access;
pub(super) use self::commands::{Given, give};
pub(super) use self::doctor::{Args as DoctorArgs, doctor};
pub(super) use self::get::{Args as GetArgs, get};
pub(super) use self::lint::{Args as LintArgs, check as lint};
pub(super) use self::print_patch::print_patch;
pub(super) use self::status::{Args as StatusArgs, status};
pub(super) use self::wait::{Args as WaitArgs, wait};
