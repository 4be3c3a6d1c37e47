//! Objects in an ingestor's spool: plans, lists, slabs and names.

use crate::forge::generous;
use tallybox_model::avro::{ContainerReader, RecordReader};
use tallybox_model::report::StoredReport;
use tallybox_model::spool::{BatchList, Plan, SpoolNames};

pub fn run(data: &[u8]) {
    if let Ok(plan) = Plan::parse(data) {
        let json = plan.to_json().expect("what was read can be written");
        assert_eq!(Plan::parse(&json).as_ref(), Ok(&plan));
    }
    if let Ok(list) = BatchList::parse(data) {
        let json = serde_json::to_vec(&list).expect("what was read can be written");
        assert_eq!(BatchList::parse(&json).as_ref(), Ok(&list));
    }
    if let (Ok(text), Ok(instance)) = (std::str::from_utf8(data), "a-b".parse()) {
        let names = SpoolNames::new(instance);
        if let Some(name) = names.parse_slab(text) {
            assert_eq!(names.slab(&name), text);
        }
        let _ = (names.parse_plan(text), names.parse_record(text));
    }
    let Ok(mut reader) = ContainerReader::open(data, &generous()) else {
        return;
    };
    while let Ok(Some(block)) = reader.next_block() {
        for report in RecordReader::<StoredReport<'_>>::new(&block, reader.schema(), &generous()).flatten() {
            let _ = (report.digest(), report.parameters());
        }
    }
}
