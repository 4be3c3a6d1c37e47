//! Announcements: what we say that we can, and looking for what the peer says.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tallybox_model::extensions::{Extensions, Sighting};

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
    let problem = crate::error::sentence(error);
    tracing::warn!(place, problem, "the peer's announcement cannot be read");
    Sighting::Unknown
}
