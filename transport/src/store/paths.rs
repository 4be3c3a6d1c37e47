//! Object names and listing bounds in the form of `object_store`.

use object_store::path::Path;

use crate::{BucketError, ListRange};

/// Returns the offset at which a server may start the listing of `prefix`. A server omits the
/// offset itself, so the offset has to precede the first key of the range; the remaining keys
/// before the range are filtered out locally.
///
/// A server that lists in the order of a directory walk (SeaweedFS) also omits the content of a
/// directory whose name alone precedes the offset. Such a directory may contain keys of the range:
/// `a/x` follows `a-`, because a slash follows a hyphen, but `a` precedes it. Therefore the offset
/// is not a prefix of the first key, and ends where the name of a directory may end. The last
/// component of the offset sorts just before that name and everything below it.
pub(super) fn offset(prefix: &str, range: &ListRange) -> Option<Path> {
    let start = range.start_at.as_deref()?.trim_end_matches('/');
    // A bound outside of the prefix is either before or after all of its keys.
    let below = match prefix {
        "" => start,
        prefix => start.strip_prefix(prefix)?.strip_prefix('/')?,
    };
    let mut start = &start[..start.len() - below.len() + up_to_directory(below).len()];
    while start.len() > prefix.len() {
        let (parent, component) = start.rsplit_once('/').unwrap_or(("", start));
        // A text that is not a valid path cannot be used. An earlier offset, or none, is correct as
        // well.
        if let Some(before) = just_before(component)
            && let Ok(offset) = Path::parse(format!("{parent}/{before}").trim_start_matches('/'))
        {
            return Some(offset);
        }
        start = parent;
    }
    None
}

/// Returns the beginning of a key up to the first position in a component at which the name of a
/// directory may end: before a byte that sorts before the slash.
fn up_to_directory(key: &str) -> &str {
    let mut within = false;
    for (at, byte) in key.bytes().enumerate() {
        if within && byte < b'/' {
            return &key[..at];
        }
        within = byte != b'/';
    }
    key
}

/// Returns a text that sorts closely before this component of a key and is not a prefix of it.
fn just_before(component: &str) -> Option<String> {
    let (at, last) = component.char_indices().next_back()?;
    let previous = match last {
        // A slash ends a component, and some servers treat a backslash as a slash.
        '0' => '.',
        ']' => '[',
        _ => char::from_u32(u32::from(last).checked_sub(1)?)?,
    };
    (!previous.is_control()).then(|| format!("{}{previous}~", &component[..at]))
}

/// Converts a valid key or prefix to the store's path, character by character.
pub(crate) fn to_path(key: &str) -> Result<Path, BucketError> {
    Path::parse(key).map_err(|_| BucketError::InvalidKey {
        key: key.to_owned(),
        reason: "the object store does not accept it",
    })
}
