/*!
Flagger's Canary, as a Release. [`FIELDS`] says of each of its fields what it becomes.
*/
use serde_json::{Value, json};

use super::flagger_fields::FIELDS;
use super::flagger_hooks::Course as OfHooks;
use super::matches::{Conditions, segment};
use super::source::{Source, seconds};
use super::{Converted, Found, Refusal, flagger_alerts, flagger_hooks, flagger_metrics};
use crate::draft::{Draft, Fields};
use crate::routes::PASSED_ON;

/// A Canary.
pub(super) fn canary(object: &Value, found: &Found) -> Result<Converted, Refusal> {
    let mut source = Source::new(object.clone());
    let name = source.take_text("metadata.name").unwrap_or_default();
    let namespace = source.take_text("metadata.namespace");
    istio_only(&mut source)?;
    if source.text("spec.targetRef.name").is_none() {
        return Err(Refusal::of("spec.targetRef.name", "missing: it is no whole Canary"));
    }
    let kind = source.take_text("spec.targetRef.kind").unwrap_or_default();
    if kind != "Deployment" {
        return Err(Refusal::of("spec.targetRef.kind", format!("{kind}: each version runs in a Deployment")));
    }
    // Flagger's first API had the analysis under another name.
    if let Some(analysis) = source.take("spec.canaryAnalysis") {
        source.put("spec.analysis", analysis);
    }
    if name.is_empty() {
        return Err(Refusal::of("metadata.name", "missing: it is no whole Canary"));
    }
    let mut draft = Draft::release(namespace.as_deref(), &name);
    draft.note(format!("From Flagger's Canary {name}."));
    versions(&mut source, namespace.as_deref(), &name, &mut draft);
    let routing = routing(&mut source, namespace.as_deref(), &mut draft);
    draft.spec.put_fields("routing", routing);
    let affinity = affinity(&mut source);
    draft.spec.put_fields("sessionAffinity", affinity);
    let course = course(&mut source, &mut draft);
    draft.spec.put_some("segments", course.segments);
    draft.spec.put("strategy", course.strategy);
    let hooks = flagger_hooks::hooks(&mut source, namespace.as_deref(), &course.of_hooks, &mut draft);
    let mut converted = flagger_metrics::metrics(&mut source, namespace.as_deref(), found, &mut draft);
    let mut analysis = course.analysis;
    if !converted.metrics.is_empty() {
        analysis.put("metrics", std::mem::take(&mut converted.metrics));
    }
    draft.spec.put_fields("analysis", analysis);
    let told = flagger_alerts::notifications(&mut source, namespace.as_deref(), found, &mut draft);
    for (field, list) in [("hooks", hooks), ("notifications", told)] {
        draft.spec.put_some(field, Some(list).filter(|list| !list.is_empty()));
    }
    source.take("spec.targetRef");
    if let Some(spec) = source.take("spec") {
        Source::new(spec).tell_rest("spec", "spec", FIELDS, &mut draft);
    }
    converted.drafts.insert(0, draft);
    Ok(Converted(converted.drafts))
}

/// Refuses what is not for Istio.
fn istio_only(source: &mut Source) -> Result<(), Refusal> {
    const WHY: &str = "Serin assigns callers in Istio's proxies";
    if let Some(provider) = source.take_text("spec.provider").filter(|provider| provider != "istio") {
        return Err(Refusal::of("spec.provider", format!("{provider}: {WHY}")));
    }
    for field in ["ingressRef", "routeRef", "upstreamRef", "service.gatewayRefs"] {
        let path = format!("spec.{field}");
        if source.take(&path).is_some() {
            return Err(Refusal::of(&path, format!("it is another provider's: {WHY}")));
        }
    }
    Ok(())
}

