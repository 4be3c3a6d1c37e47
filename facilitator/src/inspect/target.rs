//! Resolves a path or URL from the command line to a bucket and a key.

use crate::error::Error;
use crate::processor::Processor;
use std::path::Path;
use tallybox_model::path::{BatchKind, BatchName, OwnObject, SumPartName, possible_keys};
use tallybox_model::role::Role;
use tallybox_transport::{BucketError, BucketSettings, BucketUrl, LocalBucket, SharedBucket, open};

/// The target of an inspection: an object, the common prefix of a batch's objects, or a folder.
#[derive(Clone, Debug)]
pub struct Target {
    /// The bucket.
    pub bucket: SharedBucket,
    /// The object's key, or a prefix of keys; empty for the whole bucket.
    pub key: String,
    /// The path or URL from the command line.
    pub shown: String,
}

impl Target {
    /// Resolves a path (relative to the working directory) or URL. A URL inside a bucket of the
    /// configuration uses the settings of that bucket; other URLs use the credentials of the
    /// environment.
    ///
    /// # Errors
    /// [`Error::Setting`] if the text is neither a path nor a URL, or this build cannot access the
    /// bucket.
    pub fn locate(text: &str, processor: Option<&Processor>) -> Result<Self, Error> {
        let (bucket, key) = if text.starts_with("file:") || !text.contains("://") {
            local(text)?
        } else if let Some(found) = processor.and_then(|processor| configured(text, processor)) {
            found
        } else {
            cloud(text)?
        };
        Ok(Self {
            bucket,
            key,
            shown: text.to_owned(),
        })
    }
}

fn usage(error: BucketError) -> Error {
    Error::Setting(error.to_string())
}

fn local(text: &str) -> Result<(SharedBucket, String), Error> {
    if text.starts_with("memory:") {
        return Err(Error::Setting(
            "cannot inspect memory: buckets, which are empty in every new process; give a path or a URL".to_owned(),
        ));
    }
    let url = BucketUrl::parse(text, Path::new("")).map_err(usage)?;
    let path = url
        .directory()
        .ok_or_else(|| Error::Setting(format!("{text:?} is not a path")))?;
    let (root, key) = if path.is_dir() {
        (path.display().to_string(), String::new())
    } else {
        let path = path
            .to_str()
            .ok_or_else(|| Error::Setting(format!("the path {text:?} is not UTF-8")))?;
        let (root, key) = split(path);
        (
            if root.is_empty() {
                "/".to_owned()
            } else {
                root.to_owned()
            },
            key.to_owned(),
        )
    };
    Ok((std::sync::Arc::new(LocalBucket::new(root)), key))
}

/// Returns the configured bucket that contains this URL, and the key in it.
fn configured(text: &str, processor: &Processor) -> Option<(SharedBucket, String)> {
    let buckets = &processor.buckets;
    let all = [
        &buckets.ingestion,
        &buckets.own,
        &buckets.peer_validation_in,
        &buckets.peer_validation_out,
        &buckets.sum_parts,
    ];
    let (index, key) = holder(text, &all.map(|bucket| bucket.location()))?;
    Some((all[index].clone(), key.to_owned()))
}

/// Returns the index of the location that contains a URL, and the key in it. If several contain the
/// URL, the longest wins.
fn holder<'t>(text: &'t str, locations: &[String]) -> Option<(usize, &'t str)> {
    let holds = |(index, location): (usize, &String)| {
        let location = location.trim_end_matches('/');
        let key = text.strip_prefix(location)?;
        (key.is_empty() || key.starts_with('/'))
            .then(|| (location.len(), index, key.trim_matches('/')))
    };
    let found = locations
        .iter()
        .enumerate()
        .filter_map(holds)
        .max_by_key(|(length, ..)| *length);
    found.map(|(_, index, key)| (index, key))
}

fn cloud(text: &str) -> Result<(SharedBucket, String), Error> {
    let (root, key) = split_url(text);
    let url = BucketUrl::parse(root, Path::new("")).map_err(usage)?;
    Ok((
        open(&url, &BucketSettings::default()).map_err(usage)?,
        key.to_owned(),
    ))
}

