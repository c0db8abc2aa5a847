/*!
What the API server makes of a field whose words it cannot know from the field's own type.

These types hold nothing: a field names one with `#[schemars(with = "…")]`. Where a rule can say what to write instead,
it is a rule with a message; a bare `pattern` only shows people a regular expression.
*/
use std::borrow::Cow;
use std::fmt::Display;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use serin_policy::policy::{OWN_HEADER, STRUCTURAL_HEADERS};
use serin_policy::retries::{CONDITIONS, GRPC_CONDITIONS, RetriesSpec};
use serin_policy::rule::{self, Text};

use crate::rule::request;
use crate::{Percent, duration, rule as own};

/// A type with this name and this schema, written where it is used.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident = $schema:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

words!(
    /// `25`, `0.1` or `"0.1%"`. A structural schema has no type that is a number or a text, so there is none here: the
    /// limits are for numbers, the pattern for texts, and each leaves the other alone.
    Percentage = number_or_text(Percent::PATTERN, &json!({"minimum": 0, "maximum": 100}))
);

words!(
    /// A number in a unit that only the metric knows; a percentage for those that are built in.
    Quantity =
        number_or_text(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)? *%?$", &json!({}))
);

words!(
    /// What `duration` reads, and what it can say more of, such as `1 month`.
    Duration = json_schema!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [{
            "rule": format!("self.matches('{}')", duration::PATTERN),
            "message": duration::HINT,
        }],
    })
);

words!(
    /// A name that is safe in host names, headers and metric labels alike.
    Label = text(&rule::LABEL)
);

words!(
    /// The name of a label or an annotation, or its beginning.
    KeyPattern = text(&own::KEY_PATTERN)
);

words!(
    /// What a version is called.
    VersionName = text(&own::VERSION)
);

words!(
    /// The name of a metric.
    MetricName = text(&own::METRIC_NAME)
);

words!(
    /// PromQL.
    Query = text(&own::QUERY)
);

words!(
    /// The name of a label of Istio's metrics.
    MetricLabel = text(&own::METRIC_LABEL)
);

words!(
    /// `mesh`, or a Gateway.
    GatewayName = json_schema!({
        "type": "string",
        "maxLength": 2 * rule::LABEL.most() + 1,
        "x-kubernetes-validations": [{
            "rule": format!("self.matches('^({label}/)?{label}$')", label = rule::LABEL.expression()),
            "message": own::GATEWAY,
        }],
    })
);

words!(
    /// A namespace, or all of them.
    Namespaces = json_schema!({
        "type": "string",
        "maxLength": rule::LABEL.most(),
        "x-kubernetes-validations": [{
            "rule": format!("self == '*' || {}", rule::LABEL.cel("self")),
            "message": own::SHARED_WITH,
        }],
    })
);

words!(
    /// The name of a header, as HTTP/2 writes it.
    HeaderName = text(&rule::HEADER)
);

words!(
    /// The name of a header that HTTP itself does not use.
    OwnHeaderName = json_schema!({
        "type": "string",
        "maxLength": rule::HEADER.most(),
        "x-kubernetes-validations": [
            rule::HEADER.validation(),
            {"rule": format!("!(self in {STRUCTURAL_HEADERS:?})"), "message": OWN_HEADER},
        ],
    })
);

words!(
    /// Conditions on which a proxy tries a request again.
    RetryConditions = {
        let known = [&CONDITIONS[..], &GRPC_CONDITIONS].concat().join("|");
        json_schema!({
            "type": "string",
            "maxLength": own::MAX_CONDITIONS,
            "x-kubernetes-validations": [{
                "rule": format!("self.matches('^ *({known}) *(, *({known}) *)*$')"),
                "message": RetriesSpec::CONDITION,
            }],
        })
    }
);

words!(
    /// The SHA-256 of a token.
    TokenSha256 = text(&rule::TOKEN_SHA256)
);

words!(
    /// The key of a release's links.
    LinkKey = text(&rule::LINK_KEY)
);

words!(
    /// The name of a parameter in an address's query.
    QueryName = text(&rule::TOKEN)
);

words!(
    /// The name of a cookie.
    CookieName = text(&rule::TOKEN)
);

words!(
    /// A cookie's `Path`.
    CookiePath = text(&rule::COOKIE_PATH)
);

words!(
    /// A cookie's `Domain`.
    CookieDomain = text(&rule::COOKIE_DOMAIN)
);

