//! Name and features of this build.

use tallybox_service::version::Build;

/// Name and features of this build.
pub(crate) const BUILD: Build = Build::new("facilitator", &[("cloud", cfg!(feature = "cloud"))]);
