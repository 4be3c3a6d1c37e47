//! Tests of opening each cloud from settings, without requests. The conformance suite covers the
//! servers themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::*;

fn open_text(text: &str, settings: &BucketSettings) -> Result<SharedBucket, BucketError> {
    open(&BucketUrl::parse(text, Path::new("/")).unwrap(), settings)
}

fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn path(file: &NamedTempFile) -> Option<PathBuf> {
    Some(file.path().to_owned())
}

#[test]
#[cfg(feature = "aws")]
fn s3_takes_its_key_from_files() {
    let (id, key) = (file("AKIDEXAMPLE\n"), file("SECRET\n"));
    let settings = BucketSettings {
        endpoint: Some("http://127.0.0.1:9000".into()),
        allow_http: true,
        access_key_id_file: path(&id),
        secret_access_key_file: path(&key),
        ..BucketSettings::default()
    };
    let bucket = open_text("s3://local/bucket/pre fix", &settings).unwrap();
    assert_eq!(bucket.location(), "s3://local/bucket/pre fix");
    assert!(!bucket.stores_empty_objects());
    assert!(!format!("{bucket:?}").contains("SECRET"), "{bucket:?}");

    let half = BucketSettings {
        secret_access_key_file: None,
        ..settings.clone()
    };
    assert!(matches!(
        open_text("s3://r/b", &half),
        Err(BucketError::InvalidSettings { .. })
    ));
    let both = BucketSettings {
        access_key_id_env: Some("X".into()),
        ..settings.clone()
    };
    assert!(matches!(
        open_text("s3://r/b", &both),
        Err(BucketError::InvalidSettings { .. })
    ));
    let foreign = BucketSettings {
        account_key_env: Some("X".into()),
        ..settings.clone()
    };
    assert!(matches!(
        open_text("s3://r/b", &foreign),
        Err(BucketError::InvalidSettings { .. })
    ));
    let absent = BucketSettings {
        ca_certificate: Some("/nowhere.pem".into()),
        ..settings
    };
    let error = open_text("s3://r/b", &absent).unwrap_err();
    assert!(error.to_string().contains("/nowhere.pem"), "{error}");
}

#[test]
#[cfg(feature = "gcp")]
fn gcs_opens_without_credentials_and_refuses_a_broken_key_file() {
    let anonymous = BucketSettings {
        endpoint: Some("http://127.0.0.1:4443".into()),
        allow_http: true,
        anonymous: true,
        ..BucketSettings::default()
    };
    assert_eq!(
        open_text("gs://bucket/p", &anonymous).unwrap().location(),
        "gs://bucket/p"
    );
    let broken = file("{\"private_key\": \"SECRET\"}");
    let settings = BucketSettings {
        service_account_file: path(&broken),
        ..BucketSettings::default()
    };
    let error = open_text("gs://bucket", &settings).unwrap_err();
    assert!(matches!(error, BucketError::InvalidSettings { .. }));
    assert!(
        !format!("{error} {error:?}").contains("SECRET"),
        "{error:?}"
    );
}

#[test]
#[cfg(feature = "azure")]
fn azure_takes_its_key_from_a_file() {
    let key = file("U0VDUkVU\n");
    let settings = BucketSettings {
        account_key_file: path(&key),
        ..BucketSettings::default()
    };
    let bucket = open_text("az://account/container/p", &settings).unwrap();
    assert_eq!(bucket.location(), "az://account/container/p");
    assert!(!format!("{bucket:?}").contains("U0VDUkVU"), "{bucket:?}");
    let not_base64 = file("!");
    let settings = BucketSettings {
        account_key_file: path(&not_base64),
        ..BucketSettings::default()
    };
    assert!(matches!(
        open_text("az://a/c", &settings),
        Err(BucketError::InvalidSettings { .. })
    ));
}
