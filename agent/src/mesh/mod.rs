/*!
What the agent hands to proxies: the file that plain Envoys take their policies from, and a bootstrap that wires an
Envoy to it; in a mesh, the objects that Istio makes the same of. All of these are plain data here: who reads and
writes them in a cluster is another room's business.

The way through the room: `plugin` is the WasmPlugin, the filter with its policies; `routing` leads from the filter's
header to the pods, by way of what is `injected` on purpose; `claims` says which Release holds which host, and what a Gateway lets it have, `consent` whose hosts it
may have inside the mesh. `object` and `hosts` have what they share: whose an object is and whether it was edited by hand,
and hosts as Istio compares them. `ecds` and `bootstrap` are for plain Envoys, `telemetry` is what they tell of single
requests.
*/
pub mod bootstrap;
pub mod claims;
pub mod consent;
pub mod ecds;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod hosts;
mod injected;
pub mod object;
pub mod plugin;
pub mod routing;
pub mod telemetry;
