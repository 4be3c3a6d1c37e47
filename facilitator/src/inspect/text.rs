//! Formats facts for a terminal: labels and values in two columns, wrapped, and safe for any value.

use super::facts::{Fact, Facts, Value, text_of};
use serde_json::Value as Json;
use tallybox_service::chart::{Screen, Tone};
use tallybox_service::progress::grouped;

/// The number of columns before a label, for each level of the tree.
const INDENT: usize = 2;
/// The bounds of the column in which values begin.
const VALUE_COLUMNS: std::ops::RangeInclusive<usize> = 15..=24;
/// The fewest columns for values, however narrow the screen is.
const LEAST_VALUE_COLUMNS: usize = 20;
/// How many items of a list are shown.
const SHOWN_ITEMS: usize = 12;

/// A text under construction.
pub(super) struct Sheet {
    screen: Screen,
    rows: Vec<Row>,
}

struct Row {
    /// The level in the tree; 0 for a heading, which is not wrapped.
    level: usize,
    label: String,
    text: String,
    tone: Option<Tone>,
}

impl Sheet {
    pub(super) fn new(screen: Screen) -> Self {
        let rows = Vec::new();
        Self { screen, rows }
    }

    /// Adds a heading and the names below it, which a person may want to copy.
    pub(super) fn heading(&mut self, title: &str, names: &[String]) {
        if !self.rows.is_empty() {
            self.push(0, "", "", None);
        }
        let mut title = title.to_owned();
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        self.push(0, "", &title, Some(Tone::Heading));
        for name in names {
            self.push(0, "", &format!("{:INDENT$}{name}", ""), Some(Tone::Faint));
        }
    }

    /// Adds a label and a text.
    pub(super) fn row(&mut self, label: &str, text: &str, tone: Tone) {
        self.push(1, label, text, Some(tone));
    }

    /// Adds facts.
    pub(super) fn facts(&mut self, facts: &Facts) {
        self.level(1, &facts.0);
    }

    fn level(&mut self, level: usize, facts: &[Fact]) {
        let share_row = |fact: &Fact, next: &Fact| fact.row.is_some() && fact.row == next.row;
        for facts in facts.chunk_by(share_row) {
            match facts {
                [fact] if fact.is_hidden() => {}
                [fact] => self.fact(level, fact),
                [first, ..] => self.push_facts(level, &first.label(), facts),
                [] => {}
            }
        }
    }

    fn fact(&mut self, level: usize, fact: &Fact) {
        let label = fact.label();
        if let Some(text) = fact.text(false) {
            return self.push(level, &label, &text, fact.tone);
        }
        match &fact.value {
            Value::Group(facts) => self.group(level, &label, facts),
            Value::Groups(groups) => {
                for (index, facts) in groups.iter().enumerate() {
                    self.group(level, if index == 0 { &label } else { "" }, facts);
                }
            }
            Value::Json(Json::Array(items)) if items.iter().all(Json::is_i64) => {
                let numbers = items.iter().take(SHOWN_ITEMS).map(ToString::to_string);
                let mut words: Vec<String> = numbers.collect();
                words.extend(and_more(items.len()));
                if !items.is_empty() {
                    self.push(level, &label, &words.join(" "), None);
                }
            }
            Value::Json(Json::Array(items)) => {
                self.list(level, &label, items.iter().filter_map(text_of).collect());
            }
            Value::Json(Json::Object(counts)) => {
                let items = counts.iter().map(|(name, count)| {
                    let name = if name.is_empty() { "(empty)" } else { name };
                    format!("{name}: {}", text_of(count).unwrap_or_default())
                });
                self.list(level, &label, items.collect());
            }
            Value::Json(_) => {}
        }
    }

    /// Adds facts whose values are single, in one row. The tone is the worst of theirs.
    fn push_facts(&mut self, level: usize, label: &str, facts: &[Fact]) {
        let texts: Vec<String> = facts.iter().filter_map(|fact| fact.text(true)).collect();
        let mut tones = facts.iter().filter_map(|fact| fact.tone);
        let first = tones.clone().next();
        let tone = tones.find(|tone| *tone == Tone::Bad).or(first);
        if !texts.is_empty() {
            self.push(level, label, &texts.join(", "), tone);
        }
    }

    /// Adds a row with the first facts, and the other facts below it.
    fn group(&mut self, level: usize, label: &str, facts: &Facts) {
        let first_row = facts.0.iter().take_while(|fact| fact.row == Some(""));
        let (first_row, rest) = facts.0.split_at(first_row.count());
        match first_row {
            [] => self.push(level, label, "", None),
            facts => self.push_facts(level, label, facts),
        }
        self.level(level + 1, rest);
    }

    /// Adds texts, one on each line, and at most the first ones.
    fn list(&mut self, level: usize, label: &str, texts: Vec<String>) {
        for (index, text) in texts.iter().take(SHOWN_ITEMS).enumerate() {
            self.push(level, if index == 0 { label } else { "" }, text, None);
        }
        if let Some(text) = and_more(texts.len()) {
            self.push(level, "", &text, Some(Tone::Faint));
        }
    }

