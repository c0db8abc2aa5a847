/*!
What people are told of a release in its status, made from what was planned: in a cluster it is written into the Release, and
without one it is only shown.
*/
pub(crate) mod conditions;
mod history;
pub(crate) mod report;
