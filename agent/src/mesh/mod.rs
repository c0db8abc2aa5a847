/*!
What the agent hands to proxies: the file that plain Envoys take their policies from, and a bootstrap that wires an
Envoy to it.
*/
pub mod bootstrap;
pub mod ecds;
