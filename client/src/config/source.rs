//! Fetches the configuration and caches it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, StatusCode, Url};
use tokio::time::Instant;

use super::{ClientConfigError, Trust, TrustedConfig};
use crate::address::Address;
use crate::clock::ClientClock;
use crate::wire::{self, Timeouts};

/// Size limit of a signed configuration, in bytes.
const MAX_DOCUMENT_BYTES: usize = 4 << 20;
/// How long a configuration is fresh if the response does not state it.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How long the cached configuration is used after a failed refresh.
const RETRY_DELAY: Duration = Duration::from_secs(60);

/// The source of a locality's configuration. Clones share the cache.
#[derive(Debug, Clone)]
pub struct ConfigSource {
    http: Client,
    page: Url,
    trust: Arc<Trust>,
    clock: ClientClock,
    cached: Arc<Mutex<Option<CachedConfig>>>,
}

/// The last valid configuration.
#[derive(Debug, Clone)]
struct CachedConfig {
    config: Arc<TrustedConfig>,
    etag: Option<HeaderValue>,
    fresh_until: Instant,
}

impl ConfigSource {
    /// Creates a source for the configuration that the ingestor at `address` serves, verified with
    /// `trust`.
    ///
    /// # Errors
    /// [`ClientConfigError::Unreachable`] if HTTPS is not available on this system.
    pub fn new(
        address: &Address,
        trust: Trust,
        clock: ClientClock,
        timeouts: Timeouts,
    ) -> Result<Self, ClientConfigError> {
        Ok(Self {
            http: wire::http_client(address, timeouts).map_err(ClientConfigError::Unreachable)?,
            page: address.page(&trust.locality, "config"),
            trust: Arc::new(trust),
            clock,
            cached: Arc::default(),
        })
    }

    /// Returns the current configuration: the cached one while it is fresh, otherwise a new one. If
    /// fetching or verification fails, the last valid configuration is used until it expires.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh), if there is no valid configuration or it has expired.
    pub async fn current(&self) -> Result<Arc<TrustedConfig>, ClientConfigError> {
        let cached = self.cached();
        if let Some(cached) = &cached
            && cached.fresh_until > Instant::now()
            && cached.config.expires() > self.clock.now()
        {
            return Ok(Arc::clone(&cached.config));
        }
        match (self.refresh().await, cached) {
            (Ok(config), _) => Ok(config),
            (Err(error), None) => Err(error),
            (Err(_), Some(mut cached)) if cached.config.expires() > self.clock.now() => {
                // During the pause, reports do not cause further requests for the configuration.
                cached.fresh_until = Instant::now() + RETRY_DELAY.min(self.left(&cached.config));
                let config = Arc::clone(&cached.config);
                self.store(cached);
                Ok(config)
            }
            (Err(error), Some(_)) => Err(error),
        }
    }

    /// Requests the configuration from the ingestor, regardless of the cache. The cached
    /// configuration stays if the new one is rejected.
    ///
    /// # Errors
    /// [`ClientConfigError`] if there is no response, or the document is not valid.
    pub async fn refresh(&self) -> Result<Arc<TrustedConfig>, ClientConfigError> {
        // A response 304 must not confirm an expired configuration.
        let cached = self
            .cached()
            .filter(|cached| cached.config.expires() > self.clock.now());
        let etag = cached.as_ref().and_then(|cached| cached.etag.clone());
        let mut request = self
            .http
            .get(self.page.clone())
            .header(ACCEPT, "application/jose+json");
        if let Some(etag) = etag.clone() {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let unreachable =
            |error: reqwest::Error| ClientConfigError::Unreachable(error.without_url());
        let response = request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let (config, etag) = match (status, cached) {
            (StatusCode::OK, _) => {
                let body = wire::body(response, MAX_DOCUMENT_BYTES)
                    .await
                    .map_err(unreachable)?;
                let document = body.ok_or(ClientConfigError::TooLong {
                    limit: MAX_DOCUMENT_BYTES,
                })?;
                (
                    Arc::new(self.trust.check(&document, self.clock.now())?),
                    None,
                )
            }
            (StatusCode::NOT_MODIFIED, Some(cached)) => (cached.config, etag),
            (status, _) => {
                let status = status.as_u16();
                return Err(ClientConfigError::Status { status });
            }
        };
        let fresh = max_age(&headers).min(self.left(&config));
        self.store(CachedConfig {
            config: Arc::clone(&config),
            etag: headers.get(ETAG).cloned().or(etag),
            fresh_until: Instant::now() + fresh,
        });
        Ok(config)
    }

    /// Returns the remaining lifetime of a configuration.
    fn left(&self, config: &TrustedConfig) -> Duration {
        let left = config.expires().duration_since(self.clock.now());
        Duration::try_from(left).unwrap_or_default()
    }

    fn cached(&self) -> Option<CachedConfig> {
        // The value behind the lock is always replaced as a whole, so a poisoned lock is usable.
        self.cached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn store(&self, cached: CachedConfig) {
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = Some(cached);
    }
}

/// Returns how long the response may be cached.
fn max_age(headers: &HeaderMap) -> Duration {
    let directives = headers
        .get(CACHE_CONTROL)
        .and_then(|value| value.to_str().ok());
    let mut directives = directives.unwrap_or_default().split(',').map(str::trim);
    let seconds = directives.find_map(|directive| match directive {
        "no-store" | "no-cache" => Some(0),
        other => other.strip_prefix("max-age=")?.parse().ok(),
    });
    seconds.map_or(MAX_AGE, Duration::from_secs)
}
