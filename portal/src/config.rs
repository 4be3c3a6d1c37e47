//! The portal's configuration: one YAML file. Every key is documented; unknown keys are an error.

mod database;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tallybox_model::id::KeyId;
use tallybox_model::role::Role;
use tallybox_service::config::{Loaded, resolve};
use tallybox_transport::BucketPlace;

pub use database::{DatabasePlace, DatabaseUrl};

use crate::error::Error;
use crate::keys::{PortalKeys, read_keys};

/// The configuration file. Relative paths and directories are relative to the folder of the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The bucket of the evidence: the files of every pair of sum parts that was added. Only the
    /// portal writes there, and it never overwrites.
    pub evidence: BucketPlace,
    /// The database of the results. Default: the SQLite file `portal.sqlite`.
    #[serde(default)]
    pub database: DatabasePlace,
    /// The metric registry, for the names of the bins and the meaning of the metrics.
    #[serde(default)]
    pub registry: Option<PathBuf>,
    /// Number of reports below which a sum is not stored and never shown. Default: 0.
    #[serde(default)]
    pub minimum: u64,
    /// Time from the end of a window after which a sum part that one side has not published is a
    /// finding, in minutes.
    #[serde(default = "default_late_minutes")]
    pub late_minutes: u32,
    /// Age limit of the windows that `collect` looks for, in days. The first run for an aggregation,
    /// and `collect --all`, look for windows of any age.
    #[serde(default = "default_look_back_days")]
    pub look_back_days: u32,
    /// Interval at which `serve` collects sum parts, in minutes; 0 if cron runs `collect`.
    #[serde(default = "default_collect_minutes")]
    pub collect_minutes: u32,
    /// Number of windows that are read and verified at the same time.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// The pairs of processors that publish sum parts.
    pub sources: Vec<SourceConfig>,
}

/// Two processors that publish sum parts of the same windows.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SourceConfig {
    /// The first component of the evidence's names: letters, digits and `.-_`. Never change it.
    pub name: String,
    /// The first processor, the health authority's side.
    pub first: SideConfig,
    /// The second processor, the facilitator.
    pub second: SideConfig,
}

/// The mailbox and the keys of one processor. Keys belong to one side, so that no side can sign
/// both sum parts.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SideConfig {
    /// The mailbox into which the processor publishes its sum parts.
    pub mailbox: BucketPlace,
    /// The public signing keys: the identifier in signatures, and the file (PEM, or base64 as in
    /// manifests). Keep the keys of old windows for `rebuild`; remove a revoked key.
    pub keys: BTreeMap<KeyId, PathBuf>,
}

impl SourceConfig {
    /// Returns the configuration of one processor.
    #[must_use]
    pub fn side(&self, writer: Role) -> &SideConfig {
        match writer {
            Role::First => &self.first,
            Role::Second => &self.second,
        }
    }

    /// Reads the key files of both processors.
    ///
    /// # Errors
    /// An error that names the file.
    pub fn keys(&self, directory: &Path) -> Result<PortalKeys, Error> {
        let read = |writer| {
            let keys = self.side(writer).keys.iter();
            read_keys(keys.map(|(id, file)| (id.clone(), resolve(directory, file))))
        };
        Ok(PortalKeys::new([read(Role::First)?, read(Role::Second)?]))
    }
}

impl Config {
    /// Reads a configuration file and checks it.
    ///
    /// # Errors
    /// [`Error::Config`], or [`Error::Usage`] with the key and the problem.
    pub fn load(file: &Path) -> Result<Loaded<Self>, Error> {
        let config = tallybox_service::config::load::<Self>(file)?;
        config
            .value
            .check()
            .map_err(|problem| Error::Usage(format!("{}: {problem}", file.display())))?;
        Ok(config)
    }

    /// Checks the rules that the types do not express.
    ///
    /// # Errors
    /// The problem, beginning with the key.
    pub fn check(&self) -> Result<(), String> {
        if self.concurrency == 0 || self.look_back_days == 0 {
            return Err("concurrency and look-back-days must be 1 or more".to_owned());
        }
        if self.sources.is_empty() {
            return Err("sources: name at least one pair of processors".to_owned());
        }
        let mut names = BTreeSet::new();
        for source in &self.sources {
            let name = &source.name;
            if !is_folder_name(name) {
                return Err(format!(
                    "sources: name {name:?} has to be 1 to 100 characters of letters, digits and \
                     .-_ that do not start with a dot"
                ));
            }
            if !names.insert(name) {
                return Err(format!("sources: name {name:?} is used twice"));
            }
            for writer in Role::ALL {
                if source.side(writer).keys.is_empty() {
                    return Err(format!(
                        "sources: {name}: {writer}: keys: name at least one public signing key"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Returns whether a text can be a component of an object's key.
pub(crate) fn is_folder_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=100).contains(&text.len()) && !text.starts_with('.') && text.chars().all(allowed)
}

fn default_late_minutes() -> u32 {
    6 * 60
}

fn default_look_back_days() -> u32 {
    35
}

fn default_collect_minutes() -> u32 {
    10
}

fn default_concurrency() -> usize {
    8
}
