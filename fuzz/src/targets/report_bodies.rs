//! Request bodies of clients in JSON and Avro. Each report is parsed separately, and a parsed
//! report is serialised and parsed again.

use crate::forge::generous;
use tallybox_ingestor::http::fuzzing;
use tallybox_model::avro::{ContainerReader, RecordReader, encode_one};
use tallybox_model::report::json::JsonReport;
use tallybox_model::report::{ReportUpload, StoredReport, signed_bytes};

pub fn run(data: &[u8]) {
    for read in [fuzzing::json(data), fuzzing::avro(data)].into_iter().flatten() {
        assert!(read.0 <= read.1, "no more good reports than reports");
    }
    if let Ok(report) = serde_json::from_slice::<JsonReport>(data)
        && let Ok(upload) = ReportUpload::try_from(report)
    {
        check(&upload);
        let text = serde_json::to_vec(&JsonReport::from(upload.clone())).expect("what was read can be written");
        let reparsed: JsonReport = serde_json::from_slice(&text).expect("what we write can be read");
        let reparsed = ReportUpload::try_from(reparsed).expect("what we write is a report");
        assert_eq!(reparsed.epsilon.to_bits(), upload.epsilon.to_bits());
        assert_eq!((reparsed.id, reparsed.payload_first), (upload.id, upload.payload_first));
    }
    let Ok(mut reader) = ContainerReader::open(data, &generous()) else {
        return;
    };
    while let Ok(Some(block)) = reader.next_block() {
        let reports = RecordReader::<ReportUpload>::new(&block, reader.schema(), &generous());
        reports.flatten().take(100).for_each(|upload| check(&upload));
    }
}

/// Performs the server's operations on a parsed report.
fn check(upload: &ReportUpload) {
    let _ = signed_bytes(upload);
    let digest = StoredReport::from_upload(upload, &upload.id).digest();
    assert_eq!(digest, StoredReport::from_upload(upload, &upload.id).digest());
    encode_one(upload, crate::forge::MARKER).expect("what was read can be encoded");
}
