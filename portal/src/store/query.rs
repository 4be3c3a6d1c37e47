//! The reading of windows.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe};
use tallybox_model::id::{AggregationId, Instance};
use tallybox_model::time::Window;

use super::columns::{self, WINDOW};
use super::filter::{MetricSummary, WindowFilter};
use super::rows::WindowRow;
use super::{Store, failed};
use crate::error::Error;

type Query<'q> = sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>;

impl Store {
    /// Returns the selected windows in order of their start, of instance and version.
    ///
    /// # Errors
    /// [`Error::Database`] or [`Error::Row`].
    pub async fn windows(&self, filter: &WindowFilter) -> Result<Vec<WindowRow>, Error> {
        let mut conditions = Conditions::default();
        if let Some(aggregation) = &filter.aggregation {
            conditions.add("s.aggregation =", aggregation.as_str());
        }
        conditions.one_of("s.instance", filter.instances.iter().map(Instance::as_str));
        if let Some(from) = filter.from {
            conditions.add("w.window_start >=", from.millis());
        }
        if let Some(to) = filter.to {
            conditions.add("w.window_start <", to.millis());
        }
        conditions.one_of("w.state", filter.states.iter().map(|state| state.as_str()));
        let limit = filter
            .limit
            .map_or(String::new(), |n| format!(" LIMIT {n}"));
        let sql = format!(
            "SELECT {WINDOW} FROM series s JOIN windows w ON w.series = s.id{} \
             ORDER BY w.window_start DESC, w.window_end DESC{limit}",
            conditions.text()
        );
        let mut rows = self.read(conditions.bind(sql), columns::window).await?;
        // The database sorts texts by its own rules, and only the last rows are wanted.
        rows.sort_by(|left, right| {
            let by_time = left.window.cmp(&right.window);
            by_time
                .then_with(|| left.instance.cmp(&right.instance))
                .then_with(|| left.version.cmp(&right.version))
        });
        Ok(rows)
    }

    /// Returns all versions of a window, the first one first.
    ///
    /// # Errors
    /// [`Error::Database`] or [`Error::Row`].
    pub async fn window(
        &self,
        instance: &Instance,
        aggregation: &AggregationId,
        window: &Window,
    ) -> Result<Vec<WindowRow>, Error> {
        let mut conditions = Conditions::default();
        conditions.add("s.aggregation =", aggregation.as_str());
        conditions.add("s.instance =", instance.as_str());
        conditions.add("w.window_start =", window.start().millis());
        conditions.add("w.window_end =", window.end().millis());
        let sql = format!(
            "SELECT {WINDOW} FROM series s JOIN windows w ON w.series = s.id{} ORDER BY w.version",
            conditions.text()
        );
        self.read(conditions.bind(sql), columns::window).await
    }

    /// Returns the `n` windows that were added last, the latest first.
    ///
    /// # Errors
    /// [`Error::Database`] or [`Error::Row`].
    pub async fn latest(&self, n: u32) -> Result<Vec<WindowRow>, Error> {
        let sql = format!(
            "SELECT {WINDOW} FROM (SELECT * FROM windows ORDER BY added DESC, window_start DESC \
             LIMIT {n}) w JOIN series s ON s.id = w.series ORDER BY w.added DESC, \
             w.window_start DESC"
        );
        self.read(sqlx::query(AssertSqlSafe(sql)), columns::window)
            .await
    }

    /// Returns the windows of which only one side has published its sum part, oldest first.
    /// [`WindowRow::missing`] tells whose part is missing.
    ///
    /// # Errors
    /// [`Error::Database`] or [`Error::Row`].
    pub async fn one_sided(&self) -> Result<Vec<WindowRow>, Error> {
        // The state is a literal, so that both databases use the partial index.
        let sql = format!(
            "SELECT {WINDOW} FROM windows w JOIN series s ON s.id = w.series \
             WHERE w.state = 'one-side' ORDER BY w.window_start"
        );
        self.read(sqlx::query(AssertSqlSafe(sql)), columns::window)
            .await
    }

    /// Returns all metrics, sorted by name.
    ///
    /// # Errors
    /// [`Error::Database`] or [`Error::Row`].
    pub async fn metrics(&self) -> Result<Vec<MetricSummary>, Error> {
        let sql = "SELECT aggregation, CAST(SUM(windows) AS BIGINT), \
                   CAST(SUM(reports) AS BIGINT), MIN(first_start), MAX(last_end) FROM series \
                   GROUP BY aggregation";
        let mut metrics = self.read(sqlx::query(sql), columns::metric).await?;
        metrics.sort_by(|left, right| left.aggregation.cmp(&right.aggregation));
        Ok(metrics)
    }

    /// Returns all instances, sorted by name.
    ///
    /// # Errors
    /// [`Error::Database`] or [`Error::Row`].
    pub async fn instances(&self) -> Result<Vec<Instance>, Error> {
        let query = sqlx::query("SELECT DISTINCT instance FROM series");
        let mut instances = self.read(query, columns::instance).await?;
        instances.sort();
        Ok(instances)
    }

    /// Executes a query and decodes its rows.
    pub(super) async fn read<T>(
        &self,
        query: Query<'_>,
        decode: impl Fn(&AnyRow) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let rows = query.fetch_all(&self.pool).await;
        let rows = rows.map_err(failed("read from the database"))?;
        rows.iter().map(decode).collect()
    }
}

/// A value of a condition.
pub(super) enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Argument {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// The conditions of a query, all of which have to hold, with numbered placeholders.
#[derive(Default)]
pub(super) struct Conditions {
    texts: Vec<String>,
    arguments: Vec<Argument>,
}

impl Conditions {
    /// Adds a comparison with a value, such as `s.instance =`.
    pub(super) fn add(&mut self, comparison: &str, value: impl Into<Argument>) {
        let placeholder = self.placeholder(value.into());
        self.texts.push(format!("{comparison} {placeholder}"));
    }

    /// Requires that a column has one of some values, if there are any.
    pub(super) fn one_of<'a>(&mut self, column: &str, values: impl Iterator<Item = &'a str>) {
        let places: Vec<String> = values.map(|value| self.placeholder(value.into())).collect();
        if !places.is_empty() {
            self.texts
                .push(format!("{column} IN ({})", places.join(", ")));
        }
    }

    fn placeholder(&mut self, argument: Argument) -> String {
        self.arguments.push(argument);
        format!("${}", self.arguments.len())
    }

    /// Returns the `WHERE` clause, or nothing.
    pub(super) fn text(&self) -> String {
        if self.texts.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", self.texts.join(" AND "))
    }

    /// Creates the query with the arguments. All of `sql` is made of constants and placeholders.
    pub(super) fn bind(self, sql: String) -> Query<'static> {
        let query = sqlx::query(AssertSqlSafe(sql));
        self.arguments
            .into_iter()
            .fold(query, |query, argument| match argument {
                Argument::Text(text) => query.bind(text),
                Argument::Number(number) => query.bind(number),
            })
    }
}
