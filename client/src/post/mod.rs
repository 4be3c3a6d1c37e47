//! From an answer to a report that is durable at the ingestor.
//!
//! A [`Reporter`] makes a report by the configuration in force and posts it until it is known what became of it, or
//! until a deadline. A report that is posted again has the same id, so it counts once whatever answer was lost.

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
pub use body::Form;
pub use error::ReportError;
pub use outcome::{Cause, Outcome};
pub use prepared::Prepared;
pub use reporter::{Options, Reporter};
