/*!
What the tests share: real proxies and shops as children of the test, a client that tells all about an answer, and
a host that runs the filter's module by itself.
*/
#![allow(clippy::missing_panics_doc, reason = "in a harness a panic is a failed test")]

pub mod agent;
pub mod argocd;
pub mod browser;
pub mod client;
pub mod exporter;
pub mod faulty;
pub mod http3;
pub mod load;
pub mod load_tester;
pub mod mesh;
pub mod module_host;
pub mod prometheus;
pub mod protocols;
pub mod site;
pub mod tools;
