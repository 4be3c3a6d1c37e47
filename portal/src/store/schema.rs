//! The tables, and their migrations. SQLite and PostgreSQL execute the same text.

use sqlx::AnyPool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use crate::error::Error;

/// Readers do not wait for writers, and a power cut loses at most the last transactions, which the
/// evidence contains.
pub(super) const SQLITE_SETTINGS: &str = "\
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA busy_timeout = 30000;";

/// Version 1. Times are milliseconds since the epoch, and sums are decimal numbers separated by
/// commas. `series` repeats figures of `windows`, so that overviews need not read all windows.
const TABLES: &str = "\
CREATE TABLE series (
    id BIGINT PRIMARY KEY,
    aggregation TEXT NOT NULL,
    instance TEXT NOT NULL,
    windows BIGINT NOT NULL,
    reports BIGINT NOT NULL,
    first_start BIGINT,
    last_end BIGINT,
    UNIQUE (aggregation, instance)
);
CREATE TABLE windows (
    series BIGINT NOT NULL,
    window_start BIGINT NOT NULL,
    window_end BIGINT NOT NULL,
    version BIGINT NOT NULL,
    state TEXT NOT NULL,
    reports BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    batches BIGINT NOT NULL,
    epsilon DOUBLE PRECISION NOT NULL,
    sums TEXT NOT NULL,
    evidence TEXT NOT NULL,
    added BIGINT NOT NULL,
    PRIMARY KEY (series, window_start, window_end, version)
);
CREATE TABLE findings (
    id BIGINT PRIMARY KEY,
    instance TEXT NOT NULL,
    aggregation TEXT NOT NULL,
    window_start BIGINT NOT NULL,
    window_end BIGINT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    next_step TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    resolved BIGINT
);
CREATE INDEX findings_by_window ON findings (aggregation, instance, window_start);
CREATE INDEX findings_open ON findings (first_seen) WHERE resolved IS NULL;";

/// The indices of `windows` that a bulk load creates after its rows.
pub(super) const INDICES: [&str; 2] = [
    "CREATE INDEX windows_by_time_added ON windows (added, window_start)",
    "CREATE INDEX windows_one_sided ON windows (window_start) WHERE state = 'one-side'",
];

/// The statements that remove [`INDICES`].
pub(super) const NO_INDICES: [&str; 2] = [
    "DROP INDEX IF EXISTS windows_by_time_added",
    "DROP INDEX IF EXISTS windows_one_sided",
];

/// Creates the tables, or updates those of an earlier version.
pub(super) async fn migrate(pool: &AnyPool) -> Result<(), Error> {
    let tables = format!("{TABLES}\n{};", INDICES.join(";\n"));
    let migrations = vec![Migration::new(
        1,
        "windows and findings".into(),
        MigrationType::Simple,
        AssertSqlSafe(tables).into_sql_str(),
        false,
    )];
    let migrated = Migrator::with_migrations(migrations).run(pool).await;
    migrated.map_err(|source| Error::Database {
        operation: "create or update the tables",
        source: source.into(),
    })
}
