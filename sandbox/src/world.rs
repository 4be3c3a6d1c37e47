//! A complete sandbox: both processors, the ingestor and their mailboxes, in one directory.

use std::path::PathBuf;
use std::sync::Arc;

use tallybox_client::config::Trust;
use tallybox_facilitator::config::Points;

use crate::error::Error;
use crate::ingest::SimulatedIngestor;
use crate::keys::{CLIENT_CONFIG_KEY_ID, SandboxKeys, known_bins};
use crate::layout::{LOCALITY, Layout};

/// A sandbox directory with keys, configurations and empty buckets.
#[derive(Debug)]
pub struct World {
    /// The directory.
    pub layout: Layout,
    /// The keys of all parties.
    pub keys: Arc<SandboxKeys>,
    /// The source of evaluation points.
    pub points: Points,
}

impl World {
    /// Creates a sandbox in a new or empty directory, with packet keys for every metric that the
    /// sandbox knows. A seed makes everything reproducible, for tests and benchmarks only; without
    /// one the keys are random.
    ///
    /// # Errors
    /// [`Error::Occupied`] if the directory is not empty, [`Error::File`] if it cannot be written.
    pub fn create(
        root: impl Into<PathBuf>,
        seed: Option<u64>,
        points: Points,
    ) -> Result<Self, Error> {
        Self::for_bins(root, seed, points, &known_bins())
    }

    /// Creates a sandbox with packet keys for these numbers of bins only.
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

    /// Returns the simulated ingestor, which signs arbitrary batches.
    #[must_use]
    pub fn ingestor(&self) -> SimulatedIngestor {
        SimulatedIngestor::new(&self.layout, Arc::clone(&self.keys), self.points)
    }

    /// Returns what a client of the ingestor trusts: the locality, and the key that signs the
    /// client configuration.
    #[must_use]
    pub fn trust(&self, max_epsilon: f64) -> Trust {
        let key = self.keys.client_config.verifying_key();
        Trust {
            locality: LOCALITY.to_owned(),
            keys: [(CLIENT_CONFIG_KEY_ID.to_owned(), key)].into(),
            max_epsilon,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use tallybox_model::role::Role;
    use tallybox_service::clock::Clock;

    use super::*;
    use crate::roles::Setting;

    #[test]
    fn both_processors_open_by_their_configuration_files() {
        let directory = tempfile::tempdir().unwrap();
        let world =
            World::create(directory.path().join("new"), Some(1), Points::PerPacket).unwrap();
        for role in Role::ALL {
            let setting = Setting::without_faults(&Clock::system());
            let processor = setting.processor(&world.layout.config(role)).unwrap();
            assert_eq!(
                (processor.buckets.role, processor.limits.points),
                (role, Points::PerPacket)
            );
            assert_eq!(processor.limits.minimum_contributions, 1);
            let trusted = &processor.keys.peer[&crate::keys::signing_key_id(role.peer())];
            assert!(
                *trusted
                    == world.keys.processors[role.peer().index()]
                        .signing
                        .verifying_key()
            );
        }
    }
}
