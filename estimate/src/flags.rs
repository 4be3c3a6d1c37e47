//! What a reader has to know about a row before using its numbers.

use serde::{Deserialize, Serialize};

/// One reservation about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Flag {
    /// Fewer reports than the minimum: the row is suppressed, and its numbers are not shown.
    BelowMinimum,
    /// Windows or batches of the period are missing.
    Incomplete,
    /// The period contains windows with different epsilons, which are never added.
    MixedEpsilon,
    /// The version of the metric changes within the period or against the row before.
    MetricVersionChanged,
}

impl Flag {
    /// All flags, in the order in which they are shown.
    pub const ALL: [Self; 4] = [
        Self::BelowMinimum,
        Self::Incomplete,
        Self::MixedEpsilon,
        Self::MetricVersionChanged,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of flags. Its serialised form is the list of their names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Flag>", into = "Vec<Flag>")]
pub struct Flags(u8);

impl Flags {
    /// Returns the set with this flag too, if the condition is true.
    #[must_use]
    pub fn with_if(self, condition: bool, flag: Flag) -> Self {
        if condition {
            Self(self.0 | flag.bit())
        } else {
            self
        }
    }

    /// Returns the flags of a number of reports: [`Flag::BelowMinimum`] or none.
    #[must_use]
    pub fn of_reports(reports: u64, minimum: u64) -> Self {
        Self::default().with_if(reports < minimum, Flag::BelowMinimum)
    }

    /// Returns whether a flag is in the set.
    #[must_use]
    pub fn contains(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the flags of both sets: those of a row that combines two others.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the flags of the set, in the order of [`Flag::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL
            .into_iter()
            .filter(move |flag| self.contains(*flag))
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let flags = flags.into_iter();
        flags.fold(Self::default(), |set, flag| set.with_if(true, flag))
    }
}

impl From<Vec<Flag>> for Flags {
    fn from(flags: Vec<Flag>) -> Self {
        flags.into_iter().collect()
    }
}

impl From<Flags> for Vec<Flag> {
    fn from(flags: Flags) -> Self {
        flags.iter().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_what_was_added() {
        let flags = Flags::of_reports(99, 100).with_if(true, Flag::MixedEpsilon);
        assert!(flags.contains(Flag::BelowMinimum) && !flags.contains(Flag::Incomplete));
        assert!(Flags::of_reports(100, 100).is_empty());
        let both = flags.union([Flag::Incomplete].into_iter().collect());
        let expected = [Flag::BelowMinimum, Flag::Incomplete, Flag::MixedEpsilon];
        assert_eq!(both.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_serialised_form_is_a_list_of_names() {
        let flags = Flags::of_reports(1, 2).with_if(true, Flag::MetricVersionChanged);
        let json = serde_json::to_string(&flags).unwrap();
        assert_eq!(json, r#"["below-minimum","metric-version-changed"]"#);
        assert_eq!(serde_json::from_str::<Flags>(&json).unwrap(), flags);
    }
}
