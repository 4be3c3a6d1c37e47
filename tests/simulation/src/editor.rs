//! Somebody who can write to a processor's own bucket and has no key: what was agreed on there is made to say something
//! else, until it is put back.

use bytes::Bytes;
use tallybox_model::role::Role;
use tallybox_model::roster::{AgreedWindow, RosterObject, WindowName};
use tallybox_transport::{TRAILER_BYTES, publish_bytes, read_all};

use crate::machine::Places;

/// Most bytes of an object.
const LIMIT: u64 = 1 << 20;

/// A record that was edited.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Whose own bucket it is in.
    pub victim: Role,
    /// The window that it is about.
    pub window: WindowName,
    /// The object.
    pub key: String,
    /// As it was.
    original: Bytes,
}

/// Edits the record that this processor has just made, if it is about a window: an agreed set loses its last batch,
/// whatever else it is says something else in one digit. With `agreed_only` nothing but an agreed set will do, from which a
/// sum part follows.
pub async fn edit(places: &Places, victim: Role, agreed_only: bool) -> Option<Edit> {
    let own = &places.own[victim.index()];
    let key = own.fresh()?;
    let (window, object) = RosterObject::parse(&key)?;
    if matches!(object, RosterObject::Verdicts | RosterObject::Counted) {
        // Sealed.
        return None;
    }
    let original = read_all(&*own.inner, &key, LIMIT).await.ok()?;
    let (payload, trailer) = original.split_at(original.len().checked_sub(TRAILER_BYTES)?);
    let changed = match object {
        RosterObject::Agreed => smaller(payload)?,
        _ if agreed_only => return None,
        _ => other_digit(payload)?,
    };
    replace(places, victim, &key, [&changed, trailer].concat().into()).await;
    Some(Edit {
        victim,
        window,
        key,
        original,
    })
}

/// Puts back what was there.
pub async fn put_back(places: &Places, edit: &Edit) {
    replace(places, edit.victim, &edit.key, edit.original.clone()).await;
}

async fn replace(places: &Places, victim: Role, key: &str, bytes: Bytes) {
    let own = &*places.own[victim.index()].inner;
    // In memory nothing fails.
    let _ = own.delete(key).await;
    let _ = publish_bytes(own, key, bytes, false).await;
}

/// An agreed set without its last batch, and with a count that fits.
fn smaller(payload: &[u8]) -> Option<Vec<u8>> {
    let mut agreed: AgreedWindow = serde_json::from_slice(payload).ok()?;
    let last = agreed.batches.pop()?;
    agreed.counted = agreed.counted.checked_sub(last.claim.accepted - last.duplicates)?;
    agreed.minimum = 1;
    serde_json::to_vec_pretty(&agreed).ok()
}

fn other_digit(payload: &[u8]) -> Option<Vec<u8>> {
    let mut changed = payload.to_vec();
    let digit = changed.iter_mut().rev().find(|byte| byte.is_ascii_digit())?;
    *digit = if *digit == b'1' { b'2' } else { b'1' };
    Some(changed)
}