    fn push(&mut self, level: usize, label: &str, text: &str, tone: Option<Tone>) {
        self.rows.push(Row {
            level,
            label: printable(label),
            text: printable(text),
            tone,
        });
    }

    /// Returns the text without its last newline.
    pub(super) fn finish(self) -> String {
        let ends = self
            .rows
            .iter()
            .map(|row| row.start().chars().count() + INDENT);
        let widest = ends.max().unwrap_or(0);
        let column = widest.clamp(*VALUE_COLUMNS.start(), *VALUE_COLUMNS.end());
        let mut lines = Vec::new();
        for row in &self.rows {
            self.add_lines(row, column, &mut lines);
        }
        lines.join("\n")
    }

    fn add_lines(&self, row: &Row, column: usize, lines: &mut Vec<String>) {
        let mut start = row.start();
        if row.level == 0 {
            lines.push(self.paint(row, &row.text));
            return;
        }
        let room = self.screen.width.saturating_sub(column);
        for text in wrap(&row.text, room.max(LEAST_VALUE_COLUMNS)) {
            // A label that is too long for its column still ends with a blank.
            let gap = if start.chars().count() < column {
                ""
            } else {
                " "
            };
            let line = format!("{start:<column$}{gap}{}", self.paint(row, &text));
            lines.push(line.trim_end().to_owned());
            start.clear();
        }
    }

    fn paint(&self, row: &Row, text: &str) -> String {
        match row.tone {
            Some(tone) if !text.is_empty() => self.screen.paint(tone, text),
            _ => text.to_owned(),
        }
    }
}

impl Row {
    /// Returns the beginning of the row: the indented label.
    fn start(&self) -> String {
        format!("{:indent$}{}", "", self.label, indent = self.level * INDENT)
    }
}

fn and_more(items: usize) -> Option<String> {
    let more = items.checked_sub(SHOWN_ITEMS).filter(|more| *more > 0)?;
    Some(format!(
        "and {} more (--json has all)",
        grouped(more as u64)
    ))
}

/// Escapes control characters and characters that change the writing direction. Values come from
/// files of other parties.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                printable.extend(c.escape_default())
            }
            c if c.is_control() => printable.extend(c.escape_default()),
            c => printable.push(c),
        }
    }
    printable
}

/// Wraps a text at spaces into lines of at most `width` columns. Longer words stay intact.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let columns = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && columns > width {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(width: usize) -> Sheet {
        let colour = false;
        Sheet::new(Screen { width, colour })
    }

    #[test]
    fn values_are_wrapped_beside_their_label() {
        let mut facts = Facts::default();
        let sum: &[i64] = &[1_111_111_111, 2_222_222_222, 3_333_333_333, 4];
        facts.add(Fact::new("sum", sum));
        facts.add(Fact::new("batches", ["a", "b"].as_slice()));
        let mut sheet = sheet(40);
        sheet.heading("sum part", &[]);
        sheet.facts(&facts);
        let expected = "Sum part\n  sum          1111111111 2222222222\n               3333333333 4\n  \
                        batches      a\n               b";
        assert_eq!(sheet.finish(), expected);
    }

    #[test]
    fn facts_share_a_row_and_contain_others() {
        let mut header = Facts::default();
        header.row("", Fact::file(1_200, None));
        header.row(
            "parameters",
            [Fact::new("bins", 8).unit("bins"), Fact::new("epsilon", 0.5)],
        );
        header.add(Fact::new("weight", Json::Null));
        let mut facts = Facts::default();
        facts.add(Fact::group("header", header));
        facts.add(Fact::defects("repeated", 0, "packets occur twice"));
        facts.add(Fact::defects(
            "unusable-points",
            3,
            "packets have an unusable point",
        ));
        let mut sheet = sheet(60);
        sheet.facts(&facts);
        let expected = "  header           1,200 bytes\n    parameters     8 bins, epsilon 0.5\n  \
                        unusable points  3 packets have an unusable point";
        assert_eq!(sheet.finish(), expected);
    }

    #[test]
    fn only_the_first_items_are_shown() {
        let mut facts = Facts::default();
        facts.add(Fact::new("sum", (0..14).collect::<Json>()));
        facts.add(Fact::new(
            "ids",
            (0..14).map(|id| id.to_string()).collect::<Json>(),
        ));
        let mut sheet = sheet(80);
        sheet.facts(&facts);
        let text = sheet.finish();
        assert!(
            text.contains("10 11 and 2 more") && text.contains("11\n               and 2 more")
        );
    }

    #[test]
    fn no_value_can_move_the_cursor() {
        let mut facts = Facts::default();
        facts.add(Fact::new("key", "k\u{1b}[2J\nverifies\u{202e}"));
        let mut sheet = sheet(80);
        sheet.facts(&facts);
        let text = sheet.finish();
        assert!(!text.contains(['\u{1b}', '\n', '\u{202e}']), "{text}");
        assert!(text.contains("\\u{1b}[2J\\nverifies"), "{text}");
    }
}
