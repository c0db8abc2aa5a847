/*!
`serin convert FILE…`: what other tools have of a service's releases, as Serin's. Every field that has nothing in Serin is told
in a comment, with why; what cannot be a Release at all is refused with the reason.

[`flagger`], [`argo`] and [`istio`] each have one kind; a [`source::Source`] keeps anything from getting lost.
*/
mod argo;
mod argo_metrics;
mod argo_steps;
mod conditions;
mod flagger;
mod flagger_alerts;
mod flagger_fields;
mod flagger_hooks;
mod flagger_metrics;
mod istio;
mod matches;
mod query;
mod source;
mod words;

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::Value;
use serin_agent::mesh::object::text;
use serin_agent::mesh::routing::istio::gateway;
use serin_agent::reach::{Reach, Refused};

pub(crate) use self::words::explained;
use super::draft::{Draft, Fields, checked, together};
use super::routes::in_namespace;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "It prints YAML with a comment for each thing that has nothing in Serin.\n\nExit status: 0 all is converted, 1 something is not, and standard error says why."
)]
pub(super) struct Args {
    /// YAML files with Canaries, MetricTemplates and AlertProviders of Flagger's, Rollouts and AnalysisTemplates of Argo's, or
    /// VirtualServices with weights; `-` is standard input. Those that belong together go together. Other objects are
    /// passed over.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Prints what the files become.
pub(super) fn convert(args: &Args) -> anyhow::Result<ExitCode> {
    let mut objects = Vec::new();
    for file in &args.files {
        let named = || format!("{}: cannot read it", file.display());
        let text = if file.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).with_context(named)?;
            text
        } else {
            std::fs::read_to_string(file).with_context(named)?
        };
        let found: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| file.display().to_string())?;
        objects.extend(found.into_iter().flat_map(each));
    }
    let outcome = all(&Found { objects });
    anyhow::ensure!(
        !(outcome.documents.is_empty() && outcome.refused.is_empty()),
        "there is nothing to convert: give Canaries, Rollouts or VirtualServices with weights"
    );
    print!("{}", together(&outcome.documents));
    for refused in &outcome.refused {
        eprintln!("serin: not converted: {refused}");
    }
    Ok(if outcome.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An object, or those of a list.
fn each(object: Value) -> Vec<Value> {
    match object.get("items").and_then(Value::as_array) {
        Some(items) if text(&object, "/kind").ends_with("List") => items.clone(),
        _ => vec![object],
    }
}

/// All that was given.
#[derive(Debug, Default)]
struct Found {
    objects: Vec<Value>,
}

impl Found {
    /// The objects of a kind in a group.
    fn of<'f>(&'f self, group: &'f str, kinds: &'f [&str]) -> impl Iterator<Item = &'f Value> {
        self.objects.iter().filter(move |object| {
            let of_group = text(object, "/apiVersion").split('/').next() == Some(group);
            of_group && kinds.contains(&text(object, "/kind"))
        })
    }

    /// The object of this name. Where one of the two namespaces is left out, it is taken for the same.
    fn named(&self, group: &str, kinds: &[&str], namespace: Option<&str>, name: &str) -> Option<&Value> {
        let is_it = |object: &&Value| {
            let of = text(object, "/metadata/namespace");
            text(object, "/metadata/name") == name
                && (of.is_empty() || namespace.is_none_or(|wanted| of == wanted))
        };
        self.objects
            .iter()
            .filter(|object| {
                let of_group = text(object, "/apiVersion").split('/').next() == Some(group);
                of_group && kinds.contains(&text(object, "/kind"))
            })
            .find(is_it)
    }
}

/// What an object becomes.
#[derive(Debug, Default)]
struct Converted(Vec<Draft>);

/// Why an object cannot become a Release.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    field: String,
    why: String,
}

