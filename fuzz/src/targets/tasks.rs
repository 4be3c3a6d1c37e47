//! The three kinds of task: what parses is written and parsed again to the same.

use crate::forge::brief;
use tallybox_model::task::{AggregationTask, IntakeTask, WindowTask};

pub fn run(data: &[u8]) {
    match IntakeTask::parse(data) {
        Ok(task) => assert_eq!(IntakeTask::parse(&task.to_json()).expect("what we write parses"), task),
        Err(error) => brief(&error),
    }
    match AggregationTask::parse(data) {
        Ok(task) => {
            assert!(task.window.start() < task.window.end(), "an empty window");
            assert_eq!(AggregationTask::parse(&task.to_json()).expect("what we write parses"), task);
        }
        Err(error) => brief(&error),
    }
    match WindowTask::parse(data) {
        Ok(task) => assert_eq!(WindowTask::parse(&task.to_json()).expect("what we write parses"), task),
        Err(error) => brief(&error),
    }
}
