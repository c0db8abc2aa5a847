/*!
What the demo and the tests run on one machine: an Envoy from a Python wheel, a small shop behind it, and child
processes that die with whoever started them.
*/
pub mod child;
pub mod envoy;
pub mod shop;
