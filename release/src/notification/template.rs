/*!
What a webhook is sent, where people write it themselves: JSON in which `{{ text }}` stands for a value.
*/
use serde_json::Value;

/// JSON with values left out. Whatever they are, it is JSON when they are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonTemplate {
    /// Text, and the value after it.
    pieces: Vec<(String, &'static str)>,
    rest: String,
}

/// The values that there are: docs/notifications.md says what each is.
pub const VALUES: [&str; 24] = [
    "all",
    "at",
    "canaryImage",
    "canaryRequests",
    "canaryFailed",
    "event",
    "evidence",
    "id",
    "link",
    "name",
    "namespace",
    "phase",
    "run",
    "service",
    "severity",
    "stableFailed",
    "stableImage",
    "stableRequests",
    "step",
    "text",
    "title",
    "users",
    "usersFailed",
    "weight",
];

impl JsonTemplate {
    /// Takes a template apart.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err("{{ is not closed: add }}".to_owned());
            };
            let known = VALUES.into_iter().find(|known| *known == name.trim());
            let unknown =
                || format!("{{{{ {} }}}} is no value: use one of {}", name.trim(), VALUES.join(", "));
            pieces.push((before.to_owned(), known.ok_or_else(unknown)?));
            rest = after;
        }
        let template = Self { pieces, rest: rest.to_owned() };
        match template.fill_in(|_| Value::from("a text")) {
            Ok(_) => Ok(template),
            Err(error) => Err(format!(
                "it is no JSON where its values are filled in ({error}): write {{\"text\": {{{{ text }}}}}}, without quotes \
                 around {{{{ text }}}}, for they come with it"
            )),
        }
    }

    /// The JSON with these values.
    ///
    /// # Errors
    /// When it is none, which a template that was taken apart never is.
    pub fn fill_in(&self, value: impl Fn(&str) -> Value) -> serde_json::Result<Value> {
        let pieces = self.pieces.iter().map(|(text, name)| format!("{text}{}", value(name)));
        serde_json::from_str(&pieces.chain([self.rest.clone()]).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_values_are_a_template_makes_json() {
        let template = JsonTemplate::parse(r#"{"a": {"text": {{ text }}}, "all": [{{all}}]}"#).unwrap();
        for value in ["plain", "\"", "{{ text }}", "\\\n", "😀"] {
            let filled = template.fill_in(|_| Value::from(value)).unwrap();
            assert_eq!(filled, serde_json::json!({"a": {"text": value}, "all": [value]}));
        }
    }

    #[test]
    fn what_makes_no_json_is_refused_with_the_mend() {
        for (text, part) in [
            (r#"{"text": "{{ text }}"}"#, "without quotes around {{ text }}"),
            (r#"{"text": {{ txt }}}"#, "{{ txt }} is no value: use one of all, at"),
            (r#"{"text": {{ text"#, "{{ is not closed"),
            ("{}{}", "it is no JSON"),
        ] {
            let error = JsonTemplate::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
