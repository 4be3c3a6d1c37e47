//! Announcements: what we say that we can, and looking for what the peer says.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tallybox_model::extensions::{
    AnnouncedPacketKey, Announcement, EXTENSIONS_SIZE_LIMIT, Extensions, ExtensionsError, Sighting,
};
use tallybox_service::cause::chain;
use tallybox_service::config::Loaded;

use crate::config::{Config, PacketKeyConfig};
use crate::error::Error;

/// What the configuration announces.
///
/// # Errors
/// [`Error::Setting`] that names the key of the configuration and what is wrong with a packet key.
pub fn of_config(config: &Loaded<Config>) -> Result<Announcement, Error> {
    let roster = config.value.announced();
    let mut announcement = Announcement {
        extensions: Extensions { roster },
        packet_keys: Vec::new(),
    };
    for PacketKeyConfig { id, bins, file } in &config.value.packet_keys {
        let path = config.resolve(file);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let path = path.display();
            Error::Setting(format!("packet-keys: {id}: {path} cannot be read: {error}"))
        })?;
        announcement.packet_keys.push(AnnouncedPacketKey {
            id: id.clone(),
            bins: *bins,
            public_key: text.trim().to_owned(),
        });
    }
    let refused = |error: ExtensionsError| Error::Setting(format!("packet-keys: {}", chain(&error)));
    announcement.check(config.value.role).map_err(refused)?;
    Ok(announcement)
}

/// Where the peer's announcement is.
#[async_trait]
pub trait PeerAnnouncement: Send + Sync + fmt::Debug {
    /// Looks for it. Whatever goes wrong is [`Sighting::Unknown`], with a line in the log.
    async fn look(&self) -> Sighting;

    /// Where it is, for people.
    fn place(&self) -> String;
}

/// A peer that says what it is told to: for tests, and for a peer that is known never to say anything.
#[derive(Debug)]
pub struct FixedAnnouncement(Mutex<Sighting>);

impl FixedAnnouncement {
    /// A peer of whom this is seen.
    #[must_use]
    pub fn new(sighting: Sighting) -> Self {
        Self(Mutex::new(sighting))
    }

    /// From now on this is seen.
    pub fn set(&self, sighting: Sighting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sighting;
    }
}

#[async_trait]
impl PeerAnnouncement for FixedAnnouncement {
    async fn look(&self) -> Sighting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> String {
        "nowhere".to_owned()
    }
}

/// A file: of two processors that are run by one operator, or one that somebody else fetches. No file is no announcement.
#[derive(Debug)]
pub struct FileAnnouncement(pub PathBuf);

#[async_trait]
impl PeerAnnouncement for FileAnnouncement {
    async fn look(&self) -> Sighting {
        match tokio::fs::read(&self.0).await {
            Ok(document) => read(&self.place(), &document),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Sighting::Absent,
            Err(error) => unknown(&self.place(), &error),
        }
    }

    fn place(&self) -> String {
        self.0.display().to_string()
    }
}

/// What a document says.
pub(crate) fn read(place: &str, document: &[u8]) -> Sighting {
    match Extensions::parse(document) {
        Ok(extensions) => Sighting::Announced(extensions),
        Err(error) => unknown(place, &error),
    }
}

pub(crate) fn unknown(place: &str, error: &dyn std::error::Error) -> Sighting {
    let problem = chain(error);
    tracing::warn!(place, problem, "the peer's announcement cannot be read");
    Sighting::Unknown
}

/// How long the peer's server has for its answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A document on the peer's server. Redirects are not followed: what is trusted is this server's certificate.
#[derive(Debug)]
pub struct HttpsAnnouncement {
    client: reqwest::Client,
    url: reqwest::Url,
}

impl HttpsAnnouncement {
    /// The document at this URL.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is no `https://` URL, or holds a name or password.
    pub fn new(url: &str) -> Result<Self, Error> {
        let bad = |problem: &str| Error::Setting(format!("roster.peer: {problem}"));
        let url = reqwest::Url::parse(url).map_err(|_| bad("is no URL"))?;
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(bad("has to be an https:// URL without credentials"));
        }
        let client = reqwest::Client::builder()
            .timeout(ANSWER_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tallybox-workflow-manager/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Internal(format!("the HTTPS client cannot be set up: {error}")))?;
        Ok(Self { client, url })
    }

    async fn fetch(&self) -> Result<Option<Vec<u8>>, FetchError> {
        let mut answer = self.client.get(self.url.clone()).send().await?;
        match answer.status() {
            reqwest::StatusCode::NOT_FOUND => return Ok(None),
            reqwest::StatusCode::OK => {}
            status => return Err(FetchError::Status(status)),
        }
        let mut document = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            document.extend_from_slice(&chunk);
            if document.len() > EXTENSIONS_SIZE_LIMIT {
                return Err(FetchError::TooLarge);
            }
        }
        Ok(Some(document))
    }
}

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("it cannot be fetched")]
    Http(#[from] reqwest::Error),
    #[error("the server answers {0}")]
    Status(reqwest::StatusCode),
    #[error("it has more than {EXTENSIONS_SIZE_LIMIT} bytes")]
    TooLarge,
}

#[async_trait]
impl PeerAnnouncement for HttpsAnnouncement {
    async fn look(&self) -> Sighting {
        match self.fetch().await {
            Ok(Some(document)) => read(&self.place(), &document),
            Ok(None) => Sighting::Absent,
            Err(error) => unknown(&self.place(), &error),
        }
    }

    fn place(&self) -> String {
        self.url.to_string()
    }
}
