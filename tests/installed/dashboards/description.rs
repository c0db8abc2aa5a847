/*!
What is on the dashboards, in the order in which it is read: panels beside one another until a row of 24 columns is full.
*/

/// A dashboard.
pub(super) struct Dashboard {
    /// Its name in addresses, and of its file.
    pub(super) uid: &'static str,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// Whether there is a choice of releases, and whether all is one.
    pub(super) release: Release,
    pub(super) panels: &'static [Panel],
}

/// Of what a dashboard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// `$release` is one of them.
    One,
    /// `$release` may be all of them.
    OneOrAll,
    /// It has no `$release`.
    All,
}

pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) kind: Kind,
    /// As Grafana calls it.
    pub(super) unit: &'static str,
    /// In columns.
    pub(super) width: u32,
    /// With what each is called.
    pub(super) queries: &'static [(&'static str, &'static str)],
}

/// How a panel shows what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Lines,
    Pie,
    /// The last number.
    Number,
    /// What is there, by its name.
    Names,
}

const fn panel(
    (title, kind, unit, width): (&'static str, Kind, &'static str, u32),
    description: &'static str,
    queries: &'static [(&'static str, &'static str)],
) -> Panel {
    Panel { title, description, kind, unit, width, queries }
}

pub(super) const DASHBOARDS: &[Dashboard] = &[
    Dashboard {
        uid: "serin-release",
        title: "Serin / Release",
        description: "One release: what each version gets, and how it does.",
        release: Release::One,
        panels: RELEASE,
    },
    Dashboard {
        uid: "serin-agent",
        title: "Serin / Agent",
        description: "Who leads, and what all releases are about.",
        release: Release::All,
        panels: AGENT,
    },
    Dashboard {
        uid: "serin-data-path",
        title: "Serin / Data path",
        description: "What the filter in the proxies says. Prometheus has to scrape them.",
        release: Release::OneOrAll,
        panels: DATA_PATH,
    },
];

