//! Google Cloud Storage.

use object_store::gcp::GoogleCloudStorageBuilder;

use super::common::{bucket, client, read, retries, unusable};
use crate::{BucketError, BucketSettings, BucketUrl, SharedBucket};

const SETTINGS: [&str; 5] = [
    "endpoint",
    "allow-http",
    "ca-certificate",
    "anonymous",
    "service-account-file",
];

pub(super) fn open(
    location: &BucketUrl,
    (name, prefix): (&str, &str),
    settings: &BucketSettings,
) -> Result<SharedBucket, BucketError> {
    let shown = location.to_string();
    settings.only(&shown, &SETTINGS)?;
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(name)
        .with_retry(retries())
        .with_client_options(client(&shown, settings)?)
        .with_skip_signature(settings.anonymous);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if let Some(file) = &settings.service_account_file {
        builder = builder.with_service_account_key(read(&shown, file)?);
    }
    let store = builder.build().map_err(|error| unusable(&shown, &error))?;
    Ok(bucket(store, prefix, shown))
}