words!(
    /// The prefix of paths.
    PathPrefix = text(&rule::PATH_PREFIX)
);

words!(
    /// Fields that are Istio's, and are handed on as they are.
    Istios = json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
);

words!(
    /// `{header: x}`, `{cookie: x}`, `{baggage: x}`, or the bare word `requestId`. The pattern is for texts. An object has
    /// exactly one key, and one of these; a list, a number and a truth value there cannot be. The names have patterns, for
    /// the API server looks at no rule below a field without a type.
    Source = json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        "pattern": "^requestId$",
        "maxProperties": 1,
        "anyOf": [{"required": ["header"]}, {"required": ["cookie"]}, {"required": ["baggage"]}],
        "maxItems": 0,
        "maximum": 0,
        "minimum": 1,
        "not": {"enum": [true, false, []]},
        "properties": {
            "header": {
                "type": "string",
                "maxLength": rule::HEADER.most(),
                "pattern": rule::HEADER.pattern(),
                "description": "A request header that something trustworthy in front has set, such as a user's id or a claim of a verified token. In lower case.",
            },
            "cookie": {
                "type": "string",
                "maxLength": rule::TOKEN.most(),
                "pattern": rule::TOKEN.pattern(),
                "description": "A cookie, Serin's own or the application's.",
            },
            "baggage": {
                "type": "string",
                "maxLength": rule::TOKEN.most(),
                "pattern": rule::TOKEN.pattern(),
                "description": "A member of W3C baggage, set by a proxy nearer to the edge. Do not list it where clients come in from outside: they could set it too.",
            },
        },
    })
);

words!(
    /// The path of a request.
    RequestPath = text(&request::PATH)
);

words!(
    /// A request's method.
    Method = text(&rule::METHOD)
);

words!(
    /// The name of a header that is sent along.
    RequestHeader = json_schema!({
        "type": "string",
        "maxLength": rule::HEADER.most(),
        "x-kubernetes-validations": [{
            "rule": format!("{} && !(self in {:?})", rule::HEADER.cel("self"), request::MADE_HEADERS),
            "message": request::HEADER_NAME,
        }],
    })
);

words!(
    /// The value of a header.
    HeaderText = text(&request::HEADER_TEXT)
);

words!(
    /// A JSON pointer.
    JsonPath = text(&request::JSON_PATH)
);

words!(
    /// A line of cron.
    Cron = text(&own::CRON)
);

words!(
    /// The name of a time zone.
    TimeZone = text(&own::TIME_ZONE)
);

words!(
    /// The name of an event.
    EventName = text(&own::EVENT)
);

words!(
    /// The name of an object.
    ObjectName = text(&own::OBJECT_NAME)
);

words!(
    /// A key of a Secret.
    SecretKeyName = text(&own::SECRET_KEY)
);

words!(
    /// The id of a channel.
    SlackChannel = text(&own::SLACK_CHANNEL)
);

words!(
    /// What is made of a message.
    Template = text(&own::TEMPLATE)
);

words!(
    /// An address.
    Address = pattern(own::ADDRESS_PATTERN, own::LONGEST_ADDRESS, own::ADDRESS)
);

words!(
    /// A repository on GitHub.
    Repository = pattern(own::REPOSITORY_PATTERN, 140, own::REPOSITORY)
);

/// A text that matches a pattern.
fn pattern(pattern: &str, most: usize, hint: &str) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": most,
        "x-kubernetes-validations": [{"rule": format!("self.matches('{pattern}')"), "message": hint}],
    })
}

/// A text, with its rule.
fn text(rule: &Text) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": rule.most(),
        "x-kubernetes-validations": [rule.validation()],
    })
}

/// A rule of several fields, of which `field` is the one to change.
pub(super) fn validation(field: &str, cel: impl Display, hint: &str) -> Value {
    json!({"rule": cel.to_string(), "message": hint, "fieldPath": field})
}

fn number_or_text(pattern: &str, limits: &Value) -> Schema {
    let mut schema = json_schema!({
        "x-kubernetes-preserve-unknown-fields": true,
        "pattern": pattern,
        // Neither a truth value, nor a list, nor an object.
        "not": {"enum": [true, false, [], {}]},
        "maxItems": 0,
        "maxProperties": 0,
    });
    for (keyword, limit) in limits.as_object().into_iter().flatten() {
        schema.insert(keyword.clone(), limit.clone());
    }
    schema
}
