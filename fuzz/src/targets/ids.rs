//! Identifiers, digests and addresses: canonical spelling where it is unique, and no escape from a
//! directory.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use tallybox_model::digest::Digest;
use tallybox_model::id::{AggregationId, BatchId, Instance, PacketId};
use tallybox_model::manifest::{BaseUrl, StoragePath};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    same_text::<AggregationId>(text);
    same_text::<Instance>(text);
    same_text::<StoragePath>(text);
    if let Some(id) = same_value::<BatchId>(text) {
        assert_eq!(BatchId::from_bytes(*id.as_bytes()), id);
        assert_eq!(id.to_string().replace('-', ""), text.replace('-', "").to_lowercase());
    }
    same_value::<PacketId>(text);
    if let Some(url) = same_value::<BaseUrl>(text) {
        assert!(!url.as_str().contains(['?', '#', '@', ' ', '\n']), "{url}");
    }
    if let Some(digest) = Digest::from_hex(text) {
        assert_eq!(digest.to_hex(), text.to_lowercase());
    }
}

/// Asserts that a parsed value is displayed with the same text, which is a plain name.
fn same_text<T: FromStr<Err: Debug> + Display + Debug + PartialEq>(text: &str) {
    if let Some(value) = same_value::<T>(text) {
        assert_eq!(value.to_string(), text);
    }
}

/// Asserts that parsing the displayed text of a value yields the same value.
fn same_value<T: FromStr<Err: Debug> + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string().parse::<T>().expect("what we write parses"), value);
    Some(value)
}
