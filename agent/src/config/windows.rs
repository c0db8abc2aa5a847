/*!
When users are moved, whatever Releases say themselves.
*/
use serde::Deserialize;
use serin_release::window::Window;
use serin_release::{checked_window, resource};

use super::ConfigError;

/// The operator's windows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    window: Window,
    /// None for all.
    namespaces: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WindowWords {
    window: resource::Window,
    namespaces: Option<Vec<String>>,
    #[serde(default = "yes")]
    may_be_overridden: bool,
}

const fn yes() -> bool {
    true
}

impl Windows {
    pub(super) fn of(words: Vec<WindowWords>) -> Result<Self, ConfigError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (i, WindowWords { window, namespaces, may_be_overridden }) in words.into_iter().enumerate() {
            let path = format!("windows[{i}].window");
            let wrong = |problem: &dyn ToString| ConfigError::Wrong(problem.to_string());
            let window = checked_window(&path, window)
                .map_err(|problems| problems.first().map_or(wrong(&path), |problem| wrong(problem)))?;
            if entries.iter().any(|other| other.window.name == window.name) {
                let hint = "give each window a name of its own";
                return Err(ConfigError::Wrong(format!("{path}.name: {:?}: {hint}", window.name)));
            }
            let window = Window { is_operators: true, may_be_overridden, ..window };
            entries.push(Entry { window, namespaces });
        }
        Ok(Self(entries))
    }

    /// Those for Releases in `namespace`.
    pub fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = &Window> {
        let is_for = move |entry: &&Entry| {
            entry.namespaces.as_ref().is_none_or(|those| those.iter().any(|one| one == namespace))
        };
        self.0.iter().filter(is_for).map(|entry| &entry.window)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Operator;

    #[test]
    fn a_window_is_for_the_namespaces_that_it_names_or_for_all() {
        let file = "
windows:
- window: {name: christmas, kind: deny, schedule: '0 0 20 12 *', duration: 14d}
  mayBeOverridden: false
- window: {name: office, kind: allow, schedule: '0 9 * * 1-5', duration: 8h, timeZone: Europe/Berlin}
  namespaces: [team-a]
";
        let windows = Operator::from_yaml(file).unwrap().windows;
        let told = |namespace| -> Vec<_> {
            let of = windows.of_namespace(namespace);
            of.map(|window| (window.name.clone(), window.is_operators, window.may_be_overridden)).collect()
        };
        let (christmas, office) = (("christmas".to_owned(), true, false), ("office".to_owned(), true, true));
        assert_eq!((told("team-a"), told("team-b")), (vec![christmas.clone(), office], vec![christmas]));
    }
}
