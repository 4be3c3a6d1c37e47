//! The packet keys that the ingestor announces to clients, compared with those that this processor holds.
//!
//! The signature of the document is not verified: processors do not hold the key that clients trust, and nothing but a
//! warning follows from the comparison. Packets that are sealed to another key are held back by the rule for wrong keys,
//! whatever is announced; a processor that stopped because of this document could be stopped by the ingestor.

use std::sync::Arc;
use std::time::Duration;

use tallybox_crypto::{JwsError, jws};
use tallybox_model::client_config::{CLIENT_CONFIG_TYPE, ClientConfig};
use tallybox_model::client_keys::{HeldPacketKey, KeyMismatch, compare};
use tallybox_service::cause::chain;
use tallybox_service::fetch::{Document, FetchError};
use tokio::time::sleep;

use crate::error::Error;
use crate::processor::Processor;
use crate::worker::{Source, Worker};

/// Most bytes of the ingestor's client configuration.
const SIZE_LIMIT: usize = 4 << 20;
/// How often a worker compares.
const EVERY: Duration = Duration::from_secs(600);

/// Why the ingestor's client configuration cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum ClientKeysError {
    /// Not reached.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Status 404, or no such file.
    #[error("there is no document")]
    Absent,
    /// Not a signed document of this type.
    #[error("it is not a signed client configuration")]
    Document(#[from] JwsError),
    /// Signed, and not a client configuration.
    #[error("its payload is not a client configuration")]
    Payload(#[from] serde_json::Error),
}

/// Returns the place of the ingestor's client configuration.
///
/// # Errors
/// [`Error::Setting`] if nothing can be fetched from there.
pub fn document(place: &str, directory: &std::path::Path) -> Result<Document, Error> {
    let refused = |error| Error::Setting(format!("client-configuration: {}", chain(&error)));
    Document::at(place, directory, SIZE_LIMIT).map_err(refused)
}

/// Fetches the ingestor's client configuration and compares its packet keys with the processor's.
///
/// # Errors
/// [`ClientKeysError`] if the document cannot be read.
pub async fn mismatches(document: &Document, processor: &Processor) -> Result<Vec<KeyMismatch>, ClientKeysError> {
    let signed = document.fetch().await?.ok_or(ClientKeysError::Absent)?;
    let payload = jws::read_unverified(&signed, CLIENT_CONFIG_TYPE)?;
    let config: ClientConfig = serde_json::from_slice(&payload)?;
    let held: Vec<HeldPacketKey> = processor
        .packet_keys
        .iter()
        .map(|key| HeldPacketKey {
            id: key.id.clone(),
            public: key.key.public().to_x962_base64(),
            bins: key.bins,
        })
        .collect();
    Ok(compare(&config, processor.role, &held))
}

/// Compares at the start of a worker and every ten minutes, for ever: logs what does not fit and counts it.
pub async fn watch(worker: Arc<Worker>, source: Source) {
    loop {
        if let Err(error) = look(&worker, &source).await {
            tracing::warn!(
                error,
                "the ingestor's client configuration cannot be compared with our packet keys"
            );
        }
        sleep(EVERY).await;
    }
}

async fn look(worker: &Worker, source: &Source) -> Result<(), String> {
    // Read again each time, as all of the configuration is.
    let config = source.load().map_err(|error| chain(&error))?;
    let Some(place) = &config.value.client_configuration else {
        return Ok(());
    };
    let document = document(place, &config.directory).map_err(|error| chain(&error))?;
    let found = mismatches(&document, &worker.processor()).await;
    let found = found.map_err(|error| format!("{document}: {}", chain(&error)))?;
    for mismatch in &found {
        tracing::error!(%document, %mismatch, "clients are told another packet key than ours");
    }
    worker.metrics.client_key_mismatches(found.len());
    Ok(())
}
