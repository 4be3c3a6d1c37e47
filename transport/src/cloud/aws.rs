//! Buckets in S3 and in servers with the S3 protocol.

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::client::ReqwestConnector;

use super::common::{bucket, client, retries, secret, unusable};
use super::noting::Noting;
use crate::settings::invalid;
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
    let id = secret(
        &shown,
        "access-key-id",
        settings.access_key_id_env.as_ref(),
        settings.access_key_id_file.as_ref(),
    )?;
    let key = secret(
        &shown,
        "secret-access-key",
        settings.secret_access_key_env.as_ref(),
        settings.secret_access_key_file.as_ref(),
    )?;
    let token = secret(
        &shown,
        "session-token",
        settings.session_token_env.as_ref(),
        settings.session_token_file.as_ref(),
    )?;
    let base = match (id, key, token) {
        (None, None, None) => AmazonS3Builder::from_env(),
        // The environment is ignored if the settings contain a key: a session token there belongs
        // to another key.
        (Some(id), Some(key), None) => with_key(id, key),
        (Some(id), Some(key), Some(token)) => with_key(id, key).with_token(token),
        _ => {
            return Err(invalid(
                &shown,
                "access-key-id and secret-access-key need each other",
            ));
        }
    };
    let mut builder = base
        .with_bucket_name(name)
        .with_region(settings.region.as_deref().unwrap_or(region))
        // Creates objects with `If-None-Match`.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retries())
        .with_http_connector(Noting::new(ReqwestConnector::default(), &shown))
        .with_client_options(client(&shown, settings)?)
        .with_skip_signature(settings.anonymous)
        .with_virtual_hosted_style_request(settings.virtual_hosted_style);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build().map_err(|error| unusable(&shown, &error))?;
    bucket(store, prefix, shown)
}

fn with_key(id: String, key: String) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_access_key_id(id)
        .with_secret_access_key(key)
}
