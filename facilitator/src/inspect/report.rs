//! The report of an inspection: serialized for machines, formatted for people.

use super::facts::Facts;
use super::text::Sheet;
use serde::Serialize;
use std::fmt;
use tallybox_service::chart::{Screen, Tone};
use tallybox_service::exit::Exit;
use tallybox_service::output::Summary;

/// Everything found at one path or URL.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InspectionReport {
    /// The path or URL from the command line.
    pub target: String,
    /// `done` if everything is readable and no verification failed; otherwise the outcome of the
    /// most severe problem.
    pub outcome: Exit,
    /// The batch or object at the path; several if the path is a common prefix of several batches.
    pub found: Vec<ObjectFinding>,
}

impl InspectionReport {
    pub(super) fn new(target: &str, found: Vec<ObjectFinding>) -> Self {
        let problems = found.iter().flat_map(|finding| &finding.problems);
        let mut exits = problems.map(|problem| problem.exit);
        let first = exits.clone().next().unwrap_or(Exit::Done);
        // A permanent problem is more severe than one that may disappear later.
        let is_rejected = exits.any(|exit| exit == Exit::Rejected);
        Self {
            target: target.to_owned(),
            outcome: if is_rejected { Exit::Rejected } else { first },
            found,
        }
    }

    /// Formats the report as text for a screen.
    #[must_use]
    pub fn lay_out(&self, screen: Screen) -> String {
        let mut sheet = Sheet::new(screen);
        for finding in &self.found {
            finding.write(&mut sheet);
        }
        sheet.finish()
    }
}

impl Summary for InspectionReport {
    fn human(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lay_out(Screen::stdout()))
    }
}

/// A batch or another object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObjectFinding {
    /// The kind, for machines.
    pub kind: &'static str,
    /// The kind, for people.
    pub title: String,
    /// The object's name, or the common prefix of its objects' names.
    pub object: String,
    /// The content.
    #[serde(flatten)]
    pub(super) facts: Facts,
    /// Remarks that are not problems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The problems found.
    pub problems: Vec<ObjectProblem>,
}

impl ObjectFinding {
    pub(super) fn new(
        kind: &'static str,
        title: impl Into<String>,
        object: &str,
        facts: Facts,
    ) -> Self {
        Self {
            kind,
            title: title.into(),
            object: object.to_owned(),
            facts,
            notes: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a problem that no retry removes.
    pub(super) fn reject(&mut self, reason: &'static str, message: impl Into<String>) {
        let problem = ObjectProblem::rejected(reason, &self.object, message);
        self.problems.push(problem);
    }

    fn write(&self, sheet: &mut Sheet) {
        sheet.heading(&self.title, std::slice::from_ref(&self.object));
        sheet.facts(&self.facts);
        for note in &self.notes {
            sheet.row("note", note, Tone::Faint);
        }
        for problem in &self.problems {
            let ObjectProblem {
                exit,
                reason,
                object,
                message,
            } = problem;
            let object = match object.rsplit('/').next() {
                Some(last) if *object != self.object => format!("{last}: "),
                _ => String::new(),
            };
            let text = format!("{reason}: {object}{message}");
            sheet.row(exit.as_str(), &text, Tone::Bad);
        }
    }
}

/// A problem of an inspected object.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObjectProblem {
    /// The outcome: `rejected`, `retry` if the problem may disappear later, or `conflict` if a
    /// comparison found a difference.
    #[serde(rename = "outcome")]
    pub exit: Exit,
    /// The reason, for machines. Rejected batches have the same reasons in other commands.
    pub reason: &'static str,
    /// The object with the problem.
    pub object: String,
    /// A description for people.
    pub message: String,
}

impl ObjectProblem {
    pub(super) fn new(
        exit: Exit,
        reason: &'static str,
        object: &str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            exit,
            reason,
            object: object.to_owned(),
            message: message.into(),
        }
    }

    /// Creates a problem that no retry removes.
    pub(super) fn rejected(reason: &'static str, object: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Rejected, reason, object, message)
    }
}
