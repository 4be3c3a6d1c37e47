//! A source in memory: rows that a program has at once, such as those of the demo.

use std::sync::Arc;

use async_trait::async_trait;
use tallybox_model::registry::Registry;

use super::source::{Filter, InstanceName, PageSource, Provenance, SourceError, WindowKey};
use crate::store::{FindingRow, WindowRow};

/// Returns the provenance of a row.
pub type Prove = dyn Fn(&WindowRow) -> Option<Provenance> + Send + Sync;

/// Rows in memory.
pub struct Memory {
    registry: Arc<Registry>,
    instances: Vec<InstanceName>,
    rows: Vec<WindowRow>,
    findings: Vec<FindingRow>,
    prove: Box<Prove>,
}

impl Memory {
    /// Creates a source of these rows, which may include several versions of a window. `prove`
    /// returns the provenance of a row.
    #[must_use]
    pub fn new(
        registry: Registry,
        mut rows: Vec<WindowRow>,
        mut findings: Vec<FindingRow>,
        prove: Box<Prove>,
    ) -> Self {
        // By window, the newest version first.
        rows.sort_by(|a, b| {
            let key = |row: &WindowRow| (row.window, row.instance.clone(), row.aggregation.clone());
            key(a).cmp(&key(b)).then(b.version.cmp(&a.version))
        });
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.first_seen));
        let mut instances: Vec<_> = rows
            .iter()
            .map(|row| InstanceName::split(&row.instance))
            .collect();
        instances.sort();
        instances.dedup();
        Self {
            registry: Arc::new(registry),
            instances,
            rows,
            findings,
            prove,
        }
    }
}

#[async_trait]
impl PageSource for Memory {
    async fn metrics(&self) -> Result<Arc<Registry>, SourceError> {
        Ok(Arc::clone(&self.registry))
    }

    async fn instances(&self) -> Result<Vec<InstanceName>, SourceError> {
        Ok(self.instances.clone())
    }

    async fn windows(&self, filter: &Filter) -> Result<Vec<WindowRow>, SourceError> {
        let matching = self.rows.iter().filter(|row| filter.matches(row));
        let mut rows: Vec<WindowRow> = matching.cloned().collect();
        // The newest version comes first, so it is the one that stays.
        rows.dedup_by(|later, kept| WindowKey::of(kept).matches(later));
        Ok(rows)
    }

    async fn window(&self, key: &WindowKey) -> Result<Vec<WindowRow>, SourceError> {
        let versions = self.rows.iter().filter(|row| key.matches(row));
        Ok(versions.cloned().collect())
    }

    async fn provenance(&self, row: &WindowRow) -> Result<Option<Provenance>, SourceError> {
        Ok((self.prove)(row))
    }

    async fn findings(&self) -> Result<Vec<FindingRow>, SourceError> {
        Ok(self.findings.clone())
    }

    async fn latest(&self) -> Result<Option<i64>, SourceError> {
        Ok(self.rows.iter().map(|row| row.added).max())
    }
}
