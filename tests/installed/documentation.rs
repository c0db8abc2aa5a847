/*!
What the README and the pages in `docs` have people paste: every block is read by somebody who knows what it is, and one of a
kind that nobody knows fails.

Releases are checked by `release/tests/documentation.rs`, and the arguments of `serin` by `cli/src/documentation.rs` as well.
*/
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::rbac::v1::Role;
use serde_json::{Value, json};
use serin_tests::tools::Tool;

use super::dashboards::AGENT;
use super::{file, said};

const CHECK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/installed/documentation/check.mjs");

/// A block of a page.
struct Block {
    page: PathBuf,
    language: String,
    text: String,
}

/// All blocks of the README and of `docs`. One may be a part of a list.
fn blocks() -> Result<Vec<Block>> {
    let mut pages = vec![file("README.md"), file("CONTRIBUTING.md")];
    for entry in std::fs::read_dir(file("docs"))? {
        pages.push(entry?.path());
    }
    pages.retain(|page| page.extension().is_some_and(|found| found == "md"));
    let mut blocks = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page)?;
        let mut open: Option<(usize, Block)> = None;
        for line in text.lines() {
            let fence = line.trim_start().strip_prefix("```");
            open = match (open, fence) {
                (None, Some(language)) => {
                    let language = language.to_owned();
                    let indent = line.len() - line.trim_start().len();
                    Some((indent, Block { page: page.clone(), language, text: String::new() }))
                }
                (None, None) => None,
                (Some((_, block)), Some(_)) => {
                    blocks.push(block);
                    None
                }
                (Some((indent, mut block)), None) => {
                    block.text += line.get(indent..).unwrap_or_default();
                    block.text.push('\n');
                    Some((indent, block))
                }
            };
        }
        ensure!(open.is_none(), "{}: a block does not end", page.display());
    }
    Ok(blocks)
}

