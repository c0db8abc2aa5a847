/*!
Flagger's Canary, as a Release. [`FIELDS`] says of each of its fields what it becomes; the page
`docs/coming-from-flagger.md` is made from it.
*/
use serde_json::{Value, json};

use super::matches::{Conditions, segment};
use super::source::Becomes::{Field, Nothing, OfItself};
use super::source::{Source, Table, seconds};
use super::{Converted, Found, Refusal, flagger_metrics};
use crate::draft::{Draft, Fields};
use crate::routes::PASSED_ON;

const HOOKS: &str = "Serin calls no webhooks yet: smoke tests belong into the pipeline before the image, load is what users make, \
                     and a gate is a step with pause: {}";
const MESSAGES: &str =
    "Serin sends no messages by itself yet: manifests/monitoring/rules.yaml has alerts for Alertmanager";
const SERVICES: &str = "labels and annotations of Services are yours to set";

/// What becomes of a Canary's fields.
pub(super) const FIELDS: Table = &[
    ("spec.targetRef", Field("`canary.targetRef`; stable is the Deployment `NAME-primary`")),
    ("spec.autoscalerRef", Field("`canary.autoscalerRef`; stable's is `NAME-primary`")),
    ("spec.autoscalerRef.apiVersion", OfItself("the kind says enough")),
    (
        "spec.autoscalerRef.primaryScalerQueries",
        OfItself("Serin makes no autoscaler: write the queries into that of NAME-primary"),
    ),
    (
        "spec.autoscalerRef.primaryScalerReplicas",
        OfItself("Serin makes no autoscaler: write the limits into that of NAME-primary"),
    ),
    ("spec.provider", Field("nothing where it is `istio`; others are refused")),
    ("spec.progressDeadlineSeconds", Field("`strategy.canary.progressDeadline`")),
    ("spec.suspend", Field("`suspend`")),
    ("spec.skipAnalysis", Nothing("every run is judged; serin promote skips the steps of one")),
    (
        "spec.revertOnDeletion",
        OfItself("a deleted Release leaves everybody on stable, and a route there (routing.deletionPolicy)"),
    ),
    (
        "spec.metricsServer",
        Nothing("where a Prometheus is stands in the agent's configuration (prometheus.sources)"),
    ),
    ("spec.service.name", Field("`service.name`; the canary's Service is `NAME-canary`")),
    ("spec.service.port", Field("`service.port`")),
    ("spec.service.portName", OfItself("it stands in the Service, which is yours")),
    ("spec.service.targetPort", OfItself("it stands in the Service, which is yours")),
    ("spec.service.appProtocol", OfItself("it stands in the Service, which is yours")),
    (
        "spec.service.portDiscovery",
        OfItself("callers in the mesh reach each version at every HTTP port of the Service"),
    ),
    ("spec.service.gateways", Field("`routing.gateways`")),
    ("spec.service.hosts", Field("`routing.hosts`")),
    ("spec.service.match", Field("`routing.pathPrefix`, where it is one prefix")),
    ("spec.service.rewrite", Nothing("Serin's routes rewrite nothing: keep yours with routing.mode Verify")),
    ("spec.service.timeout", Field("`routing.timeout`")),
    ("spec.service.retries", Field("`routing.retries`")),
    ("spec.service.headers", Field("`routing.headers`")),
    ("spec.service.corsPolicy", Field("`routing.corsPolicy`")),
    ("spec.service.trafficPolicy", Field("`routing.trafficPolicy`")),
    (
        "spec.service.delegation",
        Nothing("Serin's VirtualService is none to delegate to: with routing.mode Verify yours can be one"),
    ),
    ("spec.service.mirror", Nothing("Serin mirrors no requests yet")),
    ("spec.service.apex", OfItself(SERVICES)),
    ("spec.service.primary", OfItself(SERVICES)),
    ("spec.service.canary", OfItself(SERVICES)),
    ("spec.service.meshName", Nothing("it is App Mesh's")),
    ("spec.service.backends", Nothing("they are App Mesh's")),
    ("spec.analysis.interval", Field("`steps[].pause.duration`: each step lasts as long")),
    ("spec.analysis.maxWeight", Field("the last of `steps[].setWeight`")),
    ("spec.analysis.stepWeight", Field("`steps[].setWeight`")),
    ("spec.analysis.stepWeights", Field("`steps[].setWeight`")),
    (
        "spec.analysis.stepWeightPromotion",
        OfItself("a few users go back to stable first, and the rest when they are served"),
    ),
    (
        "spec.analysis.iterations",
        Field("with a match `analysis.baseline`, without one `analysis.bake`: as many times the interval"),
    ),
    ("spec.analysis.match", Field("a segment with weight 100")),
    (
        "spec.analysis.threshold",
        OfItself("no checks are counted: Serin goes back as soon as the evidence is conclusive"),
    ),
    (
        "spec.analysis.canaryReadyThreshold",
        OfItself("every pod that a share needs is ready before it is given"),
    ),
    (
        "spec.analysis.primaryReadyThreshold",
        OfItself("every pod of stable that is needed is ready before it is used"),
    ),
    ("spec.analysis.mirror", Nothing("Serin mirrors no requests yet")),
    ("spec.analysis.mirrorWeight", Nothing("Serin mirrors no requests yet")),
    ("spec.analysis.metrics[].name", Field("`analysis.metrics[].name`")),
    (
        "spec.analysis.metrics[].thresholdRange",
        Field(
            "`thresholdRange`; a `max` of `request-duration` is its `objective`, with 1 % slower than that",
        ),
    ),
    ("spec.analysis.metrics[].threshold", Field("`thresholdRange`")),
    (
        "spec.analysis.metrics[].interval",
        Field("`interval` of a metric with a query; those built in are read every `analysis.interval`"),
    ),
    ("spec.analysis.metrics[].query", Field("`analysis.metrics[].query`")),
    ("spec.analysis.metrics[].templateRef", Field("`templateRef`, or `query` where it has variables")),
    ("spec.analysis.metrics[].templateVariables", Field("written into the `query`")),
    (
        "spec.analysis.sessionAffinity.cookieName",
        OfItself(
            "every caller has a cookie of their own, serin; in Flagger's all users of a run have the same value",
        ),
    ),
    ("spec.analysis.sessionAffinity.maxAge", Field("`sessionAffinity.cookie.maxAge`")),
    ("spec.analysis.sessionAffinity.domain", Field("`sessionAffinity.cookie.domain`")),
    ("spec.analysis.sessionAffinity.path", Field("`sessionAffinity.cookie.path`")),
    (
        "spec.analysis.sessionAffinity.primaryCookieName",
        OfItself("one cookie keeps a user on whichever version they have"),
    ),
    (
        "spec.analysis.sessionAffinity.secure",
        OfItself("a cookie is Secure on https (sessionAffinity.cookie.secure)"),
    ),
    (
        "spec.analysis.sessionAffinity.httpOnly",
        OfItself("a cookie is HttpOnly (sessionAffinity.cookie.httpOnly)"),
    ),
    ("spec.analysis.sessionAffinity.sameSite", Field("`sessionAffinity.cookie.sameSite`")),
    ("spec.analysis.sessionAffinity.partitioned", Nothing("Serin's cookie is not partitioned")),
    ("spec.analysis.webhooks[]", Nothing(HOOKS)),
    ("spec.analysis.alerts[]", Nothing(MESSAGES)),
];

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
    let mut converted = flagger_metrics::metrics(&mut source, namespace.as_deref(), found, &mut draft);
    let mut analysis = course.analysis;
    if !converted.metrics.is_empty() {
        analysis.put("metrics", std::mem::take(&mut converted.metrics));
    }
    draft.spec.put_fields("analysis", analysis);
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
}

