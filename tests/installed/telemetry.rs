/*!
What Istio is told of access logs and spans, held against what plain Envoys are told. `tests/istio/telemetry.rs` has istiod
and its proxies read it.
*/
use anyhow::{Result, ensure};
use serde_json::Value;
use serin_agent::mesh::telemetry::{SPAN_TAG, log_fields};
use serin_policy::document::VERSION_HEADER;

use super::file;

fn read(name: &str) -> Result<Value> {
    let text = std::fs::read_to_string(file("manifests/telemetry").join(name))?;
    Ok(serde_saphyr::from_str(&text)?)
}

#[test]
fn istio_writes_the_lines_that_plain_envoys_write() -> Result<()> {
    let config = read("mesh-config.yaml")?;
    let provider = &config["meshConfig"]["extensionProviders"][0];
    assert_eq!(provider["envoyFileAccessLog"]["logFormat"]["labels"], log_fields());
    let telemetry = read("telemetry.yaml")?;
    let spec = &telemetry["spec"];
    assert_eq!(spec["accessLogging"][0]["providers"][0]["name"], provider["name"]);
    let tags = &spec["tracing"][0]["customTags"];
    ensure!(tags[SPAN_TAG]["header"]["name"] == VERSION_HEADER, "{tags}");
    Ok(())
}