/// What is wrong with objects and queries by what those have published who read them.
fn published(of: &[Value]) -> Result<Vec<Option<String>>> {
    let packages = Tool::Published.path()?;
    let folder = packages.ancestors().nth(4).context("a folder of packages")?;
    let mut check = Command::new("node");
    check.arg(CHECK).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut check = check.spawn()?;
    serde_json::to_writer(check.stdin.take().context("it was asked for")?, of)?;
    let output = check.wait_with_output()?;
    ensure!(output.status.success(), "check.mjs failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Fails unless a shell takes the script, and the programs that it calls take their arguments.
fn check_script(script: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("script.sh");
    std::fs::write(&path, script)?;
    let path = path.to_str().context("a path of text")?;
    said(Path::new("bash"), &["-n", path])?.map_err(anyhow::Error::msg)?;
    for line in script.replace("\\\n", " ").lines() {
        let words = shlex::split(line).with_context(|| format!("{line}: a quote does not end"))?;
        for command in words.split(|word| ["|", "&&", "||", "&"].contains(&word.as_str())) {
            check_command(command).with_context(|| line.to_owned())?;
        }
    }
    Ok(())
}

/// Those that read what is asked of them before they say how they are used: what is wrong with it is told instead.
fn explains_itself(program: &str) -> Result<Option<PathBuf>> {
    Ok(match program {
        "serin" => Some(AGENT.into()),
        "kubectl" => Some(Tool::Kubernetes.path()?.with_file_name("kubectl")),
        "helm" => Some(Tool::Helm.path()?),
        _ => None,
    })
}

/// Those that other tests run, or that are no part of this.
const KNOWN: [&str; 8] =
    ["cargo", "cd", "curl", "envoy", "export", "manifests/packages/fill", "set", "mkdir"];

fn check_command(words: &[String]) -> Result<()> {
    let redirected = words.iter().position(|word| word.starts_with('>')).unwrap_or(words.len());
    let words: Vec<&str> = words[..redirected].iter().map(String::as_str).collect();
    let [program, arguments @ ..] = words.as_slice() else { return Ok(()) };
    let paths = arguments.iter().filter(|word| word.starts_with("manifests"));
    if let Some(missing) = paths.into_iter().find(|path| !file(path).exists()) {
        bail!("there is no {missing}");
    }
    // Plugins are programs of their own.
    if *program == "kubectl" && arguments.first() == Some(&"krew") {
        return Ok(());
    }
    let Some(path) = explains_itself(program)? else {
        ensure!(program.starts_with('#') || KNOWN.contains(program), "nobody knows {program}");
        return Ok(());
    };
    let told = said(&path, &[arguments, &["--help"]].concat())?;
    told.map(drop).map_err(|error| anyhow::anyhow!("{program}: {error}"))
}

/// What people type into a terminal, line by line, without what is answered.
fn typed(session: &str) -> String {
    let (mut typed, mut goes_on) = (String::new(), false);
    for line in session.lines() {
        let command = line.strip_prefix("$ ").or(goes_on.then_some(line));
        goes_on = command.is_some_and(|command| command.ends_with('\\'));
        typed.extend(command.map(|command| format!("{command}\n")));
    }
    typed
}

/// Reads a part of a Jenkinsfile: by Groovy's grammar, and what its `sh` is given as a shell's.
fn groovy(text: &str) -> Result<()> {
    let package = Tool::Groovy.path()?;
    let packages = package.ancestors().nth(2).context("it is in a folder of packages")?;
    let mut reader = Command::new("python3");
    reader.args(["-c", include_str!("documentation/groovy.py")]).env("PYTHONPATH", packages);
    let mut reader = reader.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    reader.stdin.take().context("it was asked for")?.write_all(text.as_bytes())?;
    let output = reader.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    shell_of_jenkins(text).iter().try_for_each(|script| check_script(script))
}

/// The shell's part of a Jenkinsfile: between quotes, what `sh` is given.
fn shell_of_jenkins(groovy: &str) -> Vec<String> {
    groovy.split("sh '").skip(1).filter_map(|rest| Some(rest.split_once('\'')?.0.to_owned())).collect()
}

/// Reads a block of YAML, or leaves it to those who know objects of its kind.
fn yaml(text: &str, others: &mut Vec<Value>) -> Result<()> {
    let document: Value = serde_saphyr::from_str(text)?;
    let kind = format!("{} {}", document["apiVersion"], document["kind"]).replace('"', "");
    match kind.as_str() {
        // Held by release/tests/documentation.rs.
        "serin.dev/v1alpha1 Release" => {}
        "serin.dev/v1alpha1 MetricTemplate" => {
            let release = "apiVersion: serin.dev/v1alpha1\nkind: Release\nmetadata: {name: shop, namespace: platform}\nspec: \
                           {service: {name: shop}, stable: {targetRef: {name: a}}, canary: {targetRef: {name: b}}, analysis: \
                           {metrics: [{name: queue-depth, templateRef: {name: queue-depth}}]}}\n";
            linted(&format!("{release}---\n{text}"))?;
        }
        "null null" if document.get("spec").is_some() => {}
        "null null" if document.get("metrics").is_some() => {}
        "null null" => drop(serin_agent::config::Operator::from_yaml(text)?),
        "rbac.authorization.k8s.io/v1 Role" => {
            // What the type does not know is lost on the way back.
            let role: Role = serde_json::from_value(document.clone())?;
            let back = serde_json::to_value(role)?;
            ensure!(back == document, "a Role has no more than {back}");
        }
        "tekton.dev/v1 Task" => {
            for step in document["spec"]["steps"].as_array().into_iter().flatten() {
                check_script(step["script"].as_str().unwrap_or_default())?;
            }
            others.push(json!({"kind": kind, "text": text}));
        }
        _ => {
            // What a container of Serin's image is given.
            let containers = document.pointer("/spec/metrics/0/provider/job/spec/template/spec/containers");
            for container in containers.and_then(Value::as_array).into_iter().flatten() {
                let args = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
                check_command(&std::iter::once("serin").chain(args).map(str::to_owned).collect::<Vec<_>>())?;
            }
            others.push(json!({"kind": kind, "object": document}));
        }
    }
    Ok(())
}

/// Fails unless `serin lint` takes these documents.
fn linted(yaml: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("release.yaml");
    std::fs::write(&path, yaml)?;
    said(Path::new(AGENT), &["lint", path.to_str().context("a path of text")?])?
        .map_err(anyhow::Error::msg)?;
    Ok(())
}

#[test]
fn every_block_is_read_by_somebody_who_knows_what_it_is() -> Result<()> {
    let (mut others, mut of_others, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    let mut read: BTreeMap<String, usize> = BTreeMap::new();
    for Block { page, language, text } in blocks()? {
        let known = match language.as_str() {
            "console" => check_script(&typed(&text)),
            "yaml" => yaml(&text, &mut others),
            "json" => serde_json::from_str::<Value>(&text).map(drop).map_err(Into::into),
            "logql" => {
                others.push(json!({"kind": "logql", "text": text}));
                Ok(())
            }
            "groovy" => groovy(&text),
            // What is shown and not pasted.
            "text" => Ok(()),
            _ => Err(anyhow::anyhow!("nobody knows {language:?}")),
        };
        let place = format!("{}:\n{text}", page.display());
        wrong.extend(known.err().map(|error| format!("{place}{error:#}")));
        of_others.resize(others.len(), place);
        *read.entry(language).or_default() += 1;
    }
    // A linter reads files.
    let folder = tempfile::tempdir()?;
    for (number, one) in others.iter_mut().enumerate().filter(|(_, one)| one["kind"] == "tekton.dev/v1 Task")
    {
        let path = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&path, one["text"].as_str().unwrap_or_default())?;
        one["text"] = json!(path);
    }
    let problems = published(&others)?;
    ensure!(problems.len() == others.len(), "{problems:?}");
    for (place, problem) in of_others.iter().zip(problems) {
        wrong.extend(problem.map(|problem| format!("{place}{problem}")));
    }
    for (language, least) in [("console", 40), ("yaml", 15), ("json", 3), ("logql", 3), ("groovy", 1)] {
        let found = read.get(language).copied().unwrap_or_default();
        ensure!(found >= least, "only {found} blocks of {language} were found");
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

#[test]
fn what_nobody_would_take_is_told() -> Result<()> {
    for (script, part) in [
        ("kubectl apply -f -server-side --servr-side\n", "servr-side"),
        ("kubectl apply -k manifests/nowhere\n", "manifests/nowhere"),
        ("kubectl frobnicate\n", "frobnicate"),
        ("helm install serin chart --name-space a\n", "name-space"),
        ("serin wait myapp --for readiness\n", "readiness"),
        ("if true; then\n", "syntax error"),
        ("frobnicate --now\n", "nobody knows frobnicate"),
    ] {
        let refusal = check_script(script).err().with_context(|| format!("{script}: it is taken"))?;
        ensure!(format!("{refusal:#}").contains(part), "{script}: {refusal:#}");
    }
    let refusal = groovy("stage('Release') {\n  steps {\n}\n").err().context("it is taken")?;
    ensure!(format!("{refusal:#}").contains("is no Groovy"), "{refusal:#}");
    let template = |provider: Value| {
        json!({"kind": "argoproj.io/v1alpha1 AnalysisTemplate",
            "object": {"metadata": {"name": "a"}, "spec": {"metrics": [{"name": "a", "provider": provider}]}}})
    };
    let problems = published(&[
        json!({"kind": "logql", "text": "{a=\"b\"} | | json"}),
        json!({"kind": "logql", "text": "{a=\"b\"} | json"}),
        template(json!({"job": 7})),
        template(json!({})),
        json!({"kind": "example.com/v1 Nothing", "object": {}}),
    ])?;
    let parts = ["no query of Loki's", "", "must be object", "", "nobody knows"];
    for (problem, part) in problems.iter().zip(parts) {
        ensure!(problem.is_some() != part.is_empty(), "{problems:?}");
        ensure!(problem.as_ref().is_none_or(|problem| problem.contains(part)), "{problem:?}: no {part}");
    }
    Ok(())
}

/// The objects in `manifests` that others read, of whom there is nobody here.
#[test]
fn argo_cd_and_the_prometheus_operator_take_the_manifests_by_their_schemas() -> Result<()> {
    let paths = [
        "manifests/argocd/application.yaml",
        "manifests/argocd/applicationset.yaml",
        "manifests/monitoring/agent.yaml",
        "manifests/monitoring/proxies.yaml",
        "manifests/monitoring/rules.yaml",
    ];
    let read = |path: &&str| -> Result<Value> {
        let object: Value = serde_saphyr::from_str(&std::fs::read_to_string(file(path))?)?;
        let kind = format!("{} {}", object["apiVersion"], object["kind"]).replace('"', "");
        Ok(json!({"kind": kind, "object": object}))
    };
    let objects = paths.iter().map(read).collect::<Result<Vec<_>>>()?;
    for (path, problem) in paths.iter().zip(published(&objects)?) {
        ensure!(problem.is_none(), "{path}: {problem:?}");
    }
    let mut wrong = objects[0].clone();
    wrong["object"]["spec"]["destination"] = json!(7);
    ensure!(published(&[wrong])?[0].is_some(), "a schema that takes everything");
    Ok(())
}
