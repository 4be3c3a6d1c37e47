//! The configuration of a locality, and its verification.
//!
//! A configuration is a signed document. A [`Trust`] contains what is built into the application:
//! the locality, the keys that may sign, and the largest accepted epsilon. [`Trust::check`] turns a
//! valid document into a [`TrustedConfig`], the only type from which reports are made. A
//! [`ConfigSource`] fetches the document, and caches the last valid one until it expires.

mod error;
mod source;
mod trust;

pub use error::ClientConfigError;
pub use source::ConfigSource;
pub use trust::{Trust, TrustedConfig, TrustedMetric};
