//! Leader election among several schedulers. It only saves work, and correctness does not depend on
//! it: two leaders at once start a task at most twice, which is harmless.

mod lock;

pub use lock::BucketLock;

use std::fmt;

use async_trait::async_trait;

use crate::error::Error;

/// The result of an election.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Leadership {
    /// This process is the leader for the duration of a lease.
    Ours,
    /// Another process is the leader, or may be.
    Theirs {
        /// The leader, if known.
        holder: String,
    },
}

/// A method of leader election.
#[async_trait]
pub trait Election: Send + Sync + fmt::Debug {
    /// Tries to acquire or renew the lease.
    async fn campaign(&self) -> Result<Leadership, Error>;

    /// Ends the lease early, so that another process can take over at once.
    async fn resign(&self) -> Result<(), Error>;

    /// Returns where the election takes place, for people.
    fn location(&self) -> String;
}

/// No election: this process is always the leader.
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

    fn location(&self) -> String {
        "alone".to_owned()
    }
}
