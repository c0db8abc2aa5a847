/*!
Lines of a terminal: of limited width, with styles.
*/
use console::Style;

/// A line that fits: what is too long for the width is cut off.
pub(super) struct TermLine {
    room: usize,
    /// The line so far.
    pub(super) text: String,
}

impl TermLine {
    /// An empty line of at most `width` characters.
    pub(super) const fn new(width: usize) -> Self {
        Self { room: width, text: String::new() }
    }

    /// Adds `text`, or as much of it as there is room for.
    pub(super) fn add(mut self, style: &Style, text: &str) -> Self {
        let fits: String = text.chars().take(self.room).collect();
        self.room -= fits.chars().count();
        self.text.push_str(&style.apply_to(fits).to_string());
        self
    }

    /// Fills up so that `text` ends at the right edge; it is left out where it would touch what is there.
    pub(super) fn right(self, style: &Style, text: &str) -> Self {
        match self.room.checked_sub(text.chars().count()) {
            Some(gap) if gap > 1 => self.add(&plain(), &" ".repeat(gap)).add(style, text),
            _ => self,
        }
    }
}

/// As the terminal has it.
pub(super) fn plain() -> Style {
    Style::new()
}

/// For what is only there to be found.
pub(super) fn dim() -> Style {
    Style::new().dim()
}

/// For a promise kept.
pub(super) fn good() -> Style {
    Style::new().green()
}

/// For what should alarm.
pub(super) fn bad() -> Style {
    Style::new().red()
}

/// The widest lines: longer ones are hard to read.
pub(super) const WIDEST: usize = 110;

/// Breaks `text` between words so that no line is longer than `width`, as far as its words allow.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_the_right_side_gives_way_to_the_left() {
        console::set_colors_enabled(false);
        let line = |text: &str| TermLine::new(8).add(&plain(), text);
        assert_eq!(line("123456789").text, "12345678");
        assert_eq!(line("12").right(&plain(), "ab").text, "12    ab");
        assert_eq!(line("12345").right(&plain(), "ab").text, "12345");
    }

    #[test]
    fn text_breaks_between_words() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
        assert!(wrap("", 3).is_empty());
    }
}
