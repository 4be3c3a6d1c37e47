//! The options that name an ingestor and the trust in it.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use tallybox_crypto::VerifyingKey;
use tallybox_service::exit::Exit;
use tallybox_service::output::Failure;

use crate::address::Address;
use crate::config::Trust;

/// The options that name an ingestor and its locality.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// Address of the ingestor, before `/v1/…`; https, or http on this machine
    #[arg(value_name = "URL")]
    pub(super) address: Address,
    /// The locality
    #[arg(long, value_name = "NAME")]
    locality: String,
    /// A key that may sign the configuration: its id and the file of its public key; repeat for
    /// several
    #[arg(long = "key", value_name = "ID=FILE", required = true)]
    keys: Vec<PinnedKey>,
    /// The largest accepted epsilon (the least noise): a configuration with a larger one is
    /// rejected
    #[arg(long, value_name = "E", default_value_t = 8.0)]
    max_epsilon: f64,
}

/// A key id and a file.
#[derive(Debug, Clone)]
struct PinnedKey {
    id: String,
    file: PathBuf,
}

impl FromStr for PinnedKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Key ids of a cloud may contain an equals sign, and files seldom do, so the last one
        // separates them.
        let (id, file) = text.rsplit_once('=').ok_or("not of the form ID=FILE")?;
        Ok(Self {
            id: id.to_owned(),
            file: file.into(),
        })
    }
}

impl ServerArgs {
    /// Reads the keys.
    pub(super) fn trust(&self) -> Result<Trust, Failure> {
        let keys = self.keys.iter().map(|pinned| {
            let named = |error: String| {
                Failure::new(Exit::Usage, "key", error).object(pinned.file.display())
            };
            let text =
                std::fs::read_to_string(&pinned.file).map_err(|error| named(error.to_string()))?;
            let key = VerifyingKey::parse(text.trim()).map_err(|error| named(error.to_string()))?;
            Ok((pinned.id.clone(), key))
        });
        Ok(Trust {
            locality: self.locality.clone(),
            keys: keys.collect::<Result<_, Failure>>()?,
            max_epsilon: self.max_epsilon,
        })
    }
}
