//! Which of the data share processors one is: an index, and the suffixes that follow from it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A data share processor's place among the processors of an aggregation.
///
/// ENPA has two: the health authority is first (index 0), the facilitator second (index 1). The index is what
/// stands in object names, so a third processor is a new index and not a new habit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The health authority's processor, index 0; its share is a vector of field elements.
    First,
    /// The facilitator, index 1; its share is the seed of the vector.
    Second,
}

impl Role {
    /// Both roles, in order of their index.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// The index used in object names: 0 or 1.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// The other processor of a pair.
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