/// Splits a URL into a bucket's URL and a key. A URL that ends with a slash is a bucket's URL.
fn split_url(text: &str) -> (&str, &str) {
    let scheme = text.find("://").map_or(0, |at| at + 3);
    // Google buckets have one name; the names of others are preceded by a region or an account.
    let names = if text.starts_with("gs:") { 1 } else { 2 };
    let Some((slash, _)) = text[scheme..].match_indices('/').nth(names - 1) else {
        return (text, "");
    };
    let start = scheme + slash + 1;
    if text.ends_with('/') {
        return (text, "");
    }
    let (_, key) = split(&text[start..]);
    (text[..text.len() - key.len()].trim_end_matches('/'), key)
}

/// Splits a path into a bucket and the key of an object: the name of a batch, of a sum part or of an
/// object of an own bucket, or else the last component.
fn split(path: &str) -> (&str, &str) {
    let is_name = |key: &&str| {
        let stem = BatchKind::split(key).map_or(*key, |(stem, ..)| stem);
        OwnObject::parse(key).is_some()
            || BatchName::parse(stem).is_some()
            || SumPartName::parse(stem, Role::First).is_some()
    };
    let last = path.rsplit('/').next().unwrap_or(path);
    let key = possible_keys(path).find(is_name).unwrap_or(last);
    let root = &path[..path.len() - key.len()];
    (root.strip_suffix('/').unwrap_or(root), key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const STEM: &str = "kittens-seen/2020/10/31/20/29/00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn urls_are_split_where_the_object_name_begins() {
        for (url, root, key) in [
            (
                format!("s3://us-west-1/b/p/q/{STEM}.batch"),
                "s3://us-west-1/b/p/q",
                format!("{STEM}.batch"),
            ),
            (format!("gs://b/{STEM}"), "gs://b", STEM.to_owned()),
            ("gs://b/x".to_owned(), "gs://b", "x".to_owned()),
            ("s3://r/b".to_owned(), "s3://r/b", String::new()),
            ("s3://r/b/p/".to_owned(), "s3://r/b/p/", String::new()),
            (
                "az://a/c/keys/x.pem".to_owned(),
                "az://a/c/keys",
                "x.pem".to_owned(),
            ),
        ] {
            assert_eq!(split_url(&url), (root, key.as_str()), "{url}");
        }
    }

    #[test]
    fn the_bucket_is_what_precedes_the_key() {
        for (root, key) in [
            ("/srv/in", format!("{STEM}.batch.sig")),
            ("/srv/in", STEM.to_owned()),
            ("/srv/own", format!("{STEM}.00112233.prepared")),
            (
                "/srv/sums",
                "i/a/202311142200-202311142300.sum_0".to_owned(),
            ),
            (
                "/srv/own",
                "sum-parts/i/a/202311142200-202311142300.fixed".to_owned(),
            ),
            ("/srv/keys", "signing.pem".to_owned()),
            ("/srv/in", "x.batch".to_owned()),
        ] {
            assert_eq!(split(&format!("{root}/{key}")), (root, key.as_str()));
        }
        assert_eq!(split("x.batch"), ("", "x.batch"));
    }

    #[test]
    fn a_url_belongs_to_the_narrowest_bucket() {
        let locations = ["s3://r/b", "s3://r/b/own", "gs://b", "/srv/own"].map(str::to_owned);
        for (url, found) in [
            ("s3://r/b/own/a/x.batch", Some((1, "a/x.batch"))),
            ("s3://r/b/owner/x", Some((0, "owner/x"))),
            ("s3://r/b", Some((0, ""))),
            ("s3://r/bb/x", None),
            ("gs://b/x/", Some((2, "x"))),
        ] {
            assert_eq!(holder(url, &locations), found, "{url}");
        }
    }

    #[test]
    fn paths_lead_to_a_bucket_and_a_key() {
        let target = Target::locate(&format!("/srv/in/{STEM}.batch.sig"), None).unwrap();
        assert_eq!(
            (target.bucket.location(), target.key),
            ("/srv/in".to_owned(), format!("{STEM}.batch.sig"))
        );
        let folder = tempfile::tempdir().unwrap();
        let target = Target::locate(folder.path().to_str().unwrap(), None).unwrap();
        assert_eq!(target.key, "");
        assert!(Target::locate("memory:x", None).is_err());
        assert!(Target::locate("ftp://x/y", None).is_err());
        assert!(Target::locate("", None).is_err());
    }
}
