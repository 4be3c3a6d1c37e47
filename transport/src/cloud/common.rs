//! The code that the three clouds have in common: retries, trusted certificates, credentials from
//! the settings, prefixes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use crate::settings::invalid;
use crate::store::{StoreBucket, to_path};
use crate::{BucketError, BucketSettings, SharedBucket};

/// Maximum size of a credential or certificate file, in bytes.
const FILE_BYTES: u64 = 1 << 20;

/// Returns the retry policy of single requests: an initial backoff of a quarter of a second that
/// doubles up to ten seconds, for two minutes in total. For longer failures, the caller retries the
/// whole task.
pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: 10,
        retry_timeout: Duration::from_secs(120),
    }
}

/// Returns the HTTP client's options: timeouts, permission for plain HTTP, and additional trusted
/// certificates.
pub(super) fn client(
    location: &str,
    settings: &BucketSettings,
) -> Result<ClientOptions, BucketError> {
    let mut options = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(10))
        .with_timeout(Duration::from_secs(300))
        .with_allow_http(settings.allow_http);
    if let Some(file) = &settings.ca_certificate {
        let pem = read(location, file)?;
        let bad = |error| {
            invalid(
                location,
                format!(
                    "{}: cannot be parsed as PEM certificates: {error}",
                    file.display()
                ),
            )
        };
        for certificate in Certificate::from_pem_bundle(pem.as_bytes()).map_err(bad)? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

/// Reads a secret from the environment variable or the file that the settings name; returns `None`
/// if they name neither.
#[cfg(any(feature = "aws", feature = "azure"))]
pub(super) fn secret(
    location: &str,
    name: &str,
    variable: Option<&String>,
    file: Option<&std::path::PathBuf>,
) -> Result<Option<String>, BucketError> {
    match (variable, file) {
        (Some(_), Some(_)) => Err(invalid(
            location,
            format!("{name}-env and {name}-file exclude each other: keep one"),
        )),
        (Some(variable), None) => match std::env::var(variable) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(invalid(
                location,
                format!("environment variable {variable} ({name}-env) is not set"),
            )),
        },
        (None, Some(file)) => read(location, file).map(|text| Some(text.trim().to_owned())),
        (None, None) => Ok(None),
    }
}

/// Reads a small text file that the settings name.
pub(super) fn read(location: &str, file: &Path) -> Result<String, BucketError> {
    let bad = |reason: String| invalid(location, format!("{}: {reason}", file.display()));
    let size = std::fs::metadata(file)
        .map_err(|error| bad(error.to_string()))?
        .len();
    if size > FILE_BYTES {
        return Err(bad(format!("larger than {FILE_BYTES} bytes")));
    }
    std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))
}

/// Creates the bucket of a store, with all keys under the location's prefix. Empty objects are not
/// created in a cloud.
pub(super) fn bucket<S: ObjectStore>(
    store: S,
    prefix: &str,
    location: String,
) -> Result<SharedBucket, BucketError> {
    let store: Arc<dyn ObjectStore> = if prefix.is_empty() {
        Arc::new(store)
    } else {
        // `to_path` keeps the text unchanged. The conversion with `into` would percent-encode some
        // characters.
        Arc::new(PrefixStore::new(store, to_path(prefix)?))
    };
    Ok(Arc::new(StoreBucket::new(store, location, false)))
}

/// Returns the error for settings that the builder of a cloud rejects.
pub(super) fn unusable(location: &str, error: &object_store::Error) -> BucketError {
    invalid(location, error.to_string())
}
