//! Name and features of this build.

/// Name and enabled features of this build, for `--version` and the `build_info` metric.
pub(crate) const BUILD: tallybox_service::version::Build = tallybox_service::version::Build::new(
    "ingestor",
    &[
        ("cloud", cfg!(feature = "cloud")),
        ("test-attestation", cfg!(feature = "test-attestation")),
    ],
);
