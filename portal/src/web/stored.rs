//! The source of a real portal: the store, and the evidence that proves its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tallybox_model::registry::Registry;
use tallybox_model::time::BatchTime;
use tallybox_service::config::{Loaded, load, resolve};
use tallybox_transport::{BucketError, SharedBucket, read_all};

use super::source::{Filter, InstanceName, PageSource, Provenance, SourceError, WindowKey};
use crate::config::Config;
use crate::error::Error;
use crate::evidence::{Evidence, EvidenceName, MAX_EVIDENCE_BYTES};
use crate::keys::PortalKeys;
use crate::store::{FindingRow, Store, WindowFilter, WindowRow};

/// The results and the evidence of a configuration.
pub struct Stored {
    store: Store,
    registry: Arc<Registry>,
    evidence: SharedBucket,
    /// The keys of both processors, by the name of the source.
    keys: BTreeMap<String, PortalKeys>,
}

impl Stored {
    /// Opens the evidence of a configuration, and reads its registry and keys.
    ///
    /// # Errors
    /// [`Error::Usage`] without a registry; otherwise an error that names the file or the bucket.
    pub fn open(config: &Loaded<Config>, store: Store) -> Result<Self, Error> {
        let directory = &config.directory;
        let Some(registry) = &config.value.registry else {
            return Err(Error::Usage(
                "registry: the pages need the metric registry, for the names of the bins"
                    .to_owned(),
            ));
        };
        let sources = config.value.sources.iter();
        let keys = sources.map(|source| Ok((source.name.clone(), source.keys(directory)?)));
        Ok(Self {
            store,
            registry: Arc::new(load::<Registry>(&resolve(directory, registry))?.value),
            evidence: config.value.evidence.open(directory)?,
            keys: keys.collect::<Result<_, Error>>()?,
        })
    }
}

#[async_trait]
impl PageSource for Stored {
    async fn metrics(&self) -> Result<Arc<Registry>, SourceError> {
        Ok(Arc::clone(&self.registry))
    }

    async fn instances(&self) -> Result<Vec<InstanceName>, SourceError> {
        let instances = self.store.instances().await?;
        Ok(instances.iter().map(InstanceName::split).collect())
    }

    async fn windows(&self, filter: &Filter) -> Result<Vec<WindowRow>, SourceError> {
        // For the store, no instance means every instance.
        if filter.instances.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let selected = WindowFilter {
            aggregation: filter.aggregation.clone(),
            instances: filter.instances.clone().unwrap_or_default(),
            from: filter.from.map(BatchTime::of_clock),
            to: filter.before.map(BatchTime::of_clock),
            ..WindowFilter::default()
        };
        let mut rows = self.store.windows(&selected).await?;
        // The newest version comes first, so it is the one that stays.
        rows.sort_by(|a, b| {
            let key = |row: &WindowRow| (row.window, row.instance.clone(), row.aggregation.clone());
            key(a).cmp(&key(b)).then(b.version.cmp(&a.version))
        });
        rows.dedup_by(|later, kept| WindowKey::of(kept).matches(later));
        Ok(rows)
    }

    async fn window(&self, key: &WindowKey) -> Result<Vec<WindowRow>, SourceError> {
        let WindowKey {
            instance,
            aggregation,
            window,
        } = key;
        let mut rows = self.store.window(instance, aggregation, window).await?;
        rows.reverse();
        Ok(rows)
    }

    /// Verifies the evidence again, so that a page never shows a proof that does not hold.
    async fn provenance(&self, row: &WindowRow) -> Result<Option<Provenance>, SourceError> {
        let Some(name) = EvidenceName::parse(&row.evidence) else {
            return Ok(None);
        };
        let Some(keys) = self.keys.get(&name.source) else {
            return Ok(None);
        };
        let object = match read_all(&*self.evidence, &row.evidence, MAX_EVIDENCE_BYTES).await {
            Err(BucketError::NotFound { .. }) => return Ok(None),
            read => read.map_err(Error::from)?,
        };
        let evidence =
            Evidence::decode(&name, &object).map_err(|fault| SourceError(fault.into()))?;
        let sum = evidence.verify(keys).map_err(Error::from)?;
        Ok(Some(Provenance {
            batches: sum.batches,
            parts: sum.evidence,
        }))
    }

    async fn findings(&self) -> Result<Vec<FindingRow>, SourceError> {
        Ok(self.store.findings(false).await?)
    }

    async fn latest(&self) -> Result<Option<i64>, SourceError> {
        let latest = self.store.latest(1).await?;
        Ok(latest.first().map(|row| row.added))
    }
}

impl From<Error> for SourceError {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}
