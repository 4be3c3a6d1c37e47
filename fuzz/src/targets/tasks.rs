//! The kinds of task, the batches of a window, and announcements of extensions: serialising and
//! parsing a parsed value again yields the same value.

use crate::forge::brief;
use tallybox_model::extensions::{Extensions, RosterSwitch};
use tallybox_model::task::{AggregationTask, IntakeTask, WindowBatches, WindowTask};

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
    match WindowBatches::parse(data) {
        Ok(batches) => assert_eq!(WindowBatches::parse(&batches.to_json()).expect("what we write parses"), batches),
        Err(error) => brief(&error),
    }
    match Extensions::parse(data) {
        Ok(extensions) => assert_eq!(Extensions::parse(&extensions.to_json()).expect("what we write parses"), extensions),
        Err(error) => brief(&error),
    }
    match RosterSwitch::parse(data) {
        Ok(switch) => assert_eq!(RosterSwitch::parse(&switch.to_json()).expect("what we write parses"), switch),
        Err(error) => brief(&error),
    }
}
