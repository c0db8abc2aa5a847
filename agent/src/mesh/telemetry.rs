/*!
What proxies tell of single requests, and where a request's version stands in it: the access log, as JSON, a line for each
request, and the spans of traces.

Istio is told the same by `manifests/telemetry`, where `tests/installed/` holds the two together.
*/
use serde_json::{Value, json};
use serin_policy::access_log::FILTER_STATE;
use serin_policy::document::VERSION_HEADER;

/// The attribute of a span that has the version.
pub const SPAN_TAG: &str = "serin.version";

/// The fields of a line of the access log, by Envoy's command operators. Where no policy answers that asks for it, `serin` is
/// null.
pub fn log_fields() -> Value {
    json!({
        "start_time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "authority": "%REQ(:AUTHORITY)%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "protocol": "%PROTOCOL%",
        "response_code": "%RESPONSE_CODE%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
        "response_flags": "%RESPONSE_FLAGS%",
        "duration": "%DURATION%",
        "route_name": "%ROUTE_NAME%",
        "upstream_cluster": "%UPSTREAM_CLUSTER%",
        "upstream_host": "%UPSTREAM_HOST%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "trace_id": "%TRACE_ID%",
        "serin": FILTER_STATE,
    })
}

/// The access log of a plain Envoy, on its standard output.
pub(super) fn access_log() -> Value {
    json!({
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": log_fields()},
        },
    })
}

/// The traces of a plain Envoy: OTLP over HTTP to the collector that is the cluster `collector`, at `address`.
pub(super) fn tracing(collector: &str, address: &str) -> Value {
    json!({
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                "service_name": "serin",
                "http_service": {"http_uri": {
                    "uri": format!("http://{address}/v1/traces"),
                    "cluster": collector,
                    "timeout": "1s",
                }},
            },
        },
        // The span is written when all is over: the header is the filter's by then, whatever a client has sent.
        "custom_tags": [{"tag": SPAN_TAG, "request_header": {"name": VERSION_HEADER}}],
    })
}
