//! One of several schedulers leads. It saves work and nothing depends on it: two that lead at once start a task twice
//! at most, which workers do not mind.

mod lock;

pub use lock::BucketLock;

use std::fmt;

use async_trait::async_trait;

use crate::error::Error;

/// Who leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Leadership {
    /// We do, for the time of a lease.
    Ours,
    /// Another does, or may.
    Theirs {
        /// Who, as far as is known.
        holder: String,
    },
}

/// A way to find out who leads.
#[async_trait]
pub trait Election: Send + Sync + fmt::Debug {
    /// Stands for election, or says again that we lead.
    async fn campaign(&self) -> Result<Leadership, Error>;

    /// Gives up, so that another need not wait for the end of the lease.
    async fn resign(&self) -> Result<(), Error>;

    /// Where it is decided, for people.
    fn place(&self) -> String;
}

/// There is nobody else.
#[derive(Debug)]
pub struct Alone;

#[async_trait]
impl Election for Alone {
    async fn campaign(&self) -> Result<Leadership, Error> {
        Ok(Leadership::Ours)
    }

    async fn resign(&self) -> Result<(), Error> {
        Ok(())
    }

    fn place(&self) -> String {
        "alone".to_owned()
    }
}
