//! Turns an answer into a report that is durable at the ingestor.
//!
//! A [`Reporter`] makes a report according to the current configuration, and posts it until its
//! outcome is known or a deadline has passed. A report keeps its id when it is posted again, so it
//! counts once even if a response is lost.

mod attest;
mod backoff;
mod body;
mod decision;
mod error;
mod outcome;
mod prepared;
mod reply;
mod reporter;
mod slot;

pub use attest::{Attested, Attester};
pub use backoff::Backoff;
pub use body::BodyFormat;
pub use error::ReportError;
pub use outcome::{Cause, PostOutcome};
pub use prepared::Prepared;
pub use reporter::{Options, Reporter};
