//! What an operator asks of an attested key, and whether a key description gives it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::key_description::{ApplicationId, BootState, KeyDescription, Level};
use crate::attestation::Reason;
use crate::attestation::challenge::{DayWindow, matching_day};

/// Most minutes that a challenge's day may lie outside of now: a week.
const MOST_MINUTES: u32 = 7 * 24 * 60;
/// Android's number for the purpose "sign".
const SIGN: i32 = 2;
/// Android's number for the origin "made inside the hardware".
const GENERATED: i32 = 0;

/// Android hardware key attestation. `docs/attestation.md` says what is checked, and what a report is refused for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AndroidConfig {
    /// The roots that chains have to lead to: one or more certificates, PEM. Google publishes its own.
    pub roots: PathBuf,
    /// Which certificates are revoked. Without it none is.
    #[serde(default)]
    pub revocation: Option<RevocationConfig>,
    /// The applications whose reports are taken.
    pub packages: Vec<PackageConfig>,
    /// In what hardware the key has to be, at least.
    #[serde(default)]
    pub minimum_security_level: SecurityLevel,
    /// Whether the bootloader has to be locked, and the system the manufacturer's.
    #[serde(default = "yes")]
    pub verified_boot: bool,
    /// For how many minutes after midnight UTC the key of the day before is taken. More than a day takes the days
    /// before it, too; 10080 at most.
    #[serde(default = "hour")]
    pub challenge_late_minutes: u32,
    /// For how many minutes before midnight UTC the key of the day after is taken, from clients whose clock is ahead;
    /// 10080 at most.
    #[serde(default = "hour")]
    pub challenge_early_minutes: u32,
}

/// A list of revoked certificates.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RevocationConfig {
    /// The file, in the JSON form of Google's status list. It is read again when it changes.
    pub list: PathBuf,
    /// For how many hours the last list that could be read is used when its file cannot be; then every report is
    /// refused.
    #[serde(default = "three_days")]
    pub max_age_hours: u32,
}

/// An application.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackageConfig {
    /// Its package name.
    pub name: String,
    /// SHA-256 of each certificate that may sign it, in hex.
    pub signature_digests: Vec<String>,
}

/// Where a key is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecurityLevel {
    /// In a trusted execution environment, or better.
    #[default]
    TrustedEnvironment,
    /// In a secure element.
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

/// The checked form of what is asked of a key.
#[derive(Debug)]
pub(super) struct Policy {
    packages: BTreeMap<String, Vec<[u8; 32]>>,
    level: Level,
    verified_boot: bool,
    window: DayWindow,
}

impl Policy {
    /// Checks what the configuration says.
    pub(super) fn new(config: &AndroidConfig) -> Result<Self, String> {
        if config.packages.is_empty() {
            return Err("packages: at least one is needed".to_owned());
        }
        if config.challenge_late_minutes > MOST_MINUTES || config.challenge_early_minutes > MOST_MINUTES {
            return Err(
                "challenge-late-minutes and challenge-early-minutes have to be 10080 (a week) or less".to_owned(),
            );
        }
        let mut packages = BTreeMap::new();
        for package in &config.packages {
            let digests =
                signature_digests(package).map_err(|problem| format!("packages.{}: {problem}", package.name))?;
            if packages.insert(package.name.clone(), digests).is_some() {
                return Err(format!("packages.{}: stands twice", package.name));
            }
        }
        Ok(Self {
            packages,
            level: match config.minimum_security_level {
                SecurityLevel::TrustedEnvironment => Level::TrustedEnvironment,
                SecurityLevel::StrongBox => Level::StrongBox,
            },
            verified_boot: config.verified_boot,
            window: DayWindow::minutes(config.challenge_late_minutes, config.challenge_early_minutes),
        })
    }

    /// For how many minutes the key of a day is taken.
    pub(super) fn key_minutes(&self) -> u64 {
        self.window.key_minutes()
    }

    /// The day that a key was made for, if it is what is asked for and of this metric.
    pub(super) fn day(&self, key: &KeyDescription<'_>, metric: &str, now: i64) -> Result<i64, Reason> {
        if key.attested_in < self.level || key.kept_in < self.level {
            return Err(Reason::SecurityLevel);
        }
        // What only the operating system says of these is worth nothing.
        if key.hardware.origin()? != Some(GENERATED) {
            return Err(Reason::KeyOrigin);
        }
        if !key.hardware.purposes()?.contains(&SIGN) {
            return Err(Reason::KeyPurpose);
        }
        self.boot(key)?;
        let application = application(key)?;
        let packages = self.packages(&application)?;
        packages
            .into_iter()
            .find_map(|package| matching_day(self.window, package, metric, key.challenge, now))
            .ok_or(Reason::Challenge)
    }

    fn boot(&self, key: &KeyDescription<'_>) -> Result<(), Reason> {
        if !self.verified_boot {
            return Ok(());
        }
        let root = key.hardware.root_of_trust()?.ok_or(Reason::RootOfTrust)?;
        if !root.locked {
            return Err(Reason::DeviceUnlocked);
        }
        if root.state != BootState::Verified {
            return Err(Reason::BootState);
        }
        Ok(())
    }

    /// The names of the application's packages, all of which have to be taken, with all that sign them: each of them
    /// could have made the report.
    fn packages(&self, application: &ApplicationId<'_>) -> Result<Vec<&str>, Reason> {
        if application.packages.is_empty() || application.signers.is_empty() {
            return Err(Reason::ApplicationId);
        }
        let known = |name: &&[u8]| {
            let name = std::str::from_utf8(name).ok()?;
            self.packages.get_key_value(name)
        };
        let known: Option<Vec<_>> = application.packages.iter().map(known).collect();
        let known = known.ok_or(Reason::Package)?;
        let taken = |digests: &Vec<[u8; 32]>, signer: &[u8]| digests.iter().any(|digest| digest.as_slice() == signer);
        let signed = known
            .iter()
            .all(|(_, digests)| application.signers.iter().all(|signer| taken(digests, signer)));
        if !signed {
            return Err(Reason::PackageSignature);
        }
        Ok(known.into_iter().map(|(name, _)| name.as_str()).collect())
    }
}

/// The one application that a key is for. The operating system says which: the hardware knows none, but a system that is
/// verified does not lie.
fn application<'a>(key: &KeyDescription<'a>) -> Result<ApplicationId<'a>, Reason> {
    if key.software.all_applications() || key.hardware.all_applications() {
        return Err(Reason::ApplicationId);
    }
    match (key.software.application_id()?, key.hardware.application_id()?) {
        (Some(id), None) | (None, Some(id)) => Ok(id),
        _ => Err(Reason::ApplicationId),
    }
}

fn signature_digests(package: &PackageConfig) -> Result<Vec<[u8; 32]>, String> {
    if package.signature_digests.is_empty() {
        return Err("signature-digests: at least one is needed".to_owned());
    }
    let digests = package.signature_digests.iter();
    let digests = digests.map(|text| unhex(text).and_then(|bytes| bytes.try_into().ok()));
    let digests: Option<_> = digests.collect();
    digests.ok_or_else(|| "signature-digests: each has to be a SHA-256 in hex, 64 digits".to_owned())
}

/// Bytes from hex digits, upper or lower case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
