//! Planted faults that the simulation switches on, to show that it finds them. Only the feature
//! `faults` compiles them in; no release has that feature.

/// Returns whether this fault is on: never, without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[inline(always)]
#[must_use]
pub const fn is_on(_name: &str) -> bool {
    false
}

#[cfg(feature = "faults")]
mod switch {
    use std::sync::{PoisonError, RwLock};

    static ON: RwLock<Option<&'static str>> = RwLock::new(None);

    /// Returns whether this fault is on.
    #[must_use]
    pub fn is_on(name: &str) -> bool {
        ON.read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|on| on == name)
    }

    /// Switches one fault on in the whole process, and all others off.
    pub fn switch(name: Option<&'static str>) {
        *ON.write().unwrap_or_else(PoisonError::into_inner) = name;
    }
}

#[cfg(feature = "faults")]
pub use switch::{is_on, switch};
