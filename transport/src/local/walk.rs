//! Listing of directories in the order of the keys of their files.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::is_absent;
use crate::key::fault;
use crate::{Entry, ListRange};

/// Passes every object in the directory `prefix` and below that is within the range to `visit`, in
/// the byte order of keys, until `visit` returns false. Returns whether the walk was completed.
pub(super) fn walk(
    root: &Path,
    prefix: &str,
    range: &ListRange,
    visit: &mut dyn FnMut(Entry) -> bool,
) -> io::Result<bool> {
    for child in children(&root.join(prefix), prefix)? {
        if range.is_after(&child.order) {
            return Ok(false);
        }
        let go_on = match child.size {
            Some(_) if range.is_before(&child.key) => true,
            Some(size) => visit(Entry {
                key: child.key,
                size,
            }),
            None if is_wholly_before(&child.order, range) => true,
            None => walk(root, &child.key, range, visit)?,
        };
        if !go_on {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the directories in `prefix` that contain an object at any depth, as full keys, sorted.
pub(super) fn directories(root: &Path, prefix: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for child in children(&root.join(prefix), prefix)? {
        let is_empty = || walk(root, &child.key, &ListRange::default(), &mut |_| false);
        if child.size.is_none() && !is_empty()? {
            found.push(child.key);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A file (with its size) or a directory.
struct Child {
    key: String,
    /// The prefix of all keys of the child: the key itself, with a slash if it is a directory.
    /// Sorting by this value sorts the keys (`a.b` precedes `a/b`).
    order: String,
    size: Option<u64>,
}

/// Returns the content of a directory in the order of keys; empty if the directory does not exist.
fn children(directory: &Path, prefix: &str) -> io::Result<Vec<Child>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut children = Vec::new();
    for entry in entries {
        children.extend(child(&entry?, directory, prefix)?);
    }
    children.sort_unstable_by(|a, b| a.order.cmp(&b.order));
    Ok(children)
}

/// Converts an entry to a child; returns `None` for an entry that is neither file nor directory,
/// has an invalid key, or was just removed.
fn child(entry: &DirEntry, directory: &Path, prefix: &str) -> io::Result<Option<Child>> {
    let Ok(name) = entry.file_name().into_string() else {
        return Ok(None);
    };
    let key = if prefix.is_empty() {
        name
    } else {
        format!("{prefix}/{name}")
    };
    if fault(&key).is_some() {
        return Ok(None);
    }
    if entry.file_type()?.is_symlink() && leads_back(entry, directory) {
        return Ok(None);
    }
    let metadata = match fs::metadata(entry.path()) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_dir() {
        Ok(Some(Child {
            order: format!("{key}/"),
            key,
            size: None,
        }))
    } else if metadata.is_file() {
        Ok(Some(Child {
            order: key.clone(),
            key,
            size: Some(metadata.len()),
        }))
    } else {
        Ok(None)
    }
}

/// Returns whether a symbolic link is broken or points to a directory that contains it. Following
/// the latter would never end.
fn leads_back(link: &DirEntry, directory: &Path) -> bool {
    match (link.path().canonicalize(), directory.canonicalize()) {
        (Ok(target), Ok(directory)) => directory.starts_with(target),
        _ => true,
    }
}

/// Returns whether every key that starts with `order` precedes the range.
fn is_wholly_before(order: &str, range: &ListRange) -> bool {
    range
        .start_at
        .as_deref()
        .is_some_and(|start| order < start && !start.starts_with(order))
}
