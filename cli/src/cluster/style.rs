/*!
How things look on a terminal, and nowhere else: a file and whoever has set `NO_COLOR` get plain text.
*/
use std::io::IsTerminal;

use console::Style;
use serin_agent::view::words::Tone;

/// The columns that everything fits into.
pub(super) const WIDTH: usize = 80;

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    /// For what goes to standard output.
    pub(super) fn of_stdout() -> Self {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        Self(std::io::stdout().is_terminal() && !is_refused)
    }

    pub(super) fn good(self, text: &str) -> String {
        self.paint(Style::new().green(), text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.paint(Style::new().red().bold(), text)
    }

    pub(super) fn doubtful(self, text: &str) -> String {
        self.paint(Style::new().yellow(), text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.paint(Style::new().dim(), text)
    }

    /// In the colour of how something is.
    pub(super) fn toned(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Good => self.good(text),
            Tone::Doubtful => self.doubtful(text),
            Tone::Bad => self.bad(text),
            Tone::Plain => text.to_owned(),
        }
    }

    fn paint(self, style: Style, text: &str) -> String {
        if self.0 { style.force_styling(true).apply_to(text).to_string() } else { text.to_owned() }
    }
}

/// `text` in lines of at most `width` columns, broken between words.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        let length = last.chars().count();
        if length == 0 {
            last.push_str(word);
        } else if length + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// `painted` without its colours.
#[cfg(test)]
pub(super) fn unpainted(painted: &str) -> String {
    let mut parts = painted.split("\x1b[");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text));
    std::iter::once(first).chain(rest).collect()
}
