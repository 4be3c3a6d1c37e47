//! The pair of sum parts of a window: each is verified alone, both are compared, and then added
//! modulo the prime. Whatever prevents that is a [`Finding`] with the figures of both sides.

mod finding;
mod join;
mod part;
#[cfg(test)]
mod tests;

pub use finding::{Finding, Findings, Values};
pub use join::{PartOrigin, WindowSum, join};
pub use part::{FileDigest, Part, PartFiles, PartKind, SignedBy, read_files};
