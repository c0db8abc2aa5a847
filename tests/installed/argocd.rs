/*!
What Argo CD makes of a Release, by the Lua that it has in it: a health, the commands that make sense, and the commands.
*/
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use serin_tests::argocd::{self, SCRIPTS, lua_says};

use super::file;

const COMMANDS: [&str; 5] = ["pause", "resume", "promote", "abort", "retry"];

/// The agent's own statuses, by what they are of.
const STATUSES: &str = "agent/src/told/conditions/snapshots/serin_agent__told__conditions__tests__the_statuses_that_others_read.snap";

pub(super) fn statuses() -> Result<Map<String, Value>> {
    let text = std::fs::read_to_string(file(STATUSES))?;
    let (_, statuses) = text.split_once("\n---\n").context("a snapshot has a header")?;
    Ok(serde_json::from_str(statuses)?)
}

/// A Release with this status.
pub(super) fn release(status: &Value) -> Value {
    json!({"metadata": {"name": "shop", "namespace": "shop", "generation": 2}, "status": status})
}

/// Fails unless a Release of this kind has that health, and the message has `part`.
fn check_health(release: &Value, expected: &str, part: &str) -> Result<()> {
    let (status, message) = argocd::health(release)?;
    ensure!(
        status == expected && message.contains(part),
        "{release}: {status}: {message}, not {expected}: {part:?}"
    );
    Ok(())
}

/// By the statuses that the agent gives: the health, a part of the message, and the commands that make sense.
const CASES: [(&str, &str, &str, &[&str]); 25] = [
    ("Idle", "Healthy", "as it is", &[]),
    ("Preparing", "Progressing", "as it is", &["pause", "promote", "abort"]),
    ("Starting", "Progressing", "as it is", &["pause", "promote", "abort"]),
    ("Progressing", "Progressing", "as it is", &["pause", "promote", "abort"]),
    ("OffPlan", "Progressing", "as it is", &["pause", "promote", "abort"]),
    ("Baking", "Progressing", "as it is", &["pause", "promote", "abort"]),
    ("Keeping", "Healthy", "as it is", &["pause", "abort"]),
    ("Promoting", "Progressing", "as it is", &["pause", "abort"]),
    ("Promoted", "Healthy", "as it is", &[]),
    ("RollingBack", "Degraded", "as it is", &[]),
    ("RolledBack", "Degraded", "as it is", &["retry"]),
    ("Aborted", "Degraded", "as it is", &["retry"]),
    ("Unknown", "Progressing", "as it is", &[]),
    ("Progressing Paused", "Suspended", "as it is", &["resume", "promote", "abort"]),
    ("Progressing Suspended", "Suspended", "as it is", &["pause", "promote", "abort"]),
    ("Progressing AwaitsApproval", "Suspended", "as it is", &["pause", "resume", "promote", "abort"]),
    ("Starting AwaitsCutover", "Suspended", "as it is", &["pause", "resume", "promote", "abort"]),
    ("Keeping AwaitsCleanup", "Healthy", "as it is", &["pause", "resume", "abort"]),
    ("Promoting HandingOver", "Progressing", "as it is", &["pause", "abort"]),
    ("Progressing AwaitsRequests", "Progressing", "as it is", &["pause", "promote", "abort"]),
    ("Progressing StableDown", "Degraded", "stable", &["pause", "promote", "abort"]),
    ("Progressing Blocked", "Degraded", "a quota is used up", &["pause", "promote", "abort"]),
    ("Promoting StablePutBack", "Degraded", "argocd-controller", &["pause", "resume", "abort"]),
    ("Idle StableReplaced", "Degraded", "argocd-controller has given v1", &["retry"]),
    ("Progressing InvalidSpec", "Degraded", "spec.analysis.interval", &["pause", "promote", "abort"]),
];

