//! A small world: both processors, the ingestor and their mailboxes, in one directory.

use std::path::PathBuf;
use std::sync::Arc;

use tallybox_client::config::Trust;
use tallybox_facilitator::config::{Config, Points};
use tallybox_facilitator::processor::Processor;
use tallybox_model::role::Role;
use tallybox_service::config::load;

use crate::error::Error;
use crate::ingest::Ingestor;
use crate::keys::{CLIENT_CONFIG_KEY_ID, SandboxKeys, known_bins};
use crate::layout::{LOCALITY, Layout};

/// Keys, configurations and empty buckets, ready for packets.
#[derive(Debug)]
pub struct World {
    /// Where everything is.
    pub layout: Layout,
    /// Everybody's keys.
    pub keys: Arc<SandboxKeys>,
    /// Where evaluation points come from.
    pub points: Points,
}

impl World {
    /// Makes a world in a new or empty directory, with packet keys for every metric that the sandbox knows. Without a seed its keys are fresh; with one everything about it is
    /// the same every time, which is for tests and benches only.
    ///
    /// # Errors
    /// [`Error::Occupied`] if there is something in the directory, [`Error::File`] if it cannot be written.
    pub fn create(root: impl Into<PathBuf>, seed: Option<u64>, points: Points) -> Result<Self, Error> {
        Self::for_bins(root, seed, points, &known_bins())
    }

    /// The same with packet keys for these numbers of bins only.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn for_bins(
        root: impl Into<PathBuf>,
        seed: Option<u64>,
        points: Points,
        bins: &[usize],
    ) -> Result<Self, Error> {
        let keys = match seed {
            Some(seed) => SandboxKeys::from_seed(seed, bins),
            None => SandboxKeys::fresh(bins),
        };
        let layout = Layout::create(root)?;
        keys.write(&layout.keys())?;
        layout.write_configs(points, bins)?;
        Ok(Self {
            layout,
            keys: Arc::new(keys),
            points,
        })
    }

    /// An ingestion organisation that writes what it likes.
    #[must_use]
    pub fn ingestor(&self) -> Ingestor {
        Ingestor::new(&self.layout, Arc::clone(&self.keys), self.points)
    }

    /// The real ingestor, opened by its configuration file as its own program does it.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Ingestor`].
    pub fn ingestor_program(&self) -> Result<tallybox_ingestor::ingestor::Ingestor, Error> {
        let config = load::<tallybox_ingestor::config::Config>(&self.layout.ingestor_config())?;
        tallybox_ingestor::ingestor::Ingestor::open(&config).map_err(Error::ingestor)
    }

    /// What a client of the ingestor believes: the locality and the key that signs its configuration.
    #[must_use]
    pub fn trust(&self, max_epsilon: f64) -> Trust {
        let key = self.keys.client_config.verifying_key();
        Trust {
            locality: LOCALITY.to_owned(),
            keys: [(CLIENT_CONFIG_KEY_ID.to_owned(), key)].into(),
            max_epsilon,
        }
    }

    /// A processor, opened by its configuration file as its own program does it.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Processor`].
    pub fn processor(&self, role: Role) -> Result<Arc<Processor>, Error> {
        let config = load::<Config>(&self.layout.config(role))?;
        let opened = Processor::open(&config);
        opened.map(Arc::new).map_err(|source| Error::Processor {
            role,
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn both_processors_open_by_their_configuration_files() {
        let directory = tempfile::tempdir().unwrap();
        let world = World::create(directory.path().join("new"), Some(1), Points::PerPacket).unwrap();
        for role in Role::ALL {
            let processor = world.processor(role).unwrap();
            assert_eq!((processor.role, processor.points), (role, Points::PerPacket));
            assert_eq!(processor.minimum_contributions, 1);
            let trusted = &processor.peer_keys[&crate::keys::signing_key_id(role.peer())];
            assert!(*trusted == world.keys.processors[role.peer().index()].signing.verifying_key());
        }
    }
}
