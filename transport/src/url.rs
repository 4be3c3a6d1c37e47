//! Where a bucket is, as configuration spells it.
//!
//! | text | bucket |
//! |---|---|
//! | `mailbox`, `./mailbox`, `/srv/mailbox` | a directory; a relative one is relative to the configuration |
//! | `file:///srv/mailbox` | a directory |
//! | `memory:`, `memory:name` | a new bucket in memory |
//! | `s3://region/bucket/prefix` | S3 or a server like it; the order is ENPA's |
//! | `gs://bucket/prefix` | Google Cloud Storage |
//! | `az://account/container/prefix` | Azure Blob Storage |
//!
//! The prefix may be absent; object keys go under it.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::BucketError;
use crate::key::fault;

/// The location of a bucket. Holds no secret: none may stand in its text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BucketUrl(pub(crate) Place);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Local {
        directory: PathBuf,
    },
    Memory {
        name: String,
    },
    S3 {
        region: String,
        bucket: String,
        prefix: String,
    },
    Gs {
        bucket: String,
        prefix: String,
    },
    Azure {
        account: String,
        container: String,
        prefix: String,
    },
}

impl BucketUrl {
    /// Reads a location; a relative path becomes one in the directory `relative_to`.
    ///
    /// [`BucketError::InvalidUrl`] for another scheme, a missing part, or a place where credentials stand: user
    /// names, queries (as in signed URLs) and fragments are refused and not repeated in the message.
    pub fn parse(text: &str, relative_to: &Path) -> Result<Self, BucketError> {
        let invalid = |reason: String| BucketError::InvalidUrl {
            url: without_secrets(text).to_owned(),
            reason,
        };
        parse_place(text, relative_to).map(Self).map_err(invalid)
    }

    /// The directory of a local bucket.
    pub fn directory(&self) -> Option<&Path> {
        match &self.0 {
            Place::Local { directory } => Some(directory),
            Place::Memory { .. } | Place::S3 { .. } | Place::Gs { .. } | Place::Azure { .. } => None,
        }
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Local { directory } => write!(f, "{}", directory.display()),
            Place::Memory { name } => write!(f, "memory:{name}"),
            Place::S3 { region, bucket, prefix } => {
                write!(f, "s3://{region}/{bucket}{}", Suffix(prefix))
            }
            Place::Gs { bucket, prefix } => write!(f, "gs://{bucket}{}", Suffix(prefix)),
            Place::Azure {
                account,
                container,
                prefix,
            } => {
                write!(f, "az://{account}/{container}{}", Suffix(prefix))
            }
        }
    }
}

/// A prefix with its slash, or nothing.
struct Suffix<'a>(&'a str);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.0)
        }
    }
}

fn parse_place(text: &str, relative_to: &Path) -> Result<Place, String> {
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    if let Some(name) = text.strip_prefix("memory:") {
        let name = if name.is_empty() {
            String::new()
        } else {
            named("name", name)?
        };
        return Ok(Place::Memory { name });
    }
    if text.starts_with("file:") {
        return Ok(Place::Local {
            directory: file_directory(text)?,
        });
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(Place::Local {
            directory: plain_directory(text, relative_to)?,
        });
    };
    if rest.contains(['@', '?', '#']) {
        return Err("user names, queries and fragments have no place in it; credentials are settings".into());
    }
    match scheme {
        "s3" => {
            let (region, bucket, prefix) = two_names(rest, "region", "bucket")?;
            Ok(Place::S3 { region, bucket, prefix })
        }
        "gs" => {
            let (bucket, prefix) = one_name(rest, "bucket")?;
            Ok(Place::Gs { bucket, prefix })
        }
        "az" => {
            let (account, container, prefix) = two_names(rest, "account", "container")?;
            Ok(Place::Azure {
                account,
                container,
                prefix,
            })
        }
        _ => Err("its scheme is none of file, memory, s3, gs, az".into()),
    }
}

/// `file:///srv/mailbox`, percent-decoded.
fn file_directory(text: &str) -> Result<PathBuf, String> {
    let form = || "a file URL has the form file:///directory".to_owned();
    let url = ::url::Url::parse(text).map_err(|_| form())?;
    // An `@` may be the end of a password; a directory that has one in its name is given as a plain path.
    let plain =
        url.query().is_none() && url.fragment().is_none() && text.starts_with("file:///") && !text.contains('@');
    if !plain {
        return Err(form());
    }
    let directory = url.to_file_path().map_err(|()| form())?;
    without_nul(directory)
}

fn plain_directory(text: &str, relative_to: &Path) -> Result<PathBuf, String> {
    let directory = relative_to.join(text);
    // What follows is said of the directory of the process when it starts, not of a later one.
    let absolute = std::path::absolute(directory).map_err(|error| error.to_string())?;
    without_nul(absolute)
}

fn without_nul(directory: PathBuf) -> Result<PathBuf, String> {
    if directory.as_os_str().as_encoded_bytes().contains(&0) {
        return Err("it has a zero byte".into());
    }
    Ok(directory)
}

fn two_names(rest: &str, first: &str, second: &str) -> Result<(String, String, String), String> {
    let (one, rest) = rest.split_once('/').ok_or_else(|| format!("it has no {second}"))?;
    let (two, prefix) = one_name(rest, second)?;
    Ok((named(first, one)?, two, prefix))
}

fn one_name(rest: &str, what: &str) -> Result<(String, String), String> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    match fault(prefix) {
        Some(reason) if !prefix.is_empty() => Err(format!("its prefix is no object key: {reason}")),
        _ => Ok((named(what, name)?, prefix.to_owned())),
    }
}

/// Regions, buckets, accounts and containers: letters, digits, and `-`, `_`, `.` inside.
fn named(what: &str, name: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        Err(format!("it has no {what}"))
    } else if !name.chars().all(inside) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Err(format!("its {what} has a character that does not belong there"))
    } else {
        Ok(name.to_owned())
    }
}

/// The text, or only its scheme if it has a sign of a user name, a password or a signature.
fn without_secrets(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, rest)) if rest.contains(['@', '?', '#']) => scheme,
        _ => text,
    }
}

#[cfg(test)]
mod tests;