impl Refusal {
    fn of(field: &str, why: impl Into<String>) -> Self {
        Self { field: field.to_owned(), why: why.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

/// What all objects become.
#[derive(Debug, Default)]
struct Outcome {
    /// YAML documents, each once.
    documents: Vec<String>,
    /// What was refused, and why.
    refused: Vec<String>,
}

/// What makes Releases of one kind.
type Convert = fn(&Value, &Found) -> Result<Converted, Refusal>;

const CONVERTERS: [(&str, &str, Convert); 3] = [
    ("flagger.app", "Canary", flagger::canary),
    ("argoproj.io", "Rollout", argo::rollout),
    ("networking.istio.io", "VirtualService", istio::virtual_service),
];

fn all(found: &Found) -> Outcome {
    let mut outcome = Outcome::default();
    for (group, kind, convert) in CONVERTERS {
        for object in found.of(group, &[kind]).filter(|object| !istio::is_anothers(object, found)) {
            let converted = convert(object, found).map_err(|refusal| refusal.to_string());
            let documents = converted
                .and_then(|Converted(drafts)| checked(&drafts).map_err(|error| format!("{error:#}")));
            match documents {
                Ok(documents) => outcome.documents.extend(documents),
                Err(why) => {
                    let name = self::text(object, "/metadata/name");
                    outcome.refused.push(format!("{kind} {name}: {}", why.replace('\n', "; ")));
                }
            }
        }
    }
    for provider in found.of("flagger.app", &["AlertProvider"]) {
        let name = text(provider, "/metadata/name");
        if !flagger_alerts::is_named(name, found) {
            outcome.documents.push(format!("# not needed: AlertProvider {name}: no alert names it.\n"));
        }
    }
    for template in found.of("flagger.app", &["MetricTemplate"]) {
        let name = text(template, "/metadata/name");
        if !flagger_metrics::is_named(template, found) {
            let why = "no Canary of the files names it; docs/metrics.md says how to move it by itself";
            outcome.documents.push(format!("# left out: MetricTemplate {name}: {why}.\n"));
        }
    }
    // The same template of two Canaries is one.
    let mut seen = BTreeSet::new();
    outcome.documents.retain(|document| seen.insert(document.clone()));
    outcome
}

/// Gateways as a Release of `namespace` names them.
fn gateways(names: &[String], namespace: Option<&str>) -> Vec<String> {
    let namespace = namespace.unwrap_or_default();
    names.iter().map(|name| in_namespace(&gateway(name, namespace), namespace)).collect()
}

/// `name` as Serin has names of hooks and the like, another one than those in `list`: what people wrote may have spaces.
fn label(name: &str, list: &[Fields]) -> String {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|one: char| !one.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut label = words.collect::<Vec<_>>().join("-");
    label.truncate(60);
    let label = if label.is_empty() { "unnamed" } else { label.trim_end_matches('-') };
    let is_free = |label: &String| list.iter().all(|fields| fields.text("name") != Some(label));
    let others = (2..).map(|n| format!("{label}-{n}"));
    std::iter::once(label.to_owned()).chain(others).find(is_free).unwrap_or_default()
}

/// Says what is to be done before the agent calls `url` for a Release of `namespace`, if something is.
fn tell_of_reach(url: &str, namespace: Option<&str>, draft: &mut Draft) {
    let own = namespace.unwrap_or_default();
    let Err(Refused::NotAllowed(origin)) = Reach::default().check(url, own, |_| true) else { return };
    let (_, host) = origin.split_once("://").unwrap_or_default();
    draft.note(if host.contains('.') {
        format!(
            "to do: have the agent's operator add {origin} to allowedAddresses (docs/notifications.md): it is no Service of the \
             Release's own namespace."
        )
    } else {
        format!("to do: write the namespace into {origin}, as http://NAME.NAMESPACE: the agent is in another one.")
    });
}

/// A list of metrics by which a canary is judged: these, and those of Serin's own that nobody has named.
fn with_the_rest(mut metrics: Vec<Fields>, named: &[String], draft: &mut Draft) -> Vec<Fields> {
    let rest: Vec<_> = serin_release::Metric::ALL
        .iter()
        .map(|metric| metric.as_str())
        .filter(|metric| !named.iter().any(|name| name == metric))
        .collect();
    if !rest.is_empty() {
        draft.note(format!(
            "spec.analysis.metrics: Serin judges by {} besides, as it does where nothing is said. Take out what you do not want.",
            rest.join(", ")
        ));
    }
    metrics.extend(rest.into_iter().map(|name| Fields::default().with("name", name)));
    metrics
}

#[cfg(test)]
mod tests;
