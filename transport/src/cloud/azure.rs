//! Buckets in Azure Blob Storage.

use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::ReqwestConnector;

use super::common::{bucket, client, retries, secret, unusable};
use super::noting::Noting;
use crate::{BucketError, BucketSettings, BucketUrl, SharedBucket};

const SETTINGS: [&str; 6] = [
    "endpoint",
    "allow-http",
    "ca-certificate",
    "anonymous",
    "account-key-env",
    "account-key-file",
];

pub(super) fn open(
    location: &BucketUrl,
    (account, container, prefix): (&str, &str, &str),
    settings: &BucketSettings,
) -> Result<SharedBucket, BucketError> {
    let shown = location.to_string();
    settings.only(&shown, &SETTINGS)?;
    let (variable, file) = (
        settings.account_key_env.as_ref(),
        settings.account_key_file.as_ref(),
    );
    let base = match secret(&shown, "account-key", variable, file)? {
        Some(key) => MicrosoftAzureBuilder::new().with_access_key(key),
        None => MicrosoftAzureBuilder::from_env(),
    };
    let mut builder = base
        .with_account(account)
        .with_container_name(container)
        .with_retry(retries())
        .with_http_connector(Noting::new(ReqwestConnector::default(), &shown))
        .with_client_options(client(&shown, settings)?)
        .with_skip_signature(settings.anonymous);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let store = builder.build().map_err(|error| unusable(&shown, &error))?;
    bucket(store, prefix, shown)
}
