/*!
Answers of Prometheus' query API, read in one pass: each series is handed on as it is met, and the memory for its
labels is used again for the next. So a thousand releases take milliseconds.
*/
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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

/// The labels of a series.
#[derive(Debug, Default)]
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

impl From<&Labels<'_>> for BTreeMap<String, String> {
    fn from(labels: &Labels<'_>) -> Self {
        labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// A text that is only copied if it has escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Text<'b>(#[serde(borrow)] Cow<'b, str>);

/// What the text of an answer is.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    Scalar(f64),
    /// All of the series have been handed on.
    Vector,
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

/// Reads an answer. `each` is given its series, at most `most` of them.
pub(super) fn parse<'b>(text: &'b [u8], most: usize, each: impl FnMut(&Labels<'b>, f64)) -> Parsed {
    let mut reader = Reader { most, each, result: None, labels: Labels::default() };
    let envelope = reader.read(text);
    match (envelope, reader.result) {
        // What ended the reading is worth more than that it ended.
        (_, Some(Parsed::TooMany)) => Parsed::TooMany,
        (Ok(Envelope { status, .. }), Some(result)) if status == "success" => result,
        (Ok(Envelope { status, kind: Some(kind), message }), _) if status == "error" => {
            Parsed::Failed { kind, message: message.unwrap_or_default() }
        }
        _ => Parsed::Foreign,
    }
}

/// What stands around a result.
#[derive(Default)]
struct Envelope {
    status: String,
    kind: Option<String>,
    message: Option<String>,
}

struct Reader<'b, F> {
    most: usize,
    each: F,
    result: Option<Parsed>,
    labels: Labels<'b>,
}

impl<'b, F: FnMut(&Labels<'b>, f64)> Reader<'b, F> {
    fn read(&mut self, text: &'b [u8]) -> serde_json::Result<Envelope> {
        let mut json = serde_json::Deserializer::from_slice(text);
        let envelope = json.deserialize_map(InEnvelope(self))?;
        json.end()?;
        Ok(envelope)
    }
}

struct InEnvelope<'r, 'b, F>(&'r mut Reader<'b, F>);

impl<'b, F: FnMut(&Labels<'b>, f64)> Visitor<'b> for InEnvelope<'_, 'b, F> {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Envelope, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "status" => envelope.status = map.next_value()?,
                "errorType" => envelope.kind = map.next_value()?,
                "error" => envelope.message = map.next_value()?,
                "data" => map.next_value_seed(InData(self.0))?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(envelope)
    }
}

struct InData<'r, 'b, F>(&'r mut Reader<'b, F>);

impl<'b, F: FnMut(&Labels<'b>, f64)> DeserializeSeed<'b> for InData<'_, 'b, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b, F: FnMut(&Labels<'b>, f64)> Visitor<'b> for InData<'_, 'b, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data")
    }

    /// There is none beside an error.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        let mut kind: Option<String> = None;
        let mut early: Option<&'b RawValue> = None;
        while let Some(Text(name)) = map.next_key()? {
            match (&*name, &kind) {
                ("resultType", _) => kind = Some(map.next_value()?),
                ("result", Some(kind)) => map.next_value_seed(InResult { kind, reader: self.0 })?,
                // Prometheus says the kind first. Who rewrites its answers may not.
                ("result", None) => early = Some(map.next_value()?),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        if let (Some(kind), Some(early)) = (kind, early) {
            let seed = InResult { kind: &kind, reader: self.0 };
            seed.deserialize(early).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

struct InResult<'r, 'b, F> {
    kind: &'r str,
    reader: &'r mut Reader<'b, F>,
}

impl<'b, F: FnMut(&Labels<'b>, f64)> DeserializeSeed<'b> for InResult<'_, 'b, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        let result = match self.kind {
            "vector" => return deserializer.deserialize_seq(self),
            "scalar" => {
                let Value(value) = Value::deserialize(deserializer)?;
                Parsed::Scalar(value)
            }
            other => {
                IgnoredAny::deserialize(deserializer)?;
                Parsed::Other(other.to_owned())
            }
        };
        self.reader.result = Some(result);
        Ok(())
    }
}

impl<'b, F: FnMut(&Labels<'b>, f64)> Visitor<'b> for InResult<'_, 'b, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vector")
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut elements: A) -> Result<(), A::Error> {
        let reader = self.reader;
        let mut count = 0;
        while let Some(value) = elements.next_element_seed(InElement(&mut reader.labels))? {
            let Some(Value(value)) = value else {
                // What has no value has a native histogram.
                reader.result = Some(Parsed::Other("histogram".to_owned()));
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(());
            };
            if count == reader.most {
                reader.result = Some(Parsed::TooMany);
                return Err(de::Error::custom("too many series"));
            }
            count += 1;
            (reader.each)(&reader.labels, value);
        }
        reader.result = Some(Parsed::Vector);
        Ok(())
    }
}

