//! An attacker who can write to a processor's own bucket, but has no key. The attacker edits agreed
//! sets and other records of windows, which are restored later.

use bytes::Bytes;
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, RosterObject, WindowName};
use tallybox_transport::{TRAILER_BYTES, publish_bytes, read_all};

use crate::machine::Storage;

/// The maximum size of an object, in bytes.
const MAX_OBJECT_BYTES: u64 = 1 << 20;

/// An edited record.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The processor whose own bucket contains the record.
    pub victim: Role,
    /// The window to which the record belongs.
    pub window: WindowName,
    /// The key of the object.
    pub key: String,
    /// The bytes before the edit.
    original: Bytes,
}

/// Edits the record that a processor has just written, if the record belongs to a window. An agreed
/// set loses its last batch; in any other record, one digit changes. With `agreed_only`, only an
/// agreed set is edited, because a sum part follows from it.
pub async fn edit(storage: &Storage, victim: Role, agreed_only: bool) -> Option<Edit> {
    let own = &storage.own[victim.index()];
    let key = own.fresh()?;
    let (window, object) = RosterObject::parse(&key)?;
    if matches!(object, RosterObject::Verdicts | RosterObject::Counted) {
        // These objects are sealed files, which an attacker without the key cannot edit.
        return None;
    }
    let original = read_all(&*own.inner, &key, MAX_OBJECT_BYTES).await.ok()?;
    let (payload, trailer) = original.split_at(original.len().checked_sub(TRAILER_BYTES)?);
    let changed = match object {
        RosterObject::Agreed => smaller(payload)?,
        _ if agreed_only => return None,
        _ => other_digit(payload)?,
    };
    replace(storage, victim, &key, [&changed, trailer].concat().into()).await;
    Some(Edit {
        victim,
        window,
        key,
        original,
    })
}

/// Restores the original bytes.
pub async fn put_back(storage: &Storage, edit: &Edit) {
    replace(storage, edit.victim, &edit.key, edit.original.clone()).await;
}

async fn replace(storage: &Storage, victim: Role, key: &str, bytes: Bytes) {
    let own = &*storage.own[victim.index()].inner;
    // Deletion from memory does not fail.
    let _ = own.delete(key).await;
    let _ = publish_bytes(own, key, bytes, false).await;
}

/// Returns an agreed set without its last batch, with a matching count.
fn smaller(payload: &[u8]) -> Option<Vec<u8>> {
    let mut agreed: AgreedWindow = serde_json::from_slice(payload).ok()?;
    let last = agreed.batches.pop()?;
    agreed.counted = agreed
        .counted
        .checked_sub(last.claim.accepted - last.duplicates)?;
    agreed.minimum = 1;
    serde_json::to_vec_pretty(&agreed).ok()
}

fn other_digit(payload: &[u8]) -> Option<Vec<u8>> {
    let mut changed = payload.to_vec();
    let digit = changed
        .iter_mut()
        .rev()
        .find(|byte| byte.is_ascii_digit())?;
    *digit = if *digit == b'1' { b'2' } else { b'1' };
    Some(changed)
}