/// The Service and the two Deployments, which Flagger has made of one.
fn versions(source: &mut Source, namespace: Option<&str>, canary: &str, draft: &mut Draft) {
    let target = source.take_text("spec.targetRef.name").unwrap_or_default();
    let service = source.take_text("spec.service.name").unwrap_or_else(|| target.clone());
    if let Some(true) = source.take("spec.suspend").and_then(|suspend| suspend.as_bool()) {
        draft.spec.put("suspend", true);
    }
    draft.note(format!(
        "to do: let go of what Flagger has made, so that it stays: Deployment {target}-primary and the Services belong to the \
         Canary, and go with it otherwise. Its VirtualService and DestinationRule are replaced as docs/adoption.md says.\n\
         kubectl delete canary {canary} --cascade=orphan{}",
        namespace.map_or_else(String::new, |namespace| format!(" -n {namespace}"))
    ));
    let mut fields = Fields::default().with("name", service.as_str());
    fields.put_some("port", source.take("spec.service.port"));
    draft.spec.put("service", fields);
    let scaler = |name: String, kind: Option<&str>| {
        let fields = kind.map(|kind| Fields::default().with("kind", kind));
        fields.unwrap_or_default().with("name", name)
    };
    let autoscaler = source.take_text("spec.autoscalerRef.name");
    let kind = source.take_text("spec.autoscalerRef.kind");
    source.take("spec.autoscalerRef.apiVersion");
    let version = |deployment: &str, suffix: &str| {
        let mut fields = Fields::default().with("targetRef", Fields::default().with("name", deployment));
        let own = autoscaler.as_ref().map(|name| scaler(format!("{name}{suffix}"), kind.as_deref()));
        fields.put_some("autoscalerRef", own);
        fields
    };
    draft.spec.put("stable", version(&format!("{target}-primary"), "-primary"));
    let own_service = Fields::default().with("name", format!("{service}-canary"));
    draft.spec.put("canary", version(&target, "").with("service", own_service));
}

