/*!
An object of another tool's, from which fields are taken one by one. What is left in the end has nothing in Serin, and is
told: nothing gets lost without a word.
*/
use std::fmt;

use serde_json::Value;

use crate::draft::Draft;

/// An object as far as it has not been taken.
#[derive(Debug, Clone)]
pub(super) struct Source(Value);

/// What becomes of a field of another tool's. Paths have `[]` for any entry of a list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Becomes {
    /// It is this field, or this command.
    Field(&'static str),
    /// Serin does it another way, and nobody has to say so.
    OfItself(&'static str),
    /// Nothing, because of this.
    Nothing(&'static str),
}

impl fmt::Display for Becomes {
    /// As the pages say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(what) => f.write_str(what),
            Self::OfItself(why) => write!(f, "not needed: {why}"),
            Self::Nothing(why) => write!(f, "nothing: {why}"),
        }
    }
}

/// A table of fields.
pub(super) type Table = &'static [(&'static str, Becomes)];

impl Source {
    pub(super) const fn new(object: Value) -> Self {
        Self(object)
    }

    /// Takes the field at `path`, as in `spec.analysis.interval`.
    pub(super) fn take(&mut self, path: &str) -> Option<Value> {
        let (within, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut place = &mut self.0;
        for part in within.split('.').filter(|part| !part.is_empty()) {
            place = place.get_mut(part)?;
        }
        place.as_object_mut()?.remove(name).filter(|value| !value.is_null())
    }

    /// Takes the field at `path` if it is so.
    pub(super) fn take_if(&mut self, path: &str, is_so: impl Fn(&Value) -> bool) {
        if let Some(value) = self.take(path).filter(|value| !is_so(value)) {
            self.put(path, value);
        }
    }

    /// Whether there are fields at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.value(path).is_some_and(Value::is_object)
    }

    /// Puts a field back, in another place.
    pub(super) fn put(&mut self, path: &str, value: Value) {
        let (within, name) = path.rsplit_once('.').unwrap_or(("", path));
        let mut place = &mut self.0;
        for part in within.split('.').filter(|part| !part.is_empty()) {
            place = &mut place[part];
        }
        place[name] = value;
    }

    /// The same of a text.
    pub(super) fn take_text(&mut self, path: &str) -> Option<String> {
        self.take(path)?.as_str().map(str::to_owned)
    }

    /// Looks at a field and leaves it.
    pub(super) fn value(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |place, part| place.get(part))
    }

    /// The same of a text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.value(path)?.as_str()
    }

    /// The entries of the list at `path`.
    pub(super) fn take_list(&mut self, path: &str) -> Vec<Self> {
        match self.take(path) {
            Some(Value::Array(entries)) => entries.into_iter().map(Self).collect(),
            _ => Vec::new(),
        }
    }

    /// Says of all that is left below `path`, which is `place` to people, what becomes of it.
    pub(super) fn tell_rest(&self, path: &str, place: &str, table: Table, draft: &mut Draft) {
        tell(&self.0, path, place, table, draft);
    }

    /// What is left.
    pub(super) fn into_value(self) -> Value {
        self.0
    }
}

fn tell(value: &Value, path: &str, place: &str, table: Table, draft: &mut Draft) {
    let known = table.iter().find(|(field, _)| *field == path);
    match (known, value) {
        // What is switched off is missed by nobody.
        (_, Value::Null | Value::Bool(false)) => {}
        (Some((_, Becomes::OfItself(how))), _) => draft.note(format!("not needed: {place}: {how}")),
        (Some((_, Becomes::Nothing(why))), _) => {
            let name = value.get("name").and_then(Value::as_str);
            let name = name.map_or_else(String::new, |name| format!(" ({name})"));
            draft.leave_out(format!("{place}{name}"), why);
        }
        (_, Value::Object(fields)) => {
            for (name, field) in fields {
                tell(field, &format!("{path}.{name}"), &format!("{place}.{name}"), table, draft);
            }
        }
        (_, Value::Array(entries)) => {
            for (i, entry) in entries.iter().enumerate() {
                tell(entry, &format!("{path}[]"), &format!("{place}[{i}]"), table, draft);
            }
        }
        (Some((_, Becomes::Field(what))), scalar) => {
            draft.leave_out(place, &format!("{scalar}: it is {what}, and this could not be read"));
        }
        (None, scalar) => draft.leave_out(place, &format!("{scalar}: Serin has no such field")),
    }
}

/// Seconds as Serin writes a time.
pub(super) fn seconds(value: &Value) -> Option<String> {
    value.as_u64().map(|seconds| format!("{seconds}s"))
}
