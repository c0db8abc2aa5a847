/*!
Answers of Prometheus' query API, read in one pass and never more of them than were asked for.
*/
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What a query gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A number.
    Scalar(f64),
    /// Numbers by labels; maybe none.
    Vector(Vec<Sample>),
}

/// A number and the labels it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The labels, the metric's name included.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

/// The same, in the text it came in.
#[derive(Debug)]
pub(super) struct Read<'b> {
    pub(super) labels: Labels<'b>,
    pub(super) value: f64,
}

impl Read<'_> {
    pub(super) fn to_sample(&self) -> Sample {
        let labels = self.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Sample { labels: labels.collect(), value: self.value }
    }
}

/// The labels of a series, in the order they came.
#[derive(Debug)]
pub(super) struct Labels<'b>(Vec<(Text<'b>, Text<'b>)>);

impl Labels<'_> {
    /// The label's value; empty if there is none, as in PromQL.
    pub(super) fn get(&self, name: &str) -> &str {
        self.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&*name.0, &*value.0))
    }
}

/// A text that is only copied if it has escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

/// What the text of an answer is.
#[derive(Debug)]
pub(super) enum Parsed<'b> {
    Scalar(f64),
    Vector(Vec<Read<'b>>),
    /// A result of another kind.
    Other(String),
    TooMany,
    Failed {
        kind: String,
        message: String,
    },
    /// Not Prometheus' own words.
    Foreign,
}

/// Reads an answer with at most `most` series.
pub(super) fn parse(text: &[u8], most: usize) -> Parsed<'_> {
    match serde_json::from_slice::<Envelope<'_>>(text) {
        Ok(Envelope { status: "success", data: Some(data), .. }) => parse_result(&data, most),
        Ok(Envelope { status: "error", error_type: Some(kind), error, .. }) => {
            Parsed::Failed { kind, message: error.unwrap_or_default() }
        }
        _ => Parsed::Foreign,
    }
}

fn parse_result<'b>(data: &Data<'b>, most: usize) -> Parsed<'b> {
    let text = data.result.get();
    match &*data.result_type {
        "scalar" => serde_json::from_str(text).map_or(Parsed::Foreign, |Value(value)| Parsed::Scalar(value)),
        "vector" => {
            let mut reader = serde_json::Deserializer::from_str(text);
            match reader.deserialize_seq(Bounded { most }) {
                Ok(vector) => vector,
                Err(_) => Parsed::Foreign,
            }
        }
        other => Parsed::Other(other.to_owned()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'b> {
    status: &'b str,
    #[serde(borrow)]
    data: Option<Data<'b>>,
    error_type: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'b> {
    #[serde(borrow)]
    result_type: Cow<'b, str>,
    #[serde(borrow)]
    result: &'b RawValue,
}

/// A number as Prometheus writes it, beside its time: `[1700000000.5, "0.25"]`.
struct Value(f64);

impl<'b> Deserialize<'b> for Value {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        let (_, text): (f64, Text<'b>) = Deserialize::deserialize(deserializer)?;
        text.0.parse().map(Self).map_err(|_| de::Error::custom("no number"))
    }
}

#[derive(Deserialize)]
struct Element<'b> {
    #[serde(borrow)]
    metric: Labels<'b>,
    value: Option<Value>,
}

struct Bounded {
    most: usize,
}

impl<'b> Visitor<'b> for Bounded {
    type Value = Parsed<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector")
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut elements: A) -> Result<Parsed<'b>, A::Error> {
        let mut vector = Vec::new();
        while let Some(Element { metric: labels, value }) = elements.next_element()? {
            // What has no value has a native histogram.
            let Some(Value(value)) = value else { return Ok(Parsed::Other("histogram".to_owned())) };
            if vector.len() == self.most {
                return Ok(Parsed::TooMany);
            }
            vector.push(Read { labels, value });
        }
        Ok(Parsed::Vector(vector))
    }
}

impl<'de: 'b, 'b> Deserialize<'de> for Labels<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Labels<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels<'de>, A::Error> {
                let mut labels = Vec::with_capacity(16);
                while let Some(pair) = map.next_entry()? {
                    labels.push(pair);
                }
                Ok(Labels(labels))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(values: &[&str]) -> String {
        let element = |value: &&str| {
            format!(r#"{{"metric":{{"__name__":"up","a":"\"q\""}},"value":[1700000000.123,"{value}"]}}"#)
        };
        let elements: Vec<String> = values.iter().map(element).collect();
        format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
            elements.join(",")
        )
    }

    #[test]
    fn a_vector_is_read_with_its_labels() {
        let text = vector(&["1", "2.5e3", "+Inf"]);
        let Parsed::Vector(found) = parse(text.as_bytes(), 3) else { panic!("no vector") };
        let values: Vec<f64> = found.iter().map(|read| read.value).collect();
        assert_eq!(values, [1.0, 2500.0, f64::INFINITY]);
        assert_eq!((found[0].labels.get("a"), found[0].labels.get("b")), ("\"q\"", ""));
    }

    #[test]
    fn no_more_series_are_read_than_were_asked_for() {
        assert!(matches!(parse(vector(&["1", "2"]).as_bytes(), 2), Parsed::Vector(_)));
        assert!(matches!(parse(vector(&["1", "2", "3"]).as_bytes(), 2), Parsed::TooMany));
    }

    #[test]
    fn a_scalar_may_be_no_number() {
        let text = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}"#;
        assert!(matches!(parse(text.as_bytes(), 1), Parsed::Scalar(value) if value.is_nan()));
    }

    #[test]
    fn results_of_other_kinds_are_named() {
        let texts = [
            (r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, "matrix"),
            (r#"{"data":{"result":[1,"x"],"resultType":"string"},"status":"success"}"#, "string"),
            (
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#,
                "histogram",
            ),
        ];
        for (text, kind) in texts {
            let Parsed::Other(found) = parse(text.as_bytes(), 1) else { panic!("{text}") };
            assert_eq!(found, kind);
        }
    }

    #[test]
    fn what_is_not_prometheus_is_not_taken_for_it() {
        for text in ["", "<html>", "{}", "[]", r#"{"status":"success"}"#, r#"{"status":"error"}"#] {
            assert!(matches!(parse(text.as_bytes(), 1), Parsed::Foreign), "{text}");
        }
    }
}
