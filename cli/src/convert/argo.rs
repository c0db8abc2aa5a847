/*!
Argo's Rollout, as a Release. [`FIELDS`] says of each of its fields what it becomes; the page `docs/coming-from-argo.md` is
made from it.
*/
use serde_json::Value;
use serin_agent::mesh::object::{list, text};

use super::argo_steps::steps;
use super::source::Becomes::{Field, Nothing, OfItself};
use super::source::{Source, Table, seconds};
use super::{Converted, Found, Refusal, argo_metrics, istio};
use crate::draft::{Draft, Fields};

const BY_SHARE: &str = "the canary gets the pods for each share before it gets it, and stable keeps its own";
const ONLY_HTTP: &str = "Serin assigns HTTP requests: of other connections no proxy knows who makes them";
const METADATA: &str = "labels of pods stand in the two Deployments";
const PODS: &str = "it stands in the two Deployments";

/// What becomes of a Rollout's fields.
pub(super) const FIELDS: Table = &[
    ("spec.replicas", OfItself(PODS)),
    ("spec.selector", OfItself(PODS)),
    ("spec.template", OfItself(PODS)),
    ("spec.workloadRef", Field("`stable.targetRef`; the canary's is `NAME-canary`")),
    ("spec.minReadySeconds", OfItself(PODS)),
    ("spec.revisionHistoryLimit", OfItself(PODS)),
    ("spec.resourcePlugin", Nothing("Serin has no plugins")),
    ("spec.restartAt", OfItself("kubectl rollout restart starts pods again, and is no new version")),
    ("spec.rollbackWindow", Nothing("every version is judged, one that was stable before too")),
    ("spec.paused", Field("`suspend`")),
    ("spec.progressDeadlineSeconds", Field("`strategy.*.progressDeadline`")),
    ("spec.progressDeadlineAbort", OfItself("a run that does not get its pods in time is taken back")),
    ("spec.analysis", OfItself("the last ten runs are kept (serin history)")),
    ("spec.strategy.canary.stableService", Field("`service.name`")),
    ("spec.strategy.canary.canaryService", Field("`canary.service.name`")),
    (
        "spec.strategy.canary.pingPong",
        Nothing("Serin's routes lead to the same two Services for ever, so there is nothing to swap"),
    ),
    (
        "spec.strategy.canary.trafficRouting.istio",
        Field("`routing`, from the VirtualService where it is among the files"),
    ),
    ("spec.strategy.canary.trafficRouting.managedRoutes", OfItself("Serin adds no routes in a release")),
    ("spec.strategy.canary.trafficRouting.maxTrafficWeight", Field("weights are divided by it")),
    ("spec.strategy.canary.steps[].setWeight", Field("`steps[].setWeight`")),
    ("spec.strategy.canary.steps[].pause", Field("`steps[].pause`; several are added up")),
    ("spec.strategy.canary.steps[].setCanaryScale", OfItself(BY_SHARE)),
    ("spec.strategy.canary.steps[].replicaProgressThreshold", OfItself(BY_SHARE)),
    ("spec.strategy.canary.steps[].analysis", Field("`analysis.metrics`: Serin judges all the time")),
    (
        "spec.strategy.canary.steps[].experiment",
        Nothing("Serin runs no third version; the canary is compared with stable in any case"),
    ),
    (
        "spec.strategy.canary.steps[].setHeaderRoute",
        Field("a segment with weight 100, from the first step on"),
    ),
    (
        "spec.strategy.canary.steps[].setMirrorRoute",
        Field("`mirror`, where it comes before the first weight, and is for methods or for all requests"),
    ),
    ("spec.strategy.canary.steps[].plugin", Nothing("Serin has no plugins")),
    ("spec.strategy.canary.analysis.templates", Field("`analysis.metrics`")),
    ("spec.strategy.canary.analysis.args", Field("written into the `query`")),
    ("spec.strategy.canary.analysis.startingStep", OfItself("a run is judged from its first step on")),
    ("spec.strategy.canary.analysis.dryRun", Field("`analysis.metrics[].dryRun`")),
    ("spec.strategy.canary.scaleDownDelaySeconds", Field("`strategy.canary.scaleDownDelay`")),
    ("spec.strategy.canary.abortScaleDownDelaySeconds", Field("`strategy.canary.scaleDownDelay`")),
    ("spec.strategy.canary.scaleDownDelayRevisionLimit", OfItself("there are two versions")),
    (
        "spec.strategy.canary.dynamicStableScale",
        Nothing("stable keeps its pods until the release is over, so that going back works"),
    ),
    ("spec.strategy.canary.minPodsPerReplicaSet", OfItself(BY_SHARE)),
    ("spec.strategy.canary.maxSurge", OfItself(PODS)),
    ("spec.strategy.canary.maxUnavailable", OfItself(PODS)),
    ("spec.strategy.canary.antiAffinity", OfItself(PODS)),
    ("spec.strategy.canary.canaryMetadata", OfItself(METADATA)),
    ("spec.strategy.canary.stableMetadata", OfItself(METADATA)),
    ("spec.strategy.blueGreen.activeService", Field("`service.name`")),
    (
        "spec.strategy.blueGreen.previewService",
        Field("`canary.service.name`; `routing.previewHosts` is for testers"),
    ),
    (
        "spec.strategy.blueGreen.previewReplicaCount",
        OfItself("the new version is brought to the old one's size before the cutover"),
    ),
    ("spec.strategy.blueGreen.autoPromotionEnabled", Field("`cutover: Manual` where it is false")),
    (
        "spec.strategy.blueGreen.autoPromotionSeconds",
        Nothing("the cutover waits for the pods, or for a person"),
    ),
    ("spec.strategy.blueGreen.scaleDownDelaySeconds", Field("`strategy.blueGreen.keep`")),
    ("spec.strategy.blueGreen.abortScaleDownDelaySeconds", Field("`strategy.blueGreen.scaleDownDelay`")),
    ("spec.strategy.blueGreen.scaleDownDelayRevisionLimit", OfItself("there are two versions")),
    ("spec.strategy.blueGreen.prePromotionAnalysis", Field("`analysis.metrics`")),
    (
        "spec.strategy.blueGreen.postPromotionAnalysis",
        Field("`analysis.metrics`, while the new version bakes"),
    ),
    ("spec.strategy.blueGreen.analysis", Nothing("Argo has no such field")),
    ("spec.strategy.blueGreen.antiAffinity", OfItself(PODS)),
    ("spec.strategy.blueGreen.activeMetadata", OfItself(METADATA)),
    ("spec.strategy.blueGreen.previewMetadata", OfItself(METADATA)),
];

