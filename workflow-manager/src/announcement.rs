//! Announcements: what we say that we can, and looking for what the peer says.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tallybox_model::extensions::{AnnouncedPacketKey, Announcement, Extensions, ExtensionsError, Sighting};
use tallybox_service::cause::chain;
use tallybox_service::config::Loaded;
use tallybox_service::fetch::Document;

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

/// A document on the peer's server, or a file: of two processors that one operator runs, or that somebody else fetches. No
/// document is no announcement.
#[async_trait]
impl PeerAnnouncement for Document {
    async fn look(&self) -> Sighting {
        match self.fetch().await {
            Ok(Some(document)) => read(&self.place(), &document),
            Ok(None) => Sighting::Absent,
            Err(error) => unknown(&self.place(), &error),
        }
    }

    fn place(&self) -> String {
        self.to_string()
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
