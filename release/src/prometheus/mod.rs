/*!
What a Release says of a Prometheus: how it is reached, what is asked of it in people's own words, and where Istio's
standard metrics have a release's requests. Asking is another room's business.
*/
mod access;
mod istio;
mod template;

pub use access::{Access, AccessError, BasicAuth, Identity, Settings, Trust};
pub use istio::{DEFAULT_VERSION_LABEL, Istio, Reporter};
pub use template::{MissingValue, Template, TemplateError, Values, Workload, escaped};