/// A Rollout.
pub(super) fn rollout(object: &Value, found: &Found) -> Result<Converted, Refusal> {
    let mut source = Source::new(object.clone());
    let name = source.take_text("metadata.name").or_else(|| source.take_text("metadata.generateName"));
    let name = name.unwrap_or_default().trim_end_matches('-').to_owned();
    if name.is_empty() {
        return Err(Refusal::of("metadata.name", "missing: it is no whole Rollout"));
    }
    let namespace = source.take_text("metadata.namespace");
    let mut draft = Draft::release(namespace.as_deref(), &name);
    draft.note(format!("From Argo's Rollout {name}."));
    draft.note(
        "Who has which version is by user here, not by request. For the applications' sake see spec.sessionAffinity: the default \
         is a cookie.",
    );
    if source.take("spec.paused") == Some(Value::Bool(true)) {
        draft.spec.put("suspend", true);
    }
    let mut deadline = Fields::default();
    deadline
        .put_some("progressDeadline", source.take("spec.progressDeadlineSeconds").as_ref().and_then(seconds));
    let mut templates = argo_metrics::Templates::new(found, namespace.as_deref());
    let [is_canary, is_blue_green] =
        ["canary", "blueGreen"].map(|strategy| source.has(&format!("spec.strategy.{strategy}")));
    if is_canary && is_blue_green {
        return Err(Refusal::of("spec.strategy", "canary and blueGreen: a Rollout is one of them"));
    } else if is_canary {
        canary(&mut source, &name, namespace.as_deref(), found, deadline, &mut templates, &mut draft)?;
    } else if is_blue_green {
        blue_green(&mut source, &name, deadline, &mut templates, &mut draft)?;
    } else {
        return Err(Refusal::of("spec.strategy", "neither canary nor blueGreen: it is no whole Rollout"));
    }
    let metrics = templates.metrics(&mut draft);
    let mut analysis = Fields::default();
    if !metrics.is_empty() {
        analysis.put("metrics", metrics);
    }
    draft.spec.put_fields("analysis", analysis);
    if let Some(spec) = source.take("spec") {
        Source::new(spec).tell_rest("spec", "spec", FIELDS, &mut draft);
    }
    Ok(Converted(vec![draft]))
}

/// The Services of a Rollout.
struct Services {
    /// The one that users call.
    called: String,
    /// That of stable's pods, where it is another.
    stable: Option<String>,
    canary: Option<String>,
}