const RELEASE: &[Panel] = &[
    panel(
        ("Phase", Kind::Names, "none", 6),
        "docs/status.md explains the words.",
        &[("max by (phase) (serin_release_phase{release=\"$release\"})", "{{phase}}")],
    ),
    panel(
        ("Set for the canary", Kind::Number, "percentunit", 6),
        "The share of users who are to get it.",
        &[("max(serin_release_weight_ppm{release=\"$release\"}) / 1e6", "set")],
    ),
    panel(
        ("Proxies that lag", Kind::Number, "none", 6),
        "Nobody else is moved while a proxy is bypassed, silent or behind.",
        &[("sum(serin_release_proxies{release=\"$release\", state!=\"current\"})", "lag")],
    ),
    panel(
        ("Held by", Kind::Names, "none", 6),
        "What the release waits for; nothing while it goes on.",
        &[("max by (reason) (serin_release_holds{release=\"$release\"})", "{{reason}}")],
    ),
    panel(
        ("Traffic by version", Kind::Pie, "reqps", 8),
        "Requests that were assigned by chance.",
        &[(
            "sum by (version) (rate(serin_release_requests_total{release=\"$release\"}[$__rate_interval]))",
            "{{version}}",
        )],
    ),
    panel(
        ("Error rate", Kind::Lines, "percentunit", 8),
        "The share of requests that failed.",
        &[(
            "sum by (version) (rate(serin_release_errors_total{release=\"$release\"}[$__rate_interval])) \
             / sum by (version) (rate(serin_release_requests_total{release=\"$release\"}[$__rate_interval]))",
            "{{version}}",
        )],
    ),
    panel(
        ("P99 latency", Kind::Lines, "ms", 8),
        "Until the answer began, as the proxies time it.",
        &[(
            "histogram_quantile(0.99, sum by (le, version) (label_replace(\
             rate(serin_rq_time_bucket{tag=~\"$release/.*\"}[$__rate_interval]), \
             \"version\", \"$1\", \"tag\", \"[^/]+/[^/]+/([^/]+)/.*\")))",
            "{{version}}",
        )],
    ),
    panel(
        ("Requests by version", Kind::Lines, "reqps", 12),
        "All of them, of segments and testers too, as the proxies count.",
        &[(
            "sum by (version) (label_replace(rate(serin_rq{tag=~\"$release/.*\"}[$__rate_interval]), \
             \"version\", \"$1\", \"tag\", \"[^/]+/[^/]+/([^/]+)/.*\"))",
            "{{version}}",
        )],
    ),
    panel(
        ("Answers by class", Kind::Lines, "reqps", 12),
        "By version and by the class of the status.",
        &[(
            "sum by (version, response_code_class) (label_replace(\
             rate(serin_rq{tag=~\"$release/.*\"}[$__rate_interval]), \
             \"version\", \"$1\", \"tag\", \"[^/]+/[^/]+/([^/]+)/.*\"))",
            "{{version}} {{response_code_class}}",
        )],
    ),
    panel(
        ("Share of the canary", Kind::Lines, "percentunit", 12),
        "Set, and of requests. They differ as far as users differ in how often they come.",
        &[
            ("max(serin_release_weight_ppm{release=\"$release\"}) / 1e6", "set"),
            (
                "sum(rate(serin_release_requests_total{release=\"$release\", version=\"canary\"}[$__rate_interval])) \
                 / sum(rate(serin_release_requests_total{release=\"$release\"}[$__rate_interval]))",
                "of requests",
            ),
        ],
    ),
    panel(
        ("Slow requests", Kind::Lines, "percentunit", 12),
        "The share of requests that took longer than the objective.",
        &[(
            "sum by (version) (rate(serin_release_slow_total{release=\"$release\"}[$__rate_interval])) \
             / sum by (version) (rate(serin_release_requests_total{release=\"$release\"}[$__rate_interval]))",
            "{{version}}",
        )],
    ),
    panel(
        ("Evidence against the canary", Kind::Lines, "percentunit", 12),
        "At 100 % it is rolled back.",
        &[(
            "max by (metric) (serin_release_evidence{release=\"$release\", claim=~\"worse|over-limit|out-of-range\"}) \
             / max by (metric) (serin_release_evidence{release=\"$release\", claim=\"needed\"})",
            "{{metric}}",
        )],
    ),
    panel(
        ("What was told", Kind::Lines, "none", 12),
        "Decisions and what the release waited for, as they began.",
        &[(
            "sum by (reason) (increase(serin_release_decisions_total{release=\"$release\"}[$__rate_interval]))",
            "{{reason}}",
        )],
    ),
];

const AGENT: &[Panel] = &[
    panel(
        ("Leader", Kind::Lines, "none", 8),
        "1 for the agent that decides. There has to be one at any time.",
        &[("max by (namespace, pod) (serin_leader)", "{{namespace}}/{{pod}}")],
    ),
    panel(
        ("Versions", Kind::Names, "none", 8),
        "Of the agents that run.",
        &[("count by (version) (serin_build_info)", "{{version}}")],
    ),
    panel(
        ("Releases that are not driven", Kind::Number, "none", 8),
        "Their condition Accepted says why.",
        &[("sum(1 - max by (release) (serin_release_driven))", "not driven")],
    ),
    panel(
        ("Releases by phase", Kind::Lines, "none", 12),
        "docs/status.md explains the words.",
        &[("count by (phase) (max by (release, phase) (serin_release_phase))", "{{phase}}")],
    ),
    panel(
        ("Releases held", Kind::Lines, "none", 12),
        "By what holds them, and by what that waits for.",
        &[(
            "count by (reason, awaits) (max by (release, reason, awaits) (serin_release_holds))",
            "{{reason}} ({{awaits}})",
        )],
    ),
    panel(
        ("Canary's share", Kind::Lines, "percentunit", 12),
        "Set, of each release.",
        &[("max by (release) (serin_release_weight_ppm) / 1e6", "{{release}}")],
    ),
    panel(
        ("Since the last look", Kind::Lines, "s", 12),
        "Of each release. At rest it is looked at every 10 s.",
        &[("time() - max by (release) (serin_last_look_timestamp_seconds)", "{{release}}")],
    ),
    panel(
        ("What was told", Kind::Lines, "none", 12),
        "Of all releases, by reason.",
        &[("sum by (reason) (increase(serin_release_decisions_total[$__rate_interval]))", "{{reason}}")],
    ),
    panel(
        ("Policies handed out", Kind::Lines, "none", 6),
        "Each is one write, or one for each attach point.",
        &[("sum by (release) (increase(serin_release_pushes_total[$__rate_interval]))", "{{release}}")],
    ),
    panel(
        ("Modules missed", Kind::Lines, "none", 6),
        "Requests of proxies for a module that no agent has.",
        &[("sum(increase(serin_modules_missing_total[$__rate_interval]))", "missed")],
    ),
];

