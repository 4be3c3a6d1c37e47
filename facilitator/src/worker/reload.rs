//! Reloads configuration and keys while the worker runs.

use super::Worker;
use crate::config::Config;
use crate::error::Error;
use crate::processor::Processor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tallybox_model::cause::chain;
use tallybox_service::config::{Loaded, load};
use tallybox_service::shutdown::Reload;
use tokio::time::sleep;

/// The source of a processor: its configuration file, and the files that it names.
#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
}

/// The modification time and size of each file, or `None` if they cannot be read.
type Stamp = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

impl Source {
    /// Creates a source from a configuration file.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
        }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// [`Error::Config`] if the file cannot be read or is invalid.
    pub fn load(&self) -> Result<Loaded<Config>, Error> {
        Ok(load::<Config>(&self.file)?)
    }

    /// Reads the configuration and all keys.
    ///
    /// # Errors
    /// [`Error`] that names the invalid setting or file.
    pub fn open(&self) -> Result<Processor, Error> {
        let config = self.load()?;
        config.value.worker.check()?;
        Processor::open(&config)
    }

    /// Returns the stamp of all files. An unreadable configuration contributes only its own file.
    fn stamp(&self) -> Stamp {
        let mut files = vec![self.file.clone()];
        if let Ok(config) = self.load() {
            files.extend(config.value.key_files().map(|file| config.resolve(file)));
        }
        files
            .into_iter()
            .map(|file| {
                let metadata = std::fs::metadata(&file).ok();
                let stamp =
                    metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
                (file, stamp)
            })
            .collect()
    }
}

/// Reloads configuration and keys on request, and when a check every `every` finds a changed file
/// (zero disables the check). New tasks use the new values. If the reload fails, the old values
/// stay in force.
pub async fn watch(worker: Arc<Worker>, source: Source, mut reload: Reload, every: Duration) {
    let mut last_stamp = blocking(&source, Source::stamp).await;
    loop {
        let timer = async {
            if every.is_zero() {
                std::future::pending().await
            } else {
                sleep(every).await;
            }
        };
        let asked = tokio::select! {
            () = reload.asked() => true,
            () = timer => false,
        };
        let stamp = blocking(&source, Source::stamp).await;
        if !asked && stamp == last_stamp {
            continue;
        }
        // Store the stamp from before the reload: a file that changes during it is found at the
        // next check.
        last_stamp = stamp;
        match blocking(&source, Source::open).await {
            Some(Ok(processor)) => {
                worker.replace_processor(processor);
                worker.metrics.reloads.inc();
                worker.state.reload_failed(false);
                tracing::info!("configuration and keys reloaded");
            }
            Some(Err(error)) => {
                worker.metrics.reload_failures.inc();
                worker.state.reload_failed(true);
                tracing::error!(
                    error = chain(&error),
                    "reload failed: configuration or keys cannot be read; the old ones stay in force"
                );
            }
            None => {}
        }
    }
}

/// Runs a function that reads files on a blocking thread; returns `None` if it panicked.
async fn blocking<T: Send + 'static>(
    source: &Source,
    read: impl FnOnce(&Source) -> T + Send + 'static,
) -> Option<T> {
    let source = source.clone();
    tokio::task::spawn_blocking(move || read(&source))
        .await
        .ok()
}
