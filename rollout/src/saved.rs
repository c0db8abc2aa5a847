/*!
A status as it is kept from one life of an agent to the next, with the version of its form.

An agent reads what older ones wrote. What a newer one wrote it does not: it leaves the run as it is, and does not
overwrite what was saved, so that the newer agent can go on where it was.
*/
use std::fmt;

use serde_json::{Value, json};
use serin_policy::Weight;

use super::analysis::Evidence;
use super::phase::Phase;
use super::status::Status;

/// The version that is written.
pub const VERSION: u64 = 2;

/// Why a saved status cannot be read.
#[derive(Debug)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl From<String> for Unreadable {
    fn from(why: String) -> Self {
        Self(why)
    }
}

/// The form in which `status` is kept.
pub fn write(status: &Status) -> Value {
    // A status is made of what has a JSON form.
    let mut saved = serde_json::to_value(status).unwrap_or_default();
    saved["version"] = json!(VERSION);
    saved
}

/// Reads what [`write`] wrote, in this version or an older one.
///
/// # Errors
/// When it was written by a newer agent, or is not what any agent writes.
pub fn read(mut saved: Value) -> Result<Status, Unreadable> {
    let version = match saved.as_object_mut().map(|fields| fields.remove("version")) {
        None => return Err(Unreadable("it is no JSON object".to_owned())),
        Some(None) => 0,
        Some(Some(version)) => match version.as_u64() {
            Some(version) => version,
            None => return Err(Unreadable(format!("its version is {version}, which is no number"))),
        },
    };
    match version {
        0 => {
            upgrade_from_0(&mut saved);
            upgrade_from_1(&mut saved);
        }
        1 => upgrade_from_1(&mut saved),
        VERSION => {}
        newer => {
            return Err(Unreadable(format!(
                "it was written in version {newer}, and this agent reads up to {VERSION}"
            )));
        }
    }
    serde_json::from_value(saved).map_err(|error| Unreadable(error.to_string()))
}

impl Status {
    /// The status of a run of which nothing is known but that it is there.
    pub fn unreadable(why: &Unreadable) -> Self {
        let phase = Phase::Unreadable { why: why.to_string(), weight: Weight::ZERO, closed: false };
        Self { phase, ..Self::default() }
    }
}

/// Version 0 had beside the phase what belongs to it.
fn upgrade_from_0(saved: &mut Value) {
    let Some(fields) = saved.as_object_mut() else { return };
    let mut take = |name: &str| fields.remove(name).filter(|value| !value.is_null());
    let (floor, preparing) = (take("floor"), take("preparing"));
    let (held_at, ready_since) = (take("heldAt"), take("readySince"));
    let (quiet_since, is_down) = (take("quietSince"), take("canaryIsDown"));
    if let Some(floor) = floor {
        fields.insert("pods".to_owned(), json!({"stableFloor": floor, "canaryFor": preparing}));
    }
    let Some(phase) = fields.get_mut("phase") else { return };
    match phase["name"].as_str() {
        Some("preparing") => phase["reported"] = json!(quiet_since.is_some()),
        Some("starting" | "progressing") => phase["heldAt"] = json!(held_at),
        Some("handing-over") => phase["readySince"] = json!(ready_since),
        Some("returning" | "rolled-back" | "aborted") => {
            phase["canary"] = match (quiet_since, is_down) {
                (_, Some(Value::Bool(true))) => json!({"stage": "empty"}),
                (Some(since), _) => json!({"stage": "draining", "since": since}),
                (None, _) => json!({"stage": "in-use"}),
            };
        }
        _ => {}
    }
}

/// Version 1 had evidence of other tests: what a run has shown is gathered anew from where it is.
fn upgrade_from_1(saved: &mut Value) {
    if let Some(fields) = saved.as_object_mut() {
        fields.insert("evidence".to_owned(), json!(Evidence::resumed()));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What agents wrote in older versions, in each phase, is read, and is kept since in the present version.
    #[test]
    fn what_older_agents_saved_is_read() {
        insta::glob!("states/v[01]/*", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            // A snapshot of version 1 has a head.
            let text = text.rsplit("---\n").next().unwrap();
            let saved: Value = serde_json::from_str(text).unwrap();
            let phase = saved["phase"]["name"].clone();
            let status = read(saved).unwrap();
            let renamed = match phase.as_str().unwrap() {
                "stranded" => "off-plan",
                "returning" => "cutting-back",
                same => same,
            };
            assert_eq!(status.phase.code(), renamed);
            let written = write(&status);
            assert_eq!(read(written.clone()).unwrap(), status);
            let name = path.file_stem().unwrap().to_str().unwrap();
            insta::with_settings!(
                { snapshot_path => "states/v2", prepend_module_to_snapshot => false, omit_expression => true, snapshot_suffix => "" },
                { insta::assert_snapshot!(name, serde_json::to_string_pretty(&written).unwrap()) }
            );
        });
    }

    #[test]
    fn what_belongs_to_a_phase_moves_into_it() {
        let old = |name: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/states/v0/{name}.json"));
            serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        let mut saved = old("rolled-back");
        saved["quietSince"] = json!("1970-01-01T00:01:00Z");
        saved["floor"] = json!(3);
        let status = read(saved).unwrap();
        assert!(
            matches!(&status.phase, Phase::RolledBack { canary, .. } if !canary.is_in_use()),
            "{:?}",
            status.phase
        );
        assert_eq!(status.pods.stable_floor, 3);
    }

    #[test]
    fn what_a_newer_agent_saved_is_refused_with_both_versions() {
        let mut saved = write(&Status::default());
        saved["version"] = json!(VERSION + 1);
        let error = read(saved).unwrap_err().to_string();
        assert_eq!(error, "it was written in version 3, and this agent reads up to 2");
        assert!(read(json!("paused")).is_err());
        assert!(read(json!({"run": "v2", "phase": {"name": "resting"}})).is_err());
    }
}
