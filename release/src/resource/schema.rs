/*!
What the API server makes of a field whose words it cannot know from the field's own type.

These types hold nothing: a field names one with `#[schemars(with = "…")]`. Where a rule can say what to write instead,
it is a rule with a message; a bare `pattern` only shows people a regular expression.
*/
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

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
    Percentage =
        number_or_text(r"^ *[0-9]+(\.[0-9]+)? *%?$", &json!({"minimum": 0, "maximum": 100}))
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
            "rule": r"self.matches('^[0-9]+([.,][0-9]+)? ?[a-zµμ]+(,? ?[0-9]+([.,][0-9]+)? ?[a-zµμ]+)*$')",
            "message": "write a duration such as 500ms, 2m, 1h30m or 7d",
        }],
    })
);

words!(
    /// A name that is safe in host names, headers and metric labels alike.
    Label = json_schema!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "message": LABEL,
        }],
    })
);

/// What to write where a label is wanted.
pub const LABEL: &str = "give a name of 1 to 63 lower-case letters, digits and -, with no - at its ends";

words!(
    /// `mesh`, or a Gateway.
    GatewayName = json_schema!({
        "type": "string",
        "maxLength": 127,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "message": "write namespace/name of an Istio Gateway, name for one in the Release's namespace, or mesh",
        }],
    })
);

words!(
    /// The name of a header, as HTTP/2 writes it.
    HeaderName = json_schema!({
        "type": "string",
        "maxLength": 128,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[-a-z0-9_.]+$')",
            "message": "use lower-case letters, digits, -, _ and ., such as x-canary",
        }],
    })
);

words!(
    /// Fields that are Istio's, and are handed on as they are.
    Istios = json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
);

words!(
    /// `{header: x}`, `{cookie: x}`, `{baggage: x}`, or the bare word `requestId`. The pattern is for texts. An object has
    /// exactly one key, and one of these; a list, a number and a truth value there cannot be.
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
                "maxLength": 128,
                "description": "A request header that something trustworthy in front has set, such as a user's id or a claim of a verified token. In lower case.",
            },
            "cookie": {
                "type": "string",
                "maxLength": 128,
                "description": "A cookie, Serin's own or the application's.",
            },
            "baggage": {
                "type": "string",
                "maxLength": 128,
                "description": "A member of W3C baggage, set by a proxy nearer to the edge. Do not list it where clients come in from outside: they could set it too.",
            },
        },
    })
);

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
