//! The choice between eight lanes and the scalar library, once for each process.

use std::fmt;
use std::sync::OnceLock;

use super::ifma::Detected;
use super::self_test;

/// The environment variable that forces an implementation: `eight-lanes` or `scalar`.
pub const VARIABLE: &str = "TALLYBOX_P256";

/// An implementation of key agreement in batches.
#[derive(Clone, Copy, Debug)]
pub struct Implementation {
    pub(super) lanes: Option<Detected>,
}

impl Implementation {
    /// Returns the scalar library, aws-lc.
    #[must_use]
    pub fn scalar() -> Self {
        Self { lanes: None }
    }

    /// Returns the implementation in eight lanes, if the processor supports it.
    #[must_use]
    pub fn eight_lanes() -> Option<Self> {
        let lanes = Some(Detected::new()?);
        Some(Self { lanes })
    }

    /// Returns whether this is the implementation in eight lanes.
    #[must_use]
    pub fn has_eight_lanes(self) -> bool {
        self.lanes.is_some()
    }
}

/// The reason for a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChoiceReason {
    /// The processor supports eight lanes, and the self-test passed.
    Supported,
    /// The processor does not support eight lanes.
    NotSupported,
    /// The environment variable asks for the scalar library.
    Forced,
    /// The environment variable has another value than the two that it may have.
    UnknownValue,
    /// The self-test of eight lanes failed.
    SelfTestFailed,
}

impl ChoiceReason {
    /// Returns whether an operator should look at the machine or its configuration.
    #[must_use]
    pub fn is_fault(self) -> bool {
        matches!(self, Self::UnknownValue | Self::SelfTestFailed)
    }
}

impl fmt::Display for ChoiceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Supported => f.write_str("the processor supports AVX-512 IFMA"),
            Self::NotSupported => f.write_str("the processor does not support AVX-512 IFMA"),
            Self::Forced => write!(f, "{VARIABLE} asks for it"),
            Self::UnknownValue => {
                write!(f, "{VARIABLE} is neither `eight-lanes` nor `scalar`; correct its value")
            }
            Self::SelfTestFailed => f.write_str(
                "the self-test of the eight-lane implementation failed; replace the machine, and report the fault",
            ),
        }
    }
}

/// The implementation that this process uses, and why.
#[derive(Clone, Copy, Debug)]
pub struct ImplementationChoice {
    /// The implementation.
    pub implementation: Implementation,
    /// The reason.
    pub reason: ChoiceReason,
}

impl ImplementationChoice {
    /// Returns the selection of this process. The first call reads the environment variable and
    /// runs the self-test, which takes less than a millisecond.
    pub fn get() -> Self {
        static SELECTION: OnceLock<ImplementationChoice> = OnceLock::new();
        *SELECTION.get_or_init(|| {
            let variable = std::env::var_os(VARIABLE);
            let variable = variable.as_ref().map(|value| value.to_str().unwrap_or("?"));
            select(variable, Implementation::eight_lanes(), self_test::passes)
        })
    }
}

/// Selects by the value of the variable. Eight lanes are used only after a self-test, also if the
/// variable asks for them.
fn select(
    variable: Option<&str>,
    eight_lanes: Option<Implementation>,
    passes: impl FnOnce(Implementation) -> bool,
) -> ImplementationChoice {
    let (implementation, reason) = match (variable, eight_lanes) {
        (Some("scalar"), _) => (Implementation::scalar(), ChoiceReason::Forced),
        (Some(value), _) if !matches!(value, "" | "eight-lanes") => {
            (Implementation::scalar(), ChoiceReason::UnknownValue)
        }
        (_, None) => (Implementation::scalar(), ChoiceReason::NotSupported),
        (_, Some(lanes)) if passes(lanes) => (lanes, ChoiceReason::Supported),
        (_, Some(_)) => (Implementation::scalar(), ChoiceReason::SelfTestFailed),
    };
    ImplementationChoice {
        implementation,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_and_the_self_test_decide() {
        let passes = |_| true;
        for variable in [None, Some(""), Some("eight-lanes")] {
            let selection = select(variable, None, passes);
            assert_eq!(selection.reason, ChoiceReason::NotSupported);
            assert!(!selection.implementation.has_eight_lanes());
        }
        let forced = select(Some("scalar"), Implementation::eight_lanes(), passes);
        assert_eq!(forced.reason, ChoiceReason::Forced);
        assert!(!forced.implementation.has_eight_lanes());
        let unknown = select(Some("avx2"), Implementation::eight_lanes(), passes);
        assert!(unknown.reason.is_fault() && !unknown.implementation.has_eight_lanes());

        let Some(lanes) = Implementation::eight_lanes() else {
            return;
        };
        assert!(
            select(None, Some(lanes), passes)
                .implementation
                .has_eight_lanes()
        );
        let failed = select(Some("eight-lanes"), Some(lanes), |_| false);
        assert_eq!(failed.reason, ChoiceReason::SelfTestFailed);
        assert!(!failed.implementation.has_eight_lanes());
    }
}
