//! Announcements of extensions: creates this processor's announcement and reads the peer's.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tallybox_model::cause::chain;
use tallybox_model::extensions::{
    AnnouncedPacketKey, Announcement, Extensions, ExtensionsError, Sighting,
};
use tallybox_service::config::Loaded;
use tallybox_service::fetch::Document;

use crate::config::{Config, PacketKeyConfig};
use crate::error::Error;

/// Returns the announcement that the configuration describes.
///
/// # Errors
/// [`Error::Setting`], which names the configuration key and the problem of a packet key.
pub fn from_config(config: &Loaded<Config>) -> Result<Announcement, Error> {
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
    let refused =
        |error: ExtensionsError| Error::Setting(format!("packet-keys: {}", chain(&error)));
    announcement.check(config.value.role).map_err(refused)?;
    Ok(announcement)
}

/// A source of the peer's announcement.
#[async_trait]
pub trait PeerAnnouncement: Send + Sync + fmt::Debug {
    /// Reads the announcement. Every error gives [`Sighting::Unknown`] and a log message.
    async fn observe(&self) -> Sighting;

    /// Returns the location, for people.
    fn location(&self) -> String;
}

/// A source with a fixed answer: for tests, and for a processor without rosters.
#[derive(Debug)]
pub struct FixedAnnouncement(Mutex<Sighting>);

impl FixedAnnouncement {
    /// Creates a source that returns this answer.
    #[must_use]
    pub fn new(sighting: Sighting) -> Self {
        Self(Mutex::new(sighting))
    }

    /// Replaces the answer.
    pub fn set(&self, sighting: Sighting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sighting;
    }
}

#[async_trait]
impl PeerAnnouncement for FixedAnnouncement {
    async fn observe(&self) -> Sighting {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn location(&self) -> String {
        "nowhere".to_owned()
    }
}

/// A document on the peer's server, or a file: for two processors of one operator, or if another
/// program downloads it. A missing document means that the peer announces nothing.
#[async_trait]
impl PeerAnnouncement for Document {
    async fn observe(&self) -> Sighting {
        match self.fetch().await {
            Ok(Some(document)) => read(&self.location(), &document),
            Ok(None) => Sighting::Absent,
            Err(error) => unknown(&self.location(), &error),
        }
    }

    fn location(&self) -> String {
        self.to_string()
    }
}

/// Parses the document.
pub(crate) fn read(location: &str, document: &[u8]) -> Sighting {
    match Extensions::parse(document) {
        Ok(extensions) => Sighting::Announced(extensions),
        Err(error) => unknown(location, &error),
    }
}

pub(crate) fn unknown(location: &str, error: &dyn std::error::Error) -> Sighting {
    let problem = chain(error);
    tracing::warn!(location, problem, "cannot read the peer's announcement");
    Sighting::Unknown
}