const DATA_PATH: &[Panel] = &[
    panel(
        ("Revisions", Kind::Lines, "none", 12),
        "How many proxies run which revision of the policy.",
        &[(
            "count_values by (tag) (\"revision\", serin_revision{tag=~\"$release\"})",
            "{{tag}} {{revision}}",
        )],
    ),
    panel(
        ("Proxies by state", Kind::Lines, "none", 6),
        "As the agent sees them.",
        &[(
            "sum by (state) (max by (release, state) (serin_release_proxies{release=~\"$release\"}))",
            "{{state}}",
        )],
    ),
    panel(
        ("Policies refused", Kind::Lines, "none", 6),
        "By proxies, which keep those that they have.",
        &[("max by (namespace, pod) (serin_refused)", "{{namespace}}/{{pod}}")],
    ),
    panel(
        ("Requests by group", Kind::Lines, "reqps", 12),
        "By cohort, or by what chose the version.",
        &[(
            "sum by (group) (label_replace(rate(serin_rq{tag=~\"$release/.*\"}[$__rate_interval]), \
             \"group\", \"$1\", \"tag\", \"[^/]+/[^/]+/[^/]+/(.*)\"))",
            "{{group}}",
        )],
    ),
    panel(
        ("Latency of all versions", Kind::Lines, "ms", 12),
        "Until the answer began.",
        &[
            (
                "histogram_quantile(0.5, sum by (le) (rate(serin_rq_time_bucket{tag=~\"$release/.*\"}[$__rate_interval])))",
                "p50",
            ),
            (
                "histogram_quantile(0.95, sum by (le) (rate(serin_rq_time_bucket{tag=~\"$release/.*\"}[$__rate_interval])))",
                "p95",
            ),
            (
                "histogram_quantile(0.99, sum by (le) (rate(serin_rq_time_bucket{tag=~\"$release/.*\"}[$__rate_interval])))",
                "p99",
            ),
        ],
    ),
    panel(
        ("What went wrong", Kind::Lines, "reqps", 12),
        "docs/series.md says what each counts.",
        &[
            (
                "sum(rate(serin_rq{tag=~\"$release/.*\", response_code_class=\"5xx\"}[$__rate_interval]))",
                "5xx",
            ),
            ("sum(rate(serin_broken{tag=~\"$release/.*\"}[$__rate_interval]))", "broke off"),
            ("sum(rate(serin_grpc_server_errors{tag=~\"$release/.*\"}[$__rate_interval]))", "gRPC, server"),
            ("sum(rate(serin_grpc_client_errors{tag=~\"$release/.*\"}[$__rate_interval]))", "gRPC, client"),
            ("sum(rate(serin_left{tag=~\"$release/.*\"}[$__rate_interval]))", "caller left"),
            ("sum(rate(serin_slow{tag=~\"$release/.*\"}[$__rate_interval]))", "slow"),
        ],
    ),
    panel(
        ("Waiting", Kind::Lines, "none", 6),
        "Requests that wait for longer than the objective, now.",
        &[("sum(serin_waiting{tag=~\"$release/.*\"} - serin_waited{tag=~\"$release/.*\"})", "waiting")],
    ),
    panel(
        ("New ids", Kind::Lines, "reqps", 6),
        "Callers who were given one.",
        &[("sum(rate(serin_issued{tag=~\"$release/.*\"}[$__rate_interval]))", "issued")],
    ),
];
