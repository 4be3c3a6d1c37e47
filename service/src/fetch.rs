//! Documents that another organisation publishes: fetched over HTTPS, or read from a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect};

/// How long a server has for its whole answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Where a document is published.
#[derive(Debug)]
pub struct Document {
    place: Place,
    limit: usize,
}

#[derive(Debug)]
enum Place {
    Server(Client, Url),
    File(PathBuf),
}

/// A place that no document can be read from.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Not a URL that documents may be fetched from.
    #[error("{0:?} has to be an https:// URL without credentials, an http:// URL of this machine, or a file")]
    Url(String),
    /// No TLS.
    #[error("the HTTPS client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server cannot be reached, or the answer was cut off.
    #[error("it cannot be fetched")]
    Http(#[from] reqwest::Error),
    /// The server answers with another status than 200 and 404.
    #[error("the server answers {0}")]
    Status(StatusCode),
    /// The file cannot be read.
    #[error("it cannot be read")]
    File(#[from] io::Error),
    /// The document is larger than any that is expected.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
}

impl Document {
    /// The document of at most `limit` bytes at `place`: an `https://` URL, an `http://` URL whose host is the loopback
    /// (for trials on one machine), or a file relative to `directory`.
    ///
    /// # Errors
    /// [`PlaceError`] for other URLs and those with a name or password.
    pub fn at(place: &str, directory: &Path, limit: usize) -> Result<Self, PlaceError> {
        let place = if place.contains("://") {
            let refused = || PlaceError::Url(place.to_owned());
            let url = Url::parse(place).map_err(|_| refused())?;
            let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            let encrypted = url.scheme() == "https" || (url.scheme() == "http" && loopback);
            if !encrypted || !url.username().is_empty() || url.password().is_some() {
                return Err(refused());
            }
            let client = Client::builder()
                .timeout(ANSWER_TIME)
                // The certificate of this server is what is trusted, and no other.
                .redirect(redirect::Policy::none())
                .user_agent(concat!("tallybox/", env!("CARGO_PKG_VERSION")));
            Place::Server(client.build().map_err(PlaceError::Client)?, url)
        } else {
            Place::File(directory.join(place))
        };
        Ok(Self { place, limit })
    }

    /// Reads the document; `None` if there is none (status 404, no file).
    ///
    /// # Errors
    /// [`FetchError`]; the document is read only as far as it may be long.
    pub async fn fetch(&self) -> Result<Option<Vec<u8>>, FetchError> {
        match &self.place {
            Place::Server(client, url) => self.fetch_from(client, url).await,
            Place::File(file) => match tokio::fs::read(file).await {
                Ok(document) if document.len() > self.limit => Err(FetchError::TooLarge(self.limit)),
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
        match &self.place {
            Place::Server(_, url) => url.fmt(f),
            Place::File(file) => file.display().fmt(f),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_encrypted_places_without_credentials_are_taken() {
        let at = |place| Document::at(place, Path::new("/etc"), 10).map(|document| document.to_string());
        for good in ["https://a.example/x", "http://127.0.0.1:80/x", "http://[::1]/x"] {
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
        let fetch = async |name, limit| Document::at(name, folder.path(), limit).unwrap().fetch().await;
        assert_eq!(fetch("d", 10).await.unwrap().unwrap(), b"0123456789");
        assert!(matches!(fetch("d", 9).await, Err(FetchError::TooLarge(9))));
        assert!(fetch("e", 9).await.unwrap().is_none());
    }
}
