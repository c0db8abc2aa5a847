//! Seat.
pub mod child;
pub mod envoy;
pub mod record;
pub mod shop;
pub mod users;
mod visit;