fn routing(source: &mut Source, namespace: Option<&str>, draft: &mut Draft) -> Fields {
    let mut fields = Fields::default();
    let texts = |list: Option<Value>| -> Vec<String> {
        let list = list.and_then(|list| list.as_array().cloned()).unwrap_or_default();
        list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let gateways = texts(source.take("spec.service.gateways"));
    let hosts = texts(source.take("spec.service.hosts"));
    if !gateways.is_empty() {
        fields.put("gateways", super::gateways(&gateways, namespace));
    }
    if hosts.is_empty() && gateways.iter().any(|gateway| gateway != "mesh") {
        draft.leave_out("spec.service.gateways", "without spec.service.hosts no client comes by them");
        fields = Fields::default();
    } else if !hosts.is_empty() {
        fields.put("hosts", hosts);
    }
    path_prefix(source, &mut fields, draft);
    // `/` in place of `/`.
    source.take_if("spec.service.rewrite", |rewrite| {
        !fields.has("pathPrefix") && *rewrite == json!({"uri": "/"})
    });
    for field in PASSED_ON.iter().chain(&["trafficPolicy"]) {
        let found = source.take(&format!("spec.service.{field}"));
        fields.put_some(field, found.filter(|found| *found != json!({})));
    }
    fields
}

/// `match: [{uri: {prefix: /api}}]`.
fn path_prefix(source: &mut Source, fields: &mut Fields, draft: &mut Draft) {
    let Some(found) = source.take("spec.service.match") else { return };
    let prefix = found[0]["uri"]["prefix"].as_str();
    match prefix.filter(|prefix| found == json!([{"uri": {"prefix": prefix}}])) {
        Some("/") => {}
        Some(prefix) => fields.put("pathPrefix", prefix.trim_end_matches('/')),
        None => draft.leave_out(
            "spec.service.match",
            &format!("{found}: only one prefix has a word of its own (routing.pathPrefix)"),
        ),
    }
}

/// How long the cookie lasts, and where it is valid. Its name stays Serin's own: the value of Flagger's tells nobody apart.
fn affinity(source: &mut Source) -> Fields {
    let of = |field: &str| format!("spec.analysis.sessionAffinity.{field}");
    let mut cookie = Fields::default();
    cookie.put_some("maxAge", source.take(&of("maxAge")).as_ref().and_then(seconds));
    for field in ["domain", "path", "sameSite"] {
        cookie.put_some(field, source.take(&of(field)));
    }
    let mut fields = Fields::default();
    fields.put_fields("cookie", cookie);
    fields
}

/// How the new version comes in, and what that says of the analysis.
struct Course {
    segments: Option<Vec<Fields>>,
    strategy: Fields,
    analysis: Fields,
    of_hooks: OfHooks,
}

fn course(source: &mut Source, draft: &mut Draft) -> Course {
    let interval = source.take_text("spec.analysis.interval").unwrap_or_else(|| "1m".to_owned());
    let deadline = source.take("spec.progressDeadlineSeconds").as_ref().and_then(seconds);
    let iterations = source.take("spec.analysis.iterations").and_then(|number| number.as_u64());
    let matches = source.take_list("spec.analysis.match");
    let whole = iterations.and_then(|iterations| times(&interval, iterations));
    let threshold = source.value("spec.analysis.threshold").and_then(Value::as_u64).unwrap_or_default();
    let of_hooks = OfHooks {
        interval: interval.clone(),
        is_blue_green: iterations.is_some() && matches.is_empty(),
        threshold: threshold.max(1),
    };
    let (strategy, analysis) = (Fields::default(), Fields::default());
    let mut course = Course { segments: None, strategy, analysis, of_hooks };
    let mut of_strategy = Fields::default();
    let name = match (course.of_hooks.is_blue_green, matches.is_empty()) {
        (true, _) => {
            of_strategy.put("promotion", json!({"mode": "Copy"}));
            course.analysis.put_some("bake", whole.clone());
            draft.note(
                "Flagger tests the new version by load alone before everybody gets it; Serin judges it while everybody has it, \
                 and goes back at once.",
            );
            "blueGreen"
        }
        (false, is_empty) => {
            if !is_empty {
                let conditions = Conditions::Istio;
                course.segments =
                    segment(&matches, conditions, "spec.analysis.match", draft).map(|one| vec![one]);
            }
            if course.segments.is_some() {
                course.analysis.put_some("baseline", whole.clone());
                draft.note(
                    "Whoever meets the match has the new version as soon as it is ready, for as long as the baseline lasts. \
                     Then all others follow in Serin's own steps, where Flagger gave it to everybody at once.",
                );
            }
            of_strategy.put_some("steps", is_empty.then(|| steps(source, &interval, draft)).flatten());
            "canary"
        }
    };
    let lasts = whole.filter(|_| course.of_hooks.is_blue_green).unwrap_or(interval);
    of_strategy.put_some("mirror", mirror(source, &lasts, draft));
    of_strategy.put_some("progressDeadline", deadline);
    course.strategy.put(name, of_strategy);
    course
}

/// The weights, each for an interval.
fn steps(source: &mut Source, interval: &str, draft: &mut Draft) -> Option<Vec<Fields>> {
    let number = |value: Option<Value>| value.and_then(|value| value.as_u64());
    let most = number(source.take("spec.analysis.maxWeight")).unwrap_or(100);
    let step = number(source.take("spec.analysis.stepWeight"));
    let listed = source.take("spec.analysis.stepWeights");
    let weights: Vec<u64> = match (listed, step) {
        (Some(listed), _) => listed.as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        (None, Some(step)) if step > 0 => (1..=most / step).map(|n| n * step).collect(),
        (None, _) => return None,
    };
    let mut last = 0;
    let mut steps = Vec::new();
    for weight in weights {
        if weight <= last || weight > 100 {
            draft.leave_out(
                "spec.analysis.stepWeights",
                &format!("{weight}: a step has more than the one before, up to 100"),
            );
            continue;
        }
        last = weight;
        let pause = Fields::default().with("duration", interval);
        steps.push(Fields::default().with("setWeight", weight).with("pause", pause));
    }
    (!steps.is_empty()).then_some(steps)
}

/// Copies of requests, for as long as Flagger makes any.
fn mirror(source: &mut Source, lasts: &str, draft: &mut Draft) -> Option<Fields> {
    let weight = source.take("spec.analysis.mirrorWeight").and_then(|weight| weight.as_u64());
    source.take("spec.analysis.mirror").filter(|is_on| *is_on == Value::Bool(true))?;
    draft.note(
        "Flagger mirrors every method; Serin those that are named, and GET, HEAD and OPTIONS where none is: others do things twice.",
    );
    let percentage = weight.filter(|weight| *weight > 0).unwrap_or(100);
    Some(Fields::default().with("percentage", percentage).with("duration", lasts))
}

/// So many times as long, as Serin writes a time.
fn times(interval: &str, times: u64) -> Option<String> {
    let interval = serin_release::duration::parse(interval).ok()?;
    Some(format!("{}s", interval.as_secs() * times))
}
