/*!
What is injected into answers on purpose, in the words of those who do it: Istio's `fault` of a route, and Envoy's fault
filter, which is what Istio makes of it.

The route is for marked requests alone, so all that comes by it meets the fault.
*/
use std::time::Duration;

use serde_json::{Value, json};
use serin_release::faults::{Abort, Injected};

/// The name of Envoy's fault filter.
pub(super) const FAULT_FILTER: &str = "envoy.filters.http.fault";

/// The `fault` of a VirtualService's route.
pub(super) fn for_istio(injected: Injected) -> Value {
    let all = json!({"value": 100});
    match injected {
        Injected::Delay(time) => json!({"delay": {"fixedDelay": seconds(time), "percentage": all}}),
        Injected::Abort(Abort::Http(status)) => json!({"abort": {"httpStatus": status, "percentage": all}}),
        Injected::Abort(Abort::Grpc(status)) => json!({"abort": {"grpcStatus": status, "percentage": all}}),
    }
}

/// The configuration of Envoy's fault filter for a route.
pub(super) fn for_envoy(injected: Injected) -> Value {
    let all = json!({"numerator": 100, "denominator": "HUNDRED"});
    let mut config = match injected {
        Injected::Delay(time) => json!({"delay": {"fixed_delay": seconds(time), "percentage": all}}),
        Injected::Abort(Abort::Http(status)) => json!({"abort": {"http_status": status, "percentage": all}}),
        Injected::Abort(Abort::Grpc(status)) => {
            json!({"abort": {"grpc_status": status.code(), "percentage": all}})
        }
    };
    config["@type"] = json!(FAULT_TYPE);
    config
}

/// The fault filter, which does nothing on routes that say nothing of it.
pub(super) fn filter() -> Value {
    json!({"name": FAULT_FILTER, "typed_config": {"@type": FAULT_TYPE}})
}

const FAULT_TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";

/// A time as protobuf writes it in JSON, which Kubernetes reads, too.
fn seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        millis => format!("{}.{millis:03}s", time.as_secs()),
    }
}
