/*!
Rules of the routes that people write beside Serin's.
*/

/// The most routes of one kind that people write beside Serin's.
pub const MAX: usize = 32;
/// The most namespaces that know the routes.
pub const MAX_EXPORTS: usize = 64;
/// What to write where a route of one's own would take every request.
pub const MATCH: &str = "give a match that asks for something, such as [{uri: {prefix: /upload}}]: Serin's own routes take the \
                               rest, with what stands in spec.routing";
/// What to write where a route of one's own goes around the assignment.
pub const PAST: &str =
    "leave the route out, and callers get the version that they have; or write its subset: stable";
/// What to write where connections go around the assignment.
pub const CONNECTIONS_PAST: &str = "write its subset: stable; without one, the pods of both versions get connections that nobody was assigned by";
/// What to write where a route of one's own asks where callers are.
pub const PLACE: &str = "leave it out: spec.routing.gateways and meshNamespaces say where callers are assigned, and such a \
                               route is made for each of these places and ports";
/// What to write where a route of one's own asks for the version's own header.
pub const VERSION: &str =
    "leave the header out: it is the filter's; spec.overrides and spec.segments say who gets the canary";
/// What to write where a route of one's own is where the filter assigns nobody.
pub const OUTSIDE: &str =
    "give an exact path or a prefix under spec.routing.pathPrefix: elsewhere nobody is assigned";
/// What to write where Istio has no such namespace.
pub const EXPORT: &str = "give the names of namespaces, . for the Release's own, or * for all";
/// What to write where proxies that run the filter do not know the routes.
pub const EXPORT_CALLERS: &str = "add it: its sidecars assign callers, and would not know where to";