impl Services {
    fn all(&self) -> Vec<&str> {
        let own = [&self.stable, &self.canary];
        std::iter::once(self.called.as_str()).chain(own.into_iter().flatten().map(String::as_str)).collect()
    }
}

/// The two Deployments, which are one Rollout.
fn targets(source: &mut Source, name: &str, services: &Services, draft: &mut Draft) {
    let workload = source.take_text("spec.workloadRef.name");
    let kind = source.take_text("spec.workloadRef.kind");
    source.take("spec.workloadRef");
    let (stable, canary, why) = match workload.filter(|_| kind.as_deref() == Some("Deployment")) {
        Some(workload) => (
            workload.clone(),
            format!("{workload}-canary"),
            format!("Make {workload}-canary from Deployment {workload}, which the Rollout refers to"),
        ),
        None => (
            format!("{name}-stable"),
            format!("{name}-canary"),
            format!("Make both from the Rollout's spec.template: {name}-stable and {name}-canary"),
        ),
    };
    draft.note(format!(
        "to do: a Rollout runs both versions; Serin wants a Deployment for each. {why}, with a label that differs, in \
         spec.selector.matchLabels and in the pod template, such as version."
    ));
    let Services { called, stable: of_stable, canary: of_canary } = services;
    draft.spec.put("service", Fields::default().with("name", called.as_str()));
    for (arm, deployment, own) in [("stable", stable, of_stable), ("canary", canary, of_canary)] {
        let mut version = Fields::default().with("targetRef", Fields::default().with("name", deployment));
        version.put_some("service", own.as_deref().map(|own| Fields::default().with("name", own)));
        draft.spec.put(arm, version);
    }
    if let Some(of_canary) = of_canary {
        let of_stable = of_stable.as_ref().unwrap_or(called);
        draft.note(format!(
            "to do: Argo has put the label rollouts-pod-template-hash into the selectors of the Services {of_stable} and \
             {of_canary}: write there the label that differs, so that {of_stable} selects stable's pods and {of_canary} the \
             canary's."
        ));
    }
}

fn canary(
    source: &mut Source,
    name: &str,
    namespace: Option<&str>,
    found: &Found,
    deadline: Fields,
    templates: &mut argo_metrics::Templates<'_>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    const ROUTING: &str = "spec.strategy.canary.trafficRouting";
    let of = |field: &str| format!("spec.strategy.canary.{field}");
    let Some(istio) = source.take(&format!("{ROUTING}.istio")) else {
        let other = source.take(ROUTING);
        let other = other.as_ref().and_then(Value::as_object).and_then(|other| other.keys().next().cloned());
        return Err(match other {
            Some(other) => {
                Refusal::of(&format!("{ROUTING}.{other}"), "Serin assigns callers in Istio's proxies")
            }
            None => Refusal::of(ROUTING, "missing: without Istio a Rollout shifts pods, not requests"),
        });
    };
    if let Some(others) = source.take(ROUTING) {
        let mut rest = Source::new(others);
        if let Some(most) = rest.take("maxTrafficWeight") {
            source.put(&of("maxTrafficWeight"), most);
        }
        rest.take("managedRoutes");
        for other in rest.into_value().as_object().into_iter().flat_map(|others| others.keys()) {
            draft.leave_out(format!("{ROUTING}.{other}"), "Serin assigns callers in Istio's proxies alone");
        }
    }
    for (object, kind) in
        every_virtual_service(&istio).flat_map(|object| ["tlsRoutes", "tcpRoutes"].map(|kind| (object, kind)))
    {
        if object.get(kind).is_some() {
            draft.leave_out(format!("{ROUTING}.istio.virtualService.{kind}"), ONLY_HTTP);
        }
    }
    let names = virtual_services(&istio);
    let mut stable = source.take_text(&of("stableService"));
    let mut own = source.take_text(&of("canaryService"));
    if let Some(ping_pong) = source.take(&of("pingPong")) {
        stable = Some(text(&ping_pong, "/pingService").to_owned());
        own = Some(text(&ping_pong, "/pongService").to_owned());
        draft.note(
            "not needed: spec.strategy.canary.pingPong: the routes lead to the same two Services for ever.",
        );
    }
    // By subsets both versions are behind one Service.
    let by_subset = istio.get("destinationRule").is_some();
    let virtual_service = names.iter().find_map(|(name, of)| {
        found.named("networking.istio.io", &["VirtualService"], of.as_deref().or(namespace), name)
    });
    if virtual_service.is_some_and(|object| list(object, "/spec/http").is_empty()) {
        return Err(Refusal::of(&format!("{ROUTING}.istio.virtualService"), ONLY_HTTP));
    }
    let called = virtual_service.and_then(istio::called);
    let services = if by_subset && stable.is_none() {
        let called = called.or_else(|| virtual_service.and_then(istio::first_host));
        Services { called: called.unwrap_or_else(|| name.to_owned()), stable: None, canary: None }
    } else {
        let stable = stable.unwrap_or_else(|| name.to_owned());
        let called = called.filter(|called| *called != stable && own.as_ref() != Some(called));
        match called {
            Some(called) => {
                draft
                    .note(format!("to do: Service {called}, a host of the VirtualService, has to be there."));
                Services { called, stable: Some(stable), canary: own }
            }
            None => Services { called: stable, stable: None, canary: own },
        }
    };
    targets(source, name, &services, draft);
    if virtual_service.is_some() {
        istio::routing_of(&names, namespace, name, &services.all(), found, draft);
    } else {
        let names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
        draft.note(format!(
            "to do: VirtualService {} is in none of the files: give it too, or write spec.routing.gateways and hosts as it has \
             them. serin adopt reads them from the cluster.",
            names.join(", ")
        ));
    }
    let most = source.take(&of("maxTrafficWeight")).and_then(|most| most.as_u64()).unwrap_or(100);
    let course = steps(source.take_list(&of("steps")), most, templates, draft);
    draft.spec.put_some("segments", course.segments);
    let mut fields = Fields::default();
    fields.put_some("mirror", course.mirror);
    fields.put_some("steps", course.steps);
    let delay = source.take(&of("scaleDownDelaySeconds"));
    let after_abort = source.take(&of("abortScaleDownDelaySeconds"));
    fields.put_some("scaleDownDelay", delay.or(after_abort).as_ref().and_then(seconds));
    fields.extend(deadline);
    draft.spec.put("strategy", Fields::default().with("canary", fields));
    if let Some(analysis) = source.take(&of("analysis")) {
        templates.add(&analysis, &of("analysis"), draft);
    }
    Ok(())
}

