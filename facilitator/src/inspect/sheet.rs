//! Formats lines of a label and a value for a terminal: wrapped, and safe for any value.

use std::fmt::Write as _;
use tallybox_service::chart::{Screen, Tone};

/// The number of columns before a label.
const INDENT: usize = 2;
/// The number of columns of a label with the gap after it.
const LABEL: usize = 13;

/// A text under construction. Values come from files of other parties, so control characters are
/// escaped.
pub(super) struct Sheet {
    screen: Screen,
    text: String,
}

impl Sheet {
    pub(super) fn new(screen: Screen) -> Self {
        Self {
            screen,
            text: String::new(),
        }
    }

    /// Adds a heading.
    pub(super) fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let text = self
            .screen
            .paint(Tone::Heading, &capitalised(&printable(text)));
        self.line(&text);
    }

    /// Adds an indented line without wrapping, for names that a person may want to copy.
    pub(super) fn object(&mut self, name: &str) {
        let name = self.screen.paint(Tone::Faint, &printable(name));
        self.line(&format!("{:INDENT$}{name}", ""));
    }

    /// Adds a label and a value, wrapped at spaces.
    pub(super) fn row(&mut self, label: &str, value: impl AsRef<str>) {
        self.lines(None, label, value.as_ref());
    }

    /// Adds a label and a value in a tone.
    pub(super) fn toned(&mut self, tone: Tone, label: &str, value: impl AsRef<str>) {
        self.lines(Some(tone), label, value.as_ref());
    }

    /// Adds a label and values, one on each line, and at most `most` of them.
    pub(super) fn list(&mut self, label: &str, values: &[String], most: usize) {
        let mut label = label;
        for value in values.iter().take(most) {
            self.row(label, value);
            label = "";
        }
        if values.len() > most {
            self.toned(Tone::Faint, "", format!("and {} more", values.len() - most));
        }
    }

    /// Returns the text without its last newline.
    pub(super) fn finish(self) -> String {
        self.text.trim_end().to_owned()
    }

    fn lines(&mut self, tone: Option<Tone>, label: &str, value: &str) {
        let room = self.screen.width.saturating_sub(INDENT + LABEL).max(20);
        let mut label = label;
        for line in wrap(&printable(value), room) {
            let line = tone.map_or_else(|| line.clone(), |tone| self.screen.paint(tone, &line));
            self.line(&format!("{:INDENT$}{label:<LABEL$}{line}", ""));
            label = "";
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }
}

/// Escapes control characters and characters that change the writing direction.
pub(super) fn printable(text: &str) -> String {
    let hostile =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let spell = |c: char| {
        if hostile(c) {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(spell).collect()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

/// Wraps a text at spaces into lines of at most `width` columns. Longer words and leading spaces
/// stay intact.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let unindented = text.trim_start_matches(' ');
    let (leading, _) = text.split_at(text.len() - unindented.len());
    let mut lines = vec![String::new()];
    let first = unindented.split(' ').next().unwrap_or_default();
    let rest = unindented.split(' ').skip(1).map(str::to_owned);
    for word in std::iter::once(format!("{leading}{first}")).chain(rest) {
        let line = lines.last_mut().filter(|line| !line.is_empty());
        match line {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            Some(_) => lines.push(word),
            None => *lines.last_mut().unwrap_or(&mut String::new()) = word,
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_wrapped_beside_their_label() {
        let mut sheet = Sheet::new(Screen {
            width: 40,
            colour: false,
        });
        sheet.heading("sum part");
        sheet.row("sum", "1111111111 2222222222 3333333333 4444444444");
        sheet.list(
            "batches",
            &["a".to_owned(), "b".to_owned(), "c".to_owned()],
            2,
        );
        let expected = "Sum part\n  sum          1111111111 2222222222\n               3333333333 4444444444\n  \
                        batches      a\n               b\n               and 1 more";
        assert_eq!(sheet.finish(), expected);
    }

    #[test]
    fn no_value_can_move_the_cursor() {
        let mut sheet = Sheet::new(Screen::plain());
        sheet.row("key", "k\u{1b}[2J\nverifies\u{202e}");
        let text = sheet.finish();
        assert!(!text.contains(['\u{1b}', '\n', '\u{202e}']), "{text}");
        assert!(text.contains("\\u{1b}[2J\\nverifies"), "{text}");
    }
}
