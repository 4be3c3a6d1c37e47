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
    there_and_back(data, IngestorManifest::parse, IngestorManifest::to_json);
    there_and_back(data, PortalManifest::parse, PortalManifest::to_json);
    there_and_back(data, ProcessorGlobalManifest::parse, ProcessorGlobalManifest::to_json);
    there_and_back(data, ProcessorManifest::parse, ProcessorManifest::to_json);
}

fn there_and_back<T: Debug + PartialEq>(
    data: &[u8],
    parse: fn(&str, &[u8], usize) -> Result<T, ManifestError>,
    to_json: fn(&T) -> Vec<u8>,
) {
    match parse("fuzzed", data, LIMIT) {
        Ok(manifest) => {
            assert!(data.len() <= LIMIT, "a document over the limit");
            let again = parse("fuzzed", &to_json(&manifest), 2 * LIMIT);
            assert_eq!(again.expect("what we write parses"), manifest);
        }
        // Errors are logged, so each has to be one line.
        Err(error) => brief(&error),
    }
}
