//! The batches that the task of a window contains, fixed before the task is started. Used without
//! rosters.

use super::{TaskError, WireBatch, bad_value, parse_batches, parsed, read, write};
use crate::id::AggregationId;
use crate::path::BatchName;
use crate::time::BatchTime;
use serde::{Deserialize, Serialize};

/// The batches that a window's task contains, in the order of the task, and the batches that the
/// peer had skipped by then: those that this processor has prepared and the peer has not validated.
/// A batch that arrives for the window afterwards is late.
///
/// As JSON: `{"format":1,"fixed":"YYYY/MM/DD/HH/MM","batches":[{"id":…,"time":…}],"skipped":[…]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowBatches {
    /// The time at which the window was fixed.
    pub fixed: BatchTime,
    /// The batches of the task.
    pub batches: Vec<BatchName>,
    /// The batches that the peer had skipped.
    pub skipped: Vec<BatchName>,
}

impl WindowBatches {
    /// Parses the document of a window of this aggregation, which the document does not contain.
    ///
    /// # Errors
    /// [`TaskError`] if the document is invalid or has another format number.
    pub fn parse(aggregation: &AggregationId, document: &[u8]) -> Result<Self, TaskError> {
        let wire: Wire = read(document)?;
        if wire.format != FORMAT {
            let problem = std::io::Error::other(format!("is {}, not {FORMAT}", wire.format));
            return Err(bad_value("format", problem));
        }
        let parse = |list: &[WireBatch], keys| parse_batches(list, aggregation, keys);
        Ok(Self {
            fixed: parsed("fixed", &wire.fixed)?,
            batches: parse(&wire.batches, ["batches.id", "batches.time"])?,
            skipped: parse(&wire.skipped, ["skipped.id", "skipped.time"])?,
        })
    }

    /// Serialises the document as compact JSON, with keys in the format's order.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let batches = |list: &[BatchName]| list.iter().map(WireBatch::from).collect();
        write(&Wire {
            format: FORMAT,
            fixed: self.fixed.to_string(),
            batches: batches(&self.batches),
            skipped: batches(&self.skipped),
        })
    }
}

/// The only format number.
const FORMAT: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Wire {
    format: u64,
    fixed: String,
    batches: Vec<WireBatch>,
    skipped: Vec<WireBatch>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DOCUMENT: &str = concat!(
        r#"{"format":1,"fixed":"2020/11/01/01/00","batches":[{"id":"b8a5579a-f984-460a-a42d-2813cbf57771","#,
        r#""time":"2020/10/31/20/29"}],"skipped":[{"id":"0f0317b2-c612-48c2-b08d-d98529d6eae4","#,
        r#""time":"2020/10/31/20/35"}]}"#,
    );

    #[test]
    fn golden_bytes_both_ways() {
        let parse = |document: &str| {
            WindowBatches::parse(&"kittens-seen".parse().unwrap(), document.as_bytes())
        };
        let read = parse(DOCUMENT).unwrap();
        assert_eq!((read.batches.len(), read.skipped.len()), (1, 1));
        assert_eq!(String::from_utf8(read.to_json()).unwrap(), DOCUMENT);
        for (good, bad) in [
            ("\"format\":1", "\"format\":2"),
            ("20/35", "20/3"),
            ("b8a5579a", "b8"),
            ("fixed", "x"),
        ] {
            assert!(parse(&DOCUMENT.replace(good, bad)).is_err(), "{bad}");
        }
    }
}
