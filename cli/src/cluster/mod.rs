/*!
The commands for Releases in a cluster, with the rights of whoever calls them: `kubectl serin` is the same.

What people see is made from [`View`](serin_agent::view::View); what they ask for is written as the annotations that anybody
can write.
*/
pub(super) mod access;
mod adopt;
mod commands;
mod confirm;
mod dashboard;
mod doctor;
mod events;
mod get;
mod history;
mod in_force;
mod linked;
mod lint;
mod output;
mod print_patch;
mod report;
mod status;
mod style;
mod top;
mod tree;
mod undo;
mod verdict;
mod wait;
mod watch;

pub(super) use self::access::Access;
pub(super) use self::adopt::{Args as AdoptArgs, adopt};
pub(super) use self::commands::{Given, Order, give};
pub(super) use self::dashboard::{Args as DashboardArgs, dashboard};
pub(super) use self::doctor::{Args as DoctorArgs, doctor};
pub(super) use self::events::{Args as EventsArgs, events};
pub(super) use self::get::{Args as GetArgs, get};
pub(super) use self::history::{Args as HistoryArgs, history};
pub(super) use self::in_force::{InForce, Plugin, in_force};
pub(super) use self::linked::{linked, whole_name};
pub(super) use self::lint::{Args as LintArgs, check as lint};
pub(super) use self::print_patch::print_patch;
pub(super) use self::report::{Args as ReportArgs, report};
pub(super) use self::status::{Args as StatusArgs, status};
pub(super) use self::style::wrap;
pub(super) use self::top::{Args as TopArgs, top};
pub(super) use self::undo::{Args as UndoArgs, undo};
pub(super) use self::verdict::verdict;
pub(super) use self::wait::{Args as WaitArgs, wait};
