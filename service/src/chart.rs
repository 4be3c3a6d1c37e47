//! Tables and bar charts in plain text, for results on a terminal.
use std::fmt::{self, Display};

use console::{Style, Term, measure_text_width, pad_str, truncate_str};

/// Capabilities of the terminal: the width of a line, and whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Columns of a line, at least [`Screen::NARROWEST`].
    pub width: usize,
    /// True on a terminal that supports colours, unless the environment sets `NO_COLOR`.
    pub colour: bool,
}

impl Screen {
    /// Line width if stdout is a file or a pipe, in columns.
    pub const PLAIN: usize = 80;
    /// Minimum width. A narrower terminal may wrap the lines.
    pub const NARROWEST: usize = 40;

    /// Reads the properties of the terminal on stdout.
    pub fn stdout() -> Self {
        let width = Term::stdout()
            .size_checked()
            .map_or(Self::PLAIN, |(_, columns)| usize::from(columns));
        Self {
            width: width.max(Self::NARROWEST),
            colour: console::colors_enabled(),
        }
    }

    /// Reads the properties of the terminal on stderr.
    pub fn stderr() -> Self {
        let columns = Term::stderr()
            .size_checked()
            .map(|(_, columns)| usize::from(columns));
        Self {
            width: columns.unwrap_or(Self::PLAIN).max(Self::NARROWEST),
            colour: console::colors_enabled_stderr(),
        }
    }

    /// Returns a screen of [`Screen::PLAIN`] columns without colours: the same result everywhere,
    /// for files and tests.
    pub fn plain() -> Self {
        Self {
            width: Self::PLAIN,
            colour: false,
        }
    }

    /// Styles the text for a tone, or returns it unchanged on a screen without colours.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour {
            tone.style().force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }
}

/// The meaning of a piece of text, from which its colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Heading,
    /// An expected or healthy state.
    Good,
    /// A state that needs attention.
    Bad,
    /// Text of less importance.
    Faint,
    /// The body of a bar.
    Bar,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Heading => Style::new().bold(),
            Self::Good => Style::new().green(),
            Self::Bad => Style::new().red(),
            Self::Faint => Style::new().dim(),
            Self::Bar => Style::new().cyan(),
        }
    }
}

/// Draws a horizontal bar of up to `width` columns for `value` on a scale from 0 to `max`, exact to
/// an eighth of a column.
///
/// A value above 0 is always visible, a value above `max` fills the width, and `NaN` or a value
/// that is not positive gives an empty bar.
pub fn bar(value: f64, max: f64, width: usize) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if !(value > 0.0 && max > 0.0) {
        return String::new();
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=width*8"
    )]
    let eighths = ((value / max).min(1.0) * (width * 8) as f64).round() as usize;
    // At least one eighth, so that a small value is distinguishable from 0.
    let eighths = eighths.clamp(usize::from(width > 0), width * 8);
    let mut text = "█".repeat(eighths / 8);
    text.extend((eighths % 8).checked_sub(1).map(|index| EIGHTHS[index]));
    text
}

/// Alignment of the text in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Aligned rows of text under headings. The last column is truncated if a line would be wider than
/// the screen.
#[derive(Clone, Debug)]
pub struct Table {
    screen: Screen,
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Two spaces between columns.
    const GAP: usize = 2;

    /// Creates a table with these columns and no rows. If all headings are empty, no heading line
    /// is printed.
    pub fn new(screen: Screen, columns: &[(&str, Align)]) -> Self {
        let columns = columns
            .iter()
            .map(|(heading, align)| ((*heading).to_owned(), *align))
            .collect();
        Self {
            screen,
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row. Missing cells are empty; cells beyond the last column are dropped. Cells may
    /// contain colours.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) -> &mut Self {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
        self
    }

    /// Returns the columns that remain for a last column of bars after all other columns; at least
    /// 10.
    pub fn room(&self) -> usize {
        let before = self.columns.len().saturating_sub(1);
        let used: usize = self
            .widths()
            .iter()
            .take(before)
            .map(|width| width + Self::GAP)
            .sum();
        self.screen.width.saturating_sub(used).max(10)
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |index: usize, heading: &String| {
            let cells = self.rows.iter().map(|row| measure_text_width(&row[index]));
            cells.max().unwrap_or(0).max(measure_text_width(heading))
        };
        self.columns
            .iter()
            .enumerate()
            .map(|(index, (heading, _))| widest(index, heading))
            .collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, (cell, (_, align))) in cells.iter().zip(&self.columns).enumerate() {
            let side = match align {
                Align::Left => console::Alignment::Left,
                Align::Right => console::Alignment::Right,
            };
            let last = index + 1 == cells.len();
            let cell = if last {
                truncate_str(cell, self.room(), "…")
            } else {
                cell.into()
            };
            let width = if last {
                widths[index].min(self.room())
            } else {
                widths[index]
            };
            line.push_str(&pad_str(&cell, width, side, None));
            line.push_str(if last { "" } else { "  " });
        }
        // Lines have no trailing blanks, also if the last cells are empty.
        line.truncate(line.trim_end().len());
        line
    }
}

