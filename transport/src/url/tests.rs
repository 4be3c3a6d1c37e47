//! Tests of every form of location, of texts that are not locations, and of secrets in them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<BucketUrl, BucketError> {
    BucketUrl::parse(text, Path::new("/config"))
}

fn shown(text: &str) -> String {
    parse(text).unwrap().to_string()
}

#[test]
fn directories() {
    for (text, directory) in [
        ("/srv/mailbox", "/srv/mailbox"),
        ("mailbox", "/config/mailbox"),
        ("./mail box/in", "/config/mail box/in"),
        ("../up", "/config/../up"),
        ("file:///srv/mail%20box", "/srv/mail box"),
        ("file:///srv/mailbox/", "/srv/mailbox/"),
        ("C:odd but a file name", "/config/C:odd but a file name"),
    ] {
        let url = parse(text).unwrap();
        assert_eq!(url.directory().unwrap(), Path::new(directory), "{text}");
    }
    let url = BucketUrl::parse("x", Path::new("relative")).unwrap();
    assert!(url.directory().unwrap().is_absolute());
}

#[test]
fn clouds_and_memory() {
    assert_eq!(
        shown("s3://us-west-1/bucket.name/some/prefix/"),
        "s3://us-west-1/bucket.name/some/prefix"
    );
    assert_eq!(
        parse("s3://eu-1/b/p").unwrap().0,
        Location::S3 {
            region: "eu-1".into(),
            bucket: "b".into(),
            prefix: "p".into()
        }
    );
    assert_eq!(shown("s3://eu-1/b"), "s3://eu-1/b");
    assert_eq!(
        parse("gs://b/p/q").unwrap().0,
        Location::Gs {
            bucket: "b".into(),
            prefix: "p/q".into()
        }
    );
    assert_eq!(shown("gs://b/"), "gs://b");
    assert_eq!(
        parse("az://acc/con/p").unwrap().0,
        Location::Azure {
            account: "acc".into(),
            container: "con".into(),
            prefix: "p".into()
        }
    );
    assert_eq!(shown("memory:"), "memory:");
    assert_eq!(shown("memory:own"), "memory:own");
    assert_eq!(parse("gs://b").unwrap().directory(), None);
}

#[test]
fn what_is_no_location() {
    let bad = [
        "",
        " ",
        "s3://",
        "s3://region",
        "s3://region/",
        "s3:///bucket",
        "gs://",
        "gs:///p",
        "az://account",
        "http://host/bucket",
        "ftp://x",
        "://x",
        "s3://r/b//p",
        "s3://r/b/../c",
        "gs://b/./p",
        "gs://b c/p",
        "gs://-b",
        "gs://b%2fc",
        "file:",
        "file:relative",
        "file://host/path",
        "file:///a?b",
        "file:///a#b",
        "memory:a b",
        "memory:/x",
        "a\0b",
        "file:///a%00b",
        "gs://b/p\\q",
        "gs://b/a\nb",
    ];
    for text in bad {
        let result = parse(text);
        assert!(
            matches!(result, Err(BucketError::InvalidUrl { .. })),
            "{text:?}: {result:?}"
        );
    }
}

#[test]
fn secrets_are_refused_and_not_repeated() {
    let with_secrets = [
        "s3://AKIDEXAMPLE:SECRET@region/bucket",
        "gs://SECRET@bucket",
        "az://account:SECRET@x/y",
        "az://account/container?sv=2020&sig=SECRET",
        "s3://region/bucket#SECRET",
        "https://user:SECRET@host/x",
        "https://host/bucket?X-Amz-Signature=SECRET",
        "file:///a?SECRET",
        "memory:SECRET@x",
        "s3://region/bucket/pre?a=SECRET&b=u@SECRET",
    ];
    for text in with_secrets {
        let error = parse(text).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("SECRET"),
            "{text}: {error:?}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_shown_reads_back_the_same(text in "(s3|gs|az|memory|file)?(://|:|:///)?[a-z0-9/._ -]{0,40}") {
        if let Ok(url) = parse(&text) {
            prop_assert_eq!(parse(&url.to_string()).unwrap(), url);
        }
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        if let Err(error) = parse(&text) {
            let refused = matches!(error, BucketError::InvalidUrl { .. });
            prop_assert!(refused);
        }
    }

    #[test]
    fn a_password_is_never_shown(
        scheme in "s3|gs|az|https|file|memory", user in "[a-z]{0,8}", host in "[a-z/]{0,20}", mark in "[@?#]{1,2}",
    ) {
        for text in [format!("{scheme}://{user}:PASSWORD{mark}{host}"), format!("{scheme}://{host}{mark}PASSWORD")] {
            let shown = parse(&text).map(|url| url.to_string()).unwrap_or_else(|error| format!("{error}{error:?}"));
            prop_assert!(!shown.contains("PASSWORD"), "{}", shown);
        }
    }
}
