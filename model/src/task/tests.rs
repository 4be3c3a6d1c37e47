//! Tests of the tasks, with messages written by hand from the format description.

use proptest::prelude::*;

use super::*;
use crate::id::BatchId;
use crate::time::BatchTime;

const INTAKE: &str = concat!(
    r#"{"trace-id":"5bc8f1ee-4a3f-4d0e-bd4f-2fe2b5ed5b0e","aggregation-id":"kittens-seen","#,
    r#""batch-id":"b8a5579a-f984-460a-a42d-2813cbf57771","date":"2020/10/31/20/29"}"#,
);

const AGGREGATION: &str = concat!(
    r#"{"trace-id":"5bc8f1ee-4a3f-4d0e-bd4f-2fe2b5ed5b0e","aggregation-id":"kittens-seen","#,
    r#""aggregation-start":"2020/10/31/16/00","aggregation-end":"2020/11/01/00/00","batches":["#,
    r#"{"id":"b8a5579a-f984-460a-a42d-2813cbf57771","time":"2020/10/31/20/29"},"#,
    r#"{"id":"0f0317b2-c612-48c2-b08d-d98529d6eae4","time":"2020/10/31/20/35"}]}"#,
);

const ROSTER: &str = concat!(
    r#"{"trace-id":"11111111-2222-4333-8444-555555555555","aggregation-id":"kittens-seen","#,
    r#""roster-start":"2020/10/31/16/00","roster-end":"2020/11/01/00/00"}"#,
);

fn parse_intake(message: &str) -> Result<Task, TaskError> {
    Task::parse(QueueKind::Intake, message.as_bytes())
}

fn parse_window(message: &str) -> Result<Task, TaskError> {
    Task::parse(QueueKind::Aggregate, message.as_bytes())
}

fn json(task: &Task) -> String {
    String::from_utf8(task.to_json()).unwrap()
}

#[test]
fn intake_golden_bytes_both_ways() {
    let task = parse_intake(INTAKE).unwrap();
    assert_eq!(json(&task), INTAKE);
    let TaskName::Intake(batch) = &task.name else {
        panic!("{task:?}");
    };
    assert_eq!(batch.aggregation.as_str(), "kittens-seen");
    assert_eq!(batch.date.to_string(), "2020/10/31/20/29");
}

#[test]
fn aggregation_golden_bytes_both_ways() {
    let task = parse_window(AGGREGATION).unwrap();
    assert_eq!(json(&task), AGGREGATION);
    let TaskName::Window(WindowKind::Aggregate, name) = &task.name else {
        panic!("{task:?}");
    };
    let batches = task.batches.unwrap();
    assert!(batches.iter().all(|batch| name.window.contains(batch.date)));
    let start = AGGREGATION.find("\"batches\"").unwrap();
    let empty = format!("{}\"batches\":[]}}", &AGGREGATION[..start]);
    assert_eq!(parse_window(&empty).unwrap().batches, Some(Vec::new()));
}