impl Display for Table {
    /// Writes all lines, without a newline at the end.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        if self.columns.iter().any(|(heading, _)| !heading.is_empty()) {
            let headings: Vec<String> = self
                .columns
                .iter()
                .map(|(heading, _)| heading.clone())
                .collect();
            lines.push(
                self.screen
                    .paint(Tone::Heading, &self.line(&headings, &widths)),
            );
        }
        lines.extend(self.rows.iter().map(|row| self.line(row, &widths)));
        formatter.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_exact_to_an_eighth() {
        assert_eq!(bar(4.0, 8.0, 8), "████");
        assert_eq!(bar(1.0, 8.0, 1), "▏");
        assert_eq!(bar(7.0, 8.0, 1), "▉");
        assert_eq!(bar(9.0, 16.0, 2), "█▏");
        assert_eq!(bar(8.0, 8.0, 3), "███");
    }

    #[test]
    fn bars_survive_odd_numbers() {
        assert_eq!(bar(0.0, 8.0, 8), "");
        assert_eq!(bar(-3.0, 8.0, 8), "");
        assert_eq!(bar(f64::NAN, 8.0, 8), "");
        assert_eq!(bar(3.0, 0.0, 8), "");
        assert_eq!(bar(3.0, 8.0, 0), "");
        assert_eq!(bar(1e300, 1.0, 4), "████");
        assert_eq!(bar(f64::INFINITY, 1.0, 4), "████");
        assert_eq!(bar(1.0, 1e9, 8), "▏", "a small value is not nothing");
    }

    #[test]
    fn columns_align_and_lines_have_no_trailing_blanks() {
        let mut table = Table::new(
            Screen::plain(),
            &[
                ("metric", Align::Left),
                ("count", Align::Right),
                ("", Align::Left),
            ],
        );
        table.row(["a", "5", "ok"]).row(["größe", "1,000"]);
        assert_eq!(
            table.to_string(),
            "metric  count\na           5  ok\ngröße   1,000"
        );
    }

    #[test]
    fn painted_cells_take_their_printed_width() {
        let screen = Screen {
            width: 60,
            colour: true,
        };
        let mut table = Table::new(screen, &[("", Align::Right), ("", Align::Left)]);
        table
            .row([screen.paint(Tone::Good, "ok"), "x".into()])
            .row(["longer".to_owned(), "y".to_owned()]);
        let plain = console::strip_ansi_codes(&table.to_string()).into_owned();
        assert_eq!(plain, "    ok  x\nlonger  y");
        assert!(table.to_string().contains('\u{1b}'));
        assert_eq!(Screen::plain().paint(Tone::Bad, "no"), "no");
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let screen = Screen {
            width: 40,
            colour: false,
        };
        let mut table = Table::new(screen, &[("bin", Align::Left), ("chart", Align::Left)]);
        table.row(["a", ""]);
        let room = table.room();
        assert_eq!(room, 40 - 5);
        table.row(["b".to_owned(), bar(1.0, 1.0, 200)]);
        for line in table.to_string().lines() {
            assert!(measure_text_width(line) <= 40, "{line}");
        }
    }

    #[test]
    fn a_table_without_headings_or_rows_is_nothing() {
        assert_eq!(
            Table::new(Screen::plain(), &[("", Align::Left)]).to_string(),
            ""
        );
        assert!(Screen::stdout().width >= Screen::NARROWEST);
    }
}
