//! Known faults that a simulation switches on, to show that it finds them. Without the feature `faults`, which no
//! release has, there is none, and nothing is left of them in the program.

/// Whether this fault is on.
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

    /// Whether this fault is on.
    #[must_use]
    pub fn is_on(name: &str) -> bool {
        ON.read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|on| on == name)
    }

    /// Switches one fault on, in the whole process, and every other off.
    pub fn switch(name: Option<&'static str>) {
        *ON.write().unwrap_or_else(PoisonError::into_inner) = name;
    }
}

#[cfg(feature = "faults")]
pub use switch::{is_on, switch};
