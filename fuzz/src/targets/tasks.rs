//! The kinds of task, the batches of a window, and announcements of extensions: serialising and
//! parsing a parsed value again yields the same value.

use crate::forge::brief;
use tallybox_model::extensions::{Extensions, RosterSwitch};
use tallybox_model::task::{QueueKind, Task, TaskName, WindowBatches};

pub fn run(data: &[u8]) {
    for queue in QueueKind::ALL {
        match Task::parse(queue, data) {
            Ok(task) => {
                if let TaskName::Window(_, name) = &task.name {
                    assert!(name.window.start() < name.window.end(), "an empty window");
                }
                assert_eq!(Task::parse(queue, &task.to_json()).expect("what we write parses"), task);
            }
            Err(error) => brief(&error),
        }
    }
    let aggregation = "kittens-seen".parse().expect("a valid name");
    match WindowBatches::parse(&aggregation, data) {
        Ok(batches) => {
            let parsed = WindowBatches::parse(&aggregation, &batches.to_json());
            assert_eq!(parsed.expect("what we write parses"), batches);
        }
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