fn course(source: &mut Source, draft: &mut Draft) -> Course {
    let interval = source.take_text("spec.analysis.interval").unwrap_or_else(|| "1m".to_owned());
    let deadline = source.take("spec.progressDeadlineSeconds").as_ref().and_then(seconds);
    let iterations = source.take("spec.analysis.iterations").and_then(|number| number.as_u64());
    let matches = source.take_list("spec.analysis.match");
    let whole = iterations.and_then(|iterations| times(&interval, iterations));
    let mut course = Course { segments: None, strategy: Fields::default(), analysis: Fields::default() };
    let mut of_strategy = Fields::default();
    let name = match (iterations, matches.is_empty()) {
        (Some(_), true) => {
            of_strategy.put("promotion", json!({"mode": "Copy"}));
            course.analysis.put_some("bake", whole);
            draft.note(
                "Flagger tests the new version by load alone before everybody gets it; Serin judges it while everybody has it, \
                 and goes back at once.",
            );
            "blueGreen"
        }
        (_, is_empty) => {
            if !is_empty {
                let conditions = Conditions::Istio;
                course.segments =
                    segment(&matches, conditions, "spec.analysis.match", draft).map(|one| vec![one]);
            }
            if course.segments.is_some() {
                course.analysis.put_some("baseline", whole);
                draft.note(
                    "Whoever meets the match has the new version as soon as it is ready, for as long as the baseline lasts. \
                     Then all others follow in Serin's own steps, where Flagger gave it to everybody at once.",
                );
            }
            of_strategy.put_some("steps", is_empty.then(|| steps(source, &interval, draft)).flatten());
            "canary"
        }
    };
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

/// So many times as long, as Serin writes a time.
fn times(interval: &str, times: u64) -> Option<String> {
    let interval = serin_release::duration::parse(interval).ok()?;
    Some(format!("{}s", interval.as_secs() * times))
}
