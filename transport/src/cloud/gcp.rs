//! Buckets in Google Cloud Storage.

use object_store::client::ReqwestConnector;
use object_store::gcp::GoogleCloudStorageBuilder;

use super::common::{bucket, client, read, retries, unusable};
use super::noting::Noting;
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
    let base = match &settings.service_account_file {
        Some(file) => {
            GoogleCloudStorageBuilder::new().with_service_account_key(read(&shown, file)?)
        }
        None => GoogleCloudStorageBuilder::from_env(),
    };
    let mut builder = base
        .with_bucket_name(name)
        .with_retry(retries())
        .with_http_connector(Noting::new(ReqwestConnector::default(), &shown))
        .with_client_options(client(&shown, settings)?)
        .with_skip_signature(settings.anonymous);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    let store = builder.build().map_err(|error| unusable(&shown, &error))?;
    bucket(store, prefix, shown)
}
