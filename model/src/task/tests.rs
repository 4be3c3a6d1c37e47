//! Tests of the tasks, with messages written by hand from the format description.

use proptest::prelude::*;

use super::*;

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

#[test]
fn intake_golden_bytes_both_ways() {
    let task = IntakeTask::parse(INTAKE.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(task.to_json()).unwrap(), INTAKE);
    assert_eq!(task.aggregation_id.as_str(), "kittens-seen");
    assert_eq!(task.date.to_string(), "2020/10/31/20/29");
}

#[test]
fn aggregation_golden_bytes_both_ways() {
    let task = AggregationTask::parse(AGGREGATION.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(task.to_json()).unwrap(), AGGREGATION);
    assert!(
        task.batches
            .iter()
            .all(|batch| task.window.contains(batch.time))
    );
    let start = AGGREGATION.find("\"batches\"").unwrap();
    let empty = format!("{}\"batches\":[]}}", &AGGREGATION[..start]);
    assert!(
        AggregationTask::parse(empty.as_bytes())
            .unwrap()
            .batches
            .is_empty()
    );
}

#[test]
fn unknown_keys_are_ignored() {
    let extra = INTAKE.replace("{\"trace-id\"", "{\"from-the-future\":[1,{}],\"trace-id\"");
    assert_eq!(
        IntakeTask::parse(extra.as_bytes()).unwrap(),
        IntakeTask::parse(INTAKE.as_bytes()).unwrap()
    );
}

#[test]
fn every_key_is_required() {
    for key in ["trace-id", "aggregation-id", "batch-id", "date"] {
        let text = INTAKE.replace(&format!("\"{key}\""), "\"other\"");
        assert!(
            matches!(
                IntakeTask::parse(text.as_bytes()),
                Err(TaskError::NotATask(_))
            ),
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
            matches!(
                AggregationTask::parse(text.as_bytes()),
                Err(TaskError::NotATask(_))
            ),
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
        let error = IntakeTask::parse(INTAKE.replace(good, bad).as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let backwards = AGGREGATION.replace("2020/11/01/00/00", "2020/10/31/16/00");
    let error = AggregationTask::parse(backwards.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "task: key aggregation-end");
    let bad_batch = AGGREGATION.replace("20/35", "20/5");
    let error = AggregationTask::parse(bad_batch.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "task: key batches.time");
}

#[test]
fn refuses_what_is_too_large_or_no_object() {
    let large = vec![b' '; TASK_SIZE_LIMIT + 1];
    assert!(matches!(
        IntakeTask::parse(&large),
        Err(TaskError::TooLarge { .. })
    ));
    for text in ["", "[]", "null", "{}", "\u{feff}{}"] {
        assert!(
            matches!(
                IntakeTask::parse(text.as_bytes()),
                Err(TaskError::NotATask(_))
            ),
            "{text}"
        );
    }
}

prop_compose! {
    fn tasks()(trace: [u8; 16], name in "[a-z][a-z.-]{0,20}", start in 0_i64..1 << 40, length in 1_i64..10_000,
        batches in prop::collection::vec((any::<[u8; 16]>(), 0_i64..1 << 40), 0..5)) -> AggregationTask {
        let window = {
            let start = BatchTime::from_millis(start).unwrap();
            Window::new(start, start.plus_minutes(length).unwrap()).unwrap()
        };
        let batch = |(id, time)| TaskBatch { id: BatchId::from_bytes(id), time: BatchTime::from_millis(time).unwrap() };
        let batches = batches.into_iter().map(batch).collect();
        AggregationTask { trace_id: Uuid::from_bytes(trace), aggregation_id: name.parse().unwrap(), window, batches, agreed: false }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(task in tasks()) {
        prop_assert_eq!(AggregationTask::parse(&task.to_json()).unwrap(), task.clone());
        for batch in &task.batches {
            let (trace_id, aggregation_id) = (task.trace_id, task.aggregation_id.clone());
            let intake = IntakeTask { trace_id, aggregation_id, batch_id: batch.id, date: batch.time };
            prop_assert_eq!(IntakeTask::parse(&intake.to_json()).unwrap(), intake);
        }
    }
}
