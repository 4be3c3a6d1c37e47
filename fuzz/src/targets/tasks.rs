//! The two kinds of task: what parses is written and parsed again to the same.

use tallybox_model::task::{AggregationTask, IntakeTask};

pub fn run(data: &[u8]) {
    if let Ok(task) = IntakeTask::parse(data) {
        assert_eq!(IntakeTask::parse(&task.to_json()).expect("what we write parses"), task);
    }
    if let Ok(task) = AggregationTask::parse(data) {
        assert!(task.window.start() < task.window.end(), "an empty window");
        assert_eq!(AggregationTask::parse(&task.to_json()).expect("what we write parses"), task);
    }
}
