//! The findings.

use tallybox_model::id::{AggregationId, Instance};

use super::columns::{self, FINDING};
use super::query::Conditions;
use super::rows::FindingRow;
use super::{Store, failed};
use crate::error::Error;

impl Store {
    /// Returns the findings, the latest first: only open ones, or all.
    ///
    /// # Errors
    /// [`Error::Database`] or [`Error::Row`].
    pub async fn findings(&self, open_only: bool) -> Result<Vec<FindingRow>, Error> {
        let open = if open_only {
            " WHERE resolved IS NULL"
        } else {
            ""
        };
        let sql = format!("SELECT {FINDING} FROM findings{open} ORDER BY first_seen DESC, id DESC");
        self.read(Conditions::default().bind(sql), columns::finding)
            .await
    }

    /// Returns the findings of one aggregation and instance, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`] or [`Error::Row`].
    pub async fn findings_of(
        &self,
        instance: &Instance,
        aggregation: &AggregationId,
        open_only: bool,
    ) -> Result<Vec<FindingRow>, Error> {
        let mut conditions = Conditions::default();
        conditions.add("aggregation =", aggregation.as_str());
        conditions.add("instance =", instance.as_str());
        let open = if open_only {
            " AND resolved IS NULL"
        } else {
            ""
        };
        let where_ = conditions.text();
        let sql = format!("SELECT {FINDING} FROM findings{where_}{open} ORDER BY id");
        self.read(conditions.bind(sql), columns::finding).await
    }

    /// Adds a finding, unless it is open already: the same kind and message for the same window.
    /// Returns whether it is new.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn add_finding(&self, finding: &FindingRow) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO findings (id, instance, aggregation, window_start, window_end, kind, \
             message, next_step, first_seen, resolved) \
             SELECT (SELECT COALESCE(MAX(id), 0) + 1 FROM findings), $1, $2, $3, $4, $5, $6, $7, \
             $8, $9 WHERE NOT EXISTS (SELECT 1 FROM findings WHERE aggregation = $10 AND \
             instance = $11 AND window_start = $12 AND window_end = $13 AND kind = $14 AND \
             message = $15 AND resolved IS NULL)",
        )
        .bind(finding.instance.as_str())
        .bind(finding.aggregation.as_str())
        .bind(finding.window.start().millis())
        .bind(finding.window.end().millis())
        .bind(finding.kind.as_str())
        .bind(finding.message.as_str())
        .bind(finding.next_step.as_str())
        .bind(finding.first_seen)
        .bind(finding.resolved)
        .bind(finding.aggregation.as_str())
        .bind(finding.instance.as_str())
        .bind(finding.window.start().millis())
        .bind(finding.window.end().millis())
        .bind(finding.kind.as_str())
        .bind(finding.message.as_str())
        .execute(&mut *transaction)
        .await
        .map_err(failed("add a finding"))?;
        transaction
            .commit()
            .await
            .map_err(failed("commit a finding"))?;
        Ok(inserted.rows_affected() > 0)
    }

    /// Marks an open finding as resolved at `millis`, milliseconds since the epoch. Returns whether
    /// it was open.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn resolve_finding(&self, finding: &FindingRow, millis: i64) -> Result<bool, Error> {
        let updated = sqlx::query(
            "UPDATE findings SET resolved = $1 WHERE aggregation = $2 AND instance = $3 AND \
             window_start = $4 AND window_end = $5 AND kind = $6 AND message = $7 AND \
             resolved IS NULL",
        )
        .bind(millis)
        .bind(finding.aggregation.as_str())
        .bind(finding.instance.as_str())
        .bind(finding.window.start().millis())
        .bind(finding.window.end().millis())
        .bind(finding.kind.as_str())
        .bind(finding.message.as_str())
        .execute(&self.pool)
        .await
        .map_err(failed("resolve a finding"))?;
        Ok(updated.rows_affected() > 0)
    }
}
