//! The results that pages, exports and commands read: one row for each window, and the findings.
//!
//! One schema and one text of each statement serve SQLite and PostgreSQL. The store contains
//! nothing that `portal rebuild` cannot recreate from the evidence, except findings.

mod columns;
mod filter;
mod findings;
mod load;
mod query;
mod rows;
mod schema;
mod write;

pub use filter::{MetricSummary, WindowFilter};
pub use load::Loader;
pub use rows::{FindingRow, SumState, WindowRow};

use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Transaction};

use crate::config::DatabaseUrl;
use crate::error::Error;

/// Number of connections of one process.
const CONNECTIONS: u32 = 4;
/// How long an operation waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// The database of the results. Clones share the same connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// The statement that begins a transaction that writes.
    begin: &'static str,
}

impl Store {
    /// Opens a database, and creates or updates its tables.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn open(url: &DatabaseUrl) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let is_postgres = url.is_postgres();
        let options = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if !is_postgres {
                        sqlx::raw_sql(schema::SQLITE_SETTINGS)
                            .execute(connection)
                            .await?;
                    }
                    Ok(())
                })
            });
        let pool = options
            .connect(url.expose())
            .await
            .map_err(failed("open the database"))?;
        schema::migrate(&pool).await?;
        Ok(Self {
            pool,
            // Without IMMEDIATE, SQLite refuses a transaction that first reads and then writes if
            // another connection has written in between.
            begin: if is_postgres {
                "BEGIN"
            } else {
                "BEGIN IMMEDIATE"
            },
        })
    }

    /// Closes the connections. SQLite then merges its log into the database file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        let begun = self.pool.begin_with(self.begin).await;
        begun.map_err(failed("begin a transaction"))
    }
}

/// Returns the conversion of a driver's error into one that names the operation.
fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |source| Error::Database { operation, source }
}