#[test]
fn a_release_has_the_health_that_its_conditions_say() -> Result<()> {
    let statuses = statuses()?;
    assert_eq!(statuses.len(), CASES.len(), "each of the agent's statuses has a case");
    for (name, expected, part, _) in CASES {
        let status = statuses.get(name).with_context(|| format!("the agent gives no status {name}"))?;
        check_health(&release(status), expected, part)?;
    }
    Ok(())
}

#[test]
fn what_the_agent_has_not_read_yet_progresses() -> Result<()> {
    check_health(&json!({"metadata": {"generation": 1}}), "Progressing", "waiting for Serin's agent")?;
    check_health(&release(&json!({"phase": "Idle"})), "Progressing", "waiting for Serin's agent")?;
    let mut edited = release(&statuses()?["Promoted"]);
    edited["metadata"]["generation"] = json!(3);
    check_health(&edited, "Progressing", "the new spec")
}

#[test]
fn the_commands_that_make_sense_are_offered() -> Result<()> {
    let statuses = statuses()?;
    let print = "for name, action in pairs(it) do write(name, '=', tostring(action.disabled), '\\n') end";
    for (name, _, _, expected) in CASES {
        let said = lua_says("discovery.lua", &release(&statuses[name]), print)?;
        for command in COMMANDS {
            let line = format!("{command}={}", !expected.contains(&command));
            ensure!(said.lines().any(|found| found == line), "{name}: no {line} in {said:?}");
        }
    }
    Ok(())
}

#[test]
fn a_command_is_the_annotation_that_the_agent_reads() -> Result<()> {
    let print = "for name, value in pairs(it.metadata.annotations) do write(name, '=', value, '\\n') end";
    for annotations in [Value::Null, json!({"team": "shop"})] {
        for command in COMMANDS {
            let release = json!({"metadata": {"annotations": annotations}});
            let said = lua_says(&format!("actions/{command}.lua"), &release, print)?;
            let line = format!("serin.dev/command={command}");
            ensure!(said.lines().any(|found| found == line), "{said:?}");
            ensure!(annotations.is_null() || said.contains("team=shop"), "{said:?}");
        }
    }
    Ok(())
}

/// The patch for Argo CD's own `ConfigMap`, made of the scripts.
fn patch() -> Result<String> {
    let read = |script: &str| std::fs::read_to_string(Path::new(SCRIPTS).join(script));
    let indented = |text: &str, by: usize| {
        let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{:by$}{line}\n", "") };
        text.lines().map(line).collect::<Vec<_>>().concat()
    };
    let mut actions = format!("discovery.lua: |\n{}definitions:\n", indented(&read("discovery.lua")?, 2));
    for command in COMMANDS {
        let script = indented(&read(&format!("actions/{command}.lua"))?, 4);
        write!(actions, "- name: {command}\n  action.lua: |\n{script}")?;
    }
    Ok(format!(
        "# The health of a Release and its commands, for Argo CD; made of the scripts beside it. Apply it by\n\
         # kubectl patch configmap argocd-cm -n argocd --patch-file manifests/argocd/argocd-cm.yaml\n\
         data:\n  resource.customizations.health.serin.dev_Release: |\n{}  \
         resource.customizations.actions.serin.dev_Release: |\n{}",
        indented(&read("health.lua")?, 4),
        indented(&actions, 4),
    ))
}

#[test]
fn the_patch_for_argo_cd_has_the_scripts() -> Result<()> {
    let path = Path::new(SCRIPTS).join("argocd-cm.yaml");
    let made = patch()?;
    let parsed: Value = serde_saphyr::from_str(&made)?;
    let actions = parsed["data"]["resource.customizations.actions.serin.dev_Release"].as_str();
    let actions: Value = serde_saphyr::from_str(actions.context("actions")?)?;
    assert_eq!(actions["definitions"].as_array().map(Vec::len), Some(COMMANDS.len()));
    if std::env::var_os("SERIN_BLESS").is_some() {
        return Ok(std::fs::write(path, made)?);
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{} is not made of the scripts: {BLESS}", path.display());
    Ok(())
}

const BLESS: &str = "run SERIN_BLESS=1 cargo test -p serin-tests --test installed";
