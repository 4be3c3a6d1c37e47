//! A processor, ready to work: what its commands share.

use crate::buckets::Buckets;
use crate::config::Config;
use crate::error::Error;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::resources::Resources;
use tallybox_service::config::Loaded;

/// A processor, ready to work. Commands take it whole; the functions below them take the parts that
/// they use.
#[derive(Debug)]
pub struct Processor {
    /// The keys of this processor and of the parties that it trusts.
    pub keys: Keys,
    /// The buckets, and the identity that names objects in them.
    pub buckets: Buckets,
    /// What is accepted, refused and released.
    pub limits: Limits,
    /// Threads, memory, cache and clock.
    pub resources: Resources,
}

impl Processor {
    /// Reads the key files and opens the buckets that a configuration names.
    ///
    /// # Errors
    /// [`Error`] that names the file or the configuration key.
    pub fn open(config: &Loaded<Config>) -> Result<Self, Error> {
        let keys = Keys::read(config)?;
        Ok(Self {
            buckets: Buckets::open(config, &keys.sealing)?,
            limits: Limits::read(config, &keys.packet)?,
            resources: Resources::start(config.value.threads)?,
            keys,
        })
    }
}
