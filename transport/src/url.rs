//! The location of a bucket as written in a configuration.
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
//! The prefix may be absent. It precedes all object keys.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::BucketError;
use crate::key::fault;

/// The location of a bucket. The text cannot contain a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BucketUrl(pub(crate) Location);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Location {
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
    /// Parses a location. A relative path is relative to the directory `relative_to`.
    ///
    /// # Errors
    /// [`BucketError::InvalidUrl`] for another scheme, a missing part, or a location with
    /// credentials. User names, queries (as in signed URLs) and fragments are refused and not
    /// repeated in the message.
    pub fn parse(text: &str, relative_to: &Path) -> Result<Self, BucketError> {
        let invalid = |reason: String| BucketError::InvalidUrl {
            url: without_secrets(text).to_owned(),
            reason,
        };
        parse_location(text, relative_to).map(Self).map_err(invalid)
    }

    /// Returns the directory of a local bucket.
    pub fn directory(&self) -> Option<&Path> {
        match &self.0 {
            Location::Local { directory } => Some(directory),
            Location::Memory { .. }
            | Location::S3 { .. }
            | Location::Gs { .. }
            | Location::Azure { .. } => None,
        }
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Location::Local { directory } => write!(f, "{}", directory.display()),
            Location::Memory { name } => write!(f, "memory:{name}"),
            Location::S3 {
                region,
                bucket,
                prefix,
            } => {
                write!(f, "s3://{region}/{bucket}{}", Suffix(prefix))
            }
            Location::Gs { bucket, prefix } => write!(f, "gs://{bucket}{}", Suffix(prefix)),
            Location::Azure {
                account,
                container,
                prefix,
            } => {
                write!(f, "az://{account}/{container}{}", Suffix(prefix))
            }
        }
    }
}

/// Displays a prefix with a leading slash, or nothing if it is empty.
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

fn parse_location(text: &str, relative_to: &Path) -> Result<Location, String> {
    if text.trim().is_empty() {
        return Err("the location is empty".into());
    }
    if let Some(name) = text.strip_prefix("memory:") {
        let name = if name.is_empty() {
            String::new()
        } else {
            named("name", name)?
        };
        return Ok(Location::Memory { name });
    }
    if text.starts_with("file:") {
        return Ok(Location::Local {
            directory: file_directory(text)?,
        });
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(Location::Local {
            directory: plain_directory(text, relative_to)?,
        });
    };
    if rest.contains(['@', '?', '#']) {
        return Err(
            "user names, queries and fragments are not allowed; put credentials into the settings"
                .into(),
        );
    }
    match scheme {
        "s3" => {
            let (region, bucket, prefix) = split_two_names(rest, "region", "bucket")?;
            Ok(Location::S3 {
                region,
                bucket,
                prefix,
            })
        }
        "gs" => {
            let (bucket, prefix) = split_name(rest, "bucket")?;
            Ok(Location::Gs { bucket, prefix })
        }
        "az" => {
            let (account, container, prefix) = split_two_names(rest, "account", "container")?;
            Ok(Location::Azure {
                account,
                container,
                prefix,
            })
        }
        _ => Err("the scheme has to be file, memory, s3, gs or az".into()),
    }
}

/// Parses `file:///srv/mailbox`, percent-decoded.
fn file_directory(text: &str) -> Result<PathBuf, String> {
    let form = || "a file URL has the form file:///directory".to_owned();
    let url = ::url::Url::parse(text).map_err(|_| form())?;
    // An `@` may be the end of a password. A directory with this character in its name has to be
    // given as a plain path.
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && text.starts_with("file:///")
        && !text.contains('@');
    if !plain {
        return Err(form());
    }
    let directory = url.to_file_path().map_err(|()| form())?;
    without_nul(directory)
}

fn plain_directory(text: &str, relative_to: &Path) -> Result<PathBuf, String> {
    let directory = relative_to.join(text);
    // Resolve the path against the working directory at the start of the process, not against a
    // later one.
    let absolute = std::path::absolute(directory).map_err(|error| error.to_string())?;
    without_nul(absolute)
}

fn without_nul(directory: PathBuf) -> Result<PathBuf, String> {
    if directory.as_os_str().as_encoded_bytes().contains(&0) {
        return Err("the path contains a zero byte".into());
    }
    Ok(directory)
}

fn split_two_names(
    rest: &str,
    first: &str,
    second: &str,
) -> Result<(String, String, String), String> {
    let (first_name, rest) = rest
        .split_once('/')
        .ok_or_else(|| format!("the location has no {second}"))?;
    let (second_name, prefix) = split_name(rest, second)?;
    Ok((named(first, first_name)?, second_name, prefix))
}

fn split_name(rest: &str, what: &str) -> Result<(String, String), String> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    match fault(prefix) {
        Some(reason) if !prefix.is_empty() => {
            Err(format!("the prefix is not an object key: {reason}"))
        }
        _ => Ok((named(what, name)?, prefix.to_owned())),
    }
}

/// Checks the name of a region, bucket, account or container: letters, digits, and `-`, `_`, `.`
/// inside.
fn named(what: &str, name: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        Err(format!("the location has no {what}"))
    } else if !name.chars().all(inside) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Err(format!(
            "the {what} contains a character that is not allowed"
        ))
    } else {
        Ok(name.to_owned())
    }
}

/// Returns the text, or only its scheme if it may contain a user name, a password or a signature.
fn without_secrets(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, rest)) if rest.contains(['@', '?', '#']) => scheme,
        _ => text,
    }
}

#[cfg(test)]
mod tests;
