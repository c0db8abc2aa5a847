/*!
What becomes of each field of a Canary, and of the AlertProviders that it names. `docs/coming-from-flagger.md` is made from it.
*/
use super::source::Becomes::{Field, Nothing, OfItself};
use super::source::Table;

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
    ("spec.service.rewrite", Field("`routing.rewrite`, for what is under the prefix")),
    ("spec.service.timeout", Field("`routing.timeout`")),
    ("spec.service.retries", Field("`routing.retries`")),
    ("spec.service.headers", Field("`routing.headers`")),
    ("spec.service.corsPolicy", Field("`routing.corsPolicy`")),
    ("spec.service.trafficPolicy", Field("`routing.trafficPolicy`")),
    (
        "spec.service.delegation",
        Nothing("Serin's VirtualService is none to delegate to: with routing.mode Verify yours can be one"),
    ),
    ("spec.service.mirror", Nothing("Serin mirrors to the new version alone: strategy.*.mirror")),
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
        OfItself(
            "no checks are counted but those of hooks (hooks[].retries): Serin goes back as soon as the evidence is conclusive",
        ),
    ),
    (
        "spec.analysis.canaryReadyThreshold",
        OfItself("every pod that a share needs is ready before it is given"),
    ),
    (
        "spec.analysis.primaryReadyThreshold",
        OfItself("every pod of stable that is needed is ready before it is used"),
    ),
    ("spec.analysis.mirror", Field("`strategy.*.mirror`, before the first step or the cutover")),
    ("spec.analysis.mirrorWeight", Field("`strategy.*.mirror.percentage`")),
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
    ("spec.analysis.webhooks[].name", Field("`hooks[].name`, with `-` for what is no letter or digit")),
    (
        "spec.analysis.webhooks[].type",
        Field(
            "`hooks[].when`; of blue-green, `rollout` is `pre-rollout`; `event` is `notifications[].webhook` or `cloudEvents`, which have other JSON",
        ),
    ),
    ("spec.analysis.webhooks[].url", Field("`hooks[].url`")),
    ("spec.analysis.webhooks[].timeout", Field("`hooks[].timeout`, 10m at most")),
    ("spec.analysis.webhooks[].metadata", Field("`hooks[].metadata`")),
    (
        "spec.analysis.webhooks[].retries",
        Field("`hooks[].retries`, besides those of the `threshold`; a gate is asked until it says yes"),
    ),
    (
        "spec.analysis.webhooks[].muteAlert",
        OfItself("that a gate waits is told to those alone whose notifications[].events has AwaitsHook"),
    ),
    (
        "spec.analysis.webhooks[].disableTLS",
        Nothing(
            "certificates are always checked: give one that the agent's image trusts, or call a Service by http",
        ),
    ),
    ("spec.analysis.alerts[].name", Field("`notifications[].name`, with `-` for what is no letter or digit")),
    (
        "spec.analysis.alerts[].severity",
        Field("`notifications[].severity`: `info` is `Info`, `warn` is `Warning`, `error` is `Critical`"),
    ),
    (
        "spec.analysis.alerts[].providerRef",
        Field("`notifications[]`: an AlertProvider is no object of its own, each Release says whom it tells"),
    ),
    (
        "AlertProvider.spec.type",
        Field("`slack`, `teams`, `discord` or `googleChat`; of `rocket` a `webhook` with a template"),
    ),
    (
        "AlertProvider.spec.address",
        Field("`secretRef`: it is secret, so it goes into the Secret `serin-notifications`"),
    ),
    (
        "AlertProvider.spec.secretRef",
        Field("`secretRef`: what it has as `address` goes into the Secret `serin-notifications`"),
    ),
    (
        "AlertProvider.spec.channel",
        OfItself(
            "a webhook has a channel of its own; for a bot of Slack's give the channel's id (slack.channel)",
        ),
    ),
    ("AlertProvider.spec.username", OfItself("a webhook, or a bot, has a name of its own")),
    ("AlertProvider.spec.proxy", Nothing("the agent sends by no proxy")),
];
