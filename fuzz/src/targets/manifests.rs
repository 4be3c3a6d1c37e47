//! The four kinds of manifest: serialising and parsing a parsed manifest again yields the same
//! manifest.

use crate::forge::brief;
use std::fmt::Debug;
use tallybox_model::manifest::{
    IngestorManifest, ManifestError, PortalManifest, ProcessorGlobalManifest, ProcessorManifest,
};

/// Size limit of a document in this target, in bytes.
const LIMIT: usize = 4096;

pub fn run(data: &[u8]) {
    round_trip(data, IngestorManifest::parse, IngestorManifest::to_json);
    round_trip(data, PortalManifest::parse, PortalManifest::to_json);
    round_trip(data, ProcessorGlobalManifest::parse, ProcessorGlobalManifest::to_json);
    round_trip(data, ProcessorManifest::parse, ProcessorManifest::to_json);
}

fn round_trip<T: Debug + PartialEq>(
    data: &[u8],
    parse: fn(&str, &[u8], usize) -> Result<T, ManifestError>,
    to_json: fn(&T) -> Vec<u8>,
) {
    match parse("fuzzed", data, LIMIT) {
        Ok(manifest) => {
            assert!(data.len() <= LIMIT, "a document over the limit");
            let reparsed = parse("fuzzed", &to_json(&manifest), 2 * LIMIT);
            assert_eq!(reparsed.expect("what we write parses"), manifest);
        }
        // Errors are logged, so each has to be one line.
        Err(error) => brief(&error),
    }
}
