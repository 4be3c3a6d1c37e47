//! Configuration and keys, read again while the worker runs.

use super::Worker;
use crate::config::Config;
use crate::error::Error;
use crate::processor::Processor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tallybox_service::cause::chain;
use tallybox_service::config::{Loaded, load};
use tallybox_service::shutdown::Reload;
use tokio::time::sleep;

/// Where a processor comes from: its configuration file, and the files that it names.
#[derive(Clone, Debug)]
pub struct Source {
    file: PathBuf,
}

/// When the files were written last, as far as that can be seen.
type Stamp = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

impl Source {
    /// The configuration in this file.
    #[must_use]
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned() }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn load(&self) -> Result<Loaded<Config>, Error> {
        Ok(load::<Config>(&self.file)?)
    }

    /// Reads the configuration and all keys.
    ///
    /// # Errors
    /// [`Error`] that names what is wrong.
    pub fn open(&self) -> Result<Processor, Error> {
        let config = self.load()?;
        config.value.worker.check()?;
        Processor::open(&config)
    }

    /// What changes when a file does. A configuration that cannot be read has only itself.
    fn stamp(&self) -> Stamp {
        let mut files = vec![self.file.clone()];
        if let Ok(config) = self.load() {
            files.extend(config.value.key_files().map(|file| config.resolve(file)));
        }
        files
            .into_iter()
            .map(|file| {
                let metadata = std::fs::metadata(&file).ok();
                let stamp = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
                (file, stamp)
            })
            .collect()
    }
}

/// Reads configuration and keys again whenever somebody asks, and every `every` if a file has changed (never by itself if
/// that is zero). New tasks are done with what was read; what cannot be read leaves the old one in force.
pub async fn watch(worker: Arc<Worker>, source: Source, mut reload: Reload, every: Duration) {
    let mut known = blocking(&source, Source::stamp).await;
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
        if !asked && stamp == known {
            continue;
        }
        // What is written while it is read is seen at the next look.
        known = stamp;
        match blocking(&source, Source::open).await {
            Some(Ok(processor)) => {
                worker.replace_processor(processor);
                worker.metrics.reloads.inc();
                worker.state.reload_failed(false);
                tracing::info!("configuration and keys were read again");
            }
            Some(Err(error)) => {
                worker.metrics.reload_failures.inc();
                worker.state.reload_failed(true);
                tracing::error!(
                    error = chain(&error),
                    "configuration or keys cannot be read; the old ones stay in force"
                );
            }
            None => {}
        }
    }
}

/// Runs what reads files; `None` if it panicked.
async fn blocking<T: Send + 'static>(source: &Source, read: impl FnOnce(&Source) -> T + Send + 'static) -> Option<T> {
    let source = source.clone();
    tokio::task::spawn_blocking(move || read(&source)).await.ok()
}
