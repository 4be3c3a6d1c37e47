//! Fetches documents that another organisation publishes over HTTPS, or reads them from a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect};

/// Timeout for the whole response of a server.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The location of a published document, and the largest size that is read.
#[derive(Debug)]
pub struct Document {
    source: Source,
    limit: usize,
}

#[derive(Debug)]
enum Source {
    Server(Client, Url),
    File(PathBuf),
}

/// Reasons why a location is rejected.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// The URL may not be used for documents.
    #[error(
        "{0:?} must be an https:// URL without credentials, an http:// URL of this machine, or a file"
    )]
    Url(String),
    /// TLS is not available.
    #[error("the HTTPS client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// Reasons why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server is out of reach, or the response was cut off.
    #[error("the document cannot be fetched")]
    Http(#[from] reqwest::Error),
    /// The server answers with a status other than 200 and 404.
    #[error("the server answers with status {0}")]
    Status(StatusCode),
    /// The file cannot be read.
    #[error("the document cannot be read")]
    File(#[from] io::Error),
    /// The document is larger than its limit.
    #[error("the document has more than {0} bytes")]
    TooLarge(usize),
}

impl Document {
    /// Describes the document of at most `limit` bytes at `location`: an `https://` URL, an
    /// `http://` URL of a loopback host (for trials on one machine), or a file relative to
    /// `directory`.
    ///
    /// # Errors
    /// [`LocationError`] for other URLs, and for URLs with a name or password.
    pub fn at(location: &str, directory: &Path, limit: usize) -> Result<Self, LocationError> {
        let source = if location.contains("://") {
            let refused = || LocationError::Url(location.to_owned());
            let url = Url::parse(location).map_err(|_| refused())?;
            let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            let encrypted = url.scheme() == "https" || (url.scheme() == "http" && loopback);
            if !encrypted || !url.username().is_empty() || url.password().is_some() {
                return Err(refused());
            }
            let client = Client::builder()
                .timeout(RESPONSE_TIMEOUT)
                // A redirect would lead to a server whose certificate the operator did not choose
                // to trust.
                .redirect(redirect::Policy::none())
                .user_agent(concat!("tallybox/", env!("CARGO_PKG_VERSION")));
            Source::Server(client.build().map_err(LocationError::Client)?, url)
        } else {
            Source::File(directory.join(location))
        };
        Ok(Self { source, limit })
    }

    /// Reads the document; `None` if it does not exist (status 404, no such file).
    ///
    /// # Errors
    /// [`FetchError`]. At most the permitted size of a response is held in memory.
    pub async fn fetch(&self) -> Result<Option<Vec<u8>>, FetchError> {
        match &self.source {
            Source::Server(client, url) => self.fetch_from(client, url).await,
            Source::File(file) => match tokio::fs::read(file).await {
                Ok(document) if document.len() > self.limit => {
                    Err(FetchError::TooLarge(self.limit))
                }
                Ok(document) => Ok(Some(document)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }

    async fn fetch_from(&self, client: &Client, url: &Url) -> Result<Option<Vec<u8>>, FetchError> {
        let mut answer = client.get(url.clone()).send().await?;
        match answer.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::OK => {}
            status => return Err(FetchError::Status(status)),
        }
        let mut document = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            // The limit is checked after each chunk, so memory use stays bounded.
            document.extend_from_slice(&chunk);
            if document.len() > self.limit {
                return Err(FetchError::TooLarge(self.limit));
            }
        }
        Ok(Some(document))
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Server(_, url) => url.fmt(f),
            Source::File(file) => file.display().fmt(f),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_places_without_credentials_are_taken() {
        let at = |location| {
            Document::at(location, Path::new("/etc"), 10).map(|document| document.to_string())
        };
        for good in [
            "https://a.example/x",
            "http://127.0.0.1:80/x",
            "http://[::1]/x",
        ] {
            assert!(at(good).is_ok(), "{good}");
        }
        assert_eq!(at("told.json").unwrap(), "/etc/told.json");
        for bad in [
            "http://a.example/x",
            "https://u:p@a.example/",
            "ftp://a.example/",
            "https://",
        ] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("d"), "0123456789").unwrap();
        let fetch = async |name, limit| {
            Document::at(name, folder.path(), limit)
                .unwrap()
                .fetch()
                .await
        };
        assert_eq!(fetch("d", 10).await.unwrap().unwrap(), b"0123456789");
        assert!(matches!(fetch("d", 9).await, Err(FetchError::TooLarge(9))));
        assert!(fetch("e", 9).await.unwrap().is_none());
    }
}
