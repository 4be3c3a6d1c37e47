//! The evidence of a sum: the files of both sum parts exactly as they were read, in one object.
//!
//! An evidence object is a tar archive (POSIX ustar) of fixed form, so that it can be examined
//! without this program: `tar -xf`, then `sha256sum -c SHA256SUMS`. Equal files give equal bytes.
//! `docs/formats.md` describes the form.

mod archive;
mod check;
mod name;
mod object;
mod scan;

pub use check::{Fault, check};
pub use name::EvidenceName;
pub use object::Evidence;
pub(crate) use scan::{Checked, EvidenceListing, check_all};

/// Size of the largest evidence object in bytes.
pub const MAX_EVIDENCE_BYTES: u64 = 400 << 20;
