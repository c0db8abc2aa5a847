/*!
Messages to people and their tools: what there is to tell of a release, to whom, and in what words of theirs.

A [`Message`] is made from the one [`View`](crate::view::View). The [`Outbox`] says what is to be told and what was told, and is
saved with the rest of what a release needs after a restart, so that a message is sent once though leaders change.
`payload` has the words of each provider, and [`Courier`] brings them there. Nothing here knows of a cluster or decides
anything about a release; nobody waits for a message.
*/
mod courier;
mod email;
mod flows;
mod message;
mod outbox;
mod payload;
#[cfg(test)]
mod tests;

pub use courier::{Courier, Delivered, Failure};
pub use message::Message;
pub use outbox::{Delivery, Due, Key, News, Outbox};
