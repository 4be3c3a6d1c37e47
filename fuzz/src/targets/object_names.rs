//! Names of objects: one spelling for each batch, and always a valid key of a bucket.

use std::sync::OnceLock;
use tallybox_model::path::{BatchKind, BatchName};
use tallybox_model::role::Role;
use tallybox_model::roster::{RosterObject, WindowName};
use tallybox_model::task::TaskMarker;
use tallybox_transport::{BucketError, SharedBucket, memory};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(name) = BatchName::parse(text) {
        assert_eq!(name.to_string(), text);
        let [validation, peers] = Role::ALL.map(|role| name.validation(role));
        let own = [name.prepared("0123abcd"), name.first_seen()];
        for key in own.iter().chain([&name.ingestion().packets, &validation.packets, &peers.signature]) {
            assert!(is_key(key), "{key:?} is not a key");
        }
    }
    if let Some(name) = BatchName::from_ingestion_signature(text) {
        assert_eq!(name.ingestion().signature, text);
    }
    if let Some(name) = BatchName::from_ingestion_object(text) {
        let objects = name.ingestion();
        assert!([objects.header, objects.packets, objects.signature].iter().any(|object| object == text));
    }
    for role in Role::ALL {
        if let Some((name, part)) = BatchName::validation_part(text, role) {
            assert_eq!(name.validation(role).get(part), text);
        }
    }
    if let Some((stem, kind, part)) = BatchKind::split(text) {
        assert_eq!(kind.objects(stem).get(part), text);
    }
    if let Some(marker) = TaskMarker::parse(text) {
        assert_eq!(marker.name(), text);
        assert!(is_key(text), "{text:?} is not a key");
    }
    if let Some(name) = WindowName::from_batches(text) {
        assert_eq!(name.batches(), text);
    }
    if let Some((name, RosterObject::Done)) = RosterObject::parse(text) {
        assert_eq!(name.done(), text);
    }
}

/// Returns whether a bucket accepts the key.
fn is_key(key: &str) -> bool {
    static BUCKET: OnceLock<SharedBucket> = OnceLock::new();
    let bucket = BUCKET.get_or_init(|| memory(""));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without threads");
    matches!(runtime.block_on(bucket.size(key)), Err(BucketError::NotFound { .. }))
}