/// A number as Prometheus writes it, beside its time: `[1700000000.5, "0.25"]`.
struct Value(f64);

impl<'b> Deserialize<'b> for Value {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        let (IgnoredAny, Text(text)) = Deserialize::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| de::Error::custom("no number"))
    }
}

struct InElement<'r, 'b>(&'r mut Labels<'b>);

impl<'b> DeserializeSeed<'b> for InElement<'_, 'b> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'b> Visitor<'b> for InElement<'_, 'b> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an element")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        let mut value = None;
        self.0.0.clear();
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "metric" => map.next_value_seed(InLabels(self.0))?,
                "value" => value = Some(map.next_value()?),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(value)
    }
}

struct InLabels<'r, 'b>(&'r mut Labels<'b>);

impl<'b> DeserializeSeed<'b> for InLabels<'_, 'b> {
    type Value = ();

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'b> Visitor<'b> for InLabels<'_, 'b> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(pair) = map.next_entry()? {
            self.0.0.push(pair);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `text`, of which at most `most` series are taken.
    fn read(text: &str, most: usize) -> (Parsed, Vec<Sample>) {
        let mut series = Vec::new();
        let parsed = parse(text.as_bytes(), most, |labels, value| {
            series.push(Sample { labels: labels.into(), value });
        });
        (parsed, series)
    }

    fn vector(values: &[&str]) -> String {
        let element = |value: &&str| {
            format!(r#"{{"metric":{{"__name__":"up","a":"\"q\""}},"value":[1700000000.123,"{value}"]}}"#)
        };
        let elements = values.iter().map(element).collect::<Vec<_>>().join(",");
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{elements}]}}}}"#)
    }

    #[test]
    fn a_vector_is_read_with_its_labels() {
        let (parsed, series) = read(&vector(&["1", "2.5e3", "+Inf"]), 3);
        assert_eq!(parsed, Parsed::Vector);
        assert_eq!(series.iter().map(|one| one.value).collect::<Vec<_>>(), [1.0, 2500.0, f64::INFINITY]);
        for one in series {
            assert_eq!(
                one.labels,
                [("__name__", "up"), ("a", "\"q\"")].map(|(a, b)| (a.into(), b.into())).into()
            );
        }
    }

    #[test]
    fn no_more_series_are_read_than_were_asked_for() {
        for (values, expected) in [
            (&["1", "2"][..], Parsed::Vector),
            (&["1", "2", "3"], Parsed::TooMany),
            (&["1", "2", "3", "4", "5"], Parsed::TooMany),
        ] {
            let (parsed, series) = read(&vector(values), 2);
            assert_eq!((parsed, series.len()), (expected, 2));
        }
    }

    #[test]
    fn a_scalar_may_be_no_number() {
        let text = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}"#;
        assert!(matches!(read(text, 1).0, Parsed::Scalar(value) if value.is_nan()));
    }

    #[test]
    fn results_of_other_kinds_are_named() {
        let texts = [
            (r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{}}]}}"#, "matrix"),
            (r#"{"data":{"result":[1,"x"],"resultType":"string"},"status":"success"}"#, "string"),
            (
                r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#,
                "histogram",
            ),
        ];
        for (text, kind) in texts {
            assert_eq!(read(text, 1).0, Parsed::Other(kind.to_owned()));
        }
    }

    #[test]
    fn the_kind_of_a_result_may_come_after_it() {
        let text =
            r#"{"status":"success","data":{"result":[{"metric":{},"value":[1,"2"]}],"resultType":"vector"}}"#;
        let (parsed, series) = read(text, 1);
        assert_eq!((parsed, series.len()), (Parsed::Vector, 1));
    }

    #[test]
    fn an_error_is_in_prometheus_own_words() {
        let failed = Parsed::Failed { kind: "timeout".to_owned(), message: "too slow".to_owned() };
        for data in ["", r#","data":null"#] {
            let text = format!(r#"{{"status":"error","errorType":"timeout","error":"too slow"{data}}}"#);
            assert_eq!(read(&text, 1).0, failed);
        }
    }

    #[test]
    fn what_is_not_prometheus_is_not_taken_for_it() {
        let whole = vector(&["1"]);
        let cut = &whole[..whole.len() - 1];
        let more = format!("{whole}{whole}");
        for text in ["", "<html>", "{}", "[]", r#"{"status":"success"}"#, r#"{"status":"error"}"#, cut, &more]
        {
            assert_eq!(read(text, 1).0, Parsed::Foreign, "{text}");
        }
    }
}
