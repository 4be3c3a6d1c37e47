//! The operator's requirements for attested keys, and the comparison with key descriptions.

use std::collections::BTreeMap;

use super::key_description::{ApplicationId, BootState, KeyDescription, Level};
use crate::attestation::Reason;
use crate::attestation::challenge::{DayWindow, matching_day};
use crate::config::attestation::{AndroidConfig, PackageConfig, SecurityLevel};

/// Upper limit of the challenge settings, in minutes: one week.
const MOST_MINUTES: u32 = 7 * 24 * 60;
/// Android's number for the purpose "sign".
const SIGN: i32 = 2;
/// Android's number for the origin "generated inside the hardware".
const GENERATED: i32 = 0;

/// The validated form of the settings.
#[derive(Debug)]
pub(super) struct Policy {
    packages: BTreeMap<String, Vec<[u8; 32]>>,
    level: Level,
    verified_boot: bool,
    window: DayWindow,
}

impl Policy {
    /// Validates the settings.
    pub(super) fn new(config: &AndroidConfig) -> Result<Self, String> {
        if config.packages.is_empty() {
            return Err("packages: at least one package is required".to_owned());
        }
        if config.challenge_late_minutes > MOST_MINUTES
            || config.challenge_early_minutes > MOST_MINUTES
        {
            return Err(
                "challenge-late-minutes and challenge-early-minutes have to be 10080 (a week) or less".to_owned(),
            );
        }
        let mut packages = BTreeMap::new();
        for package in &config.packages {
            let digests = signature_digests(package)
                .map_err(|problem| format!("packages.{}: {problem}", package.name))?;
            if packages.insert(package.name.clone(), digests).is_some() {
                return Err(format!(
                    "packages.{}: the name is listed twice",
                    package.name
                ));
            }
        }
        Ok(Self {
            packages,
            level: match config.minimum_security_level {
                SecurityLevel::TrustedEnvironment => Level::TrustedEnvironment,
                SecurityLevel::StrongBox => Level::StrongBox,
            },
            verified_boot: config.verified_boot,
            window: DayWindow::minutes(
                config.challenge_late_minutes,
                config.challenge_early_minutes,
            ),
        })
    }

    /// Returns for how many minutes the key of a day is accepted.
    pub(super) fn key_minutes(&self) -> u64 {
        self.window.key_minutes()
    }

    /// Returns the day for which a key was generated, if the key meets the requirements and belongs
    /// to this metric.
    pub(super) fn day(
        &self,
        key: &KeyDescription<'_>,
        metric: &str,
        now: i64,
    ) -> Result<i64, Reason> {
        if key.attestation_level < self.level || key.key_level < self.level {
            return Err(Reason::SecurityLevel);
        }
        // Only the hardware's statements about origin and purpose count, since the operating system
        // could state anything.
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

    /// Returns the names of the application's packages. All packages and all their signers have to
    /// be accepted, since any of the packages could have created the report.
    fn packages(&self, application: &ApplicationId<'_>) -> Result<Vec<&str>, Reason> {
        if application.packages.is_empty() || application.signers.is_empty() {
            return Err(Reason::ApplicationId);
        }
        let accepted = |name: &&[u8]| {
            let name = std::str::from_utf8(name).ok()?;
            self.packages.get_key_value(name)
        };
        let accepted: Option<Vec<_>> = application.packages.iter().map(accepted).collect();
        let accepted = accepted.ok_or(Reason::Package)?;
        let is_accepted = |digests: &Vec<[u8; 32]>, signer: &[u8]| {
            digests.iter().any(|digest| digest.as_slice() == signer)
        };
        let signed = accepted.iter().all(|(_, digests)| {
            application
                .signers
                .iter()
                .all(|signer| is_accepted(digests, signer))
        });
        if !signed {
            return Err(Reason::PackageSignature);
        }
        Ok(accepted
            .into_iter()
            .map(|(name, _)| name.as_str())
            .collect())
    }
}

/// Returns the application to which a key belongs. The operating system states it, since the
/// hardware does not know applications; a verified system is trusted to state it correctly.
fn application<'a>(key: &KeyDescription<'a>) -> Result<ApplicationId<'a>, Reason> {
    if key.software.all_applications() || key.hardware.all_applications() {
        return Err(Reason::ApplicationId);
    }
    match (
        key.software.application_id()?,
        key.hardware.application_id()?,
    ) {
        (Some(id), None) | (None, Some(id)) => Ok(id),
        _ => Err(Reason::ApplicationId),
    }
}

fn signature_digests(package: &PackageConfig) -> Result<Vec<[u8; 32]>, String> {
    if package.signature_digests.is_empty() {
        return Err("signature-digests: at least one digest is required".to_owned());
    }
    let digests = package.signature_digests.iter();
    let digests = digests.map(|text| unhex(text).and_then(|bytes| bytes.try_into().ok()));
    let digests: Option<_> = digests.collect();
    digests.ok_or_else(|| {
        "signature-digests: each has to be a SHA-256 in hexadecimal, 64 digits".to_owned()
    })
}

/// Parses hexadecimal digits in upper or lower case.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| Some(digit.to_digit(16)? as u8))
        .collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
