//! The rules for the keys of objects, which are the same for every kind of bucket.

use crate::BucketError;

/// The prefix of the names of staged files in a local bucket. No component of an object's key may
/// begin with it.
pub(crate) const STAGING_PREFIX: &str = ".tallybox-staged-";

/// Maximum length of a key in bytes, which is the limit of S3 and GCS.
pub(crate) const MAX_KEY_BYTES: usize = 1024;

/// Checks an object's key, which consists of components joined by single slashes.
pub(crate) fn check_key(key: &str) -> Result<(), BucketError> {
    match fault(key) {
        None => Ok(()),
        Some(reason) => Err(BucketError::InvalidKey {
            key: key.to_owned(),
            reason,
        }),
    }
}

/// Checks a directory for a listing: empty for the whole bucket, otherwise a key with or without a
/// trailing slash. Returns the directory without that slash.
pub(crate) fn check_prefix(prefix: &str) -> Result<&str, BucketError> {
    let directory = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        return Ok(prefix);
    }
    check_key(directory)?;
    Ok(directory)
}

/// Returns the rule that a key violates, if any.
pub(crate) fn fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("it is empty");
    }
    if key.len() > MAX_KEY_BYTES {
        return Some("it is longer than 1024 bytes");
    }
    key.split('/').find_map(component_fault)
}

fn component_fault(component: &str) -> Option<&'static str> {
    if component.is_empty() {
        Some("it has an empty component")
    } else if component == "." || component == ".." {
        Some("it has a component \".\" or \"..\"")
    } else if component.starts_with(STAGING_PREFIX) {
        Some("it has a component reserved for half-written files")
    } else if component.contains(|c: char| c.is_control() || c == '\\') {
        Some("it has a control character or a backslash")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_keys() {
        for key in [
            "a",
            "a/b",
            "a/2020/10/31/20/29/b5.batch.avro",
            "a..b/.hidden/_-~",
            "ä b/c+d=e",
        ] {
            assert_eq!(fault(key), None, "{key}");
        }
        assert!(matches!(check_prefix(""), Ok("")));
        assert!(matches!(check_prefix("a/b/"), Ok("a/b")));
        assert!(matches!(check_prefix("a/b"), Ok("a/b")));
    }

    #[test]
    fn bad_keys() {
        let long = "k".repeat(1025);
        let bad = [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0b", "a\nb", "a\\b",
        ];
        for key in bad.into_iter().chain(["x/.tallybox-staged-1", &long]) {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        assert!(check_prefix("/").is_err());
        assert!(check_prefix("a//").is_err());
    }
}
