//! The addresses at which manifests are published: a base URL and the names of the documents below
//! it.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::Instance;

/// Name of the document that describes a whole server (processor, ingestor or portal).
pub const GLOBAL_DOCUMENT: &str = "global-manifest.json";

/// Returns the name of the document for one instance: that of a processor, or of an ingestor
/// without a global one. Some deployments use the locality's name in place of the instance's for
/// the latter.
#[must_use]
pub fn instance_document(instance: &Instance) -> String {
    format!("{instance}-manifest.json")
}

/// Returns the name of the document in which a processor announces its capabilities beyond ENPA.
/// Peers that run the predecessor never request it.
#[must_use]
pub fn extensions_document(instance: &Instance) -> String {
    format!("{instance}-extensions.json")
}

/// The HTTPS address below which a server publishes its manifests. It may have a path.
///
/// Manifests are not signed, so all trust in them rests on this address and on TLS. For this reason
/// the address must not contain credentials, a query or a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// The reason why a text is not a valid [`BaseUrl`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BaseUrlError {
    /// The scheme is missing or not `https`.
    #[error("manifest base url {0:?} does not begin with https://")]
    NotHttps(String),
    /// The host is missing, or the URL contains more than host, port and path.
    #[error(
        "manifest base url {0:?} has to consist of a host, an optional port and an optional path"
    )]
    NotABase(String),
}

impl BaseUrl {
    /// Returns the URL of one document.
    #[must_use]
    pub fn document(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    /// Returns the address without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let Some(rest) = text.strip_prefix("https://") else {
            return Err(BaseUrlError::NotHttps(text.to_owned()));
        };
        // Addresses with and without a trailing slash are the same.
        let rest = rest.trim_end_matches('/');
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || "?#@\\".contains(c);
        if rest.is_empty() || rest.starts_with(['/', ':']) || rest.contains(forbidden) {
            return Err(BaseUrlError::NotABase(text.to_owned()));
        }
        Ok(Self(format!("https://{rest}")))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn spells_every_document() {
        let instance: Instance = "us-ca-g-enpa".parse().unwrap();
        assert_eq!(instance_document(&instance), "us-ca-g-enpa-manifest.json");
        assert_eq!(
            extensions_document(&instance),
            "us-ca-g-enpa-extensions.json"
        );
        for base in [
            "https://example.org:8443/some/path",
            "https://example.org:8443/some/path/",
        ] {
            let base: BaseUrl = base.parse().unwrap();
            assert_eq!(
                base.document(GLOBAL_DOCUMENT),
                "https://example.org:8443/some/path/global-manifest.json"
            );
        }
    }

    #[test]
    fn refuses_anything_but_a_plain_https_base() {
        for text in [
            "http://example.org",
            "example.org",
            "HTTPS://example.org",
            "",
        ] {
            assert!(
                matches!(text.parse::<BaseUrl>(), Err(BaseUrlError::NotHttps(_))),
                "{text}"
            );
        }
        for text in [
            "https://",
            "https:///",
            "https:///path",
            "https://:443",
            "https://u:p@example.org",
        ] {
            assert!(
                matches!(text.parse::<BaseUrl>(), Err(BaseUrlError::NotABase(_))),
                "{text}"
            );
        }
        for text in [
            "https://example.org?a=b",
            "https://example.org/#a",
            "https://example.org/a b",
        ] {
            assert!(
                matches!(text.parse::<BaseUrl>(), Err(BaseUrlError::NotABase(_))),
                "{text}"
            );
        }
    }
}
