//! Records and their keys: a record created with the key always verifies, whole or in pieces, and
//! any other object never does.

use bytes::Bytes;
use tallybox_crypto::SealingKey;
use tallybox_transport::{RecordKey, Records};

/// The name of all records in this target.
const NAME: &str = "windows/a/202601010000-202601010100.done";

pub fn run(data: &[u8]) {
    if let Some(key) = std::str::from_utf8(data).ok().and_then(|text| RecordKey::parse(text).ok()) {
        assert_eq!(RecordKey::parse(&key.to_text()).expect("our own form").id(), key.id());
    }
    let sealing = SealingKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("a sealing key");
    let records = Records::new(RecordKey::from_bytes(sealing.record_key()), [], &["fuzz"]);
    let object = Bytes::copy_from_slice(data);
    let whole = records.open(NAME, &object).is_ok();
    let (start, rest) = data.split_at(data.len() / 3);
    let mut opening = records.opening(NAME);
    opening.update(start);
    opening.update(rest);
    assert_eq!(opening.finish().is_ok(), whole);
    let ours = records.seal(NAME, data);
    assert_eq!(records.open(NAME, &ours).expect("what we made"), data);
}
