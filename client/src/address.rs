//! The address of an ingestor: HTTPS, or plain HTTP on this machine.

use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;
use thiserror::Error;

/// The address of an ingestor: the URL before `/v1/…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Url);

/// Reasons why an address is rejected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The text is not a URL with a host.
    #[error("not an address of the form https://ingestor.example.org")]
    Form,
    /// The address uses plain HTTP to another machine.
    #[error(
        "plain HTTP reveals to the network who reports and when: use https; http is for 127.0.0.1, [::1] and localhost only"
    )]
    Plain,
    /// The address contains a user name, password, query or fragment.
    #[error(
        "the address contains a user name, password, query or fragment: give scheme, host and path only"
    )]
    Extra,
}

impl Address {
    /// Returns whether the address uses plain HTTP, which is possible on this machine only.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Returns the host and port to connect to.
    #[must_use]
    pub fn host_and_port(&self) -> (String, u16) {
        let host = self.0.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (
            host.to_owned(),
            self.0.port_or_known_default().unwrap_or(443),
        )
    }

    /// Returns the URL of a resource of a locality: `{address}/v1/{locality}/{page}`.
    #[must_use]
    pub fn page(&self, locality: &str, page: &str) -> Url {
        let mut url = self.0.clone();
        // A URL with a host has path segments. `extend` escapes each segment.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", locality, page]);
        }
        url
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|_| AddressError::Form)?;
        let host = url.host_str().ok_or(AddressError::Form)?;
        let number = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        let here = host == "localhost" || number.is_ok_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if here => {}
            "http" => return Err(AddressError::Plain),
            _ => return Err(AddressError::Form),
        }
        let credentials = !url.username().is_empty() || url.password().is_some();
        if credentials || url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::Extra);
        }
        Ok(Self(url))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for good in [
            "https://ingestor.example.org",
            "http://127.0.0.1:8080",
            "http://[::1]:80/",
            "http://localhost/x",
        ] {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("http://ingestor.example.org", AddressError::Plain),
            ("http://localhost.example.org", AddressError::Plain),
            ("http://10.0.0.1", AddressError::Plain),
            ("ftp://127.0.0.1", AddressError::Form),
            ("ingestor", AddressError::Form),
            ("https://me@example.org", AddressError::Extra),
            ("https://example.org/?a=b", AddressError::Extra),
        ] {
            assert_eq!(bad.parse::<Address>(), Err(expected), "{bad}");
        }
    }

    #[test]
    fn pages_stand_below_the_address() {
        let page = |base: &str| {
            base.parse::<Address>()
                .unwrap()
                .page("us-ca", "reports")
                .to_string()
        };
        assert_eq!(
            page("https://a.example"),
            "https://a.example/v1/us-ca/reports"
        );
        assert_eq!(
            page("https://a.example/b/"),
            "https://a.example/b/v1/us-ca/reports"
        );
        let odd = "https://a.example"
            .parse::<Address>()
            .unwrap()
            .page("../x", "config");
        assert_eq!(odd.to_string(), "https://a.example/v1/..%2Fx/config");
    }
}
