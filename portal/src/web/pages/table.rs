//! Plain tables of view models.

/// A table with one header column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A cell: text, and links after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) links: Vec<Link>,
    /// Whether the cell is a number, which is aligned to the right.
    pub(crate) number: bool,
}

/// A link with its text.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) text: String,
    pub(crate) address: String,
}

impl Table {
    /// Returns whether a column contains numbers.
    pub(crate) fn is_number(&self, column: &usize) -> bool {
        let cell = self.rows.first().and_then(|row| row.get(*column));
        cell.is_some_and(|cell| cell.number)
    }
}

impl Cell {
    /// Creates a cell of text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// Creates a cell of a formatted number.
    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            number: true,
            ..Self::default()
        }
    }

    /// Creates a cell of links.
    pub(crate) fn links(links: Vec<Link>) -> Self {
        Self {
            links,
            ..Self::default()
        }
    }
}

impl Link {
    /// Creates a link.
    pub(crate) fn new(text: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            address: address.into(),
        }
    }
}
