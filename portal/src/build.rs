//! Name and features of this build.

/// Version, commit and features of this program.
pub(crate) const BUILD: tallybox_service::version::Build =
    tallybox_service::version::Build::new("portal", &[("cloud", cfg!(feature = "cloud"))]);
