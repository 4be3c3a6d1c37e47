//! What a locality wants counted, and whether to believe it.
//!
//! A configuration is a signed document. A [`Trust`] is what the application was built with: the locality, the keys
//! that may sign, and the largest epsilon it is ready to answer with. Only what a [`Trust`] has checked becomes a
//! [`TrustedConfig`], and only that makes reports. A [`ConfigSource`] fetches it, and keeps the last good one until
//! it expires.

mod error;
mod source;
mod trust;

pub use error::ConfigError;
pub use source::ConfigSource;
pub use trust::{Trust, TrustedConfig, TrustedMetric};
