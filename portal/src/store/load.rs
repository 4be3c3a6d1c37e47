//! The replacement of all windows at once, for `portal rebuild`: without indices and summaries
//! until the end.

use super::rows::WindowRow;
use super::schema::{INDICES, NO_INDICES};
use super::write::{Series, insert, summarise_all};
use super::{Store, failed};
use crate::error::Error;

/// The bulk load of windows into a store. Until [`Loader::finish`], the store is incomplete.
#[derive(Debug)]
pub struct Loader<'s> {
    store: &'s Store,
}

impl Store {
    /// Removes all windows, and begins a bulk load. Findings stay.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn load(&self) -> Result<Loader<'_>, Error> {
        let mut transaction = self.begin().await?;
        let all = ["DELETE FROM windows", "DELETE FROM series"];
        for sql in NO_INDICES.into_iter().chain(all) {
            sqlx::query(sql)
                .execute(&mut *transaction)
                .await
                .map_err(failed("remove all windows"))?;
        }
        transaction
            .commit()
            .await
            .map_err(failed("remove all windows"))?;
        Ok(Loader { store: self })
    }
}

impl Loader<'_> {
    /// Adds windows in one transaction, as [`Store::add`] does. Thousands of rows at a time are
    /// fastest.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn add(&self, rows: &[WindowRow]) -> Result<(), Error> {
        let mut transaction = self.store.begin().await?;
        let mut series = Series::read(&mut transaction).await?;
        insert(&mut transaction, &mut series, rows).await?;
        transaction.commit().await.map_err(failed("commit windows"))
    }

    /// Creates the indices and the summaries.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn finish(self) -> Result<(), Error> {
        let mut transaction = self.store.begin().await?;
        summarise_all(&mut transaction).await?;
        for sql in INDICES {
            sqlx::query(sql)
                .execute(&mut *transaction)
                .await
                .map_err(failed("create the indices"))?;
        }
        transaction.commit().await.map_err(failed("commit windows"))
    }
}