#[test]
fn a_roster_task_is_told_from_an_aggregation() {
    let task = parse_window(ROSTER).unwrap();
    assert!(
        matches!(&task.name, TaskName::Window(WindowKind::Roster, name) if name.window.end().to_string() == "2020/11/01/00/00")
    );
    assert_eq!(json(&task), ROSTER);
    let sum = ROSTER
        .replace("roster-", "aggregation-")
        .replace('}', r#","batches":[],"agreed":true}"#);
    let task = parse_window(&sum).unwrap();
    assert!(matches!(
        &task.name,
        TaskName::Window(WindowKind::Aggregate, _)
    ));
    assert_eq!(task.batches, None);
    assert_eq!(json(&task), sum);
    for bad in ["{}", "[]", "", r#"{"roster-start":"x"}"#] {
        assert!(parse_window(bad).is_err(), "{bad}");
    }
    let empty = ROSTER.replace("2020/11/01/00/00", "2020/10/31/16/00");
    assert!(matches!(
        parse_window(&empty),
        Err(TaskError::BadValue {
            key: "roster-end",
            ..
        })
    ));
}

#[test]
fn an_agreed_sum_ignores_the_batches_of_its_message() {
    let named = AGGREGATION.replace("}]}", r#"}],"agreed":true}"#);
    assert_eq!(parse_window(&named).unwrap().batches, None);
}

#[test]
fn unknown_keys_are_ignored() {
    let extra = INTAKE.replace("{\"trace-id\"", "{\"from-the-future\":[1,{}],\"trace-id\"");
    assert_eq!(parse_intake(&extra).unwrap(), parse_intake(INTAKE).unwrap());
}

#[test]
fn every_key_is_required() {
    for key in ["trace-id", "aggregation-id", "batch-id", "date"] {
        let text = INTAKE.replace(&format!("\"{key}\""), "\"other\"");
        assert!(
            matches!(parse_intake(&text), Err(TaskError::NotATask(_))),
            "{key}"
        );
    }
    for key in [
        "trace-id",
        "aggregation-id",
        "aggregation-start",
        "aggregation-end",
        "batches",
        "id",
        "time",
    ] {
        let text = AGGREGATION.replacen(&format!("\"{key}\""), "\"other\"", 1);
        assert!(
            matches!(parse_window(&text), Err(TaskError::NotATask(_))),
            "{key}"
        );
    }
}

#[test]
fn names_the_key_of_a_bad_value() {
    for (good, bad, expected) in [
        ("5bc8f1ee-4a3f", "not-a-uuid", "task: key trace-id"),
        ("kittens-seen", "../kittens", "task: key aggregation-id"),
        ("b8a5579a-f984", "b8a5579a", "task: key batch-id"),
        ("2020/10/31/20/29", "2020/10/32/20/29", "task: key date"),
    ] {
        let error = parse_intake(&INTAKE.replace(good, bad)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let backwards = AGGREGATION.replace("2020/11/01/00/00", "2020/10/31/16/00");
    let error = parse_window(&backwards).unwrap_err();
    assert_eq!(error.to_string(), "task: key aggregation-end");
    let bad_batch = AGGREGATION.replace("20/35", "20/5");
    let error = parse_window(&bad_batch).unwrap_err();
    assert_eq!(error.to_string(), "task: key batches.time");
}

#[test]
fn refuses_what_is_too_large_or_no_object() {
    let large = vec![b' '; TASK_SIZE_LIMIT + 1];
    assert!(matches!(
        Task::parse(QueueKind::Intake, &large),
        Err(TaskError::TooLarge { .. })
    ));
    for text in ["", "[]", "null", "{}", "\u{feff}{}"] {
        assert!(
            matches!(parse_intake(text), Err(TaskError::NotATask(_))),
            "{text}"
        );
    }
}

prop_compose! {
    fn sums()(trace: [u8; 16], name in "[a-z][a-z.-]{0,20}", start in 0_i64..1 << 40, length in 1_i64..10_000,
        batches in prop::collection::vec((any::<[u8; 16]>(), 0_i64..1 << 40), 0..5)) -> Task {
        let aggregation: AggregationId = name.parse().unwrap();
        let start = BatchTime::from_millis(start).unwrap();
        let window = Window::new(start, start.plus_minutes(length).unwrap()).unwrap();
        let batch = |(id, time)| BatchName {
            aggregation: aggregation.clone(),
            date: BatchTime::from_millis(time).unwrap(),
            id: BatchId::from_bytes(id),
        };
        Task {
            trace_id: Uuid::from_bytes(trace),
            batches: Some(batches.into_iter().map(batch).collect()),
            name: TaskName::Window(WindowKind::Aggregate, WindowName { aggregation, window }),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(task in sums()) {
        prop_assert_eq!(&Task::parse(QueueKind::Aggregate, &task.to_json()).unwrap(), &task);
        for batch in task.batches.into_iter().flatten() {
            let intake = Task { trace_id: task.trace_id, name: TaskName::Intake(batch), batches: None };
            prop_assert_eq!(&Task::parse(QueueKind::Intake, &intake.to_json()).unwrap(), &intake);
        }
    }
}
