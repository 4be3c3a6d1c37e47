//! The HTTP client: timeouts, no redirects, responses of limited size.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::address::Address;
use crate::clock::ClientClock;

/// Timeouts of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Time to connect. Default: 10 seconds.
    pub connect: Duration,
    /// Time for the whole response to one request. Default: 60 seconds.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(60),
        }
    }
}

/// Creates an HTTP client for this address. The client follows no redirects: an ingestor sends
/// none, and a redirect could lead to plain HTTP.
pub(crate) fn http_client(address: &Address, timeouts: Timeouts) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.request)
        .redirect(Policy::none());
    // Requests to this machine bypass any proxy that the environment names.
    let builder = if address.is_plain() {
        builder.no_proxy()
    } else {
        builder
    };
    builder.build()
}

/// Returns the body of a response; `None` if it is longer than `limit` bytes.
pub(crate) async fn body(
    mut response: Response,
    limit: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Reads the header `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, clock: &ClientClock) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    // A date in the past means an immediate retry.
    Some(Duration::try_from(date.duration_since(clock.now())).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let clock = ClientClock::new(|| "2026-11-23T10:15:00Z".parse().unwrap());
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers, &clock)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            read("Mon, 23 Nov 2026 10:15:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(read("Mon, 23 Nov 2026 10:14:30 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), &clock), None);
    }
}
