//! The adding of windows, many in one statement.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use super::columns::{count, sums_text};
use super::rows::WindowRow;
use super::{Store, failed};
use crate::error::Error;

/// Number of rows in one statement. More rows save no time.
const ROWS: usize = 200;
/// Number of columns of a window.
const COLUMNS: usize = 12;

/// Recomputes the figures of a series from its windows. Every text of a state is a literal, because
/// the statement has one placeholder.
const SUMMARISE: &str = "\
UPDATE series SET (windows, reports, first_start, last_end) = (
    SELECT COUNT(*),
        CAST(COALESCE(SUM(CASE WHEN w.state = 'summed' THEN w.reports ELSE 0 END), 0) AS BIGINT),
        MIN(w.window_start), MAX(w.window_end)
    FROM windows w
    WHERE w.series = series.id AND w.state IN ('summed', 'below-minimum'))";

impl Store {
    /// Adds windows in one transaction. A row replaces one with the same instance, aggregation,
    /// window and version. No two of `rows` may have the same.
    ///
    /// # Errors
    /// [`Error::Database`]. Nothing was added.
    pub async fn add(&self, rows: &[WindowRow]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        let mut series = Series::read(&mut transaction).await?;
        let touched = insert(&mut transaction, &mut series, rows).await?;
        for id in touched {
            let sql = AssertSqlSafe(format!("{SUMMARISE} WHERE id = $1"));
            let summarised = sqlx::query(sql).bind(id).execute(&mut *transaction).await;
            summarised.map_err(failed("summarise windows"))?;
        }
        transaction.commit().await.map_err(failed("commit windows"))
    }
}

/// Recomputes the figures of all series.
pub(super) async fn summarise_all(transaction: &mut Transaction<'_, Any>) -> Result<(), Error> {
    let summarised = sqlx::query(SUMMARISE).execute(&mut **transaction).await;
    summarised.map_err(failed("summarise windows"))?;
    Ok(())
}

/// Inserts or replaces rows, and returns the series to which they belong.
pub(super) async fn insert(
    transaction: &mut Transaction<'_, Any>,
    series: &mut Series,
    rows: &[WindowRow],
) -> Result<BTreeSet<i64>, Error> {
    let whole = statement(rows.len().min(ROWS));
    let mut touched = BTreeSet::new();
    for chunk in rows.chunks(ROWS) {
        let sql = if chunk.len() == rows.len().min(ROWS) {
            whole.clone()
        } else {
            statement(chunk.len())
        };
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for row in chunk {
            let id = series.id(transaction, row).await?;
            touched.insert(id);
            query = query
                .bind(id)
                .bind(row.window.start().millis())
                .bind(row.window.end().millis())
                .bind(i64::from(row.version))
                .bind(row.state.as_str())
                .bind(count(row.reports))
                .bind(count(row.rejected))
                .bind(count(row.batches))
                .bind(row.epsilon)
                .bind(sums_text(&row.sums))
                .bind(row.evidence.clone())
                .bind(row.added);
        }
        let inserted = query.execute(&mut **transaction).await;
        inserted.map_err(failed("add windows"))?;
    }
    Ok(touched)
}

/// Returns the statement that inserts this number of rows.
fn statement(rows: usize) -> String {
    let mut sql =
        "INSERT INTO windows (series, window_start, window_end, version, state, reports, \
                   rejected, batches, epsilon, sums, evidence, added) VALUES "
            .to_owned();
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=COLUMNS {
            let separator = if column == 1 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(sql, "{separator}${}", row * COLUMNS + column);
        }
        sql.push(')');
    }
    sql.push_str(
        " ON CONFLICT (series, window_start, window_end, version) DO UPDATE SET \
         state = excluded.state, reports = excluded.reports, rejected = excluded.rejected, \
         batches = excluded.batches, epsilon = excluded.epsilon, sums = excluded.sums, \
         evidence = excluded.evidence, added = excluded.added",
    );
    sql
}

/// The numbers of all series: pairs of aggregation and instance.
pub(super) struct Series(BTreeMap<(String, String), i64>);

impl Series {
    /// Reads the numbers.
    pub(super) async fn read(transaction: &mut Transaction<'_, Any>) -> Result<Self, Error> {
        let rows = sqlx::query("SELECT aggregation, instance, id FROM series")
            .fetch_all(&mut **transaction)
            .await
            .map_err(failed("read the series"))?;
        let entry = |row: &sqlx::any::AnyRow| {
            let key = (row.try_get(0)?, row.try_get(1)?);
            Ok((key, row.try_get(2)?))
        };
        let entries: Result<_, sqlx::Error> = rows.iter().map(entry).collect();
        Ok(Self(entries.map_err(failed("read the series"))?))
    }

    /// Returns the number of a row's series, which is created if it is new.
    async fn id(
        &mut self,
        transaction: &mut Transaction<'_, Any>,
        row: &WindowRow,
    ) -> Result<i64, Error> {
        let key = (row.aggregation.to_string(), row.instance.to_string());
        if let Some(id) = self.0.get(&key) {
            return Ok(*id);
        }
        let id = self.0.values().max().map_or(1, |last| last + 1);
        sqlx::query(
            "INSERT INTO series (id, aggregation, instance, windows, reports) \
             VALUES ($1, $2, $3, 0, 0)",
        )
        .bind(id)
        .bind(key.0.clone())
        .bind(key.1.clone())
        .execute(&mut **transaction)
        .await
        .map_err(failed("add a series"))?;
        self.0.insert(key, id);
        Ok(id)
    }
}
