/*!
What the agent hands to proxies: the file that plain Envoys take their policies from, and a bootstrap that wires an
Envoy to it; in a mesh, the objects that Istio makes the same of. All of these are plain data here: who reads and
writes them in a cluster is another room's business.
*/
/// A plain Envoy's bootstrap.
pub mod bootstrap;
/// Which Release holds which host, and what a Gateway lets it have.
pub mod claims;
/// The file plain Envoys read their policies from.
pub mod ecds;
#[cfg(test)]
mod fixtures;
/// Hosts as Istio compares them.
pub mod hosts;
/// Whose an object is, and whether it was edited by hand.
pub mod object;
/// The WasmPlugin: the filter with its policies.
pub mod plugin;
/// The VirtualService and the DestinationRule: from the filter's header to the pods.
pub mod routing;
