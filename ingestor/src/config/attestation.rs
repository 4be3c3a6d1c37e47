//! The section `verifier` of a locality: how attestations are verified.

use std::path::PathBuf;

use serde::Deserialize;

/// The kind of attestation, with its settings. Further kinds, such as tokens, can be added.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum VerifierConfig {
    /// Android hardware key attestation.
    Android(Box<AndroidConfig>),
    /// Attestations without any proof, for sandboxes and tests. Release builds reject this setting:
    /// they are built without the feature `test-attestation`.
    Test(TestConfig),
}

/// Settings of attestations that prove nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TestConfig {
    /// Has to be `true`, as a confirmation.
    pub anybody_may_attest: bool,
}

/// Settings of Android hardware key attestation. `docs/attestation.md` lists the checks and the
/// reasons for rejecting reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AndroidConfig {
    /// The roots to which chains have to lead: a file of one or more PEM certificates. Google
    /// publishes its roots.
    pub roots: PathBuf,
    /// The list of revoked certificates. Without it, no certificate counts as revoked.
    #[serde(default)]
    pub revocation: Option<RevocationConfig>,
    /// The applications whose reports are accepted.
    pub packages: Vec<PackageConfig>,
    /// The lowest accepted security level of the hardware that holds the key.
    #[serde(default)]
    pub minimum_security_level: SecurityLevel,
    /// True if the bootloader has to be locked and the system verified as the manufacturer's.
    #[serde(default = "yes")]
    pub verified_boot: bool,
    /// Minutes after midnight UTC for which the key of the previous day is accepted. With more
    /// than a day, keys of earlier days are accepted as well. At most 10080.
    #[serde(default = "hour")]
    pub challenge_late_minutes: u32,
    /// Minutes before midnight UTC from which the key of the next day is accepted, for clients
    /// whose clock is ahead. At most 10080.
    #[serde(default = "hour")]
    pub challenge_early_minutes: u32,
}

/// A list of revoked certificates.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RevocationConfig {
    /// The file, in the JSON format of Google's status list. It is reloaded when it changes.
    pub list: PathBuf,
    /// Hours for which the last readable list is used while the file cannot be read. After that
    /// every report is rejected.
    #[serde(default = "three_days")]
    pub max_age_hours: u32,
}

/// An accepted application.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackageConfig {
    /// The package name.
    pub name: String,
    /// SHA-256 of each certificate that may sign the application, in hexadecimal.
    pub signature_digests: Vec<String>,
}

/// The hardware that holds a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecurityLevel {
    /// A trusted execution environment, or better.
    #[default]
    TrustedEnvironment,
    /// A secure element.
    StrongBox,
}

fn yes() -> bool {
    true
}

fn hour() -> u32 {
    60
}

fn three_days() -> u32 {
    72
}
