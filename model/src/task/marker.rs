//! Markers: the names of the objects with which a workflow manager records that it has started a
//! task.
//!
//! The first marker of a task has ENPA's name. A marker only delays: a task without an outcome is
//! started again some time after its last marker, with a further marker.

use super::name::hyphenated;
use super::{TaskName, WindowKind};
use crate::id::AggregationId;
use crate::time::BatchTime;

/// The directory of all markers, in the own bucket.
const MARKERS: &str = "task-markers";

/// A record that a task was started.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskMarker {
    /// The task.
    pub task: TaskName,
    /// The number of starts up to and including this one: 1 for the first.
    pub attempt: u32,
    /// The time of the start. The name of a first marker does not contain it, but the marker's text
    /// does.
    pub at: Option<BatchTime>,
}

impl TaskMarker {
    /// The directory of all markers.
    pub const DIRECTORY: &str = MARKERS;

    /// Returns `task-markers/{task}` for the first attempt,
    /// `task-markers/{task}.{attempt}-{YYYYMMDDHHMM}` for a later one.
    #[must_use]
    pub fn name(&self) -> String {
        match (self.attempt, self.at) {
            // The first marker has ENPA's name, without an attempt.
            (0 | 1, _) | (_, None) => format!("{MARKERS}/{}", self.task),
            (attempt, Some(at)) => format!("{MARKERS}/{}.{attempt}-{}", self.task, at.compact()),
        }
    }

    /// Returns the content of the object: the task as in ENPA, a space, and the time of the start.
    #[must_use]
    pub fn text(&self) -> String {
        match self.at {
            Some(at) => format!("{} {at}", self.task),
            None => self.task.to_string(),
        }
    }

    /// Returns the time of the start from the text of a marker; `None` for text from another
    /// writer, such as ENPA's.
    #[must_use]
    pub fn time_of(text: &str) -> Option<BatchTime> {
        text.rsplit_once(' ')?.1.trim_end().parse().ok()
    }

    /// Parses the name of a marker; returns `None` for any other object.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let name = key.strip_prefix(MARKERS)?.strip_prefix('/')?;
        if let Some(task) = TaskName::parse(name) {
            return Some(Self {
                task,
                attempt: 1,
                at: None,
            });
        }
        let (task, suffix) = name.rsplit_once('.')?;
        let (attempt, at) = suffix.split_once('-')?;
        let marker = Self {
            task: TaskName::parse(task)?,
            attempt: attempt.parse().ok()?,
            at: Some(BatchTime::from_compact(at).ok()?),
        };
        (marker.name() == key).then_some(marker)
    }

    /// Returns a range of keys that contains the markers of an aggregation's intakes of these
    /// dates. The range may contain other keys.
    #[must_use]
    pub fn intakes(
        aggregation: &AggregationId,
        from: BatchTime,
        until: BatchTime,
    ) -> (String, String) {
        let key = |time| format!("{MARKERS}/intake-{aggregation}-{}", hyphenated(time));
        (key(from), key(until))
    }

    /// Returns a range of keys that contains the markers of an aggregation's windows that start in
    /// this range of times. The range may contain other keys.
    #[must_use]
    pub fn windows(
        kind: WindowKind,
        aggregation: &AggregationId,
        from: BatchTime,
        until: BatchTime,
    ) -> (String, String) {
        let key = |time| {
            format!(
                "{MARKERS}/{}-{aggregation}-{}",
                kind.as_str(),
                hyphenated(time)
            )
        };
        (key(from), key(until))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::path::BatchName;
    use crate::roster::WindowName;
    use crate::time::Window;

    fn batch() -> BatchName {
        BatchName::parse("kittens-seen/2020/10/31/20/29/b8a5579a-f984-460a-a42d-2813cbf57771")
            .unwrap()
    }

    fn window() -> WindowName {
        WindowName {
            aggregation: "kittens-seen".parse().unwrap(),
            window: Window::new(
                "2020/10/31/16/00".parse().unwrap(),
                "2020/11/01/00/00".parse().unwrap(),
            )
            .unwrap(),
        }
    }

    fn first(task: TaskName) -> TaskMarker {
        TaskMarker {
            task,
            attempt: 1,
            at: Some("2020/10/31/21/00".parse().unwrap()),
        }
    }

    #[test]
    fn first_markers_have_the_predecessors_names() {
        let intake = first(TaskName::Intake(batch()));
        assert_eq!(
            intake.name(),
            "task-markers/intake-kittens-seen-2020-10-31-20-29-b8a5579a-f984-460a-a42d-2813cbf57771"
        );
        let aggregate = first(TaskName::Window(WindowKind::Aggregate, window()));
        assert_eq!(
            aggregate.name(),
            "task-markers/aggregate-kittens-seen-2020-10-31-16-00-2020-11-01-00-00"
        );
        assert_eq!(
            aggregate.text(),
            "aggregate-kittens-seen-2020-10-31-16-00-2020-11-01-00-00 2020/10/31/21/00"
        );
        assert_eq!(TaskMarker::time_of(&aggregate.text()), aggregate.at);
        assert_eq!(
            TaskMarker::time_of("aggregate-kittens-seen-2020-10-31-16-00-2020-11-01-00-00"),
            None
        );
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let tasks = WindowKind::ALL.map(|kind| TaskName::Window(kind, window()));
        for task in tasks.into_iter().chain([TaskName::Intake(batch())]) {
            let marker = first(task);
            let read = TaskMarker::parse(&marker.name()).unwrap();
            assert_eq!(
                (read.task, read.attempt, read.at),
                (marker.task.clone(), 1, None)
            );
            let repeated = TaskMarker {
                attempt: 3,
                ..marker
            };
            assert!(
                repeated.name().ends_with(".3-202010312100"),
                "{}",
                repeated.name()
            );
            assert_eq!(TaskMarker::parse(&repeated.name()), Some(repeated));
        }
        for key in [
            "task-markers/x",
            "task-markers/intake-kittens-seen-2020-10-31-20-29-b8a5579a",
            "task-markers/intake-kittens-seen-2020-10-32-20-29-b8a5579a-f984-460a-a42d-2813cbf57771",
            "task-markers/intake-kittens-seen-2020-10-31-20-29-B8A5579A-f984-460a-a42d-2813cbf57771",
            "task-markers/intake-kittens-seen-2020-10-31-20-29-b8a5579a-f984-460a-a42d-2813cbf57771.02-202010312100",
            "task-markers/aggregate-kittens-seen-2020-11-01-00-00-2020-10-31-16-00",
            "task-markers/dance-kittens-seen-2020-10-31-16-00-2020-11-01-00-00",
            "markers/aggregate-kittens-seen-2020-10-31-16-00-2020-11-01-00-00",
        ] {
            assert_eq!(TaskMarker::parse(key), None, "{key}");
        }
    }

    #[test]
    fn ranges_hold_later_attempts_too() {
        let (name, at) = (window(), "2020/11/02/00/00".parse().unwrap());
        let (from, until) = TaskMarker::windows(
            WindowKind::Roster,
            &name.aggregation,
            name.window.start(),
            name.window.end(),
        );
        for attempt in [1, 2, 10] {
            let task = TaskName::Window(WindowKind::Roster, name.clone());
            let key = TaskMarker {
                task,
                attempt,
                at: Some(at),
            }
            .name();
            assert!(from <= key && key < until, "{key}");
        }
        let (from, until) =
            TaskMarker::intakes(&name.aggregation, name.window.start(), name.window.end());
        let key = first(TaskName::Intake(batch())).name();
        assert!(from <= key && key < until, "{key}");
    }
}
