/*!
What the fields of a Release must be, each spelled once: the bounds, and what to write instead. The schema that an API
server has and the checks here both take them from this room; what the filter's reader must agree to stands in
[`serin_policy::rule`].
*/
pub mod hook;
pub mod mail;
pub mod mirror;
pub mod request;
pub mod routes;
pub mod versions;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serin_policy::cookie::CookieSpec;
use serin_policy::rule::Text;

use crate::duration;

/// What a version is called: it stands in labels of pods and of metrics.
pub const VERSION: Text = Text::of(
    &[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9', b'.'..=b'.', b'_'..=b'_', b'-'..=b'-'],
    1..=63,
    "name the version in 1 to 63 letters, digits, ., _ and -, such as \"1.5.0\"",
);

/// The name of a metric.
pub const METRIC_NAME: Text =
    Text::of(&[0x00..=0xFF], 1..=63, "give the metric a name of 1 to 63 characters");

/// A query.
pub const QUERY: Text = Text::of(&[0x00..=0xFF], 1..=4096, "write PromQL, at most 4096 characters of it");

/// A label of Istio's metrics. It stands in PromQL as it is.
pub const METRIC_LABEL: Text = Text::of(
    &[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9', b'_'..=b'_'],
    1..=63,
    "name a label of istio_requests_total, such as destination_version",
)
.begin(&[b'a'..=b'z', b'A'..=b'Z', b'_'..=b'_']);

/// The name of a label or an annotation, or its beginning.
pub const KEY_PATTERN: Text = Text::of(
    &[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9', b'-'..=b'-', b'_'..=b'_', b'.'..=b'.', b'/'..=b'/', b'*'..=b'*'],
    1..=317,
    "give the name of a label or an annotation, or its beginning with a * at the end, such as checksum/*",
)
.begin(&[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9']);

/// The name of an event.
pub const EVENT: Text = Text::of(
    &[b'a'..=b'z', b'A'..=b'Z'],
    1..=63,
    "name an event of docs/status.md, such as RolledBack, or leave events out to go by severity",
)
.begin(&[b'A'..=b'Z']);

/// The name of an object whose name need be no label.
pub const OBJECT_NAME: Text = Text::of(
    &[b'a'..=b'z', b'0'..=b'9', b'-'..=b'-', b'.'..=b'.'],
    1..=253,
    "give a name of lower-case letters, digits, - and ., such as serin-notifications",
)
.begin(&[b'a'..=b'z', b'0'..=b'9'])
.end(&[b'a'..=b'z', b'0'..=b'9']);

/// A key of a Secret.
pub const SECRET_KEY: Text = Text::of(
    &[b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9', b'.'..=b'.', b'_'..=b'_', b'-'..=b'-'],
    1..=253,
    "name a key of the Secret: letters, digits, ., _ and -, such as slack",
);

/// A channel of Slack, by its id.
pub const SLACK_CHANNEL: Text = Text::of(
    &[b'A'..=b'Z', b'0'..=b'9'],
    1..=63,
    "give the channel's id, such as C024BE91L: it stands at the end of its details, and stays when it is renamed",
);

/// What is made of a message.
pub const TEMPLATE: Text = Text::of(&[0x00..=0xFF], 1..=16_384, "write JSON, at most 16384 characters of it");

/// The most people who have to approve.
pub const MAX_APPROVALS: u32 = 10;
/// How long people have to approve.
pub const APPROVAL: Span = Span::of(Duration::from_secs(1), Duration::from_hours(31 * 24));
/// What to write where a time is over that never began.
pub const NO_TIMEOUT: &str = "give approval.timeout, such as 24h, or leave onTimeout out";
/// What to write where several have to approve and nobody can tell them apart.
pub const APPROVERS_NEED_A_CLUSTER: &str =
    "give 1, or leave it out: only in a cluster can several people be told apart";

/// A line of cron.
pub const CRON: Text = Text::of(
    &[
        b'0'..=b'9',
        b'A'..=b'Z',
        b'a'..=b'z',
        b' '..=b' ',
        b'*'..=b'*',
        b','..=b',',
        b'-'..=b'-',
        b'/'..=b'/',
        b'#'..=b'#',
    ],
    1..=128,
    "write minute, hour, day of the month, month and day of the week, such as 0 22 * * 1-5",
);
/// The name of a time zone.
pub const TIME_ZONE: Text = Text::of(
    &[b'A'..=b'Z', b'a'..=b'z', b'0'..=b'9', b'_'..=b'_', b'+'..=b'+', b'-'..=b'-', b'/'..=b'/'],
    1..=64,
    "give the IANA name of a time zone, such as Europe/Berlin or UTC",
)
.begin(&[b'A'..=b'Z', b'a'..=b'z']);
/// How long a window lasts.
pub const WINDOW: Span = Span::of(Duration::from_mins(1), Duration::from_hours(31 * 24));
/// The most windows.
pub const MAX_WINDOWS: usize = 16;
/// What to write where two windows have one name.
pub const OTHER_WINDOW: &str = "give each window a name of its own";

/// The most who are told of a release.
pub const MAX_NOTIFICATIONS: usize = 16;
/// The most events that are named.
pub const MAX_EVENTS: usize = 64;
/// What to write where a notification has no channel, or several.
pub const ONE_CHANNEL: &str = "give one channel: slack, teams, discord, googleChat, webhook, cloudEvents, alertmanager, \
                               pagerDuty, grafana, github or email";
/// What to write where two notifications have one name.
pub const OTHER_NOTIFICATION: &str = "give each notification a name of its own";
/// What to write where there is no address.
pub const NO_ADDRESS: &str = "give the url, or a secretRef with the address";
/// What to write where Grafana lacks something.
pub const GRAFANA: &str =
    "give grafana a url, such as https://grafana.example.com, and a secretRef with a token";

/// An address over HTTP without a user in it, for `matches`.
pub const ADDRESS_PATTERN: &str = "^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[!-~]*)?$";
/// What to write where it is none.
pub const ADDRESS: &str =
    "give an address with http or https and a host in lower case, such as https://hooks.example.com/serin";

/// Whether `text` is an address as [`ADDRESS_PATTERN`] has it.
pub fn is_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_end =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_inner = |byte: u8| is_end(Some(&byte)) || byte == b'.' || byte == b'-';
    is_end(host.as_bytes().first())
        && is_end(host.as_bytes().last())
        && host.bytes().all(is_inner)
        && port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|it| it.is_ascii_digit()))
        && path.bytes().all(|byte| byte.is_ascii_graphic())
        && text.len() <= LONGEST_ADDRESS
}

/// The longest address.
pub const LONGEST_ADDRESS: usize = 2048;

/// A repository, for `matches`.
pub const REPOSITORY_PATTERN: &str = "^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$";
/// What to write where it is none.
pub const REPOSITORY: &str = "write owner/name, such as example/shop";

/// Whether `text` is a repository as [`REPOSITORY_PATTERN`] has it.
pub fn is_repository(text: &str) -> bool {
    let is_owner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_name = |byte: u8| is_owner(byte) || byte == b'.' || byte == b'_';
    text.split_once('/').is_some_and(|(owner, name)| {
        (1..=39).contains(&owner.len())
            && (1..=100).contains(&name.len())
            && owner.bytes().all(is_owner)
            && name.bytes().all(is_name)
    })
}

/// What to write where a Gateway is wanted: one label, or two with a slash between them.
pub const GATEWAY: &str =
    "write namespace/name of an Istio Gateway, name for one in the Release's namespace, or mesh";

/// The most Gateways.
pub const MAX_GATEWAYS: usize = 32;
/// The most namespaces of callers.
pub const MAX_MESH_NAMESPACES: usize = 64;
/// The most patterns of labels or annotations.
pub const MAX_PATTERNS: usize = 32;
/// The most hosts. The service's own name comes on top.
pub const MAX_HOSTS: usize = 64;
/// The most metrics.
pub const MAX_METRICS: usize = 32;
/// The most steps on the way back.
pub const MAX_STEPS_BACK: usize = 10;
/// What to write where steps on the way back make no sense.
pub const STEPS_BACK: &str =
    "list shares in falling order, each below the one before and above 0, or leave it out for 25 and 10";
/// What to write where a metric is grave, or none.
pub const GENTLE_METRIC: &str = "list request-duration, latency-tail or a metric of your own with a query: whatever else is wrong, everybody goes back at once";
/// How long a step on the way back lasts.
pub const STEP_BACK: Span = Span::of(Duration::from_secs(1), Duration::from_hours(1));

/// How long requests are tried again after a rollback.
pub const RETRY_FOR: Span = Span::of(Duration::from_secs(1), Duration::from_hours(1));
/// How long each try may take.
pub const PER_TRY: Span = Span::of(Duration::from_millis(1), Duration::from_hours(1));
/// The longest list of conditions for that: all of them, and room for spaces.
pub const MAX_CONDITIONS: usize = 256;

/// The kind of what runs a version.
pub const DEPLOYMENT: &str = "Deployment";
/// The kinds of what scales it: Kubernetes' own and KEDA's.
pub const AUTOSCALERS: [&str; 2] = ["HorizontalPodAutoscaler", "ScaledObject"];
/// What to write where it is none of them.
pub const AUTOSCALER: &str = "write HorizontalPodAutoscaler or ScaledObject";

/// How often proxies are read.
pub const INTERVAL: Span = Span::of(Duration::from_millis(100), Duration::from_mins(5));
/// The baseline, the warm-up, and whatever else may be left out but is not for ever.
pub const UP_TO_A_DAY: Span = Span::of(Duration::ZERO, Duration::from_hours(24));
/// How long a run may wait for the canary's pods.
pub const DEADLINE: Span = Span::of(Duration::from_secs(10), Duration::from_hours(7 * 24));
/// How long the old version of a blue-green release is kept.
pub const KEEP: Span = Span::of(Duration::ZERO, Duration::from_hours(7 * 24));
/// How long the agent may be silent: so long that clocks which differ by a minute make no difference.
pub const AGENT_LOST: Span = Span::of(Duration::from_mins(3), Duration::from_hours(24));
/// At least so many looks fall into that time, so that one of them comes before it is over.
pub const LOOKS_UNTIL_LOST: u32 = 3;
/// What to write where fewer do.
pub const LOST_TOO_SOON: &str = "give at least three times analysis.interval, at which the agent is heard of";
/// The time between two readings of a query.
pub const READING: Span = Span::of(Duration::from_secs(1), Duration::from_hours(1));
/// A request that takes longer is slow.
pub const OBJECTIVE: Span = Span::of(Duration::from_millis(1), Duration::from_hours(24));
/// How long browsers keep the cookie.
pub const COOKIE_AGE: Span =
    Span::of(Duration::from_secs(1), Duration::from_secs(CookieSpec::MAX_AGE_SECONDS as u64));
/// How long a step lasts at least.
pub const PAUSE: Span = Span {
    least: Duration::from_millis(1),
    most: Duration::MAX,
    hint: Some("give more than 0s, or leave the pause out to go on as soon as the analysis passes"),
};

/// How much later a request is sent on, by a fault.
pub const FIXED_DELAY: Span = Span::of(Duration::from_millis(1), Duration::from_hours(1));
/// The HTTP status that a fault answers with: those that Istio allows.
pub const ABORT_STATUS: RangeInclusive<u16> = 200..=599;
/// What to write where it is another.
pub const NO_STATUS: &str = "give an HTTP status from 200 to 599, such as 503";
/// The most faults: each is up to two routes.
pub const MAX_FAULTS: usize = 8;
/// The most characters of a moment in time.
pub const MOST_OF_TIME: usize = 63;
/// What to write where a moment is no moment.
pub const UNTIL: &str = "write when it ends, with its offset from UTC, such as 2026-12-01T18:00:00Z";
/// What to write where a fault is none.
pub const NO_FAULT: &str = "give a delay, such as {fixedDelay: 5s, percentage: 10}, or an abort";
/// What to write where an answer is not one of the two kinds.
pub const ONE_ABORT: &str = "give either an httpStatus or a grpcStatus";
/// What to write where more requests go wrong than there are.
pub const MORE_THAN_ALL: &str =
    "give at most what delay leaves of 100%: a request is delayed or ended, not both";
/// What to write where nobody may write the routes that faults take.
pub const FAULTS_NEED_MANAGED: &str = "leave the faults out, or let routing.mode be Managed: each takes a route of its own, and with \
                                       Verify Serin writes none";

/// How many times as much: of stable's value, or of one bad request.
pub const FACTOR: RangeInclusive<f64> = 1.0..=1000.0;

/// How often a good canary may be taken back, in ppm.
pub const FALSE_ROLLBACK_PPM: RangeInclusive<u32> = 1..=500_000;
/// What to write where that is not so.
pub const FALSE_ROLLBACK: &str = "give more than 0% and at most 50%, such as 1%";

/// What to write where a pause is named and not given.
pub const NO_PAUSE: &str = "write {duration: 5m}, or {} to wait for a person, or leave pause out to go on as soon as the analysis passes";
/// What to write where a pause's duration is named and not given.
pub const NO_DURATION: &str = "write a duration such as 5m, or leave it out to wait for a person";
/// What to write where a token is named and not given.
pub const NO_TOKEN: &str =
    "give the token's SHA-256 as 64 hexadecimal digits, or leave it out to let anybody use the override";
/// What to write where a step gets nobody.
pub const STEP: &str = "give more than 0%: a step must reach somebody";
/// What to write where the port is 0.
pub const PORT: &str = "give the service's port, 1 to 65535";
/// What to write where no request at all is enough.
pub const MIN_REQUESTS: &str = "give at least 1: without requests there is no evidence";
/// What to write where two strategies are given.
pub const ONE_STRATEGY: &str = "leave one of the two out: a release is a canary or blue-green";
/// What to write where versions are to change places and nobody may write the routes.
pub const SWAP_NEEDS_MANAGED: &str = "promotion.mode: write Copy or Wait, or let routing.mode be Managed: Swap changes where \
                                       the routes lead, and with Verify Serin writes none";
/// What to write where versions are to change places and each has a Service of its own.
pub const SWAP_NEEDS_SUBSETS: &str = "promotion.mode: write Copy or Wait, or leave out spec.canary.service: with Swap the canary's \
                                       pods become stable, and spec.service would go on to select the old ones";
/// What to write where a configuration is tracked that stable would not be given.
pub const TRACKING_NEEDS_COPY: &str = "configTracking: write promotion.mode Copy, or leave it out: with Swap and Wait Serin gives stable no configuration";
/// What to write where the canary's Service is stable's.
pub const OTHER_SERVICE: &str =
    "name another Service than spec.service and stable's: this one has the canary's pods alone";
/// What to write where only stable has a Service of its own.
pub const SERVICE_OF_EACH: &str = "name the canary's in spec.canary.service, or leave stable's out";
/// What to write where both versions are in one Deployment.
pub const OTHER_DEPLOYMENT: &str =
    "name another Deployment than stable's: each version runs in one of its own";
/// What to write where there is no Gateway.
pub const GATEWAYS: &str = "give at least one Gateway as namespace/name, or leave it out for [mesh]";
/// What to write where the namespaces of callers mean nothing.
pub const MESH_NAMESPACES: &str = "add mesh to spec.routing.gateways, or leave the namespaces out";
/// What to write where a Gateway has no hosts.
pub const HOSTS: &str =
    "give the hosts by which clients reach the service through the Gateway, such as [shop.example.com]";
/// What to write where a preview host is one of the users'.
pub const PREVIEW_HOST: &str =
    "give a host that is not among spec.routing.hosts: whoever comes by it gets the new version";
/// What to write where a Prometheus is needed.
pub const PROMETHEUS: &str =
    "write where it is, such as {address: \"http://prometheus:9090\"}: the source or a metric needs it";
/// What to write where a metric is neither built in nor has a query.
pub const BUILT_IN: &str = "write one that is built in (request-success-rate, request-duration, latency-tail, route-errors, \
     client-errors, client-aborts, traffic-share), or give the metric a query";
/// What to write where a metric with a query has the name of one that is built in.
pub const OWN_NAME: &str = "give a metric with a query a name of its own";
/// What to write where a metric has a query and a template.
pub const ONE_QUERY: &str = "leave it out, or leave templateRef out: a metric has one query";
/// What to write where a template is not shared with a namespace.
pub const SHARED_WITH: &str = "write a namespace, or \"*\" for all of them";
/// The most namespaces that a template is shared with by name.
pub const MAX_SHARED_WITH: usize = 64;
/// What to write where an objective means nothing.
pub const NO_OBJECTIVE: &str = "leave it out: an objective belongs to request-duration";
/// What to write where a metric has no limit.
pub const NO_LIMIT: &str = "leave it out: this metric is only compared with stable, see compare";
/// What to write where a metric with a query has no good values.
pub const WHAT_IS_GOOD: &str = "say what is good: thresholdRange: {min, max}, or compare: {maxRatio: 1.5}";

/// What to write where a success range means nothing.
pub const NO_SUCCESS_RANGE: &str =
    "leave it out: only a metric with a query has one, those built in go on when their tests allow it";

/// A time with bounds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    least: Duration,
    most: Duration,
    hint: Option<&'static str>,
}

impl Span {
    const fn of(least: Duration, most: Duration) -> Self {
        Self { least, most, hint: None }
    }

    /// The shortest time.
    pub const fn least(&self) -> Duration {
        self.least
    }

    /// Whether `time` is within the bounds.
    ///
    /// # Errors
    /// What to write instead.
    pub fn check(&self, time: Duration) -> Result<Duration, String> {
        if (self.least..=self.most).contains(&time) {
            return Ok(time);
        }
        Err(self.hint.map_or_else(|| format!("give {self}"), str::to_owned))
    }

    /// Reads a time.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(&self, text: &str) -> Result<Duration, String> {
        self.check(duration::parse(text)?)
    }
}

impl fmt::Display for Span {
    /// `100ms to 5m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", spelled(self.least), spelled(self.most))
    }
}

/// A time as people write it, in the largest unit that has no fraction. One day is 24 hours to most people.
fn spelled(time: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let seconds = time.as_secs();
    if time.subsec_nanos() != 0 {
        return format!("{}ms", time.as_millis());
    }
    let fits = |&(unit, name): &(u64, &str)| {
        seconds > 0 && seconds.is_multiple_of(unit) && (name != "d" || seconds > unit)
    };
    let unit = UNITS.into_iter().find(fits);
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}
