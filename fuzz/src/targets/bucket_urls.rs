//! Locations of buckets: a parsed location is displayed in the same form, and no error contains a
//! secret.

use crate::forge::printable;
use std::path::Path;
use tallybox_transport::{BucketSettings, BucketUrl, open};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let base = Path::new("/configuration");
    match BucketUrl::parse(text, base) {
        Ok(url) => match url.directory() {
            Some(directory) => assert!(directory.is_absolute(), "{url}"),
            None => {
                assert_eq!(BucketUrl::parse(&url.to_string(), base).expect("what we write parses"), url);
                let _ = open(&url, &BucketSettings::default());
            }
        },
        Err(error) => printable(&error),
    }
    let (scheme, rest) = text.split_at(text.char_indices().nth(4).map_or(0, |(index, _)| index));
    let scheme: String = scheme.chars().filter(char::is_ascii_alphanumeric).collect();
    for with_secret in [format!("{scheme}://user:hunter2@{rest}"), format!("{scheme}://{rest}?signature=hunter2")] {
        let error = BucketUrl::parse(&with_secret, base).expect_err("a URL cannot contain a secret");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