fn blue_green(
    source: &mut Source,
    name: &str,
    deadline: Fields,
    templates: &mut argo_metrics::Templates<'_>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    let of = |field: &str| format!("spec.strategy.blueGreen.{field}");
    let active = source.take_text(&of("activeService"));
    let active =
        active.ok_or_else(|| Refusal::of(&of("activeService"), "missing: it is no whole Rollout"))?;
    let preview = source.take_text(&of("previewService"));
    let services = Services { called: active, stable: None, canary: preview };
    targets(source, name, &services, draft);
    draft.note(
        "Argo's blue-green needs no mesh, and Serin's does: the users' requests have to come through Istio's proxies, by sidecars or \
         a Gateway (spec.routing.gateways and hosts).",
    );
    let mut fields = Fields::default();
    if source.take(&of("autoPromotionEnabled")) == Some(Value::Bool(false)) {
        fields.put("cutover", "Manual");
    }
    fields.put_some("keep", source.take(&of("scaleDownDelaySeconds")).as_ref().and_then(seconds));
    let after_abort = source.take(&of("abortScaleDownDelaySeconds"));
    fields.put_some("scaleDownDelay", after_abort.as_ref().and_then(seconds));
    // With a Service for each version these cannot change places.
    if services.canary.is_some() {
        fields.put("promotion", Fields::default().with("mode", "Copy"));
    }
    fields.extend(deadline);
    draft.spec.put("strategy", Fields::default().with("blueGreen", fields));
    for field in ["prePromotionAnalysis", "postPromotionAnalysis"] {
        if let Some(analysis) = source.take(&of(field)) {
            templates.add(&analysis, &of(field), draft);
        }
    }
    Ok(())
}

fn every_virtual_service(istio: &Value) -> impl Iterator<Item = &Value> {
    istio.get("virtualService").into_iter().chain(list(istio, "/virtualServices"))
}

/// The VirtualServices of a Rollout, by name and namespace.
pub(super) fn virtual_services(istio: &Value) -> Vec<(String, Option<String>)> {
    let named =
        every_virtual_service(istio).map(|found| text(found, "/name")).filter(|name| !name.is_empty());
    // `namespace/name` is allowed, by Argo's own words as `name.namespace`.
    named
        .map(|name| match name.split_once('.') {
            Some((name, namespace)) => (name.to_owned(), Some(namespace.to_owned())),
            None => (name.to_owned(), None),
        })
        .collect()
}
