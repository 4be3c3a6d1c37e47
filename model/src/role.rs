//! The role of a data share processor: its index, and the suffixes of object names derived from it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The position of a data share processor among the processors of an aggregation.
///
/// ENPA has two processors: the health authority's is first (index 0), the facilitator is second
/// (index 1). Object names contain the index, so a third processor would need a new index but no
/// new naming rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The health authority's processor, index 0. Its share is a vector of field elements.
    First,
    /// The facilitator, index 1. Its share is the seed from which the vector is expanded.
    Second,
}

impl Role {
    /// Both roles, in order of their index.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// Returns the index used in object names: 0 or 1.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// Returns the other processor of the pair.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Second => "second",
        })
    }
}
