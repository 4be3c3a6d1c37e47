//! Fetches the configuration, and keeps it as long as it may be kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, StatusCode, Url};
use tokio::time::Instant;

use super::{ConfigError, Trust, TrustedConfig};
use crate::address::Address;
use crate::clock::Clock;
use crate::wire::{self, Timeouts};

/// Most bytes of a signed configuration.
const MOST_BYTES: usize = 4 << 20;
/// How long a configuration is fresh if its answer does not say.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How long a configuration is gone by after it could not be fetched again.
const PAUSE: Duration = Duration::from_secs(60);

/// Where the configuration of a locality comes from. Clones share what was fetched.
#[derive(Debug, Clone)]
pub struct ConfigSource {
    http: Client,
    page: Url,
    trust: Arc<Trust>,
    clock: Clock,
    held: Arc<Mutex<Option<Held>>>,
}

/// The last good configuration.
#[derive(Debug, Clone)]
struct Held {
    config: Arc<TrustedConfig>,
    etag: Option<HeaderValue>,
    fresh_until: Instant,
}

impl ConfigSource {
    /// The configuration that the ingestor at `address` serves, checked against `trust`.
    ///
    /// # Errors
    /// [`ConfigError::Unreachable`] if there can be no HTTPS on this system.
    pub fn new(address: &Address, trust: Trust, clock: Clock, timeouts: Timeouts) -> Result<Self, ConfigError> {
        Ok(Self {
            http: wire::http_client(address, timeouts).map_err(ConfigError::Unreachable)?,
            page: address.page(&trust.locality, "config"),
            trust: Arc::new(trust),
            clock,
            held: Arc::default(),
        })
    }

    /// The configuration to go by: the one that is held while it is fresh, else a new one. If no new one is to be had,
    /// or it is refused, the last good one is gone by until it expires.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh), if there is none or it has expired.
    pub async fn current(&self) -> Result<Arc<TrustedConfig>, ConfigError> {
        let held = self.held();
        if let Some(held) = &held
            && held.fresh_until > Instant::now()
            && held.config.expires() > self.clock.now()
        {
            return Ok(Arc::clone(&held.config));
        }
        match (self.refresh().await, held) {
            (Ok(config), _) => Ok(config),
            (Err(error), None) => Err(error),
            (Err(_), Some(mut held)) if held.config.expires() > self.clock.now() => {
                held.fresh_until = Instant::now() + PAUSE.min(self.left(&held.config));
                let config = Arc::clone(&held.config);
                self.hold(held);
                Ok(config)
            }
            (Err(error), Some(_)) => Err(error),
        }
    }

    /// Asks the ingestor now, whatever is held. What is held stays if the answer is refused.
    ///
    /// # Errors
    /// [`ConfigError`] if there is no answer, or one that is not to be trusted.
    pub async fn refresh(&self) -> Result<Arc<TrustedConfig>, ConfigError> {
        let held = self.held().filter(|held| held.config.expires() > self.clock.now());
        let known = held.as_ref().and_then(|held| held.etag.clone());
        let mut request = self.http.get(self.page.clone()).header(ACCEPT, "application/jose+json");
        if let Some(etag) = known.clone() {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let unreachable = |error: reqwest::Error| ConfigError::Unreachable(error.without_url());
        let response = request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let (config, known) = match (status, held) {
            (StatusCode::OK, _) => {
                let body = wire::body(response, MOST_BYTES).await.map_err(unreachable)?;
                let document = body.ok_or(ConfigError::TooLong { limit: MOST_BYTES })?;
                (Arc::new(self.trust.check(&document, self.clock.now())?), None)
            }
            (StatusCode::NOT_MODIFIED, Some(held)) => (held.config, known),
            (status, _) => {
                let status = status.as_u16();
                return Err(ConfigError::Status { status });
            }
        };
        let fresh = max_age(&headers).min(self.left(&config));
        self.hold(Held {
            config: Arc::clone(&config),
            etag: headers.get(ETAG).cloned().or(known),
            fresh_until: Instant::now() + fresh,
        });
        Ok(config)
    }

    /// For how long a configuration can still be used.
    fn left(&self, config: &TrustedConfig) -> Duration {
        let left = config.expires().duration_since(self.clock.now());
        Duration::try_from(left).unwrap_or_default()
    }

    fn held(&self) -> Option<Held> {
        // What is behind the lock is replaced as a whole, so a panic elsewhere leaves nothing half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, held: Held) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
    }
}

/// How long the answer may be kept.
fn max_age(headers: &HeaderMap) -> Duration {
    let directives = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let mut directives = directives.unwrap_or_default().split(',').map(str::trim);
    let seconds = directives.find_map(|directive| match directive {
        "no-store" | "no-cache" => Some(0),
        other => other.strip_prefix("max-age=")?.parse().ok(),
    });
    seconds.map_or(MAX_AGE, Duration::from_secs)
}
