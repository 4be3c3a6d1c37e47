//! Compares the packet keys that the ingestor announces to clients with those of this processor.
//!
//! The signature of the document is not verified: processors do not have the key that clients
//! trust, and the comparison only leads to a warning. The rule for wrong keys holds packets back
//! that are sealed to another key, whatever the ingestor announces. If this document could stop a
//! processor, the ingestor could stop it.

use std::sync::Arc;
use std::time::Duration;

use tallybox_crypto::{JwsError, jws};
use tallybox_model::cause::chain;
use tallybox_model::client_config::{CLIENT_CONFIG_TYPE, ClientConfig};
use tallybox_model::client_keys::{HeldPacketKey, KeyMismatch, compare};
use tallybox_service::fetch::{Document, FetchError};
use tokio::time::sleep;

use crate::error::Error;
use crate::processor::Processor;
use crate::worker::{Source, Worker};

/// The largest size of the ingestor's client configuration, in bytes.
const SIZE_LIMIT: usize = 4 << 20;
/// The interval of a worker's comparisons.
const COMPARE_INTERVAL: Duration = Duration::from_secs(600);

/// Why the ingestor's client configuration cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ClientKeysError {
    /// The document cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server answers with status 404, or the file does not exist.
    #[error("the client configuration does not exist")]
    Absent,
    /// The document is not signed, or is of another type.
    #[error("not a signed client configuration")]
    Document(#[from] JwsError),
    /// The document is signed, but its payload is not a client configuration.
    #[error("the signed payload is not a client configuration")]
    Payload(#[from] serde_json::Error),
}

/// Returns the location of the ingestor's client configuration.
///
/// # Errors
/// [`Error::Setting`] if the location is not supported.
pub fn document(location: &str, directory: &std::path::Path) -> Result<Document, Error> {
    let refused = |error| Error::Setting(format!("client-configuration: {}", chain(&error)));
    Document::at(location, directory, SIZE_LIMIT).map_err(refused)
}

/// Fetches the ingestor's client configuration and compares its packet keys with the processor's.
///
/// # Errors
/// [`ClientKeysError`] if the document cannot be read.
pub async fn mismatches(
    document: &Document,
    processor: &Processor,
) -> Result<Vec<KeyMismatch>, ClientKeysError> {
    let signed = document.fetch().await?.ok_or(ClientKeysError::Absent)?;
    let payload = jws::read_unverified(&signed, CLIENT_CONFIG_TYPE)?;
    let config: ClientConfig = serde_json::from_slice(&payload)?;
    let held: Vec<HeldPacketKey> = processor
        .keys
        .packet
        .iter()
        .map(|key| HeldPacketKey {
            id: key.id.clone(),
            public: key.key.public().to_x962_base64(),
            bins: key.bins,
        })
        .collect();
    Ok(compare(&config, processor.buckets.role, &held))
}

/// Compares the keys when a worker starts and every ten minutes from then on. Differences are
/// logged and counted.
pub async fn watch(worker: Arc<Worker>, source: Source) {
    loop {
        if let Err(error) = compare_keys(&worker, &source).await {
            tracing::warn!(
                error,
                "packet keys cannot be compared with the ingestor's client configuration"
            );
        }
        sleep(COMPARE_INTERVAL).await;
    }
}

async fn compare_keys(worker: &Worker, source: &Source) -> Result<(), String> {
    // The configuration is read again each time, because its files may change while the worker
    // runs.
    let config = source.load().map_err(|error| chain(&error))?;
    let Some(location) = &config.value.client_configuration else {
        return Ok(());
    };
    let document = document(location, &config.directory).map_err(|error| chain(&error))?;
    let found = mismatches(&document, &worker.processor()).await;
    let found = found.map_err(|error| format!("{document}: {}", chain(&error)))?;
    for mismatch in &found {
        tracing::error!(%document, %mismatch, "announced packet key does not match the keys of this processor");
    }
    worker.metrics.client_key_mismatches(found.len());
    Ok(())
}
