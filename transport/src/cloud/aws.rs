//! S3 and servers like it.

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};

use super::common::{bucket, client, retries, secret, unusable};
use crate::{BucketError, BucketSettings, BucketUrl, SharedBucket};

const SETTINGS: [&str; 12] = [
    "endpoint",
    "allow-http",
    "ca-certificate",
    "region",
    "virtual-hosted-style",
    "anonymous",
    "access-key-id-env",
    "access-key-id-file",
    "secret-access-key-env",
    "secret-access-key-file",
    "session-token-env",
    "session-token-file",
];

pub(super) fn open(
    location: &BucketUrl,
    (region, name, prefix): (&str, &str, &str),
    settings: &BucketSettings,
) -> Result<SharedBucket, BucketError> {
    let shown = location.to_string();
    settings.only(&shown, &SETTINGS)?;
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(name)
        .with_region(settings.region.as_deref().unwrap_or(region))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retries())
        .with_client_options(client(&shown, settings)?)
        .with_allow_http(settings.allow_http)
        .with_skip_signature(settings.anonymous)
        .with_virtual_hosted_style_request(settings.virtual_hosted_style);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let s = settings;
    if let Some(id) = secret(
        &shown,
        "access-key-id",
        s.access_key_id_env.as_ref(),
        s.access_key_id_file.as_ref(),
    )? {
        builder = builder.with_access_key_id(id);
    }
    let (variable, file) = (s.secret_access_key_env.as_ref(), s.secret_access_key_file.as_ref());
    if let Some(key) = secret(&shown, "secret-access-key", variable, file)? {
        builder = builder.with_secret_access_key(key);
    }
    if let Some(token) = secret(
        &shown,
        "session-token",
        s.session_token_env.as_ref(),
        s.session_token_file.as_ref(),
    )? {
        builder = builder.with_token(token);
    }
    let store = builder.build().map_err(|error| unusable(&shown, &error))?;
    Ok(bucket(store, prefix, shown))
}
